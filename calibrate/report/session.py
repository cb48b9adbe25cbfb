"""A session on the map: what `monitor --log` wrote, each segment at its nearest reference sound.

The log is read as JSON lines, whoever wrote them; nothing of `monitor` is needed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.detector import ANOMALOUS, Detector
from model.errors import InputError, shown
from model.features import N_BANDS

MOST = 4000
"""Segments on the page; every anomalous one stays, the rest is thinned evenly."""
_NUMBERS = ("p", "isolation_score", "reconstruction_error")


@dataclass(frozen=True)
class Session:
    """Scored segments in the order of the log."""

    name: str
    at: list[float]
    """Seconds since 1970 where the log has times of day, else since its beginning."""
    is_clock: bool
    p: list[float]
    isolation: list[float]
    reconstruction: list[float]
    anomalous: list[bool]
    cluster: list[int]
    source: list[str]
    start_s: list[float]
    nearest: list[int | None]
    """Index of the nearest reference sound on the maps; None where there are none."""
    gaps: list[tuple[float, float]]
    """From when to when sound was lost."""
    alarm_spans: list[tuple[float, float]]
    """Continuous mode: from when to when an alarm lasted."""
    segments: int
    """Scored ones in the log, thinned ones counted."""
    alarms: int
    """Alarms in continuous mode, else anomalous segments that begin a sound."""
    lost_s: float
    not_scored: int
    unreadable: int
    """Lines that are no events."""


def read_session(path: str | os.PathLike[str], detector: Detector) -> Session:
    """Read a log with its older parts, `FILE.1` and so on, the oldest of which has the most.

    Raises InputError where it cannot be read or holds no scored segment.
    """
    events: list[dict[str, Any]] = []
    try:
        for part in _parts(path):
            with open(part, encoding="utf-8", errors="replace") as file:
                events += _events(file)
    except OSError as error:
        raise InputError(f"The log {shown(path)} cannot be read: {error.strerror}.") from error
    session = _session(os.path.basename(os.fspath(path)), events, detector)
    if session is None:
        raise InputError(
            f"{shown(path)} holds no scored segment of this kind of model.",
            "It takes what monitor --log or replay --headless wrote.",
        )
    return session


def _parts(path: str | os.PathLike[str]) -> list[str]:
    """A log's parts that are there, the oldest first."""
    name = os.fspath(path)
    older: list[str] = []
    while os.path.isfile(f"{name}.{len(older) + 1}"):
        older.append(f"{name}.{len(older) + 1}")
    return [*reversed(older), name]


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Each line as an event; one that is none as an event of type `unreadable`."""
    for line in lines:
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        yield event if isinstance(event, dict) else {"type": "unreadable"}


def _is_scored(event: dict[str, Any]) -> bool:
    """A whole line of a scored segment, with numbers where numbers belong."""
    profile = event.get("profile")
    return (
        all(_is_number(event.get(name)) for name in (*_NUMBERS, "start_s"))
        and 0 < event["p"] <= 1
        and isinstance(profile, list)
        and len(profile) == N_BANDS
        and all(map(_is_number, profile))
    )


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _session(name: str, events: list[dict[str, Any]], detector: Detector) -> Session | None:
    kinds = [event.get("type") for event in events]
    all_segments = [e for e, kind in zip(events, kinds, strict=True) if kind == "segment"]
    scored = [event for event in all_segments if _is_scored(event)]
    if not scored:
        return None
    times = [_clock(event) for event in scored]
    is_clock = all(at is not None for at in times)
    running = _running(scored)
    at = [float(t) for t in times if t is not None] if is_clock else running
    kept = _thinned(scored)
    spans = _spans(events, scored, at)
    continuous = detector.segmentation.mode == "continuous"
    odd = [event.get("verdict") == ANOMALOUS for event in scored]
    begins = [o and not e.get("continues") for o, e in zip(odd, scored, strict=True)]
    chosen = [scored[i] for i in kept]
    return Session(
        name=name,
        at=[at[i] for i in kept],
        is_clock=is_clock,
        p=[float(e["p"]) for e in chosen],
        isolation=[float(e["isolation_score"]) for e in chosen],
        reconstruction=[float(e["reconstruction_error"]) for e in chosen],
        anomalous=[odd[i] for i in kept],
        cluster=[_cluster(e, detector) for e in chosen],
        source=[str(e.get("source") or "") for e in chosen],
        start_s=[float(e["start_s"]) for e in chosen],
        nearest=nearest_mapped(np.array([e["profile"] for e in chosen], np.float64), detector),
        gaps=spans["gap"],
        alarm_spans=spans["alarm"],
        segments=len(scored),
        alarms=kinds.count("alarm") if continuous else sum(begins),
        lost_s=sum(end - start for start, end in spans["gap"]),
        not_scored=len(all_segments) - len(scored),
        unreadable=kinds.count("unreadable"),
    )


def _spans(
    events: list[dict[str, Any]], scored: list[dict[str, Any]], at: list[float]
) -> dict[str, list[tuple[float, float]]]:
    """Gaps and alarms from start to end.

    They have no time of day: the segment before says where its source's time line begins.
    """
    found: dict[str, list[tuple[float, float]]] = {"gap": [], "alarm": []}
    offset, n = at[0] - float(scored[0]["start_s"]), 0
    for event in events:
        kind, start_s = event.get("type"), event.get("start_s")
        if n < len(scored) and event is scored[n]:
            offset, n = at[n] - float(event["start_s"]), n + 1
        elif kind == "gap" and _is_number(start_s) and _is_number(event.get("lost_s")):
            start = offset + float(event["start_s"])
            found["gap"].append((start, start + float(event["lost_s"])))
        elif kind == "alarm" and _is_number(start_s) and _is_number(event.get("end_s")):
            found["alarm"].append(
                (offset + float(event["start_s"]), offset + float(event["end_s"]))
            )
    return found


def _clock(event: dict[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(event["time"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _running(scored: list[dict[str, Any]]) -> list[float]:
    """Seconds since the beginning; a source begins where the one before it ended."""
    found, offset, end, source = [], 0.0, 0.0, scored[0].get("source")
    for event in scored:
        if event.get("source") != source or offset + float(event["start_s"]) < end - 60:
            source, offset = event.get("source"), end
        at = offset + float(event["start_s"])
        found.append(at)
        length = event.get("duration_s")
        end = max(end, at + (float(length) if length is not None and _is_number(length) else 0.0))
    return found


def _thinned(scored: list[dict[str, Any]]) -> list[int]:
    """Which segments are shown: all anomalous ones, of the rest every so many-th."""
    odd = [i for i, event in enumerate(scored) if event.get("verdict") == ANOMALOUS]
    rest = [i for i, event in enumerate(scored) if event.get("verdict") != ANOMALOUS]
    step = max(1, math.ceil(len(rest) / max(1, MOST - len(odd))))
    return sorted(odd + rest[::step])


def _cluster(event: dict[str, Any], detector: Detector) -> int:
    cluster = event.get("cluster")
    if isinstance(cluster, int) and 0 <= cluster < len(detector.clusters):
        return cluster
    return -1


def nearest_mapped(profiles: NDArray[np.float64], detector: Detector) -> list[int | None]:
    """Of profiles, shape `(n, 64)`, the nearest reference sound that stands on the maps."""
    gallery = detector.gallery
    if gallery is None or not len(gallery.mapped) or not detector.maps:
        return [None] * len(profiles)
    reference = gallery.profiles[gallery.mapped].astype(np.float64)
    squares = np.square(reference).sum(axis=1)
    found: list[int | None] = []
    for i in range(0, len(profiles), 512):
        distance = squares - 2 * profiles[i : i + 512] @ reference.T
        found += gallery.mapped[np.argmin(distance, axis=1)].tolist()
    return found
