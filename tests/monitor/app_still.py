"""A screen that stands still: no thread, no clock, and stages on which something happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from model.detector import Detector
from monitor.app.app import MonitorApp
from monitor.app.engine import Engine
from monitor.app.inputs import Inputs, LiveInput
from monitor.app.seek import NextAlarm
from monitor.app.session import Session
from monitor.budget import AlarmBudget
from monitor.events import Heard
from monitor.history import History
from monitor.snapshot import Snapshot
from monitor.sources import Source
from monitor.stream import Stream
from tests.monitor.pictures import Picture, look

LOST_S = 0.12
"""How much is lost in a segment with a gap."""


class StillStream:
    """Stands for the stream: has heard what it is told, and brings nothing by itself."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.snapshot = Snapshot()
        self.is_paused = False
        self.player: Any = None
        self.budget: AlarmBudget | None = None

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
        farewell=None if is_live else lambda: _outcome(app),
    )
    app.engine = cast(Engine, StillEngine(stream))
    app._player = cast(Any, StillPlayer())
    return app


def _outcome(app: MonitorApp) -> str:
    """What the demo says at its end, where it found all that was planted."""
    rows = app.history.rows()
    n = sum(heard.alarm for heard in rows)
    among = f"0 false alarms among {len(rows)} segments"
    return f"Found {n} of {n} planted oddities; missed none; {among}."


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
        """Hear sounds until their end, and count them, also what was lost in them.

        An alarm's row is lit up only where that is asked for.
        """
        self.heard += sounds
        for heard in sounds:
            self.app.history.take(heard)
        lost_s = LOST_S * sum(heard.score.reason == "gap" for heard in self.heard)
        before, last = self.app.engine.stream.snapshot, self.heard[-1].segment
        await self.show(
            position_s=max(before.position_s, last.start_s + last.duration_s + 0.2),
            account=replace(before.account, lost_s=lost_s),
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
