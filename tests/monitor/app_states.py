"""States and verdicts that the screen must be able to tell, each with words that say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.detector import Score
from model.segment import Segment
from monitor.events import Heard
from monitor.ledger import Account
from monitor.snapshot import Snapshot

SIZES = [(80, 24), (120, 40), (200, 60)]
LIVE = Snapshot(
    source="USB Audio",
    state="live",
    rate_hz=48000,
    position_s=761.2,
    level_dbfs=-31.2,
    floor_dbfs=-62.0,
    gate_open=True,
    segments=412,
    not_scored=3,
    alarms=5,
    account=Account(lost_s=2.5, lost_by_clock_s=0.02),
)
STATES: dict[str, tuple[Snapshot, list[str]]] = {
    "opening": (replace(LIVE, state="opening"), ["◌ OPENING", "opening the input"]),
    "warming up": (replace(LIVE, state="warming up"), ["◌ WARMING UP", "−31 dBFS"]),
    "live": (LIVE, ["● LIVE", "USB Audio", "0:12:41", "−31 dBFS", "gate open"]),
    "counts": (
        LIVE,
        ["412 segments · 5 alarms", "3 not scored", "2.5 s lost, 20 ms of it unreported"],
    ),
    "file": (
        replace(LIVE, state="playing", source="a/b.wav", length_s=900.0),
        ["▶ PLAYING", "b.wav", "12:41.2 / 15:00.0"],
    ),
    "paused": (replace(LIVE, state="paused"), ["‖ PAUSED", "paused; press p to go on"]),
    "digital zero": (
        replace(LIVE, state="digital zero", input_state="digital zero", level_dbfs=None),
        ["! DIGITAL ZERO", "digital zero: no signal"],
    ),
    "silent": (
        replace(LIVE, state="silent", input_state="silent", level_dbfs=-95.0),
        ["! SILENT", "silent: below −90 dBFS"],
    ),
    "not finite": (
        replace(LIVE, state="not finite", input_state="not finite", level_dbfs=-20.0),
        ["! NOT FINITE", "not finite: broken data"],
    ),
    "stalled": (replace(LIVE, state="stalled"), ["! STALLED", "no sound arrives from the input"]),
    "reconnecting": (
        replace(LIVE, state="reconnecting", detail="attempt 3 failed, next in 4 s"),
        ["↻ RECONNECTING", "attempt 3 failed, next in 4 s"],
    ),
    "ended": (replace(LIVE, state="ended", finished=True), ["■ ENDED", "the input has ended"]),
}


def heard_at(number: int, verdict: str, **score: Any) -> Heard:
    """Make up a segment that was heard."""
    known: dict[str, Any] = {
        "isolation_score": 0.114,
        "reconstruction_error": 5e-4,
        "isolation_p": 0.004,
        "reconstruction_p": 0.002,
        "p": 0.003,
        "cluster": 4,
        "cluster_name": "late hiss",
        "cluster_distance": 0.8,
        "unlike_any": False,
        "profile": tuple(np.linspace(0, 0.1, 64).tolist()),
    }
    segment = Segment(np.zeros(4000, np.float32), float(number), 0.66)
    alarm = verdict == "anomalous"
    return Heard("x", None, segment, Score(verdict, **known | score), number, alarm)


VERDICTS: dict[str, tuple[Heard, list[str]]] = {
    "anomalous": (
        heard_at(1, "anomalous"),
        ["▲ ANOMALOUS", "p 0.0030 · 1 in 333", '4 "late hiss"', "▲ alarm 00:01.0", "+0.114"],
    ),
    "normal": (heard_at(2, "normal", p=0.62), ["✓ NORMAL", "p 0.62 · 62 in 100"]),
    "unlike any": (
        heard_at(3, "anomalous", unlike_any=True, cluster_distance=1.8),
        ["unlike any cluster", "1.8 times its reach"],
    ),
    "outside conditions": (
        heard_at(4, "normal", outside_conditions=True),
        ["✓ NORMAL", "outside conditions"],
    ),
    "not scored": (
        Heard("x", None, Segment(np.zeros(10, np.float32), 5.0, 0.1), Score("not scored", "gap")),
        ["○ NOT SCORED", "part of the sound was lost", "no error profile"],
    ),
}
