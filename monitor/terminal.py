"""What a process owes its terminal: to end on signals when all is flushed, to keep stderr clean."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


@contextlib.contextmanager
def stop_on_signals(ask_to_stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the work to end in its own time; a second one ends it at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        ask_to_stop()
        signal.signal(number, before[number])

    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
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
