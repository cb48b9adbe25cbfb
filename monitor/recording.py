"""Takes of a reference set: each sound, or piece of a steady one, judged and kept as it came.

It rides as a sink on the same stream that monitors, so that takes are cut as a monitor will cut.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import cast

from model.audio import Block, Samples
from model.detector import NOT_SCORED, Detector, Score
from model.features import FrontEnd, Spectrum
from model.segment import Segment, Segmentation
from monitor.sinks import Sink
from monitor.snapshot import Snapshot
from monitor.sources import Source
from monitor.stream import Stream
from monitor.takes import TakeFolder

LEAST_SNR_DB = 15.0
"""Below this a take holds too much background: its score is more about that than the sound."""
GOOD_SNR_DB = 20.0
LOUD_FLOOR_DBFS = -35.0
"""From here on no sound stands out well without clipping."""
_CLIPPING_SHOWN_S = 3.0
_ROWS = 200


@dataclass(frozen=True)
class Take:
    """A sound that was heard, and what became of it."""

    number: int
    """Counts all takes of a session, kept or not, from 1."""
    time: str | None
    """UTC, ISO 8601, of its start, where that is known."""
    start_s: float
    duration_s: float
    level_dbfs: float | None
    snr_db: float | None
    """Level over the background; None for a piece of a steady sound."""
    reason: str | None = None
    """Why it was not kept: `clipped`, `too quiet`, `too short`, `too long`, `cut off`, `gap`,
    `silent`, `digital zero`, `not finite`; `thrown away` by the person; None for a good one."""
    path: Path | None = None
    """Its file, where there is one."""


Tell = Callable[[Take], None]


def nobody(_: Take) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Plan:
    """What is to be recorded."""

    segmentation: Segmentation
    goal: int
    """So many good takes."""
    stop_at_goal: bool = False
    """Take no more than that."""

    @property
    def is_pieces(self) -> bool:
        """Pieces of a steady sound instead of sounds."""
        return self.segmentation.mode == "continuous"


class Recording(Sink):
    """Judges takes, keeps the good ones and remembers what became of them.

    Filled by the stream's thread; `throw_away` and everything to be read are for any thread.
    """

    def __init__(
        self,
        folder: TakeFolder,
        plan: Plan,
        tell: Tell = nobody,
    ) -> None:
        """`tell` is called for every take, on the stream's thread."""
        self.folder = folder
        self.plan = plan
        self._tell = tell
        self._lock = threading.Lock()
        self._takes: deque[Take] = deque(maxlen=_ROWS)
        self._good: list[Take] = []
        self._not_kept: Counter[str] = Counter()
        self._number = 0
        self._position_s = 0.0
        self._clipped_s = -math.inf

    @property
    def kept(self) -> int:
        """How many good takes there are."""
        return len(self._good)

    @property
    def is_full(self) -> bool:
        """Whether no more are wanted."""
        return self.plan.stop_at_goal and self.kept >= self.plan.goal

    @property
    def not_kept(self) -> Counter[str]:
        """Takes by the reason for which they were not kept."""
        with self._lock:
            return self._not_kept.copy()

    @property
    def takes(self) -> list[Take]:
        """The newest takes, oldest first."""
        with self._lock:
            return list(self._takes)

    @property
    def last(self) -> Take | None:
        """The newest take that is kept."""
        with self._lock:
            return self._good[-1] if self._good else None

    def throw_away(self) -> Take | None:
        """Remove the newest take that is kept; None where there is none. Raises OffkeyError."""
        with self._lock:
            if not self._good:
                return None
            take = self._good[-1]
            assert take.path is not None
            self.folder.remove(take.path)
            gone = replace(take, reason="thrown away", path=None)
            self._good.pop()
            self._not_kept["thrown away"] += 1
            self._takes = deque(
                (gone if row.number == gone.number else row for row in self._takes), _ROWS
            )
        return gone

    def hear(self, block: Block, rate_hz: int) -> None:
        """See how far it is, and whether it clips."""
        self._position_s = block.end / rate_hz
        if len(block.overloads):
            self._clipped_s = self._position_s

    def warning(self, now: Snapshot) -> str | None:
        """What spoils takes just now: `clipping`, `loud background`, `faint`, or None."""
        if self._position_s - self._clipped_s < _CLIPPING_SHOWN_S:
            return "clipping"
        if now.floor_dbfs is not None and now.floor_dbfs > LOUD_FLOOR_DBFS:
            return "loud background"
        recent = [t.snr_db for t in self.takes if t.reason in (None, "too quiet")][-3:]
        known = [snr_db for snr_db in recent if snr_db is not None]
        return "faint" if known and median(known) < GOOD_SNR_DB else None

    def _judged(self, take: Take, samples: Samples | None, rate_hz: int) -> None:
        """Keep a take, or count why not."""
        if self.is_full:
            return
        self._number += 1
        take = replace(take, number=self._number)
        if take.reason is None and samples is not None:
            take = replace(take, path=self.folder.add(samples, rate_hz))
        with self._lock:
            self._takes.append(take)
            if take.path is not None:
                self._good.append(take)
            else:
                self._not_kept[take.reason or ""] += 1
        self._tell(take)


@dataclass(frozen=True)
class _Ears:
    """What a stream needs of a detector where nothing is scored."""

    segmentation: Segmentation
    front_end: FrontEnd

    def score(self, segment: Segment) -> Score:
        """No score."""
        return Score(NOT_SCORED, segment.reason or "recorded")


def recording_stream(source: Source, recording: Recording, *sinks: Sink) -> Stream:
    """The stream that monitors, with a recording in place of a detector."""
    segmentation = recording.plan.segmentation
    ears = _Ears(segmentation, Spectrum(segmentation.duration_s))
    return Stream(cast(Detector, ears), [source], [recording, *sinks])
