"""Blocks of mono sound, how frames of several channels become them, and how loud they are.

What a sample is that was clipped or is no number is decided here, once for files and live sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Indices = NDArray[np.int64]

FULL_SCALE = 0.99
SILENT_PEAK = 10 ** (-90 / 20)
_BEYOND_SOUND = 1e15  # times full scale: a broken file, and its squares overflow
OFFSET = 0.003
"""A constant offset of this part of full scale begins to change the scores of normal sounds."""
NONE: Indices = np.empty(0, np.int64)


@dataclass(frozen=True)
class Block:
    """What a source delivers at once."""

    samples: Samples
    """Mono, shape `(n,)`, full scale is 1; always finite."""
    start: int
    """Absolute index of the first sample on the source's time line, lost samples included."""
    lost: int = 0
    """Samples lost just before `start`."""
    cause: str | None = None
    """Why they were lost: `overflow`, `device`, `stall` or `clock`; None where nothing was."""
    overloads: Indices = field(default_factory=NONE.copy)
    """Absolute indices of clipped samples."""
    not_finite: Indices = field(default_factory=NONE.copy)
    """Absolute indices of samples that were NaN, infinite or absurdly large and are 0 here."""

    @property
    def end(self) -> int:
        """Absolute index after the last sample."""
        return self.start + len(self.samples)


class Mixdown:
    """Frames of any number of channels to mono; remembers one frame, to see clipping across blocks.

    A sample counts as clipped when some channel is beyond full scale, or stays at full scale
    (from 0.99: 8-bit audio ends at 0.992) with exactly the value of the sample before.
    """

    def __init__(self, channel: int | None = None) -> None:
        self.channel = channel
        self._last: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget the last frame, as after a loss."""
        self._last = None

    def push(
        self, frames: NDArray[np.float32], start: int, lost: int = 0, cause: str | None = None
    ) -> Block:
        """Mix `frames`, shape `(n, channels)`, that begin at absolute index `start`."""
        if self.channel is not None:
            frames = frames[:, self.channel : self.channel + 1]
        if lost:
            self.reset()
        not_finite = overloads = NONE
        peak = max(frames.max(), -frames.min()) if len(frames) else 0.0
        if not peak < FULL_SCALE:  # so too for NaN
            finite = np.abs(frames) < _BEYOND_SOUND
            if not finite.all():
                not_finite = start + np.flatnonzero(~finite.all(axis=1))
                frames = np.where(finite, frames, np.float32(0))
            overloads = start + self._clipped(frames)
        if len(frames):
            self._last = frames[-1].copy()
        mono = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)
        return Block(np.ascontiguousarray(mono), start, lost, cause, overloads, not_finite)

    def _clipped(self, frames: NDArray[np.float32]) -> Indices:
        before = np.zeros_like(frames)
        before[1:] = frames[:-1]
        if self._last is not None:
            before[0] = self._last
        size = np.abs(frames)
        held = (size >= FULL_SCALE) & (frames == before)
        return np.flatnonzero((held | (size > 1)).any(axis=1))


def level_dbfs(samples: Samples) -> float | None:
    """RMS level; a full-scale sine is −3.01 dBFS. None where there is nothing to measure."""
    if not len(samples):
        return None
    wide = samples.astype(np.float64)
    power = float(np.add.reduce(np.square(wide, out=wide))) / len(wide)
    return 10 * math.log10(power) if power > 0 else None


def input_state(samples: Samples) -> str | None:
    """`digital zero` where all samples are equal, `silent` below a peak of −90 dBFS, else None.

    Equal to within single precision of the resampler, which lets a constant ripple by that much.
    """
    if not len(samples):
        return "too short"
    low, high = float(samples.min()), float(samples.max())
    peak = max(-low, high)
    if high - low <= 1e-6 * peak:
        return "digital zero"
    return "silent" if peak < SILENT_PEAK else None
