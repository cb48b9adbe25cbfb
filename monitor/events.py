"""What a stream tells its sinks and the screen; frozen, safe to hand between threads."""

from __future__ import annotations

from dataclasses import dataclass

from model.alarms import Alarm
from model.detector import ANOMALOUS, Score
from model.segment import Segment


@dataclass(frozen=True)
class Heard:
    """A segment of a source with its score."""

    source: str
    time: str | None
    """UTC, ISO 8601, of the segment's start; None for what is not live."""
    segment: Segment
    score: Score
    number: int = 0
    """Counts the segments of a stream from 1."""
    alarm: bool = False
    """It raised an alarm: not for what carries on an alarm that was raised before."""

    @property
    def is_anomalous(self) -> bool:
        """Whether the verdict is `anomalous`."""
        return self.score.verdict == ANOMALOUS


@dataclass(frozen=True)
class Gap:
    """Samples that were lost."""

    start_s: float
    lost_s: float
    cause: str
    """`overflow`, `device`, `stall` or `clock`."""


@dataclass(frozen=True)
class StateChange:
    """A live source changed its state."""

    time: str
    state: str


Event = Heard | Gap | StateChange | Alarm
