"""The screen: what it shows is what the stream heard, at every size, and it always lets go."""

from __future__ import annotations

import asyncio
import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from model.audio import Block
from model.detector import Detector, Score
from model.errors import DeviceError
from model.mel import PARTS
from model.segment import Segment
from monitor.app import words
from monitor.app.app import MonitorApp
from monitor.app.dialogue import FailureDialogue
from monitor.app.drawing import BAND, Drawing, Scale, bars, history, meter, reduce_columns, ruler
from monitor.app.header import Header
from monitor.app.panels import ScorePanel, VerdictPanel
from monitor.app.profile import ProfilePanel, frequency_axis
from monitor.app.run import run_app
from monitor.app.session import Session
from monitor.app.table import SegmentTable
from monitor.events import Event, Heard
from monitor.history import History
from monitor.ledger import Account
from monitor.sinks import Sink
from monitor.snapshot import Snapshot
from monitor.sources import AudioFile
from monitor.stream import Stream
from tests.monitor.app_quiet import help_text, until

MEDIUM = (120, 40)
SIZES = [(80, 24), (100, 30), MEDIUM, (200, 60)]
MARKUP = "[bold red]x[/] \x1b[2J\n"
Act = Callable[[Pilot[Snapshot]], Awaitable[None]]


def on_screen(app: MonitorApp, act: Act, size: tuple[int, int] = MEDIUM) -> None:
    """Run the app without a terminal and do something to it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await act(pilot)

    asyncio.run(run())


async def until_ended(pilot: Pilot[Snapshot], segments: int) -> None:
    """Wait until the stream has ended and the table has all of its segments."""
    app = pilot.app
    assert isinstance(app, MonitorApp)
    table = app.query_one(SegmentTable)
    await until(pilot, lambda: app.engine.is_done and table.row_count == segments)
    await until(pilot, lambda: bool(notice_of(app)))


async def until_quiet(pilot: Pilot[Snapshot]) -> None:
    """Wait until a scripted source runs: from then on the app shows nothing new by itself."""
    await until(pilot, lambda: "WARMING UP" in text_of(pilot.app.query_one(Header)))


def text_of(widget: Drawing) -> str:
    """All lines of a widget as they stand on the screen."""
    lines = [widget.render_line(y) for y in range(widget.size.height)]
    return "\n".join("".join(piece.text for piece in line) for line in lines)


def border_of(widget: Widget) -> str:
    """What stands in a widget's border, above and below."""
    titles = (widget._border_title, widget._border_subtitle)
    return "\n".join(title.plain for title in titles if title is not None)


def rows_of(app: MonitorApp) -> list[list[str]]:
    """All rows of the table."""
    table = app.query_one(SegmentTable)
    lines = ["".join(text for text, _ in table._row(heard)) for heard in table.listing.rows]
    return [re.split(r"\s{2,}", line[1:].strip()) for line in lines]


def notice_of(app: MonitorApp) -> str:
    """What the line above the keys says; nothing where it is hidden."""
    notice = app.screen_stack[0].query_one("#notice", Static)
    return str(notice.content) if notice.display else ""


def make_heard(number: int, time: str | None = None, **score: Any) -> Heard:
    """Make up a segment that was heard."""
    scores: dict[str, Any] = {
        "verdict": "normal",
        "isolation_score": -0.05,
        "reconstruction_error": 5e-5,
        "p": 0.5,
        "cluster": 0,
        "cluster_name": "hiss",
        "cluster_distance": 0.5,
        "profile": tuple(np.linspace(0, 0.1, 64).tolist()),
    }
    segment = Segment(np.zeros(3400, np.float32), float(number), 0.5)
    return Heard("x", time, segment, Score(**scores | score), number)


class Scripted:
    """A source that delivers what a test wants."""

    is_live = False
    began: datetime | None = None
    rate_hz = 8000
    problem: str | None = None
    state, detail = "live", ""

    def __init__(self, name: str = "script", error: Exception | None = None) -> None:
        self.name = name
        self.length_s: float | None = 0.0
        self._error = error

    def __enter__(self) -> Self:
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to close."""

    def blocks(self, stop: threading.Event, paused: threading.Event) -> Iterator[Block]:
        """Nothing, until the stream is stopped."""
        while not stop.wait(0.01) and not paused.is_set():
            yield Block(np.empty(0, np.float32), 0)


class Ended(Scripted):
    """A source that ends at once."""

    def blocks(self, *_: threading.Event) -> Iterator[Block]:
        """Nothing at all."""
        yield from ()


@pytest.fixture
def app_of(demo_detector: Detector) -> Callable[..., MonitorApp]:
    """Make an app that watches a source with the demo's model."""

    def make(source: Any, *sinks: Sink, title: str = "six", **options: Any) -> MonitorApp:
        return MonitorApp(Session.of(demo_detector, [source], sinks, title=title), **options)

    return make


@dataclass(frozen=True)
class Run:
    """What a stream heard."""

    rows: list[Heard]
    alarms: int

    @property
    def segments(self) -> int:
        """How many segments there were."""
        return len(self.rows)


@pytest.fixture(scope="session")
def headless(demo_detector: Detector, excerpt_file: Path) -> Run:
    """Run the excerpt without a screen."""
    history = History()
    last = Stream(demo_detector, [AudioFile(str(excerpt_file))], [history]).run()
    return Run(history.rows(), last.alarms)


def test_screen_shows_the_numbers_of_the_stream_run_headless(
    app_of: Callable[..., MonitorApp], excerpt_file: Path, headless: Run
) -> None:
    """Every segment is a row with its numbers, and header and panels show the last one's."""
    app = app_of(AudioFile(str(excerpt_file)))

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, headless.segments)
        for row, heard in zip(rows_of(app), headless.rows, strict=True):
            score = heard.score
            assert row[:6] == [
                words.position_text(heard.segment.start_s),
                f"{heard.segment.duration_s:.2f} s",
                f"{score.isolation_score:+.3f}".replace("-", "−"),
                words.reconstruction_text(score.reconstruction_error),
                words.p_text(score.p),
                score.verdict.upper() if heard.is_anomalous else score.verdict,
            ]
            assert row[6].startswith(f"{score.cluster}: {score.cluster_name}")
        last = headless.rows[-1].score
        header = text_of(app.query_one(Header))
        assert f"{headless.segments} segments · {headless.alarms} alarm" in header
        for panel, p in zip(
            app.query(ScorePanel), (last.isolation_p, last.reconstruction_p), strict=True
        ):
            assert f"p {words.p_text(p)}" in text_of(panel)
        verdict = text_of(app.query_one(VerdictPanel))
        assert last.verdict.upper() in verdict
        assert f"p {words.p_text(last.p)} · {words.odds_text(last.p)}" in verdict
        assert f'{last.cluster} "{last.cluster_name}"' in border_of(app.query_one(ProfilePanel))

    on_screen(app, act)


@pytest.mark.parametrize("size", [*SIZES, (40, 12), (20, 5)])
@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
def test_every_size_is_drawn_whole(
    size: tuple[int, int],
    theme: str,
    app_of: Callable[..., MonitorApp],
    excerpt_file: Path,
    headless: Run,
) -> None:
    """At every size and in both themes all lines fill their widgets exactly, none runs over."""
    app = app_of(AudioFile(str(excerpt_file)), title="a long name " * 20)
    app.theme = theme

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, headless.segments)
        for widget in app.query(Drawing):
            width, height = widget.size
            assert all(widget.render_line(y).cell_length == width for y in range(height))
            if size in SIZES:
                drawn = widget.draw(width, height)
                assert all(sum(cell_len(text) for text, _ in line) <= width for line in drawn)
        if size in SIZES:
            assert f"{headless.segments} segments" in text_of(app.query_one(Header))
            assert all(row[6] and not row[6].endswith("…") for row in rows_of(app))
        app.export_screenshot()

    on_screen(app, act, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_mel_model_is_drawn_whole(
    size: tuple[int, int], mel_detector: Detector, excerpt_file: Path
) -> None:
    """Its profile has four parts along the axis, and no line runs over.

    In which way a sound is off is said in words of what is anomalous, and of nothing else; the
    help explains the parts.
    """
    history = History()
    Stream(mel_detector, [AudioFile(str(excerpt_file))], [history]).run()
    app = MonitorApp(Session.of(mel_detector, [AudioFile(str(excerpt_file))], (), title="six"))

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, len(history.rows()))
        for widget in app.query(Drawing):
            width, height = widget.size
            assert all(widget.render_line(y).cell_length == width for y in range(height))
            drawn = widget.draw(width, height)
            assert all(sum(cell_len(text) for text, _ in line) <= width for line in drawn)
        assert all(row[6] and not row[6].endswith("…") for row in rows_of(app))
        profile = app.query_one(ProfilePanel)
        axis = text_of(profile).splitlines()[-1]
        places = [axis.find(f"│{name[:4]}") for name in ("shape", "steadiness", "order", "middle")]
        assert -1 < places[0] < places[1] < places[2] < places[3]
        said = {True: 0, False: 0}
        for heard in history.rows():
            app.choose(heard)
            await pilot.pause()
            found = re.search(
                r"too (much|little|early|late|steady|uns|weak|str)", border_of(profile)
            )
            assert (found is not None) is heard.is_anomalous
            said[heard.is_anomalous] += 1
        assert all(said.values())
        await pilot.press("question_mark")
        text = help_text(app.screen)
        assert all(f"\n  {part.name}: {part.meaning[:20]}" in text for part in PARTS)

    on_screen(app, act, size)


def test_resizing_keeps_all_rows(
    app_of: Callable[..., MonitorApp], excerpt_file: Path, headless: Run
) -> None:
    """A terminal that changes its size keeps the table's rows and redraws the panels."""
    app = app_of(AudioFile(str(excerpt_file)))

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, headless.segments)
        before = rows_of(app)
        for size in [(80, 24), (200, 60), MEDIUM]:
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
            assert len(rows_of(app)) == headless.segments
            assert app.query_one(Header).size.width == size[0] - 2
        assert rows_of(app) == before

    on_screen(app, act)


def test_p_pauses_and_goes_on(app_of: Callable[..., MonitorApp], excerpt_file: Path) -> None:
    """While paused position and counts stand still; the same key goes on to the end."""
    app = app_of(AudioFile(str(excerpt_file), speed=4.0))

    async def act(pilot: Pilot[Snapshot]) -> None:
        stream = app.engine.stream
        await until(pilot, lambda: stream.snapshot.segments >= 1)
        await pilot.press("p")
        await until(pilot, lambda: stream.snapshot.state == "paused")
        held = stream.snapshot
        await pilot.pause(0.4)
        assert stream.snapshot.segments == held.segments
        assert stream.snapshot.position_s == held.position_s
        header = text_of(app.query_one(Header))
        assert "PAUSED" in header
        assert "press p to go on" in header
        await pilot.press("p")
        await until(pilot, lambda: app.engine.is_done)
        assert stream.snapshot.segments > held.segments
        await pilot.press("p")
        assert not stream.is_paused

    on_screen(app, act)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quitting_ends_the_stream(
    key: str, app_of: Callable[..., MonitorApp], excerpt_file: Path
) -> None:
    """A key that quits ends the stream, closes the sinks and returns the last snapshot."""

    class Closing(Sink):
        closed = False

        def close(self) -> None:
            """Remember it."""
            self.closed = True

    sink = Closing()
    app = app_of(AudioFile(str(excerpt_file), speed=1.0), sink)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: app.engine.stream.snapshot.position_s > 0)
        await pilot.press(key)

    on_screen(app, act)
    assert app.engine.is_done
    assert sink.closed
    assert app.return_value == app.engine.stream.snapshot
    assert app.return_value.finished
    assert app.return_code == 0
    assert app.failure is None


def test_end_of_the_input_leaves_a_summary(
    app_of: Callable[..., MonitorApp], excerpt_file: Path, headless: Run
) -> None:
    """At the end the app stays open, says `ENDED`, counts in one line, and adds the farewell."""
    app = app_of(AudioFile(str(excerpt_file)), farewell=lambda: "Found [b]all[/].")

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, headless.segments)
        summary, farewell = notice_of(app).splitlines()
        assert f"{headless.segments} segments" in summary
        assert "nothing lost" in summary
        assert farewell == "Found [b]all[/]."
        assert "ENDED" in text_of(app.query_one(Header))

    on_screen(app, act)


def test_it_can_leave_by_itself(app_of: Callable[..., MonitorApp], excerpt_file: Path) -> None:
    """With `quit_at_end` the app returns the last snapshot when the stream has ended."""
    app = app_of(AudioFile(str(excerpt_file)), quit_at_end=True)
    on_screen(app, lambda pilot: until(pilot, lambda: app.return_value is not None))
    assert app.return_value is not None
    assert app.return_value.finished


def test_a_problem_of_the_input_is_told(app_of: Callable[..., MonitorApp]) -> None:
    """What went wrong with the input stands in the summary, and nothing heard is said plainly."""
    source = Ended()
    source.problem = f"{MARKUP} is cut short."
    app = app_of(source)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_ended(pilot, 0)
        assert "[bold red]x[/] \\x1b[2J\\n is cut short." in notice_of(app)
        assert "without a sound" in " ".join(text_of(app.query_one(VerdictPanel)).split())

    on_screen(app, act)


@pytest.mark.parametrize("key", ["enter", "escape", "q"])
def test_an_offkey_error_becomes_a_dialogue(key: str, app_of: Callable[..., MonitorApp]) -> None:
    """An input that cannot be opened is told with its next step; the error is kept."""
    error = DeviceError("'[b]Mic[/b]' cannot be opened.", "offkey devices lists the choices.")
    app = app_of(Scripted(error=error))

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: isinstance(app.screen, FailureDialogue))
        assert [str(widget.content) for widget in app.screen.query(Static)][:2] == [
            error.sentence,
            error.hint,
        ]
        await pilot.press(key)

    on_screen(app, act)
    assert app.failure is error
    assert app.return_code == error.exit_code


def test_any_other_error_ends_the_app_and_is_raised_again(
    app_of: Callable[..., MonitorApp], excerpt_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stream raises besides is neither shown nor swallowed: `run_app` raises it again."""

    class Faulty(Sink):
        def take(self, event: Event) -> None:
            """Fail."""
            raise ZeroDivisionError(event)

    app = app_of(AudioFile(str(excerpt_file)), Faulty())

    def run() -> None:
        on_screen(app, lambda pilot: until(pilot, lambda: app.crash is not None))

    monkeypatch.setattr(app, "run", run)
    with pytest.raises(ZeroDivisionError):
        run_app(app)
    assert app.return_code == 1


def test_an_input_that_does_not_end_is_left_behind(
    app_of: Callable[..., MonitorApp], excerpt_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the stream hangs, quitting waits for a limited time, leaves, and says so."""
    released = threading.Event()

    class Hanging(Sink):
        def close(self) -> None:
            """Hang."""
            released.wait()

    monkeypatch.setattr("monitor.app.streamapp.STOP_LIMIT_S", 0.2)
    app = app_of(AudioFile(str(excerpt_file)), Hanging())
    on_screen(app, lambda pilot: pilot.press("q"))
    released.set()
    assert app.failure is not None
    assert "did not end" in app.failure.sentence
    assert app.return_code == 1


def test_warnings_of_sinks_are_shown_and_kept(
    app_of: Callable[..., MonitorApp], excerpt_file: Path
) -> None:
    """What a sink prints on stderr does not tear the screen; it is shown, and kept for later."""

    class Warning(Sink):  # noqa: A001
        def flush(self) -> None:
            """Warn."""
            print("offkey: [b]disk full[/b]", file=sys.stderr)

    app = app_of(AudioFile(str(excerpt_file)), Warning())
    on_screen(app, lambda pilot: until(pilot, lambda: bool(app.warnings)))
    assert app.warnings == ["offkey: [b]disk full[/b]"]


def test_names_are_data(app_of: Callable[..., MonitorApp]) -> None:
    """Titles, sources and cluster names are shown as they are: no markup, no control codes."""
    app = app_of(Scripted(MARKUP), title=f"model {MARKUP}")
    shown = "[bold red]x[/] \\x1b[2J\\n"

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_quiet(pilot)
        assert text_of(app.query_one(Header)).count("\\x1b[2J\\n") == 2
        heard = make_heard(1, cluster_name=MARKUP)
        app.query_one(SegmentTable).add([heard], 10)
        app.query_one(ProfilePanel).show(heard)
        assert rows_of(app)[0][6] == f"0: {shown}"
        assert f'"{shown}"' in border_of(app.query_one(ProfilePanel))

    on_screen(app, act)


def test_a_segment_that_is_not_scored_has_dashes_and_a_reason(
    app_of: Callable[..., MonitorApp],
) -> None:
    """Without scores there are dashes, a reason in words, and no error profile."""
    app = app_of(Scripted())
    heard = Heard("x", None, make_heard(1).segment, Score("not scored", "digital zero"), 1)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until_quiet(pilot)
        app.query_one(SegmentTable).add([heard], 10)
        app.query_one(VerdictPanel).show(heard, "live")
        app.query_one(ProfilePanel).show(heard)
        for panel in app.query(ScorePanel):
            panel.show([heard])
            assert "–" in text_of(panel)
            assert "●" not in text_of(panel)
        assert rows_of(app)[0][2:] == ["–", "–", "–", "not scored", "digital zero"]
        assert "NOT SCORED" in text_of(app.query_one(VerdictPanel))
        assert "no signal" in text_of(app.query_one(VerdictPanel))
        assert "no error profile" in text_of(app.query_one(ProfilePanel))

    on_screen(app, act)


def test_live_segments_have_the_clock_time() -> None:
    """A live segment's time is the local clock; a file's is the position in it."""
    moment = datetime(2024, 5, 17, 13, 14, 15, 678000, tzinfo=UTC)
    time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert words.when_text(make_heard(1, time)) == f"{moment.astimezone():%H:%M:%S}"
    assert words.when_text(make_heard(75)) == "01:15.0"


REFERENCES = st.lists(st.floats(-1, 1), min_size=1, max_size=50)


@given(REFERENCES, st.floats(-1, 1), st.lists(st.floats(-3, 3), min_size=2), st.integers(4, 90))
def test_threshold_stands_at_two_thirds(
    reference: list[float], threshold: float, scores: list[float], width: int
) -> None:
    """Whatever the model: places grow with the score and reach two thirds at the threshold."""
    scale = Scale.of(np.array(reference), threshold)
    places = [scale.place(score) for score in sorted(scores)]
    assert places == sorted(places)
    assert scale.place(threshold) == BAND
    for score in scores:
        assert (scale.place(score) >= BAND) == (score >= threshold)
        line = "".join(text for text, _ in ruler(scale, score, width))
        assert len(line) == width
        marker = next(i for i, cell in enumerate(line) if cell in "◀●▶")
        assert line.index("┃") == round(BAND * (width - 1))
        assert (marker > line.index("┃")) == (score >= threshold)


@given(st.lists(st.floats(1e-9, 1), min_size=1), st.sampled_from([math.inf, -math.inf, 1e-4, 0.0]))
def test_any_threshold_makes_a_logarithmic_scale(reference: list[float], threshold: float) -> None:
    """Infinite thresholds, zeros and equal reference scores leave a scale that can be drawn."""
    scale = Scale.of(np.array(reference), threshold, log=True)
    for score in (0.0, 1e-300, 1e-4, 1e300):
        assert 0 <= scale.place(score) <= 1
        assert len("".join(text for text, _ in ruler(scale, score, 30))) == 30
        assert len(history(scale, [score, None], 60, 30, 3)) == 3


@given(
    st.lists(st.none() | st.floats(-1, 1), max_size=80), st.integers(1, 70), st.sampled_from([3, 6])
)
def test_history_rises_over_the_line_where_it_is_beyond(
    scores: list[float | None], width: int, rows: int
) -> None:
    """A column reaches over the dotted line where its score is beyond the threshold, only there."""
    scale = Scale.of(np.linspace(-0.2, 0.2, 50), 0.1)
    lines = history(scale, scores, 60, width, rows)
    upper = [ord(c) - 0x2800 for c in "".join(text for text, _ in lines[rows // 3 - 1])]
    dots = [bit for cell in upper for bit in (cell & 0x04, cell & 0x20)]
    step = 1 if width < 60 else 2
    shown = scores[-min(60, len(dots) // step) :]
    beyond = [score is not None and score >= 0.1 for score in shown]
    assert [bool(dot) for dot in dots[::step]][len(dots) // step - len(shown) :] == beyond


@given(st.lists(st.floats(0, 1), min_size=64, max_size=64), st.integers(1, 300))
def test_reduced_columns_keep_the_largest(values: list[float], width: int) -> None:
    """On any number of columns the largest value is still there, and bars have that width."""
    reduced = reduce_columns(np.array(values), width)
    assert len(reduced) == width
    assert reduced.max() == max(values)
    for row in bars(np.array(values), 1.0, width, 2):
        assert len(row) == width


@given(st.floats(-1, 2), st.none() | st.floats(-1, 2), st.integers(1, 40))
def test_meter_has_its_width(level: float, floor: float | None, width: int) -> None:
    """The level meter fills its cells exactly for any level and floor."""
    assert sum(len(text) for text, _ in meter(level, floor, width)) == width


@given(st.floats(100, 48000), st.integers(1, 250))
def test_ticks_stand_at_their_frequency(top_hz: float, width: int) -> None:
    """No tick of the frequency axis touches another's number, and none runs over."""
    axis = frequency_axis(top_hz, width)
    assert len(axis) <= width
    labels = [label.strip() for label in axis.split("╵")[1:]]
    assert all(label.endswith("Hz") for label in labels)
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.isolation_text(-0.0912), "−0.091"),
        (words.isolation_text(0.114), "+0.114"),
        (words.reconstruction_text(5.04e-4), "5.0e-4"),
        (words.reconstruction_text(0.0996), "1.0e-1"),
        (words.reconstruction_text(0.884), "0.88"),
        (words.reconstruction_text(9.949), "9.9"),
        (words.reconstruction_text(9.96), "10"),
        (words.reconstruction_text(1234.5), "1,234"),
        (words.reconstruction_text(1.26e4), "1.3e4"),
        (words.reconstruction_text(0.0), "0.0e0"),
        (words.in_unit_text(3.71e-4, words.unit_power(2e-4)), "3.7"),
        (words.in_unit_text(9.1e-6, -4), "0.09"),
        (words.in_unit_text(9.96e-5, -4), "1.0"),
        (words.in_unit_text(2.36e-3, -4), "24"),
        (words.in_unit_text(0.03, words.unit_power(2.4)), "0.03"),
        (words.in_unit_text(0.0, -4), "0.00"),
        (words.in_unit_text(1.26e4, 0), "12,600"),
        (words.in_unit_text(None, -4), "–"),
        (words.p_text(0.003), "0.0030"),
        (words.p_text(0.62), "0.62"),
        (words.p_text(1.0), "1.0"),
        (words.p_text(2e-5), "2.0e-5"),
        (words.p_text(None), "–"),
        (words.odds_text(0.003), "1 in 333"),
        (words.odds_text(1 / 3001), "1 in 3,001"),
        (words.odds_text(1 / 401), "1 in 401"),
        (words.odds_text(0.1), "1 in 10"),
        (words.odds_text(0.62), "62 in 100"),
        (words.position_text(59.96), "01:00.0"),
        (words.position_text(3723.4), "1:02:03.4"),
        (words.elapsed_text(3723.4), "1:02:03"),
        (words.lost_text(Account(lost_s=0)), "nothing lost"),
        (words.lost_text(Account(lost_s=0.0201)), "20 ms lost"),
        (words.lost_text(Account(lost_s=2.5)), "2.5 s lost"),
        (words.level_text(-31.4), "−31"),
        (words.level_text(None), "  –"),
        (words.rate_text(44100), "44.1 kHz"),
    ],
)
def test_numbers_are_worded(shown: str, expected: str) -> None:
    """Numbers stand on the screen with the digits and signs of the design."""
    assert shown == expected


@given(st.text(max_size=40), st.integers(0, 45))
def test_shortened_text_fits(text: str, width: int) -> None:
    """Names of any script are shortened to the cells there are, and shown whole where they fit."""
    text = words.printable(text)
    for shown in (words.shorten(text, width), words.clip(text, width)):
        assert cell_len(shown) <= width
        assert shown == text or cell_len(text) > width


PROGRAM = """
import os, sys
from model.storage import read_model
from monitor.app.app import MonitorApp
from monitor.app.run import run_app
from monitor.app.session import Session
from monitor.sinks import Sink
from monitor.sources import AudioFile

class Noisy(Sink):
    def hear(self, block, rate_hz):
        os.write(2, b"Expression failed\\n")

source = AudioFile(sys.argv[2], speed=float(sys.argv[3]))
session = Session.of(read_model(sys.argv[1]), [source], [Noisy()], title="x")
app = MonitorApp(session, quit_at_end=True)
run_app(app)
print("LEFT", app.return_code, app.return_value.finished)
"""
LEAVES_SCREEN = b"\x1b[?1049l"


@pytest.mark.parametrize("ends_by", ["itself", "SIGTERM"])
def test_the_terminal_is_given_back(ends_by: str, demo_model: Path, excerpt_file: Path) -> None:
    """In a real terminal prints on descriptor 2 come after the screen is left, SIGTERM or not."""
    outer, inner = pty.openpty()
    speed = "inf" if ends_by == "itself" else "1"
    command = [sys.executable, "-c", PROGRAM, str(demo_model), str(excerpt_file), speed]
    process = subprocess.Popen(
        command,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    os.close(inner)
    written, asked = b"", False
    while True:
        try:
            data = os.read(outer, 65536)
        except OSError:
            break
        if not data:
            break
        written += data
        if ends_by == "SIGTERM" and b"PLAYING" in written and not asked:
            asked = True
            process.send_signal(signal.SIGTERM)
    os.close(outer)
    assert process.wait(30) == 0
    screen, left, after = written.rpartition(LEAVES_SCREEN)
    assert left
    assert b"Expression failed" not in screen
    assert b"Expression failed" in after
    assert b"LEFT 0 True" in after


@pytest.mark.parametrize("after_s", [0.0, 2.0])
def test_a_closed_terminal_ends_the_process(
    after_s: float, demo_model: Path, excerpt_file: Path
) -> None:
    """Who closes the terminal, at any moment, leaves no process behind that goes on listening."""
    pid, outer = pty.fork()
    if pid == 0:
        command = Path(sys.executable).with_name("offkey")
        os.environ["TERM"] = "xterm-256color"
        words = [str(command), "monitor", str(demo_model), "--rehearse", str(excerpt_file)]
        os.execv(command, words)  # noqa: S606
    written = b""
    while b"REHEARS" not in written and b"LIVE" not in written and b"WARMING" not in written:
        written += os.read(outer, 65536)
    time.sleep(after_s)
    os.close(outer)
    until = time.monotonic() + 30
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.05)
