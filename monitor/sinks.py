"""Where results go: JSON lines and CSV here; others in clips.py, logfile.py and command.py.

A sink sees every block that is heard and every event. What fails at a sink is one warning and a
counter and cannot stop the stream; only a reader who closed stdout ends the run.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np

from model.audio import Block
from model.detector import NOT_SCORED, Score
from model.segment import Segment
from monitor.events import Event, Gap, Heard, StateChange

Warn = Callable[[str], None]
_strict = json.JSONEncoder(allow_nan=False).encode


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
        start_s, lost_s = round(event.start_s, 6), round(event.lost_s, 6)
        return {"type": "gap", "start_s": start_s, "lost_s": lost_s, "cause": event.cause}
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
        "oddness": score.oddness,
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
    return _strict(to_json(event))


class JsonLines(Sink):
    """Every event as a line; flushed line by line. A closed stream raises BrokenPipeError."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def take(self, event: Event) -> None:
        """Write and flush one line."""
        self._file.write(json_line(event) + "\n")
        self._file.flush()


class Lines:
    """Finished lines, written and flushed together; CSV gets its header before the first."""

    def __init__(self, file: TextIO, header: str = "") -> None:
        self._file = file
        self._header = header

    def write(self, text: str) -> None:
        """Write whole lines. A closed stream raises BrokenPipeError."""
        self._file.write(self._header + text)
        self._header = ""
        self._file.flush()


def csv_row(heard: Heard) -> str:
    """A segment as a row of CSV; the profile is one column, its numbers separated by spaces."""
    row = _segment_json(heard)
    row["profile"] = " ".join(f"{value:.6g}" for value in row["profile"] or ())
    return _csv(list(row.values())[1:])


def csv_header() -> str:
    """The first line of CSV, with its end: the fields of a segment's line but the type."""
    nothing = Heard("", None, Segment(np.empty(0, np.float32), 0.0, 0.0), Score(NOT_SCORED))
    return _csv(list(_segment_json(nothing))[1:]) + "\n"


def _csv(row: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().removesuffix("\n")
