"""What a person has set is the same wherever the screen uses it: names, rates, channels, words."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from model.detector import Detector
from monitor import naming
from monitor.app import compare, inputs
from monitor.app.app import MonitorApp
from monitor.app.attention import AlarmLine
from monitor.app.colours import LEAST_CONTRAST, contrast, readable
from monitor.app.header import Header
from monitor.app.inputs import Inputs, LiveInput
from monitor.ledger import Account
from monitor.microphone import Microphone
from monitor.rehearsal import RehearsedDevice
from tests.monitor.app_quiet import until
from tests.monitor.app_sounds import explanation, sound, sounds, still_detector
from tests.monitor.app_states import STATES
from tests.monitor.app_still import Stage, still_app
from tests.monitor.pictures import look

Act = Callable[[Stage], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("own_settings")


def on_screen(act: Act) -> MonitorApp:
    """Run the monitor's screen over 36 sounds, the last of them an alarm, and do something."""
    app = still_app(still_detector())

    async def run() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            assert app._pulls is not None
            app._pulls.pause()
            stage = Stage(app, pilot)
            await stage.hear(*sounds(36))
            await act(stage)

    asyncio.run(run())
    return app


def text_of(app: App[Any]) -> str:
    """Everything that stands on the screen."""
    return "\n".join(row.text for row in look(app))


def test_a_new_name_is_used_wherever_a_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, pinned alarm, profile, filter, comparison and window title have it, none the old."""
    monkeypatch.setattr(naming, "rename_cluster", renamed_without_a_file)
    monkeypatch.setattr(compare, "explain", lambda *_: explanation())
    written: list[str] = []

    async def act(stage: Stage) -> None:
        app = stage.app
        app._driver.write = written.append
        app._named(4, "valve")
        await until(stage.pilot, lambda: app.table.names == {4: "valve"})
        await stage.calm()
        text = text_of(app)
        assert "late hiss" not in text
        assert "▲ alarm 09:34:12 · p 0.0060, 1 in 167 · 4: valve · 3 not seen yet" in text
        assert 'nearest cluster: 4 "valve"' in text
        assert any("4: valve" in title for title in written)
        for asked, count in (("valve", 9), ("late", 0)):
            app.field.value = asked
            await stage.calm()
            assert len(app.table.listing.rows) == count, asked
        app.field.value = ""
        await stage.press("x")
        assert 'Cluster 4 "valve" is muted' in text_of(app)
        await stage.press("c")
        assert "nearest cluster 4: valve" in text_of(app)

    on_screen(act)


def renamed_without_a_file(_: object, detector: Detector, cluster: int, name: str) -> Detector:
    """Rename as if the model had a file."""
    return replace(detector, clusters=detector.clusters.renamed(cluster, name), digest="new")


def test_what_was_set_while_a_name_was_saved_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate changed while the model file is written is not undone by the name."""
    may_go_on = threading.Event()

    def slowly(path: object, detector: Detector, cluster: int, name: str) -> Detector:
        may_go_on.wait(10)
        return renamed_without_a_file(path, detector, cluster, name)

    monkeypatch.setattr(naming, "rename_cluster", slowly)

    async def act(stage: Stage) -> None:
        stage.app._named(4, "valve")
        await stage.pilot.pause()
        await stage.press("plus")
        may_go_on.set()
        await until(stage.pilot, lambda: stage.app.stream.detector.clusters.name(4) == "valve")
        assert stage.app.stream.detector.false_alarm_rate == 0.02
        assert stage.app.stream.detector.digest == "new"

    on_screen(act)


@pytest.mark.parametrize("channel", [None, 2])
def test_another_device_is_heard_on_the_same_channel(
    channel: int | None, excerpt_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel that was asked for goes over to the device that takes its place."""
    asked: list[tuple[str, int | None]] = []

    def make(device: str, channel: int | None) -> Microphone:
        asked.append((device, channel))
        return Microphone(None, driver=RehearsedDevice(str(excerpt_file)))

    monkeypatch.setattr(inputs, "_microphone", make)
    first = Microphone(None, driver=RehearsedDevice(str(excerpt_file)))
    first.channel = channel
    following = Inputs([first]).change("other")
    assert isinstance(following, LiveInput)
    assert following._following is not None
    following._following()
    assert asked == [("other", channel)]


def test_what_is_told_takes_the_place_of_what_was_told() -> None:
    """One message stands at a time; warnings stay beside it, but the same one only once."""

    async def act(stage: Stage) -> None:
        for _ in range(3):
            await stage.press("b")
        assert [note.message for note in stage.app._notifications] == ["The bell is off."]
        for text in ("a disk is full", "a disk is full", "a cable is out"):
            stage.app.warn(text)
        stage.app.tell("done")
        await stage.look()
        found = [note.message for note in stage.app._notifications]
        assert found == ["! a disk is full", "! a cable is out", "done"]

    on_screen(act)


def test_what_stands_at_the_top_left_does_not_hang_on_the_state() -> None:
    """The model is told in the same words whatever the input does."""

    async def act(stage: Stage) -> None:
        lefts = set()
        await stage.show(source="USB Audio", rate_hz=48000)
        for state in ("opening", "live", "paused", "digital zero", "reconnecting"):
            await stage.show(state=state)
            lefts.add(text_of(stage.app).partition("   ")[0])
        assert lefts == {" offkey  six.offkey · 3,000 recordings · 60 groups"}

    on_screen(act)


@given(
    state=st.sampled_from(sorted(STATES)),
    width=st.integers(78, 198),
    segments=st.integers(0, 999_999),
    lost_s=st.floats(0, 9_999),
)
def test_nothing_at_the_top_runs_over(state: str, width: int, segments: int, lost_s: float) -> None:
    """From 80 columns on all counts can be seen, however much was heard and lost."""
    header = Header("six.offkey", still_detector().card, has_gate=True)
    account = Account(lost_s=lost_s, lost_by_clock_s=lost_s / 3)
    header._snapshot = replace(
        STATES[state][0],
        account=account,
        segments=segments,
        alarms=segments // 9,
        not_scored=segments // 99,
    )
    lines = header.draw(width, 2 if width >= 110 else 3)
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)
    assert f"{segments:,} segment" in "".join(text for text, _ in lines[-1])


@given(width=st.integers(30, 200), count=st.integers(1, 999))
def test_a_pinned_alarm_tells_how_many_there_are(width: int, count: int) -> None:
    """However little room there is, when it was comes first, and a count is not lost to a p."""
    line = AlarmLine()
    line.heard, line.count = sound(1, 0.002, 4), count
    pieces = line.draw(width, 1)[0]
    text = "".join(piece for piece, _ in pieces)
    assert [role for _, role in pieces] in (["bad"], ["bad", "key", "bad"])
    assert cell_len(text) <= width
    assert text.startswith("▲ alarm ")
    if count > 1 and "p 0.0020" in text:
        assert f"{count} not seen yet" in text


@pytest.mark.parametrize("name", [name for name, one in BUILTIN_THEMES.items() if not one.ansi])
def test_words_in_colour_can_be_read_in_every_theme(name: str) -> None:
    """Whatever the theme, colours of words have a contrast of 4.5 on the header, or are its own."""
    app: App[None] = App()
    app.theme = name
    variables = app.get_css_variables()
    found = readable(variables)
    ground, foreground = (Color.parse(variables[one]) for one in ("panel", "foreground"))
    for colour in map(Color.parse, found.values()):
        assert contrast(colour, ground) >= LEAST_CONTRAST or colour.rgb == foreground.rgb
