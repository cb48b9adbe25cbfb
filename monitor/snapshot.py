"""A stream as of one moment, for the screen and the summary; and what tells a dead input."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model.audio import Samples, input_state
from monitor.events import Heard
from monitor.ledger import Account

DEAD_S = 2.0
"""So long a live input must be digital zero, or silent, to be in that state."""

RECENT = 500
"""So many segments the screen looks back on."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that the screen shows, as of one moment."""

    source: str = ""
    state: str = "opening"
    """`opening`, `warming up`, `live`, `digital zero`, `silent`, `playing`, `paused`, `stalled`,
    `reconnecting`, `ended`."""
    detail: str = ""
    """A few words more about the state, as of an attempt to open the device again."""
    rate_hz: int = 0
    position_s: float = 0.0
    """How far the source has been heard."""
    length_s: float | None = None
    """Length of a file; None for a live source."""
    level_dbfs: float | None = None
    """RMS of the last block; None for digital zero."""
    floor_dbfs: float | None = None
    gate_open: bool = False
    input_state: str | None = None
    """`digital zero`, `silent` or None, of the last block."""
    segments: int = 0
    not_scored: int = 0
    alarms: int = 0
    account: Account = field(default_factory=Account)
    """What became of all that was heard, of all sources so far."""
    recent: tuple[Heard, ...] = ()
    """The newest segments, oldest first."""
    finished: bool = False
    problem: str | None = None
    """One sentence where something went wrong."""


class DeadInput:
    """Sees an input that has been digital zero, or silent, for some time: a cable that is out."""

    def __init__(self, rate_hz: int) -> None:
        self._size = round(DEAD_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Samples were lost: what came before tells nothing."""
        self._low, self._high, self._n = 0.0, 0.0, 0
        self.state: str | None = None
        """`digital zero`, `silent` or None."""

    def push(self, samples: Samples) -> None:
        """Look at what came next."""
        low, high = float(samples.min()), float(samples.max())
        if self._n:
            low, high = min(low, self._low), max(high, self._high)
        state = input_state(np.array([low, high], np.float32))
        if state is None or (state != self.state and self.state is not None):
            self.reset()
            return
        self._low, self._high, self._n = low, high, self._n + len(samples)
        if self._n >= self._size:
            self.state = state
