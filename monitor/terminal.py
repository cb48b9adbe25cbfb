"""What a process owes its terminal: to end on signals when all is flushed, to keep stderr clean."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Stop:
    """An event that a signal handler may set: `threading.Event` can lock up there.

    The handler interrupts the very thread that waits; a SimpleQueue is made for that.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Set it, for good."""
        self._is_set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most; says whether it is."""
        if not self._is_set and timeout > 0:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=timeout)
                self._wake.put(None)
        return self._is_set


@contextlib.contextmanager
def stop_on_signals(ask_to_stop: Callable[[], None]) -> Iterator[list[int]]:
    """Ctrl-C, SIGTERM and SIGHUP ask the work to end in its own time; a second ends it at once.

    Gives a list of those that came.
    """
    came: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        ask_to_stop()
        signal.signal(number, before[number])

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield came
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what sound libraries print on descriptor 2 from it; Python's own stderr goes on."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    stderr = sys.stderr
    sys.stderr = os.fdopen(kept, "w", buffering=1, errors=stderr.errors)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        sys.stderr.close()
        sys.stderr = stderr
