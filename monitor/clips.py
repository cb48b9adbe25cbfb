"""Clips: alarms saved as audio, beside what is known about them."""

from __future__ import annotations

import errno
import json
import math
import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from model.audio import Block
from model.errors import InputError, shown
from monitor.events import Event, Heard
from monitor.sinks import Sink, Warn, to_json


def prepare_folder(folder: str) -> None:
    """Make the folder now rather than at the first alarm. Raises InputError where that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"Clips cannot be saved in {shown(folder)}: {error.strerror}.") from error


@dataclass(frozen=True)
class _Kept:
    """A block that may be needed for a clip."""

    block: Block
    rate_hz: int

    @property
    def end_s(self) -> float:
        return self.block.end / self.rate_hz

    def follows(self, other: _Kept) -> bool:
        return self.rate_hz == other.rate_hz and self.block.start == other.block.end


class Clips(Sink):
    """Every alarm as a 24-bit FLAC beside a JSON: half a second before it to half a second after.

    In continuous mode the window that raised the alarm. A clip begins on a multiple of the
    resampling period, so that its samples meet the filter as they did live.
    """

    margin_s = 0.5

    def __init__(self, folder: str, model_rate_hz: int, longest_s: float, warn: Warn) -> None:
        self._folder = Path(folder)
        self._model_rate_hz = model_rate_hz
        # A segment is known only after its hang-over and the delay of the resampler; its clip may
        # begin up to a resampling period before its margin.
        self._kept_s = longest_s + 2 * self.margin_s + 4
        self._warn = warn
        self._blocks: deque[_Kept] = deque()
        self._waiting: deque[Heard] = deque()
        self.saved = 0
        self.failed = 0

    def hear(self, block: Block, rate_hz: int) -> None:
        """Keep the last seconds; save what has all of its margin now."""
        self._blocks.append(_Kept(block, rate_hz))
        end_s = block.end / rate_hz
        while self._blocks[0].end_s < end_s - self._kept_s:
            self._blocks.popleft()
        while self._waiting and self._end_s(self._waiting[0]) <= end_s:
            self._save(self._waiting.popleft())

    def take(self, event: Event) -> None:
        """An alarm waits for the half second after it."""
        if isinstance(event, Heard) and event.alarm:
            self._waiting.append(event)

    def flush(self) -> None:
        """Save what waits with what there is."""
        while self._waiting:
            self._save(self._waiting.popleft())
        self._blocks.clear()

    def close(self) -> None:
        """Save what waits."""
        self.flush()
        if self.failed:
            self._warn(f"Clips saved: {self.saved:,}; not saved: {self.failed:,}.")

    def _end_s(self, heard: Heard) -> float:
        return heard.segment.start_s + heard.segment.duration_s + self.margin_s

    def _save(self, heard: Heard) -> None:
        run = self._run_around(heard.segment.start_s)
        if not run:
            return
        rate_hz, earliest = run[0].rate_hz, run[0].block.start
        first = self._first(earliest, round(heard.segment.start_s * rate_hz), rate_hz)
        audio = np.concatenate([kept.block.samples for kept in run])
        samples = audio[first - earliest : round(self._end_s(heard) * rate_hz) - earliest]
        clip = {
            "rate_hz": rate_hz,
            "segment_offset_s": round(heard.segment.start_s - first / rate_hz, 6),
            "segment_duration_s": round(heard.segment.duration_s, 6),
        }
        try:
            self._write(heard, samples, clip)
            self.saved += 1
        except (OSError, soundfile.SoundFileError) as error:
            if not self.failed:
                self._warn(f"A clip could not be saved in {shown(self._folder)}: {_why(error)}.")
            self.failed += 1

    def _run_around(self, place_s: float) -> list[_Kept]:
        """The unbroken blocks around a place: a clip does not reach across a loss."""
        run: list[_Kept] = []
        for kept in self._blocks:
            if run and not kept.follows(run[-1]):
                if place_s < run[-1].end_s:
                    break
                run = []
            run.append(kept)
        return run if run and place_s < run[-1].end_s else []

    def _first(self, earliest: int, start: int, rate_hz: int) -> int:
        """Where a clip begins: its margin before `start`, on a multiple of the period."""
        period = rate_hz // math.gcd(rate_hz, self._model_rate_hz)
        wanted = start - round(self.margin_s * rate_hz)
        aligned = max(wanted // period, -(-earliest // period)) * period
        return aligned if aligned <= start else earliest

    def _write(self, heard: Heard, samples: Any, clip: dict[str, Any]) -> None:
        moment = heard.time or datetime.now(UTC).isoformat(timespec="seconds")
        stem = f"{moment[:19].replace(':', '')}_{heard.number:06d}"
        path = _unused(self._folder, stem)
        text = json.dumps(to_json(heard) | {"clip": clip}, allow_nan=False, indent=1)
        beside = path.with_suffix(".json")
        try:
            soundfile.write(path, samples, clip["rate_hz"], subtype="PCM_24")
            beside.write_text(text + "\n", encoding="ascii")
        except (OSError, soundfile.SoundFileError):
            path.unlink(missing_ok=True)
            beside.unlink(missing_ok=True)
            raise


def _why(error: Exception) -> str:
    """What the system said; libsndfile does not tell a full disk from a broken encoder."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or "it could not be written; the disk may be full"


def _unused(folder: Path, stem: str) -> Path:
    """A name that no clip of an earlier run has."""
    names = chain([stem], (f"{stem}_{i}" for i in count(2)))
    return next(p for name in names if not (p := folder / f"{name}.flac").exists())
