"""Event mode: an energy gate with an adaptive noise floor and hysteresis finds the sounds.

Longer than most files: every rule by which a sound begins and ends reads the same few variables.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.audio import Block, Samples
from model.segment import Gate, Segment, Segmentation, Stretch


class EventSegmenter:
    """Event mode: an energy gate with an adaptive noise floor and hysteresis.

    Works in steps of a few frames counted from the first sample, so that every number depends on
    the stream alone and not on how it was cut into blocks. The first `floor_window_s` is heard
    before anything is decided: a stream may begin in the middle of a sound.
    """

    _step_frames = 2

    def __init__(self, segmentation: Segmentation, rate_hz: int) -> None:
        gate = self._gate = segmentation.gate
        self._rate_hz = rate_hz
        self._tail = round(gate.tail_s * rate_hz)
        self._longest = round(segmentation.duration_s * rate_hz)
        self._shortest = round(gate.shortest_s * rate_hz)
        self._frame = round(gate.frame_s * rate_hz)
        self._window = round(gate.floor_window_s / gate.frame_s)
        self._hold = round(gate.hold_floor_s * rate_hz)
        self._hang_over = round(gate.hang_over_s / gate.frame_s)
        self._pre_roll = round(gate.pre_roll_s * rate_hz)
        self._post_roll = round(gate.post_roll_s * rate_hz)
        self._on = 10 ** (gate.on_db / 10)
        self._off = 10 ** (gate.off_db / 10)
        self._lowest = 10 ** (gate.lowest_floor_dbfs / 10)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._floor: float | None = None
        self._on_power = 0.0
        self._recent: deque[float] = deque()
        self._ordered: list[float] = []
        self._warm = False
        self._fresh = True
        self._begin(0)

    def _begin(self, start: int, inside_sound: bool = False, after_loss: bool = False) -> None:
        """Start a run of consecutive samples at an absolute index."""
        # A sound goes on over a pause as long as the hang-over; one that was not under way before
        # the loss may have begun in it where there is no room for its pre-roll.
        reach = self._hang_over * self._frame if inside_sound else self._pre_roll
        self._spans_loss_until = start + reach if after_loss else start - 1
        self._reason: str | None = None
        self._heard = Stretch(np.empty(0, np.float32), start)
        self._measured = start
        self._decided = start
        self._pending: deque[float] = deque()
        self._broken: deque[int] = deque()
        self._broken_since: int | None = None
        self._last_frames = np.empty((2, 0))
        self._opened: int | None = None
        self._continues = False
        self._onset = self._active_end = start
        self._taken = start

    @property
    def floor_dbfs(self) -> float | None:
        """The noise floor; None while warming up."""
        if self._floor is None:
            return None
        return power_dbfs(self._floor, self._gate.lowest_floor_dbfs)

    @property
    def is_open(self) -> bool:
        """Whether the gate is open."""
        return self._opened is not None

    def push(self, block: Block) -> Iterator[Segment]:
        """Take one block; give the segments that it completes."""
        if block.lost and not self._fresh:
            yield from self._break(block.start)
        elif self._fresh:
            self._begin(block.start)
        self._fresh = False
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
            yield self._close(self._heard.end)
        yield from self._end_broken(self._decided)
        self.reset()

    def _break(self, start: int) -> Iterator[Segment]:
        """Samples were lost: what is open spans them and cannot be judged."""
        self._measure(1)
        yield from self._decide(1)
        was_open = self._opened is not None
        if self._opened is not None:
            self._reason = "gap"
            yield self._cut(self._opened, min(self._heard.end, self._opened + self._longest))
        yield from self._end_broken(self._decided)
        self._begin(start, inside_sound=was_open, after_loss=True)

    def _measure(self, step: int) -> None:
        """Energy of all whole steps that have been heard, a few frames smoothed into one.

        The variance over those frames: an offset, or a slow drift, has none.
        """
        size = step * self._frame
        size *= (self._heard.end - self._measured) // size
        if not size:
            return
        at = self._measured - self._heard.start
        frames = self._heard.samples[at : at + size].reshape(-1, self._frame)
        wide = frames.astype(np.float64)
        new = np.array([wide.mean(axis=1), np.square(wide, out=wide).mean(axis=1)])
        known = np.concatenate([self._last_frames, new], axis=1)
        first, width = self._last_frames.shape[1], self._gate.smooth_frames
        means, powers = _smoothed(known, first, width)
        self._pending.extend((powers - means * means).tolist())
        self._last_frames = known[:, max(0, known.shape[1] - width + 1) :]
        marks = self._heard.not_finite
        if len(marks):
            marks = marks[(marks >= self._measured) & (marks < self._measured + size)]
            places = np.unique((marks - self._measured) // self._frame) * self._frame
            self._broken.extend((self._measured + places).tolist())
        self._measured += size

    def _decide(self, step: int) -> Iterator[Segment]:
        """Run the gate over the measured energies, a step at a time."""
        ahead = 0
        if not self._warm:
            # The first decision looks at all that has been heard, later ones only back.
            warm_up = list(self._pending)[: self._window]
            self._learn(warm_up)
            ahead, self._warm = len(warm_up), bool(warm_up)
        while len(self._pending) >= step:
            energies = [self._pending.popleft() for _ in range(step)]
            if ahead <= 0 and self._may_learn():
                self._learn(energies)
            ahead -= step
            for energy in energies:
                if self._broken or self._broken_since is not None:
                    yield from self._watch_numbers()
                if self._opened is None and energy <= self._on_power:
                    self._decided += self._frame
                else:
                    yield from self._pass_gate(energy)
        self._forget()

    def _watch_numbers(self) -> Iterator[Segment]:
        """See whether the next frame holds samples that are no numbers, or ends a run of such."""
        if self._broken and self._broken[0] == self._decided:
            self._broken.popleft()
            if self._broken_since is None:
                self._broken_since = self._decided
        else:
            yield from self._end_broken(self._decided)

    def _end_broken(self, end: int) -> Iterator[Segment]:
        """A run of frames with samples that are no numbers ends: where no sound holds it, tell it.

        However long it was it is one segment, with as many zeros as a segment may have at most.
        """
        if self._broken_since is None:
            return
        start, self._broken_since = max(self._broken_since, self._taken), None
        if self._opened is None and end - start >= self._shortest:
            self._taken = end
            nothing = np.zeros(min(end - start, self._longest), np.float32)
            start_s, duration_s = start / self._rate_hz, (end - start) / self._rate_hz
            yield Segment(nothing, start_s, duration_s, reason="not finite")

    def _may_learn(self) -> bool:
        """A sound is not background, until it has lasted so long that it must be.

        Where digital zero came before there is no background to hold on to: learn at once.
        """
        if self._opened is None or self._open_floor_dbfs <= self._gate.lowest_floor_dbfs:
            return True
        return self._decided - self._first_opened > self._hold

    def _learn(self, energies: list[float]) -> None:
        """Update the noise floor with new energies.

        The percentile of a window that moves on is found in a list that is kept in order.
        """
        recent, ordered = self._recent, self._ordered
        for energy in energies:
            if len(recent) == self._window:
                del ordered[bisect_left(ordered, recent.popleft())]
            recent.append(energy)
            insort(ordered, energy)
        if ordered:
            floor = ordered[_rank(len(ordered), self._gate.floor_percentile)]
            self._floor = max(floor, self._lowest)
            self._on_power = self._on * self._floor

    def _pass_gate(self, energy: float) -> Iterator[Segment]:
        assert self._floor is not None
        start, self._decided = self._decided, self._decided + self._frame
        if self._opened is not None:
            yield from self._while_open(energy > self._off * self._floor)
        elif energy > self._on_power:
            yield from self._end_broken(start)
            self._opened = max(self._taken, start - self._pre_roll)
            self._onset, self._active_end = start, self._decided
            self._first_opened = start
            self._open_floor_dbfs = power_dbfs(self._floor, self._gate.lowest_floor_dbfs)
            self._reason = "gap" if start <= self._spans_loss_until else None

    def _while_open(self, active: bool) -> Iterator[Segment]:
        assert self._opened is not None
        if active:
            self._active_end = self._decided
            if self._active_end > self._onset + self._longest + self._tail:
                end = self._opened + self._longest
                yield self._cut(self._opened, end)
                self._opened, self._onset, self._continues = end, end, True
        elif self._decided - self._active_end >= self._hang_over * self._frame:
            yield self._close(self._decided)

    def _close(self, heard: int) -> Segment:
        """The sound is over; where it is too long, its margins give way, then its tail."""
        assert self._opened is not None
        end = min(self._active_end + self._post_roll, heard)
        end = max(min(end, self._opened + self._longest), min(self._active_end, end))
        start = min(max(self._opened, end - self._longest), self._onset)
        segment = self._cut(start, min(end, start + self._longest))
        self._taken = max(end, self._active_end)
        self._opened, self._continues = None, False
        return segment

    def _cut(self, start: int, end: int) -> Segment:
        cut = self._heard.cut(start, end, self._shortest)
        return Segment(
            cut.samples,
            start / self._rate_hz,
            (end - start) / self._rate_hz,
            self._continues,
            self._open_floor_dbfs,
            cut.clipped,
            self._reason or cut.reason,
        )

    def _forget(self) -> None:
        """Drop samples that no segment can need any more."""
        needed = self._decided - self._pre_roll if self._opened is None else self._opened
        self._heard.drop_before(min(needed, self._measured))


def noise_floor_dbfs(samples: Samples, rate_hz: int, gate: Gate) -> float | None:
    """The background of a whole recording: a low percentile over all its frames.

    A recording is mostly sound and a stream mostly background, so the percentile is a lower one
    than the gate's.
    """
    size = round(gate.frame_s * rate_hz)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    if not len(frames):
        return None
    width = min(gate.smooth_frames, len(frames))
    smooth = np.full(width, 1 / width)
    mean = np.convolve(frames.mean(axis=1), smooth, "valid")
    energy = np.convolve(np.square(frames).mean(axis=1), smooth, "valid") - np.square(mean)
    return power_dbfs(percentile(energy, gate.recording_percentile), gate.lowest_floor_dbfs)


def percentile(energy: NDArray[np.float64], share: float) -> float:
    """The smallest value that `share` percent of `energy`, shape `(n,)`, lie below."""
    k = _rank(len(energy), share)
    return float(np.partition(energy, k)[k])


def _rank(n: int, share: float) -> int:
    return int(n * share / 100)


def _smoothed(frames: NDArray[np.float64], first: int, width: int) -> NDArray[np.float64]:
    """Means over `width` frames that end at each from `first` on; over fewer at the beginning.

    `frames` of shape `(rows, n)`, means of shape `(rows, n - first)`. Summed one after the other,
    so that no sum depends on how many are asked for at once.
    """
    n = frames.shape[1]
    padded = np.concatenate([np.zeros((len(frames), width - 1)), frames], axis=1)
    sums = padded[:, first:n]
    for late in range(1, width):
        sums = sums + padded[:, first + late : n + late]
    counts = np.minimum(np.arange(first, n) + 1, width)
    return sums / counts


def power_dbfs(power: float, lowest_dbfs: float) -> float:
    """Mean square as a level, not below `lowest_dbfs`."""
    return max(lowest_dbfs, 10 * math.log10(power)) if power > 0 else lowest_dbfs
