"""A rehearsed device: plays a file as if it were the microphone, with faults where asked.

It is a driver like PortAudio, so that everything above it is the real thing. Its clock is its own:
it goes as fast as asked, and stands still while nobody waits for it, so nothing is dropped that was
not asked to be.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from model.audio import CUT_SHORT, AudioReader, Block, Resampler
from model.errors import AudioError, DeviceError, InputError, as_text, shown
from monitor.devices import BLOCK_S, Device, Hear
from monitor.sources import IDLE_S, Flag

_REOPEN_S = 1.0
_NO_ANSWER_S = 5.0
_ROUNDING_S = 1e-6
_EXAMPLE = "For example --inject unplug@12:3: at 12 s the device is gone, for 3 s."
FAULTS = {
    "unplug": "the device is gone for so many seconds",
    "freeze": "it brings nothing for so many seconds, and says nothing",
    "overflow": "so many seconds are dropped, and the device says so",
    "zeros": "so many seconds are digital zero",
    "rate": "the device goes, and comes back a second later with so many Hz",
    "drift": "from then on its clock is slow by so many millionths",
}
Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Fault:
    """Something that happens to the rehearsed device."""

    kind: str
    """One of `FAULTS`."""
    at_s: float
    value: float
    """Seconds, Hz or millionths: see `FAULTS`."""

    @property
    def end_s(self) -> float:
        """When it is over."""
        lasts_s = {"rate": _REOPEN_S, "drift": math.inf}.get(self.kind, self.value)
        return self.at_s + lasts_s


def parse_fault(text: str) -> Fault:
    """`KIND@SECONDS:VALUE` to a Fault. Raises InputError."""
    kind, _, numbers = text.partition("@")
    if kind not in FAULTS:
        raise InputError(f"There is no fault {kind!r}; known: {', '.join(FAULTS)}.", _EXAMPLE)
    try:
        at_s, value = map(float, numbers.split(":"))
    except ValueError:
        raise InputError(f"{text!r} is not KIND@SECONDS:VALUE.", _EXAMPLE) from None
    fits = abs(value) < 1e5 if kind == "drift" else 0 < value < math.inf
    if not (0 <= at_s < math.inf and fits):
        raise InputError(f"{text!r} has a number that is out of range.", _EXAMPLE)
    if kind == "rate" and not 1000 <= value <= 768_000:
        raise InputError(f"{text!r}: a rate lies between 1,000 and 768,000 Hz.", _EXAMPLE)
    return Fault(kind, at_s, value)


class RehearsedDevice:
    """The driver of a single device that brings what is in a file, and then ends."""

    def __init__(self, path: str, speed: float = 1.0, faults: Sequence[Fault] = ()) -> None:
        self._tape = _Tape(path)
        self._name = as_text(path)
        self._speed, self._faults = speed, sorted(faults, key=lambda fault: fault.at_s)
        self._began = datetime.now(UTC)
        self._began_s = time.monotonic()
        self._now_s = 0.0
        self._tape_s = 0.0
        """Up to this time the tape has been played or passed."""
        self._hear: Hear | None = None
        self._overflow = False
        self.has_ended = False

    @property
    def is_active(self) -> bool:
        """Whether it is opened and there; a frozen device is."""
        return self._hear is not None

    def find(self, name: str | None) -> Device:  # noqa: ARG002
        """The one device there is, while it is there."""
        if self._is("unplug", "rate"):
            raise DeviceError("There is no sound device with an input.")
        rates = [f.value for f in self._faults if f.kind == "rate" and f.at_s < self._now_s]
        if rates:
            self._tape.change_rate(round(rates[-1]))
        return Device(0, self._name, self._tape.channels, self._tape.rate_hz, "rehearsal", True)

    def refresh(self, stop: Flag) -> None:
        """Nothing to do: the device is looked for whenever it is asked for."""

    def open(self, device: Device, channels: int, hear: Hear, stop: Flag) -> None:  # noqa: ARG002
        """Begin to play where the tape is by now: all of its channels, as `replay` hears them."""
        if self._is("freeze"):
            self._sleep_until(min(self._now_s + _NO_ANSWER_S, self._thaws_s), stop)
        if self._is("freeze"):
            raise DeviceError(f"{device.name!r} cannot be opened: no answer.")
        self._tape.skip(round((self._now_s - self._tape_s) * self._tape.rate_hz))
        self._tape_s = self._now_s
        self._hear = hear

    def close(self, limit_s: float, stop: Flag | None = None) -> None:  # noqa: ARG002
        """Stop playing; the tape runs on."""
        self._hear = None

    def now_s(self) -> float:
        """Seconds since the rehearsal began, on its own clock."""
        return self._now_s

    def utc(self) -> datetime:
        """The time of day at which it began, and what has passed since on its own clock."""
        return self._began + timedelta(seconds=self._now_s)

    def wait(self, arrived: threading.Event, limit_s: float) -> None:
        """Let time pass until a block has arrived, for so many seconds at most."""
        until_s = self._now_s + limit_s
        while self._now_s < until_s and not (arrived.is_set() or self.has_ended):
            if self._hear is None:
                if not self._sleep_until(min(until_s, max(self._now_s, self._tape.length_s))):
                    return
                self.has_ended = self._now_s >= self._tape.length_s
            else:
                n = round(BLOCK_S * self._tape.rate_hz)
                block_s = n / self._tape.rate_hz * (1 + 1e-6 * self._drift_ppm())
                if not self._sleep_until(self._tape_s + block_s):
                    return
                self._play(self._hear, n)

    def _play(self, hear: Hear, n: int) -> None:
        """What happens when a block is due."""
        since_s = self._tape_s
        if self._is("unplug", "rate", since_s=since_s):
            self._hear = None
            return
        frames = self._tape.read(n)
        self._tape_s = self._now_s
        self.has_ended = not len(frames)
        if self._is("overflow", since_s=since_s):
            self._overflow = True
        elif len(frames) and not self._is("freeze", since_s=since_s):
            if self._is("zeros", since_s=since_s):
                frames = np.zeros_like(frames)
            hear(frames, self._overflow, self._now_s)
            self._overflow = False

    def _is(self, *kinds: str, since_s: float | None = None) -> bool:
        """Whether a fault of one of these kinds is happening, or has happened since."""
        early_s = (self._now_s if since_s is None else since_s) + _ROUNDING_S
        late_s = self._now_s - _ROUNDING_S
        return any(f.kind in kinds and f.at_s < late_s and f.end_s > early_s for f in self._faults)

    @property
    def _thaws_s(self) -> float:
        freezes = [f for f in self._faults if f.kind == "freeze" and f.at_s < self._now_s]
        return max(fault.end_s for fault in freezes)

    def _drift_ppm(self) -> float:
        return sum(f.value for f in self._faults if f.kind == "drift" and f.at_s < self._now_s)

    def _sleep_until(self, now_s: float, stop: Flag | None = None) -> bool:
        """Let the clock come to `now_s`. Gives up when `stop` is set, without one after a while."""
        real_s = self._began_s + now_s / self._speed - time.monotonic()
        if real_s > 0 and math.isfinite(self._speed):
            if stop is None:
                time.sleep(min(real_s, IDLE_S))
            if real_s > IDLE_S if stop is None else stop.wait(real_s):
                return False
        self._now_s = max(self._now_s, now_s)
        return True


class _Tape:
    """The frames of a file one after the other, at the rate that the device has by now."""

    def __init__(self, path: str) -> None:
        self._reader = AudioReader(path)
        self.channels = self._reader.channels
        self.rate_hz = self._reader.rate_hz
        self.length_s = self._reader.duration_s
        self._resamplers: list[Resampler] = []
        self._rest = np.empty((0, self.channels), np.float32)
        self._at = 0
        self._played_s = 0.0

    def change_rate(self, rate_hz: int) -> None:
        """From here on the device has another rate."""
        if rate_hz != self.rate_hz:
            self.rate_hz = rate_hz
            rates = self._reader.rate_hz, rate_hz
            self._resamplers = [Resampler(*rates) for _ in range(self.channels)]
            self._at = self._reader.seek(round(self._played_s * self._reader.rate_hz))
            self._rest = self._rest[:0]

    def read(self, n: int) -> Frames:
        """The next `n` frames, shape `(n, channels)`; fewer at the end. Raises AudioError."""
        while len(self._rest) < n:
            frames = self._from_file(self._reader.rate_hz)
            new = self._resample(frames) if self._resamplers else frames
            self._rest = np.concatenate([self._rest, new])
            if not len(frames):
                break
        if not len(self._rest) and self._is_cut_short:
            raise AudioError(shown(self._reader.path), CUT_SHORT)
        frames, self._rest = self._rest[:n], self._rest[n:]
        self._played_s += len(frames) / self.rate_hz
        return frames

    def skip(self, n: int) -> None:
        """Let `n` frames pass unheard."""
        while n > 0 and len(passed := self.read(min(n, 1 << 16))):
            n -= len(passed)

    def _from_file(self, n: int) -> Frames:
        frames = self._reader.read_frames(n)
        self._at += len(frames)
        return frames

    @property
    def _is_cut_short(self) -> bool:
        return self._reader.cut_short or self._at < self._reader.frames

    def _resample(self, frames: Frames) -> Frames:
        start = self._at - len(frames)
        parts = []
        for i, resampler in enumerate(self._resamplers):
            blocks = list(resampler.push(Block(np.ascontiguousarray(frames[:, i]), start)))
            if not len(frames) and (last := resampler.flush()) is not None:
                blocks.append(last)
            parts.append(np.concatenate([block.samples for block in blocks]))
        return np.stack(parts, axis=1)
