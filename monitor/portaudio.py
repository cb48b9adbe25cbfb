"""PortAudio as the driver of real devices. Its calls can hang: each has a limit.

The callback only copies, stamps and hands over.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import DeviceError
from monitor import clock, devices
from monitor.devices import BLOCK_S, Device, Hear
from monitor.sources import Flag

_OPEN_LIMIT_S = 5.0
_REFRESH_LIMIT_S = 3.0
_LOOK_UP_S = 0.05


class PortAudio:
    """Opens one input at a time."""

    has_ended = False

    def __init__(self) -> None:
        self._calls = LimitedCalls()
        self._stream: Any = None

    @property
    def is_active(self) -> bool:
        """Whether the stream is active; a frozen sound server's still is."""
        return self._stream is not None and self._stream.active

    def find(self, name: str | None) -> Device:
        """The device that a name means, among those known since the last `refresh`."""
        return devices.find_device(name, self.devices())

    def devices(self) -> list[Device]:
        """As `list_devices`. Raises DeviceError.

        The first time PortAudio starts, which a frozen sound server keeps from ending.
        """
        try:
            known: list[Device] = self._calls.run(devices.list_devices, _OPEN_LIMIT_S)
        except TimeoutError as error:
            raise DeviceError(f"The sound system does not answer: {error}.") from error
        return known

    def refresh(self, stop: Flag) -> None:
        """PortAudio freezes its list of devices when it starts: start it anew."""
        sd = devices.load_sounddevice()

        def restart() -> None:
            with contextlib.suppress(sd.PortAudioError):  # where it could not start last time
                sd._terminate()  # noqa: SLF001
            sd._initialize()  # noqa: SLF001

        try:
            self._calls.run(restart, _REFRESH_LIMIT_S, stop)
        except (sd.PortAudioError, TimeoutError) as error:
            raise DeviceError(f"The sound system does not answer: {error}.") from error

    def open(self, device: Device, channels: int, hear: Hear, stop: Flag) -> None:
        """Open an input at its own rate. Raises DeviceError, also where it does not answer."""
        sd = devices.load_sounddevice()

        def callback(data: NDArray[np.float32], _frames: int, _time: Any, status: Any) -> None:
            hear(data.copy(), bool(status.input_overflow), clock.now_s())

        def open_stream() -> Any:
            stream = sd.InputStream(
                device=device.index,
                samplerate=device.rate_hz,
                channels=channels,
                dtype="float32",
                blocksize=round(BLOCK_S * device.rate_hz),
                callback=callback,
            )
            try:
                stream.start()
            except BaseException:
                _end(stream)
                raise
            return stream

        try:
            self._stream = self._calls.run(open_stream, _OPEN_LIMIT_S, stop, undo=_end)
        except (sd.PortAudioError, TimeoutError) as error:
            raise DeviceError(
                f"{device.name!r} cannot be opened: {error}.", "offkey devices lists the choices."
            ) from error

    def close(self, limit_s: float, stop: Flag | None = None) -> None:
        """Close the input; one of a frozen sound server is left behind."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(TimeoutError):
                self._calls.run(lambda: _end(stream), limit_s, stop)
        if self._calls.is_stuck:
            # What sounddevice does at exit would wait for the sound server, maybe for ever.
            sd = devices.load_sounddevice()
            atexit.unregister(sd._exit_handler)  # noqa: SLF001

    def now_s(self) -> float:
        """Seconds on the clock that blocks are stamped with."""
        return clock.now_s()

    def utc(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)

    def wait(self, arrived: threading.Event, limit_s: float) -> None:
        """Wait for the callback."""
        arrived.wait(limit_s)


def _end(stream: Any) -> None:
    stream.abort(ignore_errors=True)
    stream.close(ignore_errors=True)


class LimitedCalls:
    """Calls that may hang, one after the other, each given up after a while.

    While one that was given up still hangs no other is begun, so that however long a sound server
    is frozen a single thread waits for it.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a call that was given up has not returned yet."""
        return self._thread is not None and self._thread.is_alive()

    def run(
        self,
        call: Callable[[], Any],
        limit_s: float,
        stop: Flag | None = None,
        undo: Callable[[Any], None] | None = None,
    ) -> Any:
        """The result of a call. `undo` takes one that comes after it was given up.

        Raises TimeoutError, also when `stop` is set, and whatever the call raises.
        """
        until_s = time.monotonic() + limit_s
        self._join(until_s, stop)
        if self.is_stuck:
            raise TimeoutError("an earlier request still waits for an answer")
        outcome = _Outcome(call, undo)
        self._thread = threading.Thread(target=outcome.work, name="offkey-portaudio", daemon=True)
        self._thread.start()
        self._join(until_s, stop)
        if not outcome.take():
            raise TimeoutError(f"no answer within {limit_s:g} s")
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def _join(self, until_s: float, stop: Flag | None) -> None:
        while self._thread is not None and self.is_stuck:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or (stop is not None and stop.is_set()):
                return
            self._thread.join(min(left_s, _LOOK_UP_S))


class _Outcome:
    """What became of a call: taken by who asked for it, or undone."""

    def __init__(self, call: Callable[[], Any], undo: Callable[[Any], None] | None) -> None:
        self._call, self._undo = call, undo
        self._lock = threading.Lock()
        self._done = self._given_up = False
        self.value: Any = None
        self.error: BaseException | None = None

    def work(self) -> None:
        try:
            self.value = self._call()
        except BaseException as error:
            self.error = error
        with self._lock:
            self._done = True
        if self._given_up and self.error is None and self._undo is not None:
            self._undo(self.value)

    def take(self) -> bool:
        """Whether the call is done; if not, it is given up."""
        with self._lock:
            self._given_up = not self._done
            return self._done
