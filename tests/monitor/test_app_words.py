"""What the screen says of itself: nothing that is over is told as if it were now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from textual.widgets import Footer

from model.detector import NOT_SCORED
from monitor.app import words
from monitor.app.attention import AlarmLine
from monitor.app.curves import peaks
from monitor.app.help import HelpScreen
from monitor.app.panels import LAST, ScorePanel
from monitor.app.recordview import Count, Top, goal_text
from monitor.app.words import STATES
from tests.monitor.app_quiet import help_text
from tests.monitor.app_record_stories import TAKEN, fill, take
from tests.monitor.app_record_stories import _app as record_app
from tests.monitor.app_sounds import bump, sound, sounds, still_detector
from tests.monitor.app_still import Stage, still_app
from tests.monitor.app_stories import QUIET, Speed

Act = Callable[[Stage], Awaitable[None]]


pytestmark = pytest.mark.usefixtures("own_settings")


def on_stage(app: Any, act: Act, size: tuple[int, int] = (120, 40)) -> None:
    """Run a screen that stands still and do something on it."""

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            app._pulls.pause()
            await act(Stage(app, pilot))

    asyncio.run(run())


def drawn(widget: Any) -> list[tuple[str, str]]:
    """The pieces of a widget's lines."""
    return [piece for line in widget.draw(*widget.size) for piece in line]


def test_a_normal_verdict_is_good_news_only_while_something_is_heard() -> None:
    """Live it is green; in every state without sound it is the last verdict, and grey."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        await stage.hear(*sounds(5))
        for state in STATES:
            await stage.show(state=state)
            is_heard = state in ("live", "playing")
            assert (("✓ NORMAL", "good") in drawn(app.verdict)) is is_heard, state
            assert (("✓ NORMAL", "muted") in drawn(app.verdict)) is not is_heard, state
            assert app.verdict.border_title == ("verdict" if is_heard else "last verdict")
        await stage.press("up")
        assert ("✓ NORMAL", "good") in drawn(app.verdict)
        assert app.verdict.border_title == "verdict · chosen"

    on_stage(app, act)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_no_normal_sound_is_told_as_odd(size: tuple[int, int]) -> None:
    """Beyond the reach of all clusters only an anomalous one is odd; it is said of both."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        for number, p in enumerate((0.5, 0.002), start=1):
            await stage.hear(sound(number, p, unlike_any=True, cluster_distance=1.8))
            said = " ".join(text for text, _ in drawn(app.verdict))
            assert "unlike any" in said
            assert "odd" not in said or p == 0.002
            assert ("small errors" in said) is (p == 0.5)

    on_stage(app, act, size)


@pytest.mark.parametrize("size", [(62, 24), (62, 40), (80, 24), (80, 60), (120, 40), (200, 60)])
def test_a_small_error_cannot_be_taken_for_a_large_one(size: tuple[int, int]) -> None:
    """At every size error and threshold are told in the unit that the title names, and no other."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        heard = sound(1, 0.5)
        await stage.hear(heard)
        panel = app.reconstruction
        name, _, power = str(panel.border_title).partition(" in 1e")
        assert name.endswith("error,")
        said = "".join(text for text, _ in drawn(panel))
        threshold = app.stream.detector.thresholds.reconstruction_error
        error, limit = (
            words.in_unit_text(value, int(power))
            for value in (heard.score.reconstruction_error, threshold)
        )
        assert "e-" not in said
        assert said.startswith(f"{error}   p") or "╺┻╸" in said
        assert str(panel.border_subtitle).endswith(f" {limit}")

    on_stage(app, act, size)


def test_whoever_quits_sees_that_it_ends() -> None:
    """Until the stream has ended the header says so, and the key for pausing is gone."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        assert app.is_possible("pause(True)")
        app.leaving = True
        app._tell_ending()
        assert ("■ ENDING", "muted") in drawn(app.header)
        assert not app.is_possible("pause(True)")
        await stage.show(position_s=300.0)
        assert ("■ ENDING", "muted") in drawn(app.header)
        await stage.end()
        assert ("■ ENDED", "muted") in drawn(app.header)

    on_stage(app, act)


@pytest.mark.parametrize(("width", "most"), [(80, 44), (100, 58), (120, LAST), (200, LAST)])
def test_the_history_says_how_many_it_shows(width: int, most: int) -> None:
    """Never more than were heard, than there is room for, or than it keeps."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        panel = app.query(ScorePanel).first()
        for n in (1, 20, 80):
            await stage.hear(*sounds(n)[len(stage.heard) :])
            shown = min(n, most)
            told = str(panel.border_subtitle)
            assert told.startswith((f"last {shown} · threshold", "threshold"))
            assert told.startswith("last") or width <= 100
            rows = panel.draw(*panel.size)[-3:]
            cells = "".join(text for text, _ in rows[2])
            dots = sum((ord(c) & 0x47 > 0) + (ord(c) & 0xB8 > 0) for c in cells)
            assert dots == shown - sum(h.score.p is None for h in stage.heard[-shown:])

    on_stage(app, act, (width, 40))


def test_speed_is_told_as_it_is_where_a_hurry_is_interrupted() -> None:
    """Fast to the next alarm is said only while the file plays."""
    app = still_app(still_detector(), is_live=False)
    app.stream.player = Speed()  # type: ignore[misc]

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET | {"state": "playing"})
        await stage.press("right_square_bracket", "full_stop")
        assert "fast to the next alarm" in app.table._settings
        await stage.press("p")
        assert app.table._settings.endswith("2× real time")
        await stage.press("p")
        assert "fast to the next alarm" in app.table._settings

    on_stage(app, act)


def test_warnings_differ_from_news_by_more_than_a_colour() -> None:
    """What could not be done begins with an exclamation mark; what was done does not."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        app.tell("Done.")
        app.warn("Not done.")
        await stage.pilot.pause()
        assert [note.message for note in app._notifications] == ["! Not done."]
        app.tell("Done.")
        await stage.pilot.pause()
        assert {note.message for note in app._notifications} == {"! Not done.", "Done."}

    on_stage(app, act)


@pytest.mark.parametrize(("width", "is_compact"), [(80, True), (99, True), (100, False)])
def test_keys_stand_apart_where_there_is_room(width: int, is_compact: bool) -> None:
    """However wide the screen, all keys are on its last line, and the word after each."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        footer = app.query_one(Footer)
        assert footer.compact is is_compact
        assert max(key.region.right for key in footer.children) <= width
        await stage.pilot.resize_terminal(180 - width, 40)
        await stage.show(position_s=300.0)
        assert footer.compact is (180 - width < 100)

    on_stage(app, act, (width, 40))


def test_the_key_of_the_alarm_line_is_told_apart_from_words() -> None:
    """`press a once seen`: the key is a piece of its own, at whatever key it lies."""
    line = AlarmLine()
    line.heard, line.count, line.key = sound(1, 0.002, 4), 2, "f9"
    for width in range(40, 120):
        pieces = line.draw(width, 1)[0]
        assert sum(len(text) for text, _ in pieces) <= width
        if len(pieces) > 1:
            assert pieces[0][0].endswith(" · press ")
            assert pieces[1:] in (
                [("f9", "key"), (" once you have seen it", "bad")],
                [("f9", "key"), (" once seen", "bad")],
            )
    assert len(line.draw(80, 1)[0]) == 3


def test_largest_errors_are_hills_of_their_own() -> None:
    """A flank with a ripple gives no peak beside the summit, however large it is."""
    ripple = 1 + np.arange(3400) % 7 / 20
    error = bump(2400, 60, 3400) * ripple + 0.2 * bump(700, 60, 3400) + 0.1 * bump(1500, 60, 3400)
    found = peaks(error, 90, 3)
    assert [round(index, -2) for index in found] == [2400, 700, 1500]
    assert len(peaks(bump(2400, 60, 3400) * ripple, 90, 3)) == 1


def test_the_help_explains_every_word_of_the_screen() -> None:
    """Score, error, profile, cluster, reach, gate and floor stand there with what they mean."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        text = " ".join(help_text(app.screen).split())
        for word in ("isolation score", "reconstruction error", "error profile", "cluster"):
            assert f" {word}: " in text
        for word in ("reach", "gate", "floor", "p", "unlike any", "outside conditions", "lost"):
            assert f" {word}: " in text
        assert "Play faster." not in text
        assert "Listen to another device." in text

    on_stage(app, act, (80, 24))


def test_a_key_of_the_help_goes_to_what_the_words_mean() -> None:
    """On 80 by 24 `w`, told in the first line, brings their heading to the top, and back again."""
    app = still_app(still_detector())

    def seen() -> list[str]:
        lines = app.screen._compositor.render_strips(app.size)
        return ["".join(piece.text for piece in line) for line in lines]

    async def act(stage: Stage) -> None:
        await stage.press("question_mark")
        before = seen()
        assert any("What the words on the screen mean" in line for line in before[:4])
        await stage.press("w")
        assert any("│  what the words mean" in line for line in seen()[:4])
        assert any("│    reach: " in line for line in seen())
        await stage.press("w")
        assert seen() == before

    on_stage(app, act, (80, 24))


def test_made_up_sounds_could_be() -> None:
    """In the pictures p, verdict and scores agree with each other, as the detector has them."""
    detector = still_detector()
    for heard in [*sounds(40), sound(1, 0.0004), sound(2, 0.009, by_one=True)]:
        score = heard.score
        if score.verdict == NOT_SCORED:
            continue
        assert score.isolation_score is not None
        assert score.reconstruction_error is not None
        ps = detector.conformity.p_of_one(score.isolation_score, score.reconstruction_error)
        assert ps == (score.isolation_p, score.reconstruction_p, score.p)
        assert heard.is_anomalous == (ps[2] <= detector.false_alarm_rate)
        thresholds = detector.thresholds
        is_beyond = score.isolation_score >= thresholds.isolation_score
        is_beyond |= score.reconstruction_error >= thresholds.reconstruction_error
        assert heard.is_anomalous == is_beyond


def test_while_a_take_is_played_the_recording_screen_says_so() -> None:
    """Header, and keys: space stops it, and there is nothing to be paused."""
    app = record_app(10, "event")

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        keys = {b.binding.description for b in app.screen.active_bindings.values()}
        assert "pause" in keys
        assert not keys & {"listen to the last", "throw the last away"}
        fill(app._recording, [take(1, TAKEN[0], 1)])
        await stage.show(position_s=9.0)
        keys = {b.binding.description for b in app.screen.active_bindings.values()}
        assert keys >= {"listen to the last", "throw the last away", "pause"}
        app._listening = 3
        app._hold()
        await stage.show(state="paused")
        assert ("▶ PLAYING", "good") in drawn(app.query_one(Top))
        keys = {b.binding.description for b in app.screen.active_bindings.values()}
        assert "stop playing" in keys
        assert not keys & {"listen to the last", "pause", "go on"}

    on_stage(app, act)


@pytest.mark.parametrize(("kept", "said"), [(9, "9 of 10"), (10, "10 of 10"), (11, "10 asked for")])
def test_more_takes_than_were_asked_for_are_counted_rightly(kept: int, said: str) -> None:
    """Beyond the goal nothing is `11 of 10`."""
    app = record_app(10, "event")

    async def act(stage: Stage) -> None:
        fill(app._recording, [take(i, good_take(i), i) for i in range(1, kept + 1)])
        await stage.show(**QUIET)
        text = "".join(piece for piece, _ in drawn(app.query_one(Count)))
        assert said in text
        assert "11 of 10" not in text
        assert goal_text(app._recording).startswith(f"{kept} good takes")

    on_stage(app, act)


def good_take(i: int) -> tuple[str | None, float, float]:
    """A good take's measures."""
    return (None, 0.5 + i / 100, -24.0)


def test_what_is_lost_is_told_with_the_gap() -> None:
    """In the pictures a segment with a gap never stands beside `nothing lost`."""
    app = still_app(still_detector())

    async def act(stage: Stage) -> None:
        await stage.show(**QUIET)
        await stage.hear(sound(1, 0.5))
        assert "nothing lost" in "".join(text for text, _ in drawn(app.header))
        await stage.hear(sound(2, None))
        assert "120 ms lost" in "".join(text for text, _ in drawn(app.header))

    on_stage(app, act)
