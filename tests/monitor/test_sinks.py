"""Lines: every event as strict JSON, as the design says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import numpy as np

from model.alarms import Alarm
from model.detector import Score
from model.segment import Segment
from monitor.events import Gap, Heard, StateChange
from monitor.sinks import json_line


def heard_alarm(number: int) -> Heard:
    """Make an alarm of this number, from a source of that name."""
    segment = Segment(np.zeros(0, np.float32), 0.0, 0.0)
    return Heard(str(number), None, segment, Score("anomalous"), number, alarm=True)


def test_every_kind_of_line_has_the_fields_of_the_design() -> None:
    """Gap, state and alarm lines have exactly the design's fields."""
    assert json.loads(json_line(Gap(1.5, 0.25, "stall"))) == {
        "type": "gap",
        "start_s": 1.5,
        "lost_s": 0.25,
        "cause": "stall",
    }
    moment = datetime(2026, 1, 2).isoformat()
    assert json.loads(json_line(StateChange(moment, "live"))) == {
        "type": "state",
        "time": moment,
        "state": "live",
    }
    assert json.loads(json_line(Alarm(1.0, 2.5, 0.01, 4))) == {
        "type": "alarm",
        "start_s": 1.0,
        "end_s": 2.5,
        "peak_p": 0.01,
        "windows": 4,
    }


def test_lines_are_plain_ascii() -> None:
    """Whatever a source is called, its line is one line of ASCII."""
    line = json_line(replace(heard_alarm(1), source="größe\n六"))
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["source"] == "größe\n六"
