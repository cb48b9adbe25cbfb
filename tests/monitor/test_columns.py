"""Rows of the table in few cells: what is said of the nearest cluster."""

from __future__ import annotations

import numpy as np
import pytest

from model.detector import NORMAL, Score
from model.segment import Segment
from monitor.app.columns import Columns
from monitor.events import Heard


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("steadiness 2.0–2.3 kHz", 120, "4: steadiness 2.0–2.3 kHz"),
        ("steadiness 2.0–2.3 kHz", 80, "4: steadiness"),
        ("steadiness 80–160 Hz (2)", 80, "4: steadiness"),
        ("1.7–2.1 kHz", 80, "4: 1.7–2.1 kHz"),
        ("below average", 80, "4: below average"),
        ("a hiss that begins too late", 80, "4: a hiss that beg…"),
    ],
)
def test_a_suggested_name_is_never_cut_off_in_the_middle(name: str, width: int, shown: str) -> None:
    """Where part and frequencies do not fit, the part stands alone; other names are clipped."""
    score = Score(
        NORMAL, isolation_score=0.0, reconstruction_error=1.0, p=0.5, cluster=4, cluster_name=name
    )
    heard = Heard("x.wav", None, Segment(np.zeros(10, np.float32), 0.0, 0.5), score, 1, False)
    text = "".join(piece for piece, _ in Columns(width, {}).row(heard, False, ()))
    assert text.rstrip().endswith(f"  {shown}")
