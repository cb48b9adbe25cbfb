"""Every key and every command of the screen does what the help says of it."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from textual.command import CommandPalette
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from model.audio import Samples
from model.budget import LARGEST_RATE
from model.detector import Detector, Score
from model.errors import DeviceError
from model.segment import Segment
from model.storage import read_model
from monitor.alarms import SoundAlarms
from monitor.app.app import MonitorApp
from monitor.app.compare import CompareScreen
from monitor.app.control import RATES, alarms_at, next_rate
from monitor.app.help import HelpScreen
from monitor.app.keys import ACTIONS, read_keys, settings_path, unique
from monitor.app.listing import Filter
from monitor.app.naming import NameDialogue
from monitor.app.picker import DevicePicker
from monitor.app.session import Session
from monitor.events import Heard
from monitor.microphone import Microphone
from monitor.rehearsal import RehearsedDevice
from monitor.snapshot import Snapshot
from monitor.sources import AudioFile
from tests.monitor.app_quiet import Quiet, help_text, until

Act = Callable[[Pilot[Snapshot]], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("own_settings")


def heard_at(number: int, p: float = 0.5, cluster: int = 0, silent: bool = False) -> Heard:
    """Make up a segment that was heard."""
    verdict = "anomalous" if p <= 0.01 else "normal"
    score = Score(
        verdict,
        isolation_score=-p,
        reconstruction_error=1e-4 / p,
        isolation_p=p,
        reconstruction_p=p,
        p=p,
        oddness=-2 * math.log10(p) + number % 4,
        cluster=cluster,
        cluster_name=f"hiss {cluster}",
        cluster_distance=0.5,
        unlike_any=False,
        profile=tuple(np.linspace(0, 0.1, 64).tolist()),
    )
    size = 0 if silent else 4000
    noise = np.random.default_rng(number).normal(size=size).astype(np.float32) * 0.1
    segment = Segment(noise, float(number), 0.3 + 0.01 * number)
    return Heard("x.wav", None, segment, score, number, p <= 0.01)


def some_heard() -> list[Heard]:
    """Make up thirty segments: every tenth is an alarm, each of its own length."""
    ps = {10: 0.004, 20: 0.002, 30: 0.008}
    return [heard_at(n, ps.get(n, 0.015 if n == 5 else 0.2 + n / 100), n % 3) for n in range(1, 31)]


@pytest.fixture
def model_path(tmp_path: Path, demo_model: Path) -> Path:
    """Copy the demo's model: names and marks go to the copy."""
    return Path(shutil.copy(demo_model, tmp_path / "six.offkey"))


@pytest.fixture
def app(model_path: Path) -> MonitorApp:
    """Make an app that has heard thirty segments of a source that is quiet now."""
    app = MonitorApp(Session.of(read_model(model_path), [Quiet()], title=str(model_path)))
    for heard in some_heard():
        app.history.take(heard)
    return app


def on_screen(app: MonitorApp, act: Act, size: tuple[int, int] = (120, 40)) -> None:
    """Run the app without a terminal, wait for its rows, and do something to it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.stream.snapshot.state == "warming up")
            await until(pilot, lambda: app.table.row_count == len(app.history.rows()))
            await act(pilot)

    asyncio.run(run())


def told(app: MonitorApp) -> str:
    """All that was told in passing so far."""
    return "\n".join(note.message for note in app._notifications)


def numbers(app: MonitorApp) -> list[int]:
    """Which segments are listed, from the top."""
    return [heard.number for heard in app.table.listing.rows]


def chosen(app: MonitorApp) -> int | None:
    """Which segment is chosen."""
    return app.table.chosen.number if app.table.chosen else None


def screen_text(app: MonitorApp) -> str:
    """Everything that stands on the screen."""
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join("".join(piece.text for piece in strip) for strip in lines)


def test_keys_choose_a_row_and_all_panels_show_it(app: MonitorApp) -> None:
    """Arrows, pages and ends choose; panels, table and borders say so; f follows again."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        expected = [("up", 29), ("up", 28), ("down", 29), ("down", 30), ("down", 30)]
        page = app.table.page
        expected += [("home", 1), ("pagedown", 1 + page), ("pageup", 1), ("up", 1), ("end", 30)]
        for key, number in expected:
            await pilot.press(key)
            assert chosen(app) == number, key
        for _ in range(10):
            await pilot.press("up")
        await pilot.pause()
        text = screen_text(app)
        assert chosen(app) == 20
        assert "chosen 00:20.0, f follows again" in text
        assert "00:20.0 · 0.50 s" in text
        assert "p 0.0020 · 1 in 500" in text
        assert '2 "hiss 2"' in text
        app.history.take(heard_at(31, 0.9))
        await until(pilot, lambda: app.table.row_count == 31)
        assert "p 0.0020 · 1 in 500" in screen_text(app)
        await pilot.press("f")
        await pilot.pause()
        assert chosen(app) is None
        assert "p 0.90 · 90 in 100" in screen_text(app)

    on_screen(app, act)


def test_a_click_chooses_its_row(app: MonitorApp) -> None:
    """The row under the pointer is chosen, the line of labels and empty lines are not."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        table = app.table
        await pilot.click(table, offset=(10, 1))
        assert chosen(app) is None
        await pilot.click(table, offset=(10, 2))
        assert chosen(app) == numbers(app)[table.scroll_offset.y]
        await pilot.press("escape")
        assert chosen(app) is None

    on_screen(app, act)


@pytest.mark.parametrize(
    ("text", "wanted", "in_words"),
    [
        ("anomalous", {10, 20, 30}, "only anomalous: 3 of 30"),
        ("cluster:1 normal", {1, 4, 7, 13, 16, 19, 22, 25, 28}, "only normal, cluster 1: 9 of 30"),
        ("anomalous cluster:2 cluster:0", {20, 30}, "only anomalous, cluster 0 or 2: 2 of 30"),
        ("hiss 00:07", {7}, 'only with "hiss" and "00:07": 1 of 30'),
        ("X.WAV", set(range(1, 31)), 'only with "x.wav": 30 of 30'),
        ("not scored", set(), "only not scored: 0 of 30"),
    ],
)
def test_the_filter_lists_what_is_asked_for(
    text: str, wanted: set[int], in_words: str, app: MonitorApp
) -> None:
    """What is typed after / is all that is listed, also of what comes; Escape lists all again."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        field = app.query_one("#filter", Input)
        await pilot.press("slash", "a", "slash")
        assert field.value == "a/"
        field.value = text
        await until(pilot, lambda: set(numbers(app)) == wanted)
        await pilot.pause()
        assert in_words in screen_text(app)
        await pilot.press("enter")
        assert not field.display
        app.history.take(heard_at(31, 0.001, 2))
        await until(pilot, lambda: app.table.listing.total == 31)
        assert (31 in numbers(app)) == (text in ("anomalous", "X.WAV") or "cluster:2" in text)
        await pilot.press("escape")
        assert len(numbers(app)) == 31

    on_screen(app, act)


def test_what_is_typed_at_once_after_the_slash_is_for_the_filter(app: MonitorApp) -> None:
    """Keys that come in one go with the slash are never taken for commands, or lost."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        for key in ("slash", *"anomalous", "enter"):
            app.post_message(Key(key, {"slash": "/", "enter": "\r"}.get(key, key)))
        await until(pilot, lambda: numbers(app) == [10, 20, 30] and not app.field.display)

    on_screen(app, act)


def test_sorting_goes_round(app: MonitorApp) -> None:
    """S sorts by p, oddness, scores, length and time again; new rows find their place."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        rows = some_heard()
        keys: list[tuple[str, Callable[[Heard], float]]] = [
            ("smallest p first", lambda h: h.score.p or 0),
            ("oddest first", lambda h: -(h.score.oddness or 0)),
            ("largest isolation score first", lambda h: -(h.score.isolation_score or 0)),
            ("largest reconstruction error first", lambda h: -(h.score.reconstruction_error or 0)),
            ("longest first", lambda h: -h.segment.duration_s),
        ]
        for number, (words, key) in enumerate(keys, start=31):
            await pilot.press("s")
            rows.append(heard_at(number, 0.3))
            app.history.take(rows[-1])
            await until(pilot, lambda: len(numbers(app)) == len(rows))
            assert numbers(app) == [
                h.number for h in sorted(rows, key=lambda h: (key(h), h.number))
            ]
            assert words in screen_text(app)
        await pilot.press("s")
        assert numbers(app) == list(range(1, len(rows) + 1))

    on_screen(app, act)


def test_the_table_stays_small_and_where_it_is(app: MonitorApp) -> None:
    """Many thousand rows are kept within bounds; who scrolled back keeps the same row in sight."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        table = app.table
        for number in range(31, 12_001):
            app.history.take(heard_at(number, 0.5, silent=True))
        await until(pilot, lambda: table.listing.rows[-1].number == 12_000)
        assert table.scroll_offset.y == table.max_scroll_y
        table.scroll_to(y=9_000, animate=False)
        top = table.listing.rows[9_000].number
        for number in range(12_001, 14_001):
            app.history.take(heard_at(number, 0.5, silent=True))
        await until(pilot, lambda: table.listing.rows[-1].number == 14_000)
        assert table.row_count <= 10_000 + 1_000 + 3
        assert table.listing.rows[table.scroll_offset.y].number == top
        assert {10, 20, 30} <= set(numbers(app))
        table.scroll_to(y=table.max_scroll_y, animate=False)
        app.history.take(heard_at(14_001))
        await until(pilot, lambda: table.listing.rows[-1].number == 14_001)
        assert table.scroll_offset.y == table.max_scroll_y

    on_screen(app, act)


def test_pause_and_go_on_share_a_key(app: MonitorApp) -> None:
    """P pauses; the same key, then labelled otherwise, goes on."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("p")
        assert app.stream.is_paused
        await until(pilot, lambda: "p go on" in screen_text(app))
        await pilot.press("p")
        assert not app.stream.is_paused

    on_screen(app, act)


class FakePlayer:
    """Remembers what it was given to play."""

    def __init__(self) -> None:
        self.played: list[tuple[Samples, int]] = []

    def play(self, samples: Samples, rate_hz: int) -> float:
        """Remember it."""
        self.played.append((samples, rate_hz))
        return 6.0

    def close(self) -> None:
        """Nothing to end."""


def test_space_plays_the_chosen_segment(app: MonitorApp) -> None:
    """The audio that was heard goes to the output; where it is gone, that is said."""
    app._player = player = FakePlayer()  # type: ignore[assignment]

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("home", "space")
        samples, rate_hz = player.played[0]
        assert np.array_equal(samples, heard_at(1).segment.samples)
        assert rate_hz == app.stream.detector.front_end.rate_hz
        assert "6 dB louder" in told(app)
        for number in range(31, 300):
            app.history.take(heard_at(number, 0.0001 if number > 90 else 0.9))
        await pilot.press("space")
        assert len(player.played) == 1
        assert "The audio of this segment is gone" in told(app)

    on_screen(app, act)


def test_an_output_that_fails_is_told(app: MonitorApp) -> None:
    """What the player finds out later, on a thread of its own, is told on the screen."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        problem = DeviceError("No [b]output[/b].", "Plug it in.")
        await asyncio.to_thread(app.player._on_problem, problem)  # type: ignore[arg-type]
        await until(pilot, lambda: "No [b]output[/b]." in told(app))

    on_screen(app, act)


def test_e_exports_the_chosen_segment(app: MonitorApp, tmp_path: Path) -> None:
    """E writes the segment as WAV with JSON into the current folder and says where."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("home", "e")
        path = next(tmp_path.glob("*.wav"))
        samples, _ = soundfile.read(path, dtype="float32")
        assert np.allclose(samples, heard_at(1).segment.samples, atol=1e-6)
        assert path.with_suffix(".json").exists()
        assert path.name in told(app)

    on_screen(app, act)


def test_c_opens_the_comparison_with_keys_of_its_own(app: MonitorApp) -> None:
    """On the comparison the screen's own keys rest; Escape comes back."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("c")
        assert isinstance(app.screen, CompareScreen)
        rate = app.stream.detector.false_alarm_rate
        await pilot.press("p", "m", "x", "plus")
        assert not app.stream.is_paused
        assert not app.muted
        assert not app.marked
        assert app.stream.detector.false_alarm_rate == rate
        await pilot.press("escape")
        assert not isinstance(app.screen, CompareScreen)

    on_screen(app, act)


def test_n_names_the_nearest_cluster(app: MonitorApp, model_path: Path) -> None:
    """The name goes into the model file and is what the next segments are called by."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("home", "n")
        assert isinstance(app.screen, NameDialogue)
        await pilot.press(*"late", "enter")
        await until(pilot, lambda: app.stream.detector.clusters.given[1] == "late")
        assert read_model(model_path).clusters.given[1] == "late"
        await until(pilot, lambda: 'now called "late"' in told(app))
        await pilot.pause()
        text = screen_text(app)
        assert 'nearest cluster: 1 "late"' in text
        assert "1: late" in text

    on_screen(app, act)


def test_m_marks_as_normal_and_takes_it_back(app: MonitorApp, model_path: Path) -> None:
    """M keeps the segment beside the model and tells what would change; m again takes it back."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("home", "m")
        assert app.mark_count == 1
        assert "offkey calibrate --add-marked" in told(app)
        assert "thresholds would be about: isolation" in told(app)
        await pilot.pause()
        assert "1 marked as normal" in screen_text(app)
        await pilot.press("down", "m", "up", "m")
        assert app.mark_count == 2
        await pilot.press("down", "m")
        assert app.mark_count == 1
        assert app.marked == [1]
        await pilot.pause()
        assert "hiss 1 · marked" in screen_text(app)

    on_screen(app, act)


def test_rate_goes_up_and_down_a_ladder(app: MonitorApp) -> None:
    """+ and - change what alarms from now on, and say how many alarms there would have been."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("plus")
        assert app.stream.detector.false_alarm_rate == 0.02
        assert "this session would have had 4 alarms; so far it had 3" in told(app)
        await pilot.pause()
        assert "alarm at p ≤ 0.020" in screen_text(app)
        await pilot.press("minus", "minus")
        assert app.stream.detector.false_alarm_rate == 0.005
        for _ in range(12):
            await pilot.press("minus")
        smallest = app.stream.detector.conformity.smallest_p
        assert app.stream.detector.false_alarm_rate == smallest
        assert "cannot promise" in told(app)

    on_screen(app, act)


def test_rate_ends_where_an_alarm_would_say_nothing(app: MonitorApp) -> None:
    """+ goes up to the largest rate that budgets use, and says that more would be of no use."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        for _ in range(12):
            await pilot.press("plus")
        assert app.stream.detector.false_alarm_rate == LARGEST_RATE
        assert "of no use" in told(app)

    on_screen(app, act)


def test_ladder_keeps_to_what_can_be_promised(demo_detector: Detector) -> None:
    """Every step from any rate leads to the next one of the ladder, and none below 1 / (n + 1)."""
    smallest = demo_detector.conformity.smallest_p
    for rate in (*(r for r in RATES if r > smallest), smallest, 0.013):
        detector = demo_detector.with_false_alarm_rate(rate)
        up, down = next_rate(detector, 1), next_rate(detector, -1)
        assert up is None or (up > rate and up in RATES)
        assert down is None or smallest <= down < rate
        assert (down is None) == (rate == smallest)


def test_would_be_alarms_are_what_the_stream_would_have_raised(demo_detector: Detector) -> None:
    """Counting anew at the rate in force gives the alarms raised, continuing ones once."""
    rows = some_heard()
    goes_on = replace(rows[10].segment, continues=True)
    rows[10] = replace(rows[10], score=rows[9].score, segment=goes_on)
    judge = SoundAlarms()
    raised = sum(judge.judge(heard).alarm for heard in rows)
    assert alarms_at(rows, demo_detector.with_false_alarm_rate(0.01)) == raised == 3


def test_a_muted_cluster_neither_rings_nor_pins(app: MonitorApp) -> None:
    """X mutes the nearest cluster, dims its rows and is told; x again ends that."""
    rings: list[int] = []
    app.bell = lambda: rings.append(1)  # type: ignore[method-assign]

    async def act(pilot: Pilot[Snapshot]) -> None:
        assert rings == [1]
        assert app.alarm_line.heard is not None
        await pilot.press("x")
        assert app.muted == {0}
        assert app.alarm_line.heard is None
        app.attention._rang_at_s = 0.0
        app.history.take(heard_at(31, 0.001, 0))
        await until(pilot, lambda: app.table.row_count == 31)
        assert rings == [1]
        assert not app.alarm_line.display
        text = screen_text(app)
        assert "muted: cluster 0" in text
        assert "hiss 0 · muted" in text
        await pilot.press("x")
        assert not app.muted
        app.history.take(heard_at(32, 0.001, 0))
        await until(pilot, lambda: rings == [1, 1])
        assert app.alarm_line.display

    on_screen(app, act)


def test_an_alarm_is_noticed_until_acknowledged(app: MonitorApp) -> None:
    """It rings, names the window, lights its row up once and stays pinned until a is pressed."""
    written: list[str] = []

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("a")
        assert app._driver is not None
        app._driver.write = written.append  # type: ignore[assignment,method-assign]
        app.bell = lambda: written.append("ring")  # type: ignore[method-assign]
        app.attention._rang_at_s = 0.0
        app.history.take(heard_at(31, 0.001, 2))
        await until(pilot, lambda: app.alarm_line.display)
        assert app.table._flashing == 31
        assert "ring" in written
        assert "\x1b]0;▲ 00:31.0 2: hiss 2 · six.offkey · offkey\x07" in written
        await pilot.pause()
        assert (
            "▲ alarm 00:31.0 · p 0.0010, 1 in 1,000 · 2: hiss 2 · press a once you have seen it"
            in screen_text(app)
        )
        await until(pilot, lambda: app.table._flashing == 0)
        await pilot.press("a")
        assert not app.alarm_line.display
        assert written[-1] == "\x1b]0;six.offkey · warming up · offkey\x07"
        await pilot.press("q")

    on_screen(app, act)
    assert written[-1] == "\x1b]0;\x07" or "\x1b]0;\x07" in written


def test_b_silences_the_bell(app: MonitorApp) -> None:
    """With the bell off an alarm is pinned but does not ring; the screen says that it is off."""
    rings: list[int] = []

    async def act(pilot: Pilot[Snapshot]) -> None:
        app.bell = lambda: rings.append(1)  # type: ignore[method-assign]
        app.attention._rang_at_s = 0.0
        await pilot.press("b")
        app.history.take(heard_at(31, 0.001, 2))
        await until(pilot, lambda: app.table.row_count == 31)
        assert not rings
        assert "bell off" in screen_text(app)
        await pilot.press("b")
        assert app.attention.rings

    on_screen(app, act)


def test_d_goes_on_with_another_device(
    demo_detector: Detector, excerpt_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picked device is heard in place of the one before; where it is gone, that one goes on."""
    other = Path(shutil.copy(excerpt_file, tmp_path / "other.wav"))

    def make(device: str, _channel: int | None) -> Microphone:
        if device == "gone":
            raise DeviceError("'gone' is not there.")
        return Microphone(None, driver=RehearsedDevice(str(other), 0.5))

    monkeypatch.setattr("monitor.app.inputs._microphone", make)
    monkeypatch.setattr(DevicePicker, "on_mount", lambda _: None)
    first = Microphone(None, driver=RehearsedDevice(str(excerpt_file), 0.2))
    app = MonitorApp(Session.of(demo_detector, [first], title="six"))

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.stream.snapshot.position_s > 0)
            for device, source in (("other", str(other)), ("gone", str(other))):
                await pilot.press("d")
                await until(pilot, lambda: isinstance(app.screen, DevicePicker))
                app.screen.dismiss(device)
                says = "is heard now" if device == "other" else "is not there"
                await until(pilot, lambda says=says: says in told(app))  # type: ignore[misc]
                assert app.stream.snapshot.source == source
                assert not app.engine.is_done

    asyncio.run(run())


def test_a_file_is_played_at_another_speed_and_place(
    demo_detector: Detector, excerpt_file: Path
) -> None:
    """[ and ] change the speed, arrows the place, the full stop hurries to the next alarm."""
    app = MonitorApp(Session.of(demo_detector, [AudioFile(str(excerpt_file), 0.25)], title="six"))

    async def run() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.stream.snapshot.position_s > 0)
            player = app.stream.player
            assert player is not None
            await pilot.press("right_square_bracket")
            assert player.speed == 0.5
            await pilot.pause()
            assert "0.5× real time" in screen_text(app)
            await pilot.press("left_square_bracket")
            assert player.speed == 0.25
            await pilot.press("full_stop")
            await until(pilot, lambda: app.alarm_line.display)
            assert player.speed == 0.25
            assert app.stream.snapshot.position_s < 7
            await pilot.press("left")
            await until(pilot, lambda: app.stream.snapshot.position_s < 3)
            before = app.stream.snapshot.position_s
            await pilot.press("right")
            await until(pilot, lambda: app.stream.snapshot.position_s > before + 4)
            await pilot.press("p", *["right_square_bracket"] * 9)
            assert player.speed == math.inf
            await pilot.press("p")
            await until(pilot, lambda: app.engine.is_done)
            await pilot.press("right_square_bracket", "left", "full_stop")

    asyncio.run(run())


def test_help_lists_every_action(app: MonitorApp) -> None:
    """The help has every action that is of use with its key, all names, and the settings file."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = help_text(app.screen)
        files = {"slower", "faster", "back", "ahead", "next_alarm"}
        for action in unique():
            is_there = f"{app.keys.text(action.id):<10} {action.help}" in text
            assert is_there is (action.id not in files | {"device"})
            assert action.id in text
        with_all = HelpScreen(app.keys, lambda _: True)
        await app.push_screen(with_all)
        text = help_text(with_all)
        assert all(f"{app.keys.text(a.id):<10} {a.help}" in text for a in unique())
        await pilot.press("escape")
        assert str(settings_path()) in text
        await pilot.press("down", "pagedown", "escape")
        assert not isinstance(app.screen, HelpScreen)

    on_screen(app, act)


def test_colours_and_quit(app: MonitorApp) -> None:
    """T changes between dark and light; q ends the stream and leaves."""

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("t")
        assert app.theme == "textual-light"
        await pilot.press("t")
        assert app.theme == "textual-dark"
        await pilot.press("q")

    on_screen(app, act)
    assert app.engine.is_done


def test_every_command_of_the_palette_is_run(
    app: MonitorApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each action that is possible is found in the palette by its words, and is what is done."""
    calls: list[str] = []

    real = app.run_action

    async def remember(action: str, *rest: Any) -> bool:
        calls.extend([action] if any(action == known.call for known in ACTIONS) else [])
        return True if calls else await real(action, *rest)

    async def act(pilot: Pilot[Snapshot]) -> None:
        possible = [a for a in ACTIONS if app.is_possible(a.call) and a.id != "commands"]
        assert len(possible) >= len(unique()) - 7
        for action in possible:
            await pilot.press("ctrl+p")
            await until(pilot, lambda: isinstance(app.screen, CommandPalette))
            monkeypatch.setattr(app, "run_action", remember)
            app.screen.query_one(Input).value = action.help
            await until(pilot, partial(_found, app, action.help))
            await pilot.press("enter")
            await until(pilot, lambda: bool(calls))
            monkeypatch.setattr(app, "run_action", real)
            assert calls.pop() == action.call
            await until(pilot, lambda: not isinstance(app.screen, CommandPalette))

    on_screen(app, act)


def _found(app: MonitorApp, words: str) -> bool:
    """Whether the palette's first command has these words."""
    from textual.command import CommandList

    found = app.screen.query_one(CommandList)
    return found.option_count > 0 and words in str(found.get_option_at_index(0).prompt)


def write_keys(text: str) -> None:
    """Write the settings file."""
    settings_path().parent.mkdir(parents=True, exist_ok=True)
    settings_path().write_text(text, encoding="utf-8")


def test_keys_can_be_changed(app: MonitorApp) -> None:
    """A key of the settings file takes the place of the usual one, everywhere it is told."""
    write_keys('[keys]\npause = "f5"\nfollow = "g,F"\nmute = "["\nslower = "x"\n')

    async def act(pilot: Pilot[Snapshot]) -> None:
        assert not app.keys.problems
        await pilot.press("p")
        assert not app.stream.is_paused
        await pilot.press("f5")
        assert app.stream.is_paused
        await until(pilot, lambda: "press f5 to go on" in screen_text(app))
        await pilot.press("f5", "up", "g")
        assert not app.stream.is_paused
        assert chosen(app) is None
        await pilot.press("left_square_bracket")
        assert app.muted

    on_screen(app, act)


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("[keys", "is not TOML"),
        ("keys = 3", "[keys] must be a table"),
        ('[keys]\nfly = "z"', "no action 'fly'"),
        ("[keys]\npause = 3", "key of pause must be a text"),
        ('[keys]\npause = "q"', "q is the key of quit already"),
    ],
)
def test_a_wrong_settings_file_is_one_sentence(text: str, told_of: str, app: MonitorApp) -> None:
    """What is wrong with the settings is told once, and the usual keys are in force."""
    write_keys(text)

    async def act(pilot: Pilot[Snapshot]) -> None:
        assert told_of in told(app)
        assert len(app._notifications) == 1
        await pilot.press("p")
        assert app.stream.is_paused

    on_screen(app, act)


def test_no_settings_file_is_no_problem(tmp_path: Path) -> None:
    """Without a file the usual keys are in force; one that cannot be read is told."""
    assert not read_keys(tmp_path / "none.toml").problems
    (problem,) = read_keys(tmp_path).problems
    assert "cannot be read" in problem


def test_usual_keys_are_unique() -> None:
    """No two actions share a key, but pausing and going on."""
    keys = [key for action in unique() for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert Filter.parse("") == Filter()
