"""A stream as of one moment, for the screen and the summary; and what watches over its input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from model.audio import Block, Samples, input_state
from monitor.ledger import Account

DEAD_S = 2.0
"""So long a live input must be digital zero, or silent, to be in that state."""


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
    not_finite_s: float = 0.0
    """So much of what was heard were no numbers, in segments or between them."""
    finished: bool = False
    problem: str | None = None
    """One sentence where something went wrong."""


class InputWatch:
    """Sees what an input has been for some time: dead, broken, or off its zero line."""

    def __init__(self, rate_hz: int) -> None:
        self._size = round(DEAD_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Samples were lost: what came before tells nothing."""
        self.state: str | None = None
        """`digital zero`, `silent`, `not finite` or None."""
        self.offset: float | None = None
        """Mean of the last two seconds, full scale 1."""
        self._sum, self._summed = 0.0, 0
        self._begin()

    def _begin(self) -> None:
        self._low, self._high, self._n, self._so_far = math.inf, -math.inf, 0, ""

    def push(self, block: Block) -> None:
        """Look at what came next."""
        samples = block.samples
        self._average(samples)
        self._low = min(self._low, float(samples.min()))
        self._high = max(self._high, float(samples.max()))
        state = input_state(np.array([self._low, self._high], np.float32))
        if 2 * len(block.not_finite) > len(samples):
            state = "not finite"
        if state is None or state != (self._so_far or state):
            self._begin()
            self.state = None
            return
        self._so_far, self._n = state, self._n + len(samples)
        if self._n >= self._size:
            self.state = state

    def _average(self, samples: Samples) -> None:
        self._sum += float(samples.sum(dtype=np.float64))
        self._summed += len(samples)
        if self._summed >= self._size:
            self.offset = self._sum / self._summed
            self._sum, self._summed = 0.0, 0
