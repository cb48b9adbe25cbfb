"""What measures the inputs, in a process of its own: a line of JSON five times a second.

All devices are opened at once where the sound system allows that, else one after the other, round
and round. One thread makes all calls of PortAudio, which may hang; another one only tells.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from model.errors import DeviceError
from monitor import devices, helper
from monitor.devices import BLOCK_S, Device
from monitor.levels import AGAIN, SILENT, InputLevel, Levels
from monitor.portaudio import LimitedCalls

TELL_S = 0.2
HOLD_S = 0.5
"""A level is the largest peak of so many seconds."""
PATIENCE_S = 3.0
"""Longer than this a device that answers takes neither to open nor to bring its first block."""
TURN_S = 0.4
"""So long is each device heard, where they take turns."""
_REST_S = 0.05
MOST_AT_ONCE = 16
LOWEST_PEAK = 1e-10
"""Below it there is no signal at all."""


class Ear:
    """A device, and how loud it was when it was last open."""

    def __init__(self, device: Device, is_hung: bool) -> None:
        self.device = device
        self.is_hung = is_hung
        """The call that opens it does not return."""
        self.problem = "it does not answer" if is_hung else None
        self._calls = LimitedCalls()
        self._stream: Any = None
        self._was_tried = self._is_mute = False
        self._opened_at_s = 0.0
        self._heard: deque[tuple[float, float]] = deque(maxlen=1000)

    def open(self) -> bool:
        """Open it; whether it is open."""
        if self.is_hung:
            return False
        sd = devices.load_sounddevice()
        self._was_tried = True
        try:
            self._stream = self._calls.run(self._open_stream, PATIENCE_S, undo=_end)
        except TimeoutError:
            self.is_hung, self.problem = True, "it does not answer"
            return False
        except sd.PortAudioError as error:
            self.problem = helper.reason(error)
            return False
        self._opened_at_s, self.problem = time.monotonic(), None
        return True

    def _open_stream(self) -> Any:
        stream = devices.load_sounddevice().InputStream(
            device=self.device.index,
            samplerate=self.device.rate_hz,
            channels=min(2, self.device.channels),
            dtype="float32",
            blocksize=round(BLOCK_S * self.device.rate_hz),
            callback=self._hear,
        )
        try:
            stream.start()
        except BaseException:
            _end(stream)
            raise
        return stream

    def close(self) -> None:
        """Let go of it; its last level stays."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(TimeoutError):
                self._calls.run(lambda: _end(stream), PATIENCE_S)

    def listen(self, pause: Callable[[float], None]) -> None:
        """Open it, hear it for a moment, and let go of it."""
        if not self.open():
            return
        while not self._brings_sound() and not self._is_overdue():
            pause(_REST_S)
        pause(TURN_S)
        self._is_mute = not self._brings_sound()
        self.close()

    def _hear(self, data: NDArray[np.float32], _frames: int, _time: Any, _status: Any) -> None:
        peak = float(np.abs(data).max(initial=0.0))
        self._heard.append((time.monotonic(), peak if math.isfinite(peak) else 0.0))

    def _brings_sound(self) -> bool:
        """Whether something has come since it was opened."""
        return self._last_s() >= self._opened_at_s

    def _is_overdue(self) -> bool:
        """Whether nothing has come for too long, although it is open."""
        if self._stream is None:
            return False
        return time.monotonic() - max(self._opened_at_s, self._last_s()) > PATIENCE_S

    def _last_s(self) -> float:
        return self._heard[-1][0] if self._heard else -math.inf

    def level(self) -> InputLevel:
        """Its row."""
        device, state = self.device, self._state()
        peak = self._peak() if state == "heard" else 0.0
        return InputLevel(
            device.name,
            device.channels,
            device.rate_hz,
            device.is_default,
            state,
            round(20 * math.log10(peak), 1) if peak > LOWEST_PEAK else None,
            self.problem,
        )

    def _state(self) -> str:
        if self.problem is not None:
            return "hung" if self.is_hung else "failed"
        if self._is_mute or self._is_overdue():
            return "mute"
        if self._heard:
            return "heard"
        return "opening" if self._was_tried else "waiting"

    def _peak(self) -> float:
        """The largest of the half second that ended when it was last heard."""
        heard = list(self._heard)
        return max(peak for at_s, peak in heard if at_s >= heard[-1][0] - HOLD_S)


def _end(stream: Any) -> None:
    stream.abort(ignore_errors=True)
    stream.close(ignore_errors=True)


class Probe:
    """All inputs. `work` runs on one thread for ever, `levels` is asked from another."""

    def __init__(self, hung: Sequence[str], pause: Callable[[float], None] = time.sleep) -> None:
        self._hung = hung
        """Names of devices that are not to be opened."""
        self._pause = pause
        self._ears: list[Ear] | None = None
        self._problem: DeviceError | None = None
        self._began_s = time.monotonic()

    def levels(self) -> Levels:
        """What is known now."""
        if self._problem is not None:
            return Levels(None, self._problem.sentence, self._problem.hint)
        if self._ears is not None:
            return Levels(tuple(ear.level() for ear in self._ears))
        if time.monotonic() - self._began_s > PATIENCE_S:
            return SILENT
        return Levels()

    @property
    def is_stuck(self) -> bool:
        """Whether a device hangs: sound systems then let no other one be opened either."""
        hung = [ear for ear in self._ears or () if ear.is_hung]
        return any(ear.device.name not in self._hung for ear in hung)

    def work(self) -> None:
        """Find the devices, then open them: at once if they can be, else in turns without end."""
        try:
            found = _first_of_each_name(devices.list_devices())
        except DeviceError as error:
            self._problem = error
            return
        ears = self._ears = [Ear(device, device.name in self._hung) for device in found]
        if len(ears) > MOST_AT_ONCE or not self._open_all(ears):
            self._take_turns(ears)

    def _take_turns(self, ears: list[Ear]) -> NoReturn:
        for ear in ears:
            ear.close()
        while True:
            for ear in ears:
                ear.listen(self._pause)
            self._pause(_REST_S)

    def _open_all(self, ears: list[Ear]) -> bool:
        """Whether all are open at once that can be opened at all."""
        held = [ear for ear in ears if ear.open()]
        failed = [ear for ear in ears if ear not in held]
        if not held or not failed:
            return True
        for ear in held:
            ear.close()
        for ear in failed:
            ear.listen(self._pause)
        if any(ear.problem is None for ear in failed):
            return False
        opened = [ear.open() for ear in held]
        return all(opened)


def _first_of_each_name(found: list[Device]) -> list[Device]:
    """A device is chosen by its name: of several with the same one the first is opened."""
    by_name: dict[str, Device] = {}
    for device in found:
        by_name.setdefault(device.name, device)
    return list(by_name.values())


def main(hung: str = "[]") -> NoReturn:
    """Tell until stdin or stdout is closed, or a device hangs that is not among `hung`."""
    helper.ignore_interrupts()
    threading.Thread(target=_leave_with_stdin, daemon=True).start()
    probe = Probe(json.loads(hung))
    threading.Thread(target=probe.work, daemon=True).start()
    while True:
        is_stuck = probe.is_stuck
        try:
            print(json.dumps(asdict(probe.levels()), allow_nan=False), flush=True)  # noqa: T201
        except OSError:
            os._exit(0)
        if is_stuck:
            os._exit(AGAIN)
        time.sleep(TELL_S)


def _leave_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # PortAudio's own end may hang
