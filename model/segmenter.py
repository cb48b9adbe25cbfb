"""Blocks in, segments out: the two modes, and whole files.

Event mode is the gate of gate.py; continuous mode cuts windows every hop, here. Both take blocks at
the front end's rate, give the same segments however the stream was cut into blocks, and are aware
of gaps. `cut_recording` is what calibration and `score` do with a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from model.audio import Block, Recording
from model.gate import EventSegmenter, noise_floor_dbfs
from model.segment import Cut, Segment, Segmentation, Stretch


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
    stretch = Stretch(recording.samples, 0, recording.overloads, recording.not_finite)
    frame = round(segmentation.gate.frame_s * recording.rate_hz)
    whole = stretch.cut(0, min(longest, len(recording.samples)), shortest=frame)
    duration_s = min(recording.duration_s, segmentation.duration_s)
    floor = noise_floor_dbfs(recording.samples, recording.rate_hz, segmentation.gate)
    # The recording's own state was read before resampling, which lets a constant ring at its ends.
    plain = whole.reason in ("not finite", "too short")
    reason = whole.reason if plain else recording.state or whole.reason
    return [Segment(whole.samples, 0.0, duration_s, False, floor, whole.clipped, reason)]


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
        self._heard: Stretch | None = None
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
            self._heard = Stretch(np.empty(0, np.float32), block.start)
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
            if cut.reason != "not finite":
                cut = Cut(cut.samples, cut.clipped, reason)
            yield self._segment(cut, self._covered)

    def _segment(self, cut: Cut, start: int) -> Segment:
        floor = noise_floor_dbfs(cut.samples, self._rate_hz, self._gate)
        duration_s = len(cut.samples) / self._rate_hz
        start_s = start / self._rate_hz
        return Segment(cut.samples, start_s, duration_s, False, floor, cut.clipped, cut.reason)
