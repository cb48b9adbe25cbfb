"""The microphone: opened by name, watched, and opened again when it is lost. Imports sounddevice.

PortAudio's callback only copies, stamps and hands over; the stream's own thread does the rest.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.audio import Block, Mixdown
from model.errors import DeviceError, InputError
from monitor import devices
from monitor.sources import IDLE_S, STALL_S, Flag, check_channel

BLOCK_S = 0.02
HAND_OVER_S = 10.0
"""What waits between callback and stream at most; then the oldest is dropped and counted."""
FIRST_BLOCK_S = 5.0
_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_LONGEST_CALL_S = 3.0


@dataclass(frozen=True)
class _Handed:
    frames: NDArray[np.float32]
    start: int
    overflow: bool
    at: float
    """Monotonic time."""


class Microphone:
    """A live input device as a source.

    Places are counted in samples, which a clock cannot do better; only where samples were lost does
    the monotonic clock say how many.
    """

    is_live = True
    length_s = None

    def __init__(self, device: str | None = None, channel: int | None = None) -> None:
        found = devices.find_device(device)
        self.name = found.name
        self.rate_hz = found.rate_hz
        self.state = "opening"
        self.began: datetime | None = None
        self._channel = check_channel(channel, found.channels)
        self._stream: Any = None
        self._mixdown = Mixdown(self._channel)
        self._handed: deque[_Handed] = deque(maxlen=round(HAND_OVER_S / BLOCK_S))
        self._arrived = threading.Event()
        self._counted = 0
        """Samples that the callback has seen since the device was opened."""
        self._origin = 0
        """Index on the time line of the first of them."""
        self._expected = 0
        """Index on the time line of the next sample."""
        self._awaiting_first = True
        self._heard_at = 0.0
        self._cause = "stall"

    @property
    def problem(self) -> str | None:
        """Where the run ends while the device is lost, its input was lost."""
        if self.state in ("stalled", "reconnecting"):
            return f"{self.name!r} was lost and had not come back."
        return None

    def __enter__(self) -> Self:
        self._open(devices.find_device(self.name))
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:  # noqa: ARG002
        """Blocks as they come; empty ones while there is nothing."""
        while not stop.is_set():
            if not self._handed:
                self._arrived.clear()
                if not self._handed:
                    self._arrived.wait(IDLE_S)
            if self._handed:
                yield self._take(self._handed.popleft())
                continue
            yield self._nothing()
            if self._is_lost():
                yield from self._reopen(stop)

    def _take(self, handed: _Handed) -> Block:
        """Place what was handed over on the time line, and see what is missing before it."""
        n, cause = len(handed.frames), "overflow"
        if self._awaiting_first:
            self._awaiting_first = False
            if self.began is None:
                self.began = datetime.now(UTC) - timedelta(seconds=n / self.rate_hz)
            else:
                cause = self._cause
                missed_s = handed.at - self._heard_at - n / self.rate_hz
                self._origin = self._expected + max(0, round(missed_s * self.rate_hz))
            self._first_at = handed.at - n / self.rate_hz
        elif handed.overflow:
            # PortAudio says that something was dropped, but not how much: the clock does.
            by_clock = round((handed.at - self._first_at) * self.rate_hz)
            missing = max(1, by_clock - handed.start - n)
            self._origin += missing
            self._first_at += missing / self.rate_hz
        start = self._origin + handed.start
        lost = max(0, start - self._expected)
        self.state, self._heard_at = "live", handed.at
        self._expected = start + n
        return self._mixdown.push(handed.frames, start, lost, cause if lost else None)

    def _nothing(self) -> Block:
        return Block(np.empty(0, np.float32), self._expected)

    def _is_lost(self) -> bool:
        is_gone = not self._stream.active
        since = self._opened_at if self._awaiting_first else self._heard_at
        limit_s = FIRST_BLOCK_S if self._awaiting_first else STALL_S
        is_lost = is_gone or time.monotonic() - since > limit_s
        if is_lost and not self._awaiting_first:
            # What goes wrong while it is opened again does not change why it was lost.
            self._cause = "device" if is_gone else "stall"
        return is_lost

    def _callback(self, data: NDArray[np.float32], frames: int, _time: Any, status: Any) -> None:
        start, self._counted = self._counted, self._counted + frames
        self._handed.append(
            _Handed(data.copy(), start, bool(status.input_overflow), time.monotonic())
        )
        self._arrived.set()

    def _open(self, device: devices.Device) -> None:
        sd = devices.load_sounddevice()
        # Two channels at most: sound servers offer dozens of copies of the same microphone.
        channels = min(2, device.channels) if self._channel is None else self._channel + 1

        def open_stream() -> Any:
            stream = sd.InputStream(
                device=device.index,
                samplerate=device.rate_hz,
                channels=channels,
                dtype="float32",
                blocksize=round(BLOCK_S * device.rate_hz),
                callback=self._callback,
            )
            stream.start()
            return stream

        self._handed.clear()
        self._mixdown.reset()
        self._expected = round(self._expected * device.rate_hz / self.rate_hz)
        self.rate_hz = device.rate_hz
        self._counted, self._awaiting_first = 0, True
        self._opened_at = time.monotonic()
        try:
            self._stream = _within(FIRST_BLOCK_S, open_stream)
        except (sd.PortAudioError, TimeoutError) as error:
            raise DeviceError(
                f"{device.name!r} cannot be opened: {error}.", "offkey devices lists the choices."
            ) from error

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return

        def close() -> None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

        # With a frozen sound server even abort() hangs: leave it behind after a while.
        with contextlib.suppress(TimeoutError):
            _within(_LONGEST_CALL_S, close)

    def _reopen(self, stop: Flag) -> Iterator[Block]:
        """Try again, by name, with growing pauses, until sound is back or the stream stops."""
        self.state = "stalled"
        yield self._nothing()
        self._close()
        for attempt in range(1 << 30):
            self.state = "reconnecting"
            yield self._nothing()
            if stop.is_set() or self._try_again():
                return
            pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
            until = time.monotonic() + pause_s
            while time.monotonic() < until and not stop.is_set():
                stop.wait(IDLE_S)
                yield self._nothing()

    def _try_again(self) -> bool:
        sd = devices.load_sounddevice()

        def refresh() -> None:
            # PortAudio freezes its list of devices when it starts.
            sd._terminate()  # noqa: SLF001
            sd._initialize()  # noqa: SLF001

        try:
            _within(_LONGEST_CALL_S, refresh)
            self._open(devices.find_device(self.name))
        except (DeviceError, InputError, TimeoutError, sd.PortAudioError):
            return False
        return True


def _within(limit_s: float, call: Callable[[], Any]) -> Any:
    """The result of a call into PortAudio, which can hang. Raises TimeoutError."""
    box: list[Any] = []

    def run() -> None:
        try:
            box.append((True, call()))
        except Exception as error:  # handed to the caller
            box.append((False, error))

    thread = threading.Thread(target=run, name="offkey-portaudio", daemon=True)
    thread.start()
    thread.join(limit_s)
    if not box:
        raise TimeoutError(f"no answer within {limit_s:g} s")
    done, value = box[0]
    if not done:
        raise value
    return value
