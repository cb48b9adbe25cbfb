"""The microphone: opened by name, watched, and opened again when it is lost.

What a driver's callback hands over is placed on a time line here, by the stream's own thread.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.audio import Block, Mixdown
from model.errors import AudioError, DeviceError, InputError
from monitor.clock import Arrival, LossFinder, SampleClock
from monitor.devices import BLOCK_S, Device, Driver
from monitor.portaudio import PortAudio
from monitor.sources import IDLE_S, STALL_S, Flag, check_channel

HAND_OVER_S = 10.0
"""What waits between callback and stream at most; then the oldest is dropped and counted."""
FIRST_BLOCK_S = 5.0
_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_LOST = ("stalled", "reconnecting")
_CLOSE_LIMIT_S = 0.7
"""A frozen sound server may not keep the time line from going on."""
_END_LIMIT_S = 0.3
"""A frozen sound server may keep nobody who presses Ctrl-C."""


@dataclass(frozen=True)
class _Handed:
    frames: NDArray[np.float32]
    start: int
    """Samples that the device had brought before."""
    overflow: bool
    at_s: float


class _HandOver:
    """Between the driver's callback and the stream: bounded, and the newest stays.

    One for each opening: what an abandoned device still brings is nobody's any more.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Handed] = deque(maxlen=round(HAND_OVER_S / BLOCK_S))
        self._counted = 0
        self.arrived = threading.Event()

    def put(self, frames: NDArray[np.float32], overflow: bool, at_s: float) -> None:
        """Take a block, on the driver's thread."""
        start, self._counted = self._counted, self._counted + len(frames)
        self._waiting.append(_Handed(frames, start, overflow, at_s))
        self.arrived.set()

    def take(self) -> _Handed | None:
        """The oldest block that waits."""
        self.arrived.clear()
        return self._waiting.popleft() if self._waiting else None


class Microphone:
    """A live input device as a source.

    Places are counted in samples; what the driver dropped is measured by the clock, and what was
    lost unseen is found by it.
    """

    is_live = True
    length_s = None

    def __init__(
        self,
        device: str | None = None,
        channel: int | None = None,
        driver: Driver | None = None,
    ) -> None:
        self._driver: Driver = PortAudio() if driver is None else driver
        self._asked = device
        found = self._driver.find(device)
        self.name = found.name
        self.rate_hz = found.rate_hz
        self.state = "opening"
        self.channel = channel
        """The channel that was asked for, counted from 1; None for all of them."""
        self._channel = check_channel(channel, found.channels)
        self._mixdown = Mixdown(self._channel)
        self._hand_over = _HandOver()
        self._clock = SampleClock()
        self._losses: LossFinder[_Handed] = LossFinder(self._clock)
        self._origin = 0
        """Index on the time line of the first sample since the device was opened."""
        self._expected = 0
        """Index on the time line of the next sample."""
        self._has_begun = False
        self._awaiting_first = True
        self._opened_at_s = self._heard_at_s = 0.0
        self._tries = 0
        """How often it was opened, or tried to be, since sound last came."""
        self._next_try_s = 0.0
        self._cause = "stall"

    @property
    def problem(self) -> str | None:
        """Where the run ends while the device is lost, its input was lost."""
        if self.state in _LOST:
            return f"{self.name!r} was lost and has not come back."
        return None

    @property
    def detail(self) -> str:
        """While it is lost: how often it was tried, and when again."""
        if self.state != "reconnecting" or not self._tries:
            return ""
        in_s = self._next_try_s - self._driver.now_s()
        if in_s <= 0:
            return f"attempt {self._tries:,}"
        return f"attempt {self._tries:,} failed, next in {math.ceil(in_s)} s"

    @property
    def began(self) -> datetime | None:
        """UTC of index 0, by the newest comparison of clock and sample count."""
        if not self._has_begun:
            return None
        return self._clock.utc_of_origin(self._driver.utc(), self._driver.now_s())

    @property
    def now(self) -> datetime:
        """UTC time of day on the driver's clock."""
        return self._driver.utc()

    def __enter__(self) -> Self:
        self._open(self._driver.find(self.name), threading.Event())
        self._heard_at_s = self._opened_at_s  # here the time line begins
        return self

    def __exit__(self, *exc: object) -> None:
        self._driver.close(_END_LIMIT_S)

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:  # noqa: ARG002
        """Blocks as they come; empty ones while there is nothing."""
        yield from self._listen(stop)
        yield from self._decided()
        if self.state in _LOST:
            yield self._missing_at_the_end()

    def _listen(self, stop: Flag) -> Iterator[Block]:
        while not stop.is_set():
            handed = self._hand_over.take()
            if handed is not None:
                yield from self._decided(handed)
                continue
            if self._driver.has_ended:
                return
            self._driver.wait(self._hand_over.arrived, IDLE_S)
            if self._hand_over.arrived.is_set():
                continue
            yield self._nothing()
            if self._is_lost():
                yield from self._decided()
                yield from self._reopen(stop)

    def _decided(self, handed: _Handed | None = None) -> Iterator[Block]:
        """Blocks of which it is known by now what is missing before them; without one, the rest."""
        if handed is None:
            decided = self._losses.flush()
        elif self._awaiting_first:
            yield self._place_first(handed)
            return
        else:
            self._heard_at_s = handed.at_s
            end_s = (handed.start + len(handed.frames)) / self.rate_hz
            decided = self._losses.push(Arrival(handed, end_s, handed.at_s, handed.overflow))
        for arrived, missing_s in decided:
            # PortAudio says that something was dropped, but not how much: the clock does.
            missing = max(int(arrived.overflow), round(missing_s * self.rate_hz))
            self._origin += missing
            yield self._place(arrived, "overflow" if arrived.overflow or not missing else "clock")

    def _place_first(self, handed: _Handed) -> Block:
        """The first block since the device was opened: everything before it is missing."""
        self._awaiting_first = False
        cause = "overflow"
        if self._has_begun or self._tries:
            cause = self._cause
            missed_s = handed.at_s - self._due_s - len(handed.frames) / self.rate_hz
            self._origin = self._expected + max(1, round(missed_s * self.rate_hz))
        self._has_begun = True
        self.state, self._heard_at_s = "live", handed.at_s
        return self._place(handed, cause)

    def _place(self, handed: _Handed, cause: str) -> Block:
        """Put what was handed over on the time line."""
        n = len(handed.frames)
        end_s = (self._origin + handed.start + n) / self.rate_hz
        unseen = round(self._clock.hear(end_s, handed.at_s) * self.rate_hz)
        if unseen:  # it came so slowly that no block stood out
            self._origin, cause = self._origin + unseen, "clock"
        start = self._origin + handed.start
        lost = max(0, start - self._expected)
        self._expected = start + n
        self._losses.origin_s = self._origin / self.rate_hz
        return self._mixdown.push(handed.frames, start, lost, cause if lost else None)

    def _missing_at_the_end(self) -> Block:
        lost = max(0, round((self._driver.now_s() - self._due_s) * self.rate_hz))
        self._expected += lost
        return replace(self._nothing(), lost=lost, cause=self._cause)

    @property
    def _due_s(self) -> float:
        """When the next sample was due: what the clock had not found yet counts as lost, too."""
        if not self._has_begun:
            return self._heard_at_s
        return self._clock.late_s() + self._expected / self.rate_hz

    def _nothing(self) -> Block:
        return Block(np.empty(0, np.float32), self._expected)

    def _is_lost(self) -> bool:
        is_gone = not self._driver.is_active
        since_s = self._opened_at_s if self._awaiting_first else self._heard_at_s
        limit_s = FIRST_BLOCK_S if self._awaiting_first else STALL_S
        is_lost = is_gone or self._driver.now_s() - since_s > limit_s
        if is_lost and self.state != "reconnecting":
            # What goes wrong while it is opened again does not change why it was lost.
            self._cause = "device" if is_gone else "stall"
        return is_lost

    def _open(self, device: Device, stop: Flag) -> None:
        # Two channels at most: sound servers offer dozens of copies of the same microphone.
        channels = min(2, device.channels) if self._channel is None else self._channel + 1
        self._hand_over = _HandOver()
        self._mixdown.reset()
        self._clock.restart()
        self._expected = round(self._expected * device.rate_hz / self.rate_hz)
        self._origin = self._expected
        self.rate_hz = device.rate_hz
        self._awaiting_first = True
        self._driver.open(device, channels, self._hand_over.put, stop)
        self._opened_at_s = self._driver.now_s()

    def _reopen(self, stop: Flag) -> Iterator[Block]:
        """Try again, by name, until it is open or the stream stops.

        The pauses grow until sound is back: a device that opens and brings nothing is not back.
        """
        if self.state != "reconnecting":
            self.state, self._tries = "stalled", 0
            yield self._nothing()
        self._driver.close(_CLOSE_LIMIT_S, stop)
        self.state = "reconnecting"
        yield self._nothing()
        while True:
            yield from self._hold_off(stop)
            if stop.is_set() or self._driver.has_ended or self._try_again(stop):
                return

    def _hold_off(self, stop: Flag) -> Iterator[Block]:
        """Let the pause before the next try pass; there is none before the first."""
        pause_s = (0.0, *_PAUSES_S)[min(self._tries, len(_PAUSES_S))]
        self._next_try_s = until_s = self._driver.now_s() + pause_s
        while self._driver.now_s() < until_s and not (stop.is_set() or self._driver.has_ended):
            self._driver.wait(threading.Event(), IDLE_S)
            yield self._nothing()

    def _find_again(self) -> Device:
        """The same device; or, where names hold a number that changed, what was asked for."""
        with contextlib.suppress(InputError):
            device = self._driver.find(self.name)
            if device.name == self.name:  # not another one, whose name contains this one's
                return device
        if self._asked is None:
            raise DeviceError(f"{self.name!r} is not there.")
        return self._driver.find(self._asked)

    def _try_again(self, stop: Flag) -> bool:
        self._tries += 1
        try:
            self._driver.refresh(stop)
            self._open(self._find_again(), stop)
        except AudioError:  # of the file that is rehearsed
            raise
        except (DeviceError, InputError):
            return False
        return True
