"""Rows of the table in few cells: what is said of the nearest cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.detector import NORMAL, Score
from model.segment import Segment
from monitor.app.columns import Columns
from monitor.app.words import short_name
from monitor.events import Heard

PARTS = ("shape", "steadiness", "order", "middle")
RANGES = ("370–530 Hz", "2.0–2.3 kHz", "7.0–8.0 kHz (1)", "1.72–1.78 kHz (12)")


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("steadiness 2.0–2.3 kHz", 120, "4: steadiness 2.0–2.3 kHz"),
        ("steadiness 2.0–2.3 kHz", 80, "4: steadi… 2.0–2.3 kHz"),
        ("steadiness 2.0–2.3 kHz", 77, "4: ste… 2.0–2.3 kHz"),
        ("shape 370–530 Hz", 77, "4: shape 370–530 Hz"),
        ("shape 0.9–1.2 kHz", 77, "4: sha… 0.9–1.2 kHz"),
        ("steadiness 80–160 Hz (2)", 80, "4: stea… 80–160 Hz (2)"),
        ("order 7.0–8.0 kHz (1)", 77, "4: or… 7.0–8.0 kHz…"),
        ("steadiness 1.72–1.78 kHz", 77, "4: …1.72–1.78 kHz"),
        ("1.7–2.1 kHz", 80, "4: 1.7–2.1 kHz"),
        ("below average", 80, "4: below average"),
        ("a hiss that begins too late", 80, "4: a hiss that begins…"),
    ],
)
def test_of_a_suggested_name_the_frequencies_stay(name: str, width: int, shown: str) -> None:
    """Where part and frequencies do not fit, an ellipsis ends the part; others are clipped."""
    assert row_of(name, width).endswith(f"  {shown}")


@pytest.mark.parametrize("notes", [(), ("marked",), ("marked", "muted")])
@pytest.mark.parametrize("width", [64, 77, 80, 90, 120, 200])
def test_a_row_says_that_it_is_unlike_any(width: int, notes: tuple[str, ...]) -> None:
    """At every width on which there is room for it, beside the number of the nearest cluster."""
    row = row_of("steadiness 2.0–2.3 kHz", width, notes, is_unlike=True)
    assert "  4" in row
    assert ("unlike any" in row) is (width > 64)
    assert "unlike any" in row or row.endswith("…")


@given(name=st.sampled_from(PARTS), range_=st.sampled_from(RANGES), width=st.integers(0, 40))
def test_a_short_name_says_that_it_is_short(name: str, range_: str, width: int) -> None:
    """It has room, is whole or has an ellipsis, and tells parts with the same frequencies apart."""
    whole = f"{name} {range_}"
    short = short_name(whole, width)
    assert len(short) <= width
    assert short == whole or "…" in short or not width
    if short[:1].isalpha() and range_[:3] in short:
        others = {short_name(f"{other} {range_}", width) for other in PARTS if other != name}
        assert short not in others


def row_of(name: str, width: int, notes: Sequence[str] = (), *, is_unlike: bool = False) -> str:
    """Write the row of a normal sound that is nearest to cluster 4."""
    score = Score(
        NORMAL,
        isolation_score=0.0,
        reconstruction_error=1.0,
        p=0.5,
        cluster=4,
        cluster_name=name,
        unlike_any=is_unlike,
    )
    heard = Heard("x.wav", None, Segment(np.zeros(10, np.float32), 0.0, 0.5), score, 1, False)
    return "".join(piece for piece, _ in Columns(width, {}).row(heard, False, notes)).rstrip()
