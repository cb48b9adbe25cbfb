"""What can be seen of the monitor, as stories: each step of one is a picture with a name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from model.conformity import Thresholds
from monitor.ledger import Account
from tests.monitor.app_sounds import sound, sounds, still_detector
from tests.monitor.app_sounds import windows as heard_windows
from tests.monitor.app_states import STATES
from tests.monitor.app_still import Stage, still_app

Steps = AsyncIterator[str]
LONG = "日本語のマイク with a very long name [bold]that is no markup[/bold] and goes on and on"
QUIET: dict[str, Any] = {
    "source": "USB Audio",
    "rate_hz": 48000,
    "state": "live",
    "level_dbfs": -58.0,
    "floor_dbfs": -62.0,
    "position_s": 258.0,
}
"""A microphone while nothing sounds."""


@dataclass(frozen=True)
class Story:
    """An app, and what happens on its screen."""

    app: Callable[[], Any]
    steps: Callable[[Stage], Steps]


async def listening(stage: Stage) -> Steps:
    """A microphone from the first moment to the end, with every state on the way."""
    await stage.show(source="USB Audio", rate_hz=48000)
    yield "opening"
    await stage.show(state="warming up", level_dbfs=-58.0, position_s=0.6)
    yield "warming up"
    await stage.show(state="live", floor_dbfs=-62.0, position_s=3.1)
    yield "waiting for the first sound"
    await stage.hear(*sounds(40))
    await stage.press("a")
    await stage.show(level_dbfs=-31.2, gate_open=True, position_s=281.4)
    yield "live"
    for name in ("paused", "digital zero", "silent", "not finite", "stalled", "reconnecting"):
        state = STATES[name][0]
        stage.app.stream.is_paused = name == "paused"
        changes = ("state", "detail", "input_state", "level_dbfs")
        await stage.show(gate_open=False, **{change: getattr(state, change) for change in changes})
        yield name
    account = Account(lost_s=2.62, lost_by_clock_s=0.02)
    await stage.show(state="live", detail="", input_state=None, level_dbfs=-58.0, account=account)
    yield "live after a loss"
    stage.app.leaving = True
    stage.app._tell_ending()
    yield "ending"
    stage.app.leaving = False
    await stage.end(problem="'USB Audio' was lost and has not come back.")
    yield "ended"


async def verdicts(stage: Stage) -> Steps:
    """Every kind of verdict, and an alarm until it is seen."""
    await stage.hear(*sounds(11))
    await stage.show(**QUIET | {"level_dbfs": -31.2, "gate_open": True, "position_s": 84.0})
    yield "normal"
    noisy: dict[str, Any] = {"floor_dbfs": -30.0, "level_dbfs": -20.0}
    await stage.hear(sound(12, 0.62, 1, outside_conditions=True, **noisy))
    yield "outside conditions"
    await stage.hear(sound(13, 0.079, 2, clipped=True, continues=True))
    yield "clipped, goes on"
    await stage.hear(sound(14, None))
    yield "not scored"
    await stage.hear(sound(15, 0.002, 4), is_lit=True)
    yield "alarm, lit up"
    stage.app.table._darken(15)
    yield "alarm, pinned"
    await stage.hear(sound(16, 0.0004, 5, unlike_any=True, cluster_distance=1.8))
    yield "unlike any, two not seen"
    await stage.hear(sound(17, 0.009, 3, by_one=True))
    yield "by one score"
    await stage.press("a")
    yield "seen"
    await stage.hear(sound(18, 0.5, 2, unlike_any=True, cluster_distance=1.4))
    yield "normal, unlike any"


class SomeMarks:
    """Stands for the marks beside the model."""

    def __init__(self) -> None:
        self.n = 0

    def waiting(self, _: object) -> int:
        """How many there are."""
        return self.n

    def add(self, *_: object) -> bool:
        """One more."""
        self.n += 1
        return True

    def thresholds_with(self, _: object) -> Thresholds:
        """Both a little higher."""
        return Thresholds(0.112, 6.7e-4)


async def after_sounds(stage: Stage) -> None:
    """Have heard some sounds; now it is quiet."""
    await stage.hear(*sounds(36))
    await stage.press("a")
    await stage.show(**QUIET)


async def looking_back(stage: Stage) -> Steps:
    """Choosing, marking, muting, and what is told of them in passing."""
    await after_sounds(stage)
    stage.app._marks = SomeMarks()
    await stage.press("up", "up")
    yield "chosen"
    for key, name in [("space", "playing"), ("m", "marked"), ("x", "muted")]:
        await stage.press(key)
        yield f"{name}, as it is told"
        await stage.calm()
    yield "marked and muted"
    await stage.press("x", "f", "plus")
    yield "a rate, as it is told"
    await stage.press(*["minus"] * 5)
    await stage.calm()
    await stage.press("minus", "minus")
    yield "a rate, refused"
    await stage.calm()
    await stage.press("b")
    await stage.calm()
    yield "what is set"
    await stage.press("end", *["up"] * 12)
    yield "chosen, now it would be otherwise"


async def listing(stage: Stage) -> Steps:
    """Sorting and filtering."""
    await after_sounds(stage)
    await stage.press("s")
    yield "sorted"
    await stage.press(*["s"] * 5)
    await stage.press("slash")
    yield "filter"
    stage.app.field.value = "anomalous"
    yield "filter, typed"
    await stage.press("enter")
    yield "filtered"
    await stage.press("up", "up")
    yield "filtered, chosen"
    await stage.press("f")
    await stage.press("slash")
    stage.app.field.value = "zebra"
    await stage.press("enter")
    yield "filtered, none"


class Speed:
    """Stands for the file that plays."""

    speed = 1.0

    def jump(self, _: float) -> None:
        """Nowhere."""


async def playing(stage: Stage) -> Steps:
    """A file, faster and to its end."""
    stage.app.stream.player = Speed()
    await stage.hear(*sounds(20, is_live=False))
    await stage.press("a")
    file = {"source": "night/evening.flac", "rate_hz": 44100, "length_s": 900.0}
    await stage.show(**QUIET | file | {"state": "playing", "position_s": 141.3})
    yield "playing"
    await stage.press("right_square_bracket", "right_square_bracket")
    yield "faster"
    await stage.press("full_stop")
    yield "to the next alarm"
    await stage.press("p")
    await stage.show(state="paused")
    yield "paused"
    await stage.press("p")
    await stage.end(position_s=900.0)
    yield "ended"


async def windows(stage: Stage) -> Steps:
    """A model of a steady sound."""
    await stage.show(**QUIET | {"level_dbfs": -31.2, "position_s": 0.3})
    yield "waiting"
    await stage.hear(*heard_windows(12))
    yield "alarm"


async def long_names(stage: Stage) -> Steps:
    """Names that are endless, foreign, or look like markup."""
    name = "late hiss 日本語 [b]and more[/b] \x1b[2J"
    far: dict[str, Any] = {
        "cluster_name": name,
        "unlike_any": True,
        "cluster_distance": 1.8,
        "clipped": True,
    }
    await stage.hear(sound(1, 0.5, 1), sound(2, 0.003, 4, **far))
    await stage.show(**QUIET | {"source": LONG, "rate_hz": 44100, "position_s": 36000.0})
    yield "names"
    await stage.press("up")
    stage.app.warn(f"{LONG} cannot be opened: " + "device unavailable " * 3)
    yield "a warning"


def live_app() -> Any:
    """Make the monitor's screen for a microphone."""
    return still_app(still_detector())


STORIES = {
    "listening": Story(live_app, listening),
    "verdicts": Story(live_app, verdicts),
    "looking back": Story(live_app, looking_back),
    "listing": Story(live_app, listing),
    "playing": Story(lambda: still_app(still_detector(), is_live=False), playing),
    "windows": Story(lambda: still_app(still_detector("continuous")), windows),
    "long names": Story(lambda: still_app(still_detector(), LONG.replace("/", "")), long_names),
}
