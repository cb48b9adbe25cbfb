"""Clips: alarms saved as audio, beside what is known about them.

What goes into a clip is decided here; where clips lie and which ones go, in clipfolder.py.
"""

from __future__ import annotations

import io
import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import numpy as np
import soundfile

from model.audio import Block, Samples
from model.detector import Detector
from model.errors import shown
from monitor.clipfolder import ClipFolder, prepare_folder
from monitor.events import Event, Gap, Heard
from monitor.sinks import Sink, Warn, to_json

__all__ = ["Clips", "prepare_folder"]

QUIETEST_PEAK = 2**-9
"""Below this peak 24 bits would hold a sound in fewer than 15."""


@dataclass(frozen=True, eq=False)
class _Stretch:
    """What was heard at one rate and without a break."""

    origin: int
    """Absolute index of its first sample: there the resampler began anew."""
    rate_hz: int
    after_loss: bool


@dataclass(frozen=True)
class _Kept:
    """A block that may be needed for a clip."""

    block: Block
    stretch: _Stretch

    @property
    def end_s(self) -> float:
        return self.block.end / self.stretch.rate_hz


@dataclass(frozen=True)
class _Cut:
    """The samples of a clip."""

    samples: Samples
    rate_hz: int
    start_s: float
    segment_offset_s: float
    """From the first of `samples`, in the time of the resampled stream."""
    by_loss: bool
    """A loss took some of the margins, or of the sound."""


class Clips(Sink):
    """Every alarm as a 24-bit FLAC beside a JSON: half a second before it to half a second after.

    In continuous mode the window that raised the alarm. A clip does not reach across a loss. It
    begins on a multiple of the resampling period, counted from where the resampler began, so that
    its samples meet the filter as they did live.
    """

    margin_s = 0.5

    def __init__(self, folder: str, detector: Detector, limit_bytes: int, warn: Warn) -> None:
        self._name = shown(folder)
        self._folder = ClipFolder(folder, limit_bytes)
        self._digest = detector.digest
        self._model_rate_hz = detector.front_end.rate_hz
        # A segment is known only after its hang-over and the delay of the resampler; its clip may
        # begin up to a resampling period before its margin.
        self._kept_s = detector.segmentation.duration_s + 2 * self.margin_s + 4
        self._warn = warn
        self._blocks: deque[_Kept] = deque()
        self._waiting: deque[Heard] = deque()
        self._lost_s = 0.0
        self._after_gap = False
        self.saved = 0
        self.failed = 0

    @property
    def dropped(self) -> int:
        """Clips, also of earlier runs, that the limit had no room for."""
        return self._folder.dropped

    def hear(self, block: Block, rate_hz: int) -> None:
        """Keep the last seconds; save what has all of its margin now."""
        self._blocks.append(_Kept(block, self._stretch_of(block, rate_hz)))
        self._after_gap = False
        end_s = block.end / rate_hz
        while self._blocks[0].end_s < end_s - self._kept_s:
            self._blocks.popleft()
        while self._waiting and self._end_s(self._waiting[0]) <= end_s:
            self._save(self._waiting.popleft())

    def take(self, event: Event) -> None:
        """An alarm waits for the half second after it; lost time is counted."""
        if isinstance(event, Heard) and event.alarm:
            self._waiting.append(event)
        elif isinstance(event, Gap):
            self._lost_s += event.lost_s
            self._after_gap = True

    def flush(self) -> None:
        """Save what waits with what there is."""
        while self._waiting:
            self._save(self._waiting.popleft())
        self._blocks.clear()
        self._after_gap = False

    def close(self) -> None:
        """Save what waits; tell what is missing."""
        self.flush()
        told = f"Clips saved: {self.saved:,}"
        if self.failed:
            told += f"; not saved: {self.failed:,}"
        if self.dropped:
            told += f"; dropped for --save-limit, the least odd first: {self.dropped:,}"
        if self.failed or self.dropped:
            self._warn(f"{told}.")

    def _stretch_of(self, block: Block, rate_hz: int) -> _Stretch:
        last = self._blocks[-1] if self._blocks else None
        if last is None:
            return _Stretch(block.start, rate_hz, after_loss=block.lost > 0)
        if block.start != last.block.end or rate_hz != last.stretch.rate_hz:
            return _Stretch(block.start, rate_hz, after_loss=True)
        return last.stretch

    def _end_s(self, heard: Heard) -> float:
        return heard.segment.start_s + heard.segment.duration_s + self.margin_s

    def _save(self, heard: Heard) -> None:
        cut = self._cut(heard)
        if cut is None:
            self._fail("its sound is no longer there")
            return
        gain = _gain(float(np.abs(cut.samples).max()))
        clip = {
            "rate_hz": cut.rate_hz,
            "start_s": round(cut.start_s, 6),
            "segment_offset_s": round(cut.segment_offset_s, 6),
            "segment_duration_s": round(heard.segment.duration_s, 6),
            "gain": gain,
            "cut_by_loss": cut.by_loss,
            "lost_s": round(self._lost_s, 6),
            "device": heard.source,
            "model_digest": self._digest,
        }
        try:
            audio = _flac(cut.samples * np.float32(gain), cut.rate_hz)
            self.saved += self._folder.add(_stem(heard), to_json(heard) | {"clip": clip}, audio)
        except OSError as error:
            self._fail(error.strerror)
        except soundfile.SoundFileError:
            self._fail("it cannot be encoded")

    def _fail(self, why: str | None) -> None:
        if not self.failed:
            self._warn(f"A clip could not be saved in {self._name}: {why}.")
        self.failed += 1

    def _cut(self, heard: Heard) -> _Cut | None:
        """The samples around an alarm; None where its sound is no longer there."""
        run = self._run_around(heard.segment.start_s)
        if run is None:
            return None
        stretch, earliest = run[0].stretch, run[0].block.start
        start_s, rate_hz = heard.segment.start_s, stretch.rate_hz
        wanted = round((start_s - self.margin_s) * rate_hz)
        wanted_end = round(self._end_s(heard) * rate_hz)
        first = stretch.origin + self._after_origin(stretch, earliest, wanted)
        goes_on = self._blocks[-1].stretch is stretch and not self._after_gap
        audio = np.concatenate([kept.block.samples for kept in run])
        # The resampled stream counts whole samples of its own from where it began.
        began_s = -(-stretch.origin * self._model_rate_hz // rate_hz) / self._model_rate_hz
        return _Cut(
            samples=audio[first - earliest : wanted_end - earliest],
            rate_hz=rate_hz,
            start_s=first / rate_hz,
            segment_offset_s=start_s - began_s + (stretch.origin - first) / rate_hz,
            by_loss=(stretch.after_loss and stretch.origin > wanted)
            or (run[-1].block.end < wanted_end and not goes_on),
        )

    def _run_around(self, place_s: float) -> list[_Kept] | None:
        """The unbroken blocks around a place."""
        for _, blocks in groupby(self._blocks, lambda kept: kept.stretch):
            run = list(blocks)
            if place_s < run[-1].end_s:
                return run
        return None

    def _after_origin(self, stretch: _Stretch, earliest: int, wanted: int) -> int:
        """Where a clip may begin, not before `earliest`: whole periods after the origin."""
        period = stretch.rate_hz // math.gcd(stretch.rate_hz, self._model_rate_hz)
        before, kept = wanted - stretch.origin, earliest - stretch.origin
        return max(before // period, -(-kept // period)) * period


def _stem(heard: Heard) -> str:
    moment = heard.time or datetime.now(UTC).isoformat(timespec="seconds")
    return f"{moment[:19].replace(':', '')}_{heard.number:06d}"


def _gain(peak: float) -> float:
    """The power of two that a clip is stored with: 24-bit integers end at 1, and at 2**-23."""
    if QUIETEST_PEAK <= peak <= 1 or peak == 0:
        return 1.0
    mantissa, exponent = math.frexp(peak)
    return math.ldexp(1.0, -exponent + (mantissa == 0.5))


def _flac(samples: Samples, rate_hz: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="FLAC", subtype="PCM_24")
    return file.getvalue()
