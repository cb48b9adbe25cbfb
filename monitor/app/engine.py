"""The stream on a thread of its own, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable

from monitor.stream import Stream

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def leave_on_signals(leave: Callable[[], None]) -> None:
    """SIGTERM, and a terminal that is closed, end an app in its own time; called in its loop."""
    for number in _SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(number, leave)


def forget_signals() -> None:
    """The app is leaving."""
    for number in _SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().remove_signal_handler(number)


class Engine:
    """Runs a stream beside the screen; keeps what it raised."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.error: BaseException | None = None
        # A hung sound server must not keep the process from ending: daemon.
        self._thread = threading.Thread(target=self._work, name="offkey-stream", daemon=True)
        self._started = False

    def start(self) -> None:
        """Begin."""
        self._started = True
        self._thread.start()

    def stop(self, limit_s: float) -> bool:
        """Ask the stream to end and wait for it; says whether it did within the limit."""
        self.stream.stop()
        if self._started:
            self._thread.join(limit_s)
        return not self._thread.is_alive()

    @property
    def is_done(self) -> bool:
        """Whether the stream has run and ended."""
        return self._started and not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self.stream.run()
        except BaseException as error:
            # Handed to the screen, and on to its caller.
            self.error = error
