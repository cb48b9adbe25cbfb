"""Where results go: JSON lines, clips of alarms, a command. None of them can stop the stream.

A sink sees every block that is heard and every event. What fails at a sink is one warning and a
counter; only a reader who closed stdout ends the run.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import soundfile

from model.audio import Block
from model.errors import shown
from monitor.events import Event, Gap, Heard, StateChange

Warn = Callable[[str], None]


class Sink:
    """Does nothing; each kind of sink overrides what it needs."""

    def hear(self, block: Block, rate_hz: int) -> None:
        """A block of the source, before its segments are known."""

    def take(self, event: Event) -> None:
        """Something happened."""

    def flush(self) -> None:
        """The source ended or was paused: nothing more comes of it."""

    def close(self) -> None:
        """The stream has ended."""


def to_json(event: Event) -> dict[str, Any]:
    """An event as the strict JSON object of its line."""
    if isinstance(event, Heard):
        return _segment_json(event)
    if isinstance(event, Gap):
        return {"type": "gap"} | vars(event)
    if isinstance(event, StateChange):
        return {"type": "state"} | vars(event)
    return {"type": "alarm"} | vars(event)


def _segment_json(heard: Heard) -> dict[str, Any]:
    segment, score = heard.segment, heard.score
    return {
        "type": "segment",
        "source": heard.source,
        "time": heard.time,
        "start_s": round(segment.start_s, 6),
        "duration_s": round(segment.duration_s, 6),
        "continues": segment.continues,
        "level_dbfs": _rounded(segment.level_dbfs),
        "snr_db": _rounded(segment.snr_db),
        "clipped": segment.clipped,
        "outside_conditions": score.outside_conditions,
        "isolation_score": score.isolation_score,
        "reconstruction_error": score.reconstruction_error,
        "isolation_p": score.isolation_p,
        "reconstruction_p": score.reconstruction_p,
        "p": score.p,
        "verdict": score.verdict,
        "reason": score.reason,
        "cluster": score.cluster,
        "cluster_name": score.cluster_name,
        "cluster_distance": score.cluster_distance,
        "unlike_any": score.unlike_any,
        "profile": score.profile,
    }


def _rounded(level_db: float | None) -> float | None:
    return None if level_db is None else round(level_db, 2)


def json_line(event: Event) -> str:
    """One line of strict JSON: no NaN, no Infinity, ASCII only."""
    return json.dumps(to_json(event), allow_nan=False)


class JsonLines(Sink):
    """Every event as a line; flushed line by line. A closed stream raises BrokenPipeError."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def take(self, event: Event) -> None:
        """Write and flush one line."""
        self._file.write(json_line(event) + "\n")
        self._file.flush()


class CsvLines(Sink):
    """Segments as CSV with a header; the profile is one column, its numbers separated by spaces."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer: csv.DictWriter[str] | None = None

    def take(self, event: Event) -> None:
        """Write and flush one row."""
        if not isinstance(event, Heard):
            return
        row = to_json(event)
        del row["type"]
        row["profile"] = " ".join(f"{value:.6g}" for value in row["profile"] or ())
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row), lineterminator="\n")
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()


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
                self._warn(f"A clip could not be saved in {shown(self._folder)}: {error}.")
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
        self._folder.mkdir(parents=True, exist_ok=True)
        moment = heard.time or datetime.now(UTC).isoformat(timespec="seconds")
        stem = f"{moment[:19].replace(':', '')}_{heard.number:06d}"
        path = _unused(self._folder, stem)
        soundfile.write(path, samples, clip["rate_hz"], subtype="PCM_24")
        text = json.dumps(to_json(heard) | {"clip": clip}, allow_nan=False, indent=1)
        path.with_suffix(".json").write_text(text + "\n", encoding="ascii")


def _unused(folder: Path, stem: str) -> Path:
    """A name that no clip of an earlier run has."""
    names = chain([stem], (f"{stem}_{i}" for i in count(2)))
    return next(p for name in names if not (p := folder / f"{name}.flac").exists())


class OnAnomaly(Sink):
    """Runs a command for every alarm, without a shell, the JSON line on its standard input.

    One at a time with a time limit; while one runs, only the newest alarm waits.
    """

    limit_s = 30.0

    def __init__(self, command: Sequence[str], warn: Warn) -> None:
        self._command = list(command)
        self._warn = warn
        self._newest: Heard | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.failed = 0
        self._thread = threading.Thread(target=self._work, name="offkey-command", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        """Hand an alarm over; never waits."""
        if isinstance(event, Heard) and event.alarm:
            with self._changed:
                self._newest = event
                self._changed.notify()

    def close(self) -> None:
        """Let the last command run to its end, within the limit."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(self.limit_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closed)
                heard, self._newest = self._newest, None
            if heard is None:
                return
            problem = self._run(heard)
            if problem:
                if not self.failed:
                    self._warn(f"The command {self._command[0]} {problem}.")
                self.failed += 1

    def _run(self, heard: Heard) -> str | None:
        try:
            done = subprocess.run(
                self._command,
                input=json_line(heard) + "\n",
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {self.limit_s:g} s and was ended"
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        return f"failed with exit code {done.returncode}" if done.returncode else None
