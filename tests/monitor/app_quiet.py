"""An app over a stream that runs but brings nothing, and waiting for what it comes to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from model.audio import Block
from monitor.snapshot import Snapshot
from monitor.sources import Flag


class Quiet:
    """A source that brings nothing until the stream is stopped."""

    began: datetime | None = None
    problem: str | None = None
    length_s: float | None = None
    rate_hz = 8000
    name, state, detail = "quiet", "live", ""

    def __init__(self, *, is_live: bool = False) -> None:
        self.is_live = is_live

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to close."""

    @property
    def now(self) -> datetime:
        """UTC time of day."""
        return datetime.now(UTC)

    def blocks(self, stop: Flag, _paused: Flag) -> Iterator[Block]:
        """Nothing."""
        while not stop.is_set():
            stop.wait(0.01)
            yield Block(np.empty(0, np.float32), 0)


async def until(pilot: Pilot[Snapshot], holds: Callable[[], bool]) -> None:
    """Wait until something holds, half a minute at most."""
    for _ in range(1500):
        await pilot.pause(0.02)
        if holds():
            return
    raise AssertionError("waited in vain")


def help_text(screen: Screen[Any]) -> str:
    """All that the help says."""
    return "".join(str(part.content) for part in screen.query("#help Static").results(Static))
