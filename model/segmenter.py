"""Blocks in, segments out: where a sound begins and ends.

Event mode is an energy gate with an adaptive noise floor; continuous mode cuts windows every hop.
Both take blocks at the front end's rate, give the same segments however the stream was cut into
blocks, and are aware of gaps. `cut_recording` is what calibration and `score` do with a file.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.audio import NONE, Block, Indices, Recording, Samples, input_state, level_dbfs
from model.errors import InputError


@dataclass(frozen=True)
class Gate:
    """Settings of the energy gate of event mode."""

    frame_s: float = 0.01
    smooth_frames: int = 3
    floor_percentile: float = 15.0
    """The noise floor is this percentile of the smoothed frames of the last `floor_window_s`."""
    floor_window_s: float = 1.5
    lowest_floor_dbfs: float = -90.0
    on_db: float = 10.0
    """Above the floor: a sound begins."""
    off_db: float = 6.0
    """Above the floor: a sound goes on."""
    hang_over_s: float = 0.22
    """Shorter pauses belong to the sound: "six" has one of up to a tenth of a second."""
    pre_roll_s: float = 0.06
    post_roll_s: float = 0.06
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

    def __post_init__(self) -> None:
        if self.mode not in ("event", "continuous"):
            raise InputError(f"There is no mode {self.mode!r}.", "Known: event, continuous.")
        if not 0.01 <= self.hop_s <= self.duration_s:
            raise InputError(
                f"A hop of {self.hop_s:g} s is outside 0.01 s to the duration, "
                f"{self.duration_s:g} s."
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

    @property
    def level_dbfs(self) -> float | None:
        """RMS level; None where all samples are 0."""
        return level_dbfs(self.samples)

    @property
    def snr_db(self) -> float | None:
        """Level over the noise floor; None where either is not known."""
        level = self.level_dbfs
        return None if level is None or self.floor_dbfs is None else level - self.floor_dbfs


class Segmenter(Protocol):
    """What both modes offer."""

    @property
    def floor_dbfs(self) -> float | None:
        """The noise floor, None while warming up or where there is none."""

    @property
    def is_open(self) -> bool:
        """Whether a segment is under way."""

    def push(self, block: Block) -> Iterator[Segment]:
        """Take one block; give the segments that it completes."""

    def flush(self) -> Iterator[Segment]:
        """The stream has ended: give what is still open."""

    def reset(self) -> None:
        """Forget everything."""


def make_segmenter(segmentation: Segmentation, rate_hz: int) -> Segmenter:
    """The segmenter for a model's settings, taking blocks at `rate_hz`."""
    if segmentation.mode == "continuous":
        return WindowSegmenter(segmentation, rate_hz)
    return EventSegmenter(segmentation, rate_hz)


def cut_recording(recording: Recording, segmentation: Segmentation) -> list[Segment]:
    """A whole file as segments: one in event mode, cut at the duration; else a window every hop."""
    if segmentation.mode == "continuous" and recording.state != "too short":
        segmenter = WindowSegmenter(segmentation, recording.rate_hz)
        block = Block(
            recording.samples,
            0,
            overloads=recording.overloads,
            not_finite=recording.not_finite,
        )
        return [*segmenter.push(block), *segmenter.flush()]
    longest = round(segmentation.duration_s * recording.rate_hz)
    stretch = _Stretch(recording.samples, 0, recording.overloads, recording.not_finite)
    frame = round(segmentation.gate.frame_s * recording.rate_hz)
    whole = stretch.cut(0, min(longest, len(recording.samples)), shortest=frame)
    duration_s = min(recording.duration_s, segmentation.duration_s)
    floor = noise_floor_dbfs(recording.samples, recording.rate_hz, segmentation.gate)
    # The recording's own state was read before resampling, which lets a constant ring at its ends.
    plain = whole.reason in ("not finite", "too short")
    reason = whole.reason if plain else recording.state or whole.reason
    return [Segment(whole.samples, 0.0, duration_s, False, floor, whole.clipped, reason)]


def noise_floor_dbfs(samples: Samples, rate_hz: int, gate: Gate) -> float | None:
    """The background of a whole recording: the gate's percentile over all its frames."""
    size = round(gate.frame_s * rate_hz)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    if not len(frames):
        return None
    smooth = np.ones(min(gate.smooth_frames, len(frames)))
    energy = np.square(frames - frames.mean()).mean(axis=1)
    energy = np.convolve(energy, smooth / len(smooth), "valid")
    return _dbfs(_percentile(energy, gate.floor_percentile), gate.lowest_floor_dbfs)


@dataclass
class _Stretch:
    """Consecutive samples kept until they are no longer needed, with what is known of them."""

    samples: Samples
    start: int
    overloads: Indices = field(default_factory=NONE.copy)
    not_finite: Indices = field(default_factory=NONE.copy)

    @property
    def end(self) -> int:
        return self.start + len(self.samples)

    def append(self, block: Block) -> None:
        self.samples = np.concatenate([self.samples, block.samples])
        self.overloads = np.concatenate([self.overloads, block.overloads])
        self.not_finite = np.concatenate([self.not_finite, block.not_finite])

    def drop_before(self, index: int) -> None:
        keep = max(0, index - self.start)
        self.samples = self.samples[keep:]
        self.start += keep
        self.overloads = self.overloads[self.overloads >= self.start]
        self.not_finite = self.not_finite[self.not_finite >= self.start]

    def cut(self, start: int, end: int, shortest: int = 1) -> _Cut:
        samples = self.samples[start - self.start : end - self.start]
        clipped = bool(((self.overloads >= start) & (self.overloads < end)).any())
        if ((self.not_finite >= start) & (self.not_finite < end)).any():
            return _Cut(samples, clipped, "not finite")
        reason = "too short" if end - start < shortest else input_state(samples)
        return _Cut(samples, clipped, reason)


@dataclass(frozen=True)
class _Cut:
    samples: Samples
    clipped: bool
    reason: str | None


class WindowSegmenter:
    """Continuous mode: windows of the duration every hop, begun anew after lost samples."""

    def __init__(self, segmentation: Segmentation, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._size = round(segmentation.duration_s * rate_hz)
        self._hop = round(segmentation.hop_s * rate_hz)
        self._gate = segmentation.gate
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._heard: _Stretch | None = None
        self._covered = 0

    @property
    def floor_dbfs(self) -> float | None:
        """A steady sound is its own background: there is no floor."""
        return None

    @property
    def is_open(self) -> bool:
        """A window is always under way."""
        return self._heard is not None

    def push(self, block: Block) -> Iterator[Segment]:
        """Take one block; give the windows that it completes."""
        if self._heard is None or block.lost:
            yield from self._rest("gap")
            self._heard = _Stretch(np.empty(0, np.float32), block.start)
            self._covered = block.start
        self._heard.append(block)
        while self._heard.end - self._heard.start >= self._size:
            start = self._heard.start
            yield self._segment(self._heard.cut(start, start + self._size), start)
            self._covered = start + self._size
            self._heard.drop_before(start + self._hop)

    def flush(self) -> Iterator[Segment]:
        """What no window has covered is too short for one."""
        yield from self._rest("too short")
        self.reset()

    def _rest(self, reason: str) -> Iterator[Segment]:
        heard = self._heard
        if heard is not None and heard.end > self._covered:
            cut = heard.cut(self._covered, heard.end)
            yield self._segment(_Cut(cut.samples, cut.clipped, reason), self._covered)

    def _segment(self, cut: _Cut, start: int) -> Segment:
        floor = noise_floor_dbfs(cut.samples, self._rate_hz, self._gate)
        duration_s = len(cut.samples) / self._rate_hz
        start_s = start / self._rate_hz
        return Segment(cut.samples, start_s, duration_s, False, floor, cut.clipped, cut.reason)


class EventSegmenter:
    """Event mode: an energy gate with an adaptive noise floor and hysteresis.

    Works in steps of a few frames counted from the first sample, so that every number depends on
    the stream alone and not on how it was cut into blocks. The first `floor_window_s` is heard
    before anything is decided: a stream may begin in the middle of a sound.
    """

    _step_frames = 5

    def __init__(self, segmentation: Segmentation, rate_hz: int) -> None:
        gate = self._gate = segmentation.gate
        self._rate_hz = rate_hz
        self._longest = round(segmentation.duration_s * rate_hz)
        self._shortest = round(gate.shortest_s * rate_hz)
        self._frame = round(gate.frame_s * rate_hz)
        self._window = round(gate.floor_window_s / gate.frame_s)
        self._hang_over = round(gate.hang_over_s / gate.frame_s)
        self._pre_roll = round(gate.pre_roll_s * rate_hz)
        self._post_roll = round(gate.post_roll_s * rate_hz)
        self._on = 10 ** (gate.on_db / 10)
        self._off = 10 ** (gate.off_db / 10)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._floor: float | None = None
        self._means: deque[float] = deque(maxlen=self._window)
        self._powers: deque[float] = deque(maxlen=self._window)
        self._warm = False
        self._begin(0)

    def _begin(self, start: int) -> None:
        """Start a run of consecutive samples at an absolute index."""
        self._heard = _Stretch(np.empty(0, np.float32), start)
        self._measured = start
        self._decided = start
        self._pending: deque[tuple[float, float]] = deque()
        self._opened: int | None = None
        self._continues = False
        self._active_end = start
        self._taken = start
        self._smooth: deque[float] = deque(maxlen=self._gate.smooth_frames)

    @property
    def floor_dbfs(self) -> float | None:
        """The noise floor; None while warming up."""
        if self._floor is None:
            return None
        return _dbfs(self._floor, self._gate.lowest_floor_dbfs)

    @property
    def is_open(self) -> bool:
        """Whether the gate is open."""
        return self._opened is not None

    def push(self, block: Block) -> Iterator[Segment]:
        """Take one block; give the segments that it completes."""
        if block.lost:
            yield from self._break(block.start)
        elif not len(self._heard.samples) and self._measured == self._heard.start:
            self._begin(block.start)
        self._heard.append(block)
        self._measure(self._step_frames)
        if not self._warm and len(self._pending) < self._window:
            return
        yield from self._decide(self._step_frames)

    def flush(self) -> Iterator[Segment]:
        """The stream has ended: decide on what is left and give what is still open."""
        self._measure(1)
        yield from self._decide(1)
        if self._opened is not None:
            yield self._cut(min(self._active_end + self._post_roll, self._heard.end))
        self.reset()

    def _break(self, start: int) -> Iterator[Segment]:
        """Samples were lost: what is open spans them and cannot be judged."""
        self._measure(1)
        yield from self._decide(1)
        if self._opened is not None:
            yield self._cut(self._heard.end, "gap")
        self._begin(start)

    def _measure(self, step: int) -> None:
        """Mean and power of all whole steps that have been heard."""
        size = step * self._frame
        while self._heard.end - self._measured >= size:
            at = self._measured - self._heard.start
            frames = self._heard.samples[at : at + size].reshape(step, self._frame)
            wide = frames.astype(np.float64)
            self._pending.extend(
                zip(wide.mean(axis=1).tolist(), np.square(wide).mean(axis=1).tolist(), strict=True)
            )
            self._measured += size

    def _decide(self, step: int) -> Iterator[Segment]:
        """Run the gate over the measured frames, a step at a time."""
        if not self._warm:
            # The first decision looks at all that has been heard, later ones only back.
            warm_up = list(self._pending)[: self._window]
            self._learn(warm_up)
            ahead = len(warm_up)
            self._warm = bool(warm_up)
        else:
            ahead = 0
        while len(self._pending) >= step:
            frames = [self._pending.popleft() for _ in range(step)]
            if ahead <= 0:
                self._learn(frames)
            ahead -= step
            yield from self._gate_frames(frames)
        self._forget()

    def _learn(self, frames: list[tuple[float, float]]) -> None:
        """Update offset and noise floor with new frames of mean and power."""
        self._means.extend(mean for mean, _ in frames)
        self._powers.extend(power for _, power in frames)
        if not self._means:
            return
        means = np.array(self._means)
        self._offset = float(means.mean())
        energy = np.array(self._powers) - self._offset * (2 * means - self._offset)
        width = min(self._gate.smooth_frames, len(energy))
        energy = np.convolve(energy, np.full(width, 1 / width), "valid")
        lowest = 10 ** (self._gate.lowest_floor_dbfs / 10)
        self._floor = max(_percentile(energy, self._gate.floor_percentile), lowest)

    def _gate_frames(self, frames: list[tuple[float, float]]) -> Iterator[Segment]:
        assert self._floor is not None
        for mean, power in frames:
            self._smooth.append(power - self._offset * (2 * mean - self._offset))
            energy = sum(self._smooth) / len(self._smooth)
            start, self._decided = self._decided, self._decided + self._frame
            if self._opened is None:
                if energy > self._on * self._floor:
                    self._opened = max(self._taken, start - self._pre_roll)
                    self._active_end = self._decided
                    self._open_floor = self.floor_dbfs
            else:
                yield from self._while_open(energy > self._off * self._floor)

    def _while_open(self, active: bool) -> Iterator[Segment]:
        assert self._opened is not None
        if active:
            self._active_end = self._decided
            if self._decided > self._opened + self._longest:
                end = self._opened + self._longest
                yield self._cut(end)
                self._opened, self._continues = end, True
        elif self._decided - self._active_end >= self._hang_over * self._frame:
            yield self._cut(self._active_end + self._post_roll)

    def _cut(self, end: int, reason: str | None = None) -> Segment:
        """Close the open segment at `end`, or at its longest."""
        assert self._opened is not None
        start, end = self._opened, min(end, self._opened + self._longest)
        cut = self._heard.cut(start, end, self._shortest)
        segment = Segment(
            cut.samples,
            start / self._rate_hz,
            (end - start) / self._rate_hz,
            self._continues,
            self._open_floor,
            cut.clipped,
            reason or cut.reason,
        )
        self._opened, self._continues, self._taken = None, False, end
        return segment

    def _forget(self) -> None:
        """Drop samples that no segment can need any more."""
        needed = self._decided - self._pre_roll if self._opened is None else self._opened
        self._heard.drop_before(min(needed, self._measured))


def _percentile(energy: NDArray[np.float64], percentile: float) -> float:
    k = int(len(energy) * percentile / 100)
    return float(np.partition(energy, k)[k])


def _dbfs(power: float, lowest_dbfs: float) -> float:
    return max(lowest_dbfs, 10 * math.log10(power)) if power > 0 else lowest_dbfs
