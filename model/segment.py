"""Segment: the stretch of audio that is scored as one, and the settings by which it is cut."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model.alarms import AlarmRule
from model.audio import NONE, Block, Indices, Samples, input_state, level_dbfs
from model.errors import InputError


@dataclass(frozen=True)
class Gate:
    """Settings of the energy gate of event mode."""

    frame_s: float = 0.01
    smooth_frames: int = 3
    floor_percentile: float = 15.0
    """The noise floor is this percentile of the smoothed frames of the last `floor_window_s`."""
    recording_percentile: float = 5.0
    """The same for a whole recording, of which most is sound."""
    floor_window_s: float = 1.5
    hold_floor_s: float = 5.0
    """While a sound lasts the floor stands still, for so long; then the sound is background."""
    lowest_floor_dbfs: float = -90.0
    on_db: float = 10.0
    """Above the floor: a sound begins."""
    off_db: float = 6.0
    """Above the floor: a sound goes on."""
    hang_over_s: float = 0.22
    """Shorter pauses belong to the sound: "six" has one of up to a tenth of a second."""
    pre_roll_s: float = 0.06
    post_roll_s: float = 0.06
    tail_s: float = 0.2
    """What goes on beyond the maximum for no longer than this is cut off, not a further segment."""
    shortest_s: float = 0.1
    """Anything shorter is not scored: `too short`."""


@dataclass(frozen=True)
class Segmentation:
    """How a model cuts what it hears; stored in it."""

    mode: str = "event"
    """`event` or `continuous`."""
    duration_s: float = 1.0
    """Event mode: the longest segment. Continuous mode: the length of every window."""
    hop_s: float = 0.5
    """Continuous mode: distance between the starts of two windows."""
    gate: Gate = field(default_factory=Gate)
    alarm: AlarmRule = field(default_factory=AlarmRule)
    """Continuous mode: how many anomalous windows make an alarm."""

    def __post_init__(self) -> None:
        if self.mode not in ("event", "continuous"):
            raise InputError(f"There is no mode {self.mode!r}.", "Known: event, continuous.")
        if not 0.05 <= self.duration_s <= 10:
            raise InputError(f"A duration of {self.duration_s:g} s is outside 0.05 to 10 seconds.")
        shortest_s = self.duration_s / 20
        if not shortest_s <= self.hop_s <= self.duration_s:
            raise InputError(
                f"A hop of {self.hop_s:g} s is outside {shortest_s:g} to {self.duration_s:g} s, "
                "a twentieth of the duration to all of it."
            )


@dataclass(frozen=True)
class Segment:
    """The stretch of audio that is scored as one."""

    samples: Samples
    """Mono, shape `(n,)`, at the front end's rate; as heard, a constant offset included."""
    start_s: float
    """On the source's time line, pre-roll included."""
    duration_s: float
    continues: bool = False
    """It carries on the segment before it, which had reached the maximum."""
    floor_dbfs: float | None = None
    """Level of the background."""
    clipped: bool = False
    reason: str | None = None
    """Why it cannot be scored, or None."""
    level_dbfs: float | None = None
    """RMS level; None where all samples are 0. Measured where it is not given."""

    def __post_init__(self) -> None:
        if self.level_dbfs is None:
            object.__setattr__(self, "level_dbfs", level_dbfs(self.samples))

    @property
    def snr_db(self) -> float | None:
        """Level over the noise floor; None where either is not known."""
        level = self.level_dbfs
        return None if level is None or self.floor_dbfs is None else level - self.floor_dbfs


@dataclass
class Stretch:
    """Consecutive samples kept until they are no longer needed, with what is known of them."""

    samples: Samples
    start: int
    overloads: Indices = field(default_factory=NONE.copy)
    not_finite: Indices = field(default_factory=NONE.copy)

    @property
    def end(self) -> int:
        """Absolute index after the last sample."""
        return self.start + len(self.samples)

    def append(self, block: Block) -> None:
        """Add what comes next."""
        self.samples = np.concatenate([self.samples, block.samples])
        self.overloads = np.concatenate([self.overloads, block.overloads])
        self.not_finite = np.concatenate([self.not_finite, block.not_finite])

    def drop_before(self, index: int) -> None:
        """Forget everything before an absolute index."""
        keep = max(0, index - self.start)
        self.samples = self.samples[keep:]
        self.start += keep
        self.overloads = self.overloads[self.overloads >= self.start]
        self.not_finite = self.not_finite[self.not_finite >= self.start]

    def cut(self, start: int, end: int, shortest: int = 1) -> Cut:
        """Take the samples between two absolute indices, and whether they can be scored."""
        samples = self.samples[start - self.start : end - self.start]
        clipped = bool(((self.overloads >= start) & (self.overloads < end)).any())
        if ((self.not_finite >= start) & (self.not_finite < end)).any():
            return Cut(samples, clipped, "not finite")
        reason = "too short" if end - start < shortest else input_state(samples)
        return Cut(samples, clipped, reason)


@dataclass(frozen=True)
class Cut:
    """Samples between two places."""

    samples: Samples
    clipped: bool
    reason: str | None
