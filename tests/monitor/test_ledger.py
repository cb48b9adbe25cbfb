"""The ledger against a label for every sample, written by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ledger import Account, Ledger

GRID_HZ = 6800
"""Segments lie on the places of the front end's rate."""


@dataclass(frozen=True)
class Run:
    """What happened to some samples; those heard have segments, in thousandths of the run."""

    kind: str
    n: int
    segments: tuple[tuple[int, int, bool], ...] = ()
    """Start, end and whether it was scored; by start."""


def _sorted(segments: list[tuple[int, int, bool]]) -> tuple[tuple[int, int, bool], ...]:
    return tuple(sorted((min(a, b), max(a, b), is_scored) for a, b, is_scored in segments))


thousandths = st.integers(0, 1000)
heard = st.builds(
    Run,
    st.just("heard"),
    st.integers(1, 400),
    st.lists(st.tuples(thousandths, thousandths, st.booleans()), max_size=6).map(_sorted),
)
unheard = st.builds(
    Run, st.sampled_from(["overflow", "device", "stall", "clock", "paused"]), st.integers(1, 400)
)


@settings(deadline=None)
@given(
    st.sampled_from([6800, 8000, 11_025, 44_100, 48_000]),
    st.integers(0, 100_000),
    st.lists(heard | unheard, max_size=8),
    st.integers(1, 90),
)
def test_every_sample_is_counted_once(
    rate_hz: int, first: int, runs: list[Run], block: int
) -> None:
    """Heard, lost and paused runs with any segments, overlapping too: as a label a sample."""
    ledger, labels, at = Ledger(rate_hz), list[str](), first
    for run in runs:
        if run.kind == "heard":
            _hear(ledger, at, run, block, rate_hz)
            labels += _labels(at, run, rate_hz)
        elif run.kind == "paused":
            ledger.pause(at, run.n)
            labels += ["paused"] * run.n
        else:
            ledger.lose(at + run.n, run.n, run.kind)
            labels += ["clock" if run.kind == "clock" else "told"] * run.n
        at += run.n
    count, account = Counter(labels), ledger.account
    in_samples = [value * rate_hz for value in astuple(account)]
    assert in_samples == pytest.approx([round(value) for value in in_samples], abs=1e-6)
    total, scored, not_scored, silent, lost, by_clock, paused = map(round, in_samples)
    assert total == scored + not_scored + silent + lost + paused == len(labels)
    assert scored == count["scored"]
    assert not_scored == count["not scored"]
    assert silent == count["silent"]
    assert lost == count["told"] + count["clock"]
    assert by_clock == count["clock"]
    assert paused == count["paused"]


def _places(at: int, run: Run, rate_hz: int) -> list[tuple[float, float, bool]]:
    """Start and duration in seconds of a run's segments, on the grid of the front end."""
    start_s, length_s = at / rate_hz, run.n / rate_hz
    segments = []
    for a, b, is_scored in run.segments:
        start, end = (int((start_s + length_s * x / 1000) * GRID_HZ) + 1 for x in (a, b))
        segments.append((start / GRID_HZ, (end - start) / GRID_HZ, is_scored))
    return segments


def _hear(ledger: Ledger, at: int, run: Run, block: int, rate_hz: int) -> None:
    """Hear a run block by block; a segment is taken as soon as all of it was heard."""
    waiting = _places(at, run, rate_hz)
    for start in range(at, at + run.n, block):
        n = min(block, at + run.n - start)
        ledger.hear(start, n)
        while waiting and round(sum(waiting[0][:2]) * rate_hz) <= start + n:
            ledger.take(*waiting.pop(0))
    for segment in waiting:
        ledger.take(*segment)


def _labels(at: int, run: Run, rate_hz: int) -> list[str]:
    """What the samples of a run are: the first segment that holds one says so."""
    labels = ["silent"] * run.n
    for start_s, duration_s, is_scored in _places(at, run, rate_hz):
        start, end = round(start_s * rate_hz), round((start_s + duration_s) * rate_hz)
        for place in range(max(start, at), min(end, at + run.n)):
            if labels[place - at] == "silent":
                labels[place - at] = "scored" if is_scored else "not scored"
    return labels


def test_what_is_not_decided_yet_is_silent() -> None:
    """A sample counts from when it is heard; a segment takes it out of the silence."""
    ledger = Ledger(1000)
    assert ledger.account == Account()
    ledger.hear(0, 500)
    assert ledger.account == Account(total_s=0.5, silent_s=0.5)
    ledger.take(0.1, 0.2, True)
    assert ledger.account == Account(total_s=0.5, silent_s=0.3, scored_s=0.2)


def test_accounts_add_up() -> None:
    """Two sources, or two rates of one, are one account: every part is a sum."""
    one, other = Account(7, 1, 2, 1, 2, 1, 1), Account(70, 10, 20, 10, 20, 10, 10)
    assert one + other == Account(77, 11, 22, 11, 22, 11, 11)
    assert one + Account() == one


def test_a_pause_of_nothing_is_nothing() -> None:
    """A look while paused, at a place that already counts at another rate, adds no samples."""
    ledger = Ledger(8000)
    ledger.hear(0, 8000)
    ledger.pause(48_000, 0)
    assert ledger.account == Account(total_s=1.0, silent_s=1.0)
