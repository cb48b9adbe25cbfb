"""Going on where an earlier run of `score` ended: what is there already, and what of it is whole.

Lines are appended in whole batches, but a process can be killed, and a disk can be full, in the
middle of one: what is half-written at the end is dropped before anything is added.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from model.detector import NORMAL, NOT_SCORED, Detector
from model.errors import InputError, shown
from monitor.archive import score_file

_STDOUT = "-"
_SCORES = ("isolation_score", "reconstruction_error")
_NEXT = "Name another file, or score anew into a new one."
_BEGINNING = b'{"type": "segment", '


def take_up(target: str, detector: Detector) -> set[str]:
    """The sources that a file of JSON lines holds, after what is half-written is cut off its end.

    In continuous mode a recording has many lines, of which the last may be missing: those of the
    last recording are dropped. Raises InputError for a file that is something else, whose verdicts
    are of another false-alarm rate, or whose first scored recording now gets other scores.
    """
    path = _path(target)
    try:
        with open(path, "r+b") as file:
            sources, end = _read(file, path, detector)
            file.truncate(end)
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be gone on with: {error.strerror}.") from error
    return sources


@contextmanager
def appending(target: str) -> Iterator[TextIO]:
    """The file to add lines to. Raises InputError where it cannot be written."""
    path = _path(target)
    try:
        file = open(path, "a", encoding="ascii")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be written: {error.strerror}.") from error
    with file:
        yield file


def _path(target: str) -> str:
    if target != _STDOUT:
        return target
    if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        if sys.platform == "linux":
            return f"/proc/self/fd/{sys.stdout.fileno()}"
        if sys.platform == "darwin":
            import fcntl

            found = fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETPATH, bytes(1024))
            return os.fsdecode(found.rstrip(b"\0"))
    raise InputError("--resume takes the file to go on with.", "Such as --resume scores.jsonl.")


def _read(file: BinaryIO, path: str, detector: Detector) -> tuple[set[str], int]:
    """The sources, and where the last whole one ends."""
    sources: set[str] = set()
    last, begin, end, is_checked = "", 0, 0, False
    for number, raw in enumerate(file, start=1):
        if not raw.endswith(b"\n"):
            if not (raw.startswith(_BEGINNING) or _BEGINNING.startswith(raw)):
                _parse(b"", number, path)
            break
        line = _parse(raw, number, path)
        if line["source"] != last:
            last, begin = line["source"], end
        if line["verdict"] != NOT_SCORED:
            is_normal = line["p"] > detector.false_alarm_rate
            if is_normal != (line["verdict"] == NORMAL) or not (
                is_checked or _agrees(line, detector)
            ):
                raise InputError(
                    f"{shown(path)} holds scores of another model, or of another false-alarm rate.",
                    _NEXT,
                )
            is_checked = True
        sources.add(last)
        end += len(raw)
    if detector.segmentation.mode == "continuous":
        sources.discard(last)
        end = begin
    return sources, end


def _parse(raw: bytes, number: int, path: str) -> dict[str, Any]:
    try:
        line: dict[str, Any] = json.loads(raw)
        if line["type"] == "segment" and isinstance(line["source"], str):
            is_scored = line["verdict"] != NOT_SCORED
            numbers = [line[name] for name in ("start_s", "p", *_SCORES)]
            if not is_scored or all(isinstance(number, float) for number in numbers):
                return line
    except (ValueError, TypeError, KeyError):
        pass
    raise InputError(
        f"{shown(path)} is not what offkey score writes: see its line {number:,}.", _NEXT
    )


def _agrees(line: dict[str, Any], detector: Detector) -> bool:
    """Whether a recording, where it is still there, gets the scores that it got."""
    if not Path(line["source"]).is_file():
        return True
    again = [
        heard.score
        for heard in score_file(line["source"], detector).heard
        if round(heard.segment.start_s, 6) == line["start_s"]
    ]
    return bool(again) and all(
        math.isclose(line[name], getattr(again[0], name) or 0.0, rel_tol=1e-4, abs_tol=1e-6)
        for name in _SCORES
    )
