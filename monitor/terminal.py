"""What a process owes its terminal: to end on signals when all is flushed, to keep stderr clean."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from monitor.stream import Stream


@contextlib.contextmanager
def stop_on_signals(stream: Stream) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the stream in its own time; a second one ends it at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        stream.stop()
        signal.signal(number, before[number])

    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextlib.contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """SIGTERM arrives as KeyboardInterrupt, so that both end in the same way."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
