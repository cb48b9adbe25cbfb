"""A screen that stands still: a made-up model, made-up sounds, no thread, no clock.

Every number is made by the four operations on small whole numbers, so that no picture of it hangs
on a processor, on a version of numpy or on a fit.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from model.card import ModelCard
from model.conformity import Conformity
from model.detector import ANOMALOUS, NORMAL, NOT_SCORED, Detector, Score
from model.explanation import Explanation
from model.features import Spectrum
from model.isolation import IsolationForest
from model.profiles import ProfileClusters
from model.segment import Segment, Segmentation
from model.subspace import Subspace
from monitor.app.app import MonitorApp
from monitor.app.engine import Engine
from monitor.app.inputs import Inputs, LiveInput
from monitor.app.seek import NextAlarm
from monitor.app.session import Session
from monitor.events import Heard
from monitor.history import History
from monitor.snapshot import Snapshot
from monitor.sources import Source
from monitor.stream import Stream
from tests.monitor.pictures import Picture, look

N = 3000
BEGAN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
CENTRES = (6, 14, 27, 40, 52, 60)
"""The band in which the sounds of each cluster are off."""
NAMES = ("50–640 Hz", "0.5–1.1 kHz", "1.2–1.8 kHz", "1.9–2.4 kHz", "late hiss", "2.9–3.4 kHz")


def bump(centre: float, width: float, n: int = 64) -> NDArray[np.float64]:
    """A smooth hill of height 1."""
    away = (np.arange(n) - centre) / width
    return 1 / (1 + away * away)


def still_detector(mode: str = "event") -> Detector:
    """Make up a model of 3,000 sounds and six clusters, the fifth of them named by a person."""
    i = np.arange(N)
    isolation = 0.095 - 0.2 * (i / N)
    reconstruction = 4e-5 / ((i * 1237 % N + 1) / N + 0.08)
    zero, nodes = np.zeros(3400), np.zeros(1, np.int32)
    return Detector(
        Spectrum(),
        Segmentation(mode),
        Subspace(zero, np.zeros((1, 3400))),
        IsolationForest(nodes, nodes, np.zeros(1), np.zeros((1, 2), np.int32), zero[:1], 1, 1.0, 0),
        Conformity(isolation, reconstruction),
        ProfileClusters(
            np.array([0.02 * bump(centre, 5.3) for centre in CENTRES]),
            np.full(6, 0.05),
            (900, 700, 500, 400, 300, 200),
            (0.004, 0.006, 0.01, 0.02, 0.05, 0.0),
            tuple("2.5–3.0 kHz" if name == "late hiss" else name for name in NAMES),
            tuple(name if name == "late hiss" else None for name in NAMES),
        ),
        0.01,
        ModelCard(
            "2026-01-02T03:04:05Z", {}, N, N, 60, "by name", (), 5, (), (), 0, 0, 0, "", 1, 0.99,
            (20.0, 60.0),
        ),
        {},
        "made up",
    )  # fmt: skip


def sound(number: int, p: float | None, cluster: int = 0, *, is_live: bool = True, **more: Any) -> (
    Heard
):  # fmt: skip
    """Make up a sound: how odd it is follows from p, in which way from its cluster.

    `more` changes what its segment or its score says.
    """
    parts = {name: more.pop(name) for name in list(more) if name in Segment.__annotations__}
    segment = Segment(np.zeros(3400, np.float32), 7.0 * number, 0.4 + number * 37 % 50 / 100)
    score = Score(NOT_SCORED, "gap")
    if p is not None:
        hill = bump(CENTRES[cluster] + number % 3 - 1, 4.3 + number % 2)
        score = Score(
            ANOMALOUS if p <= 0.01 else NORMAL,
            isolation_score=0.095 - 0.2 * p + (0.02 if p <= 0.01 else 0),
            reconstruction_error=4e-5 / (p + 0.08) + (1e-4 if p <= 0.01 else 0),
            isolation_p=min(1.0, 1.51 * p),
            reconstruction_p=min(1.0, 1.21 * p),
            p=p,
            cluster=cluster,
            cluster_name=NAMES[cluster],
            cluster_distance=0.62,
            unlike_any=False,
            profile=tuple((hill * (0.03 if p > 0.01 else 0.09)).tolist()),
        )
    at = (BEGAN + timedelta(seconds=7 * number)).isoformat(timespec="milliseconds")
    heard = Heard("USB Audio", at if is_live else None, replace(segment, **parts), score, number)
    return replace(heard, score=replace(score, **more), alarm=p is not None and p <= 0.01)


def sounds(n: int, *, is_live: bool = True) -> list[Heard]:
    """Make up sounds: every twelfth alarms, one is not scored, the rest are as they should be."""
    ps = (0.62, 0.34, 0.81, 0.12, 0.47, 0.93, 0.25, 0.58, 0.071, 0.76, 0.39)

    def one(i: int) -> Heard:
        if i % 12 == 0:
            return sound(i, 0.002 + i / 9000, 4, is_live=is_live)
        return sound(i, None if i == 17 else ps[i % 11], i * 7 % 6, is_live=is_live)

    return [one(i) for i in range(1, n + 1)]


def explanation() -> Explanation:
    """Make up what is to be compared: three hills, one of which the reference does not know."""
    known = 0.9 * bump(700, 90, 3400) + 0.5 * bump(1500, 60, 3400)
    heard = known / 1.25 + bump(2400, 25, 3400) * (1 + np.arange(3400) % 7 / 20) / 1.3
    heard = heard / heard.max()
    error = np.abs(heard - known)
    front_end = Spectrum()
    return Explanation(
        front_end.frequencies_hz(), heard, known, error, front_end.parts, ("too much at 2.4 kHz",)
    )


class StillStream:
    """Stands for the stream: has heard what it is told, and brings nothing by itself."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.snapshot = Snapshot()
        self.is_paused = False
        self.player: Any = None

    def pause(self, paused: bool) -> None:
        """Remember it."""
        self.is_paused = paused

    def use(self, detector: Detector) -> None:
        """Remember it."""
        self.detector = detector

    def stop(self) -> None:
        """It stands still already."""


class StillEngine:
    """Stands for the thread."""

    def __init__(self, stream: StillStream) -> None:
        self.stream = stream
        self.is_done = False
        self.error: BaseException | None = None

    def start(self) -> None:
        """Nothing runs."""

    def stop(self, _limit_s: float) -> bool:
        """Nothing has to end."""
        return True


class StillPlayer:
    """Stands for the loudspeaker."""

    is_playing, problem = True, None

    def play(self, *_: object) -> float:
        """Play six decibels louder."""
        return 6.0

    def stop(self) -> None:
        """End it."""

    def close(self) -> None:
        """End it for good."""


def still_app(
    detector: Detector, title: str = "models/six.offkey", *, is_live: bool = True
) -> MonitorApp:
    """Make the monitor's screen over a stream that stands still."""
    inputs = Inputs([])
    if is_live:
        inputs.append(LiveInput(cast(Source, SimpleNamespace(name="USB Audio"))))
    stream = StillStream(detector)
    app = MonitorApp(
        Session(cast(Stream, stream), History(), inputs, NextAlarm(), title),
        farewell=lambda: "2 clips are in alarms/.",
    )
    app.engine = cast(Engine, StillEngine(stream))
    app._player = cast(Any, StillPlayer())
    return app


@dataclass
class Stage:
    """The screen and what a story does on it."""

    app: Any
    """`MonitorApp` or `RecordApp`: a story knows which."""
    pilot: Pilot[Snapshot]
    heard: list[Heard] = field(default_factory=list)

    async def show(self, **changes: Any) -> None:
        """Another moment of the input."""
        stream = self.app.engine.stream
        stream.snapshot = replace(stream.snapshot, **changes)
        for _ in range(5):  # while nothing sounds not every pull is drawn
            self.app._pull()
            if getattr(self.app, "_last", stream.snapshot) is stream.snapshot:
                break
        await self._rest()

    async def hear(self, *sounds: Heard, is_lit: bool = False) -> None:
        """Hear sounds, and count them; an alarm's row is lit up only where that is asked for."""
        self.heard += sounds
        for heard in sounds:
            self.app.history.take(heard)
        await self.show(
            segments=len(self.heard),
            alarms=sum(heard.alarm for heard in self.heard),
            not_scored=sum(heard.score.p is None for heard in self.heard),
        )
        if not is_lit:
            self.app.table._darken(self.app.table._flashing)

    async def press(self, *keys: str) -> None:
        """Press keys, by their names, one right after the other."""
        for key in keys:
            self.app.simulate_key(key)
        await self._rest()

    async def end(self, **changes: Any) -> None:
        """The input ends."""
        self.app.engine.is_done = True
        await self.show(state="ended", finished=True, gate_open=False, **changes)

    async def calm(self) -> None:
        """Nothing is told in passing any more."""
        self.app.clear_notifications()
        await self._rest()

    async def look(self) -> Picture:
        """What stands there, once it stands still."""
        for entry in self.app.screen.query(Input):
            entry.cursor_blink = False
        await self._rest()
        return look(self.app)

    async def _rest(self) -> None:
        """Wait until no widget, also of screens below, has anything more to do."""
        quiet = 0
        for _ in range(1000):
            if quiet == 2:
                return
            screens = self.app.screen_stack
            widgets = [self.app, *(w for one in screens for w in one.walk_children(with_self=True))]
            done = [asyncio.Event() for _ in widgets]
            for widget, event in zip(widgets, done, strict=True):
                if not widget.call_later(event.set):
                    event.set()
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in done)), 30)
            self.app.screen._on_timer_update()
            is_quiet = not any(map(_has_to_do, widgets))
            quiet = quiet + 1 if is_quiet else 0
            await asyncio.sleep(0 if is_quiet else 0.002)
        raise AssertionError("the screen does not come to rest")


def _has_to_do(widget: Any) -> bool:
    """Whether a widget, a screen or the app still has something before it."""
    if widget.message_queue_size or widget._next_callbacks:
        return True
    if not isinstance(widget, Screen):
        return False
    return bool(widget._callbacks or (widget.is_current and widget._layout_required))
