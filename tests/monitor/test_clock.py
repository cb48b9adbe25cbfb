"""The clock against the sample count: what is a loss and what is not, and when a sound was.

Nothing here waits: a device, its clock and the delays of its callbacks are made up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import Arrival, LossFinder, SampleClock, now_s
from monitor.devices import BLOCK_S

Arrived = tuple[float, float]
"""Where a block ends by the count of its samples, and when it came."""
BEGAN_S = 5000.0
LATENCY_S = 0.03


def arrivals(
    length_s: float,
    *,
    ppm: float = 0.0,
    jitter_s: float = 0.04,
    losses: Iterable[tuple[float, float]] = (),
    seed: int = 0,
    block_s: float = BLOCK_S,
) -> Iterator[Arrived]:
    """Give the blocks of a device whose clock is slow by `ppm`, which loses sound unseen.

    `losses` are pairs: at which of its samples, in seconds, and how much.
    """
    ends = block_s * np.arange(1, round(length_s / block_s) + 1)
    at = BEGAN_S + LATENCY_S + ends * (1 + 1e-6 * ppm)
    for loss_at_s, lost_s in losses:
        at = at + lost_s * (ends > loss_at_s)
    at = at + np.random.default_rng(seed).uniform(0, jitter_s, size=len(ends))
    yield from zip(ends.tolist(), np.maximum.accumulate(at).tolist(), strict=True)


def found_in(
    blocks: Iterable[Arrived], clock: SampleClock | None = None, *, flush: bool = False
) -> list[Arrived]:
    """Find losses as a microphone does: before which of the device's samples, and how much."""
    clock, found = clock or SampleClock(), list[Arrived]()
    finder: LossFinder[Arrived] = LossFinder(clock)

    def place(decided: Iterator[tuple[Arrived, float]]) -> None:
        for (end_s, at_s), missing_s in decided:
            finder.origin_s += missing_s
            unseen_s = clock.hear(finder.origin_s + end_s, at_s)
            finder.origin_s += unseen_s
            if missing_s + unseen_s:
                found.append((end_s, missing_s + unseen_s))

    for end_s, at_s in blocks:
        place(finder.push(Arrival((end_s, at_s), end_s, at_s, is_flagged=False)))
    if flush:
        place(finder.flush())
    return found


# --- what is no loss -----------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-300, -20, 0, 300, 3000])
def test_drift_is_never_a_loss(ppm: float) -> None:
    """Two clocks that drift apart for two hours, under jitter of 40 ms, lose nothing."""
    assert found_in(arrivals(7200.0, ppm=ppm)) == []


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 1.9), st.floats(0.0, 1.5), st.floats(-300, 300))
def test_a_late_burst_is_no_loss(seed: int, held_s: float, phase_s: float, ppm: float) -> None:
    """Callbacks held up for a while and then made all at once, at any moment, lose nothing."""
    held_from_s = BEGAN_S + 3.0 + phase_s
    until_s = held_from_s + held_s
    blocks = [
        (end_s, until_s if held_from_s < at_s < until_s else at_s)
        for end_s, at_s in arrivals(8.0, ppm=ppm, jitter_s=0.02, seed=seed)
    ]
    assert any(at_s == until_s for _, at_s in blocks)
    assert found_in(blocks) == []


def test_repeated_bursts_are_no_loss() -> None:
    """A machine so busy that callbacks come every third of a second, in a row, loses nothing."""
    blocks = [(end_s, at_s + (-at_s % 0.33)) for end_s, at_s in arrivals(600.0)]
    assert len({at_s for _, at_s in blocks}) < len(blocks) / 4
    assert found_in(blocks) == []


def test_a_device_that_gets_quicker_loses_nothing() -> None:
    """Blocks that come earlier than before, as after a buffer was emptied, are no loss."""
    assert found_in(arrivals(20.0, losses=[(10.0, -0.3)])) == []


# --- what is one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-300, 0, 300])
@pytest.mark.parametrize("lost_s", [0.06, 0.1, 0.5, 1.9, 5.0])
def test_a_jump_that_stays_is_a_loss(lost_s: float, ppm: float) -> None:
    """Found once, where it was, and how long, however callbacks jitter by up to 40 ms."""
    errors_s, places_s = [], []
    for seed in range(40):
        lost_at_s = 4.0 + seed / 40
        blocks = arrivals(10.0, ppm=ppm, losses=[(lost_at_s, lost_s)], seed=seed)
        [(found_at_s, missing_s)] = found_in(blocks)
        errors_s.append(missing_s - lost_s)
        places_s.append(found_at_s - lost_at_s)
    assert np.median(np.abs(errors_s)) < 0.005
    assert np.max(np.abs(errors_s)) < 0.02
    assert min(places_s) > 0
    # The jitter of a loss as short as a block can hide it for a block or two.
    assert max(places_s) <= (BLOCK_S if lost_s > 0.09 else 0.5) + 1e-9


@pytest.mark.parametrize("lost_s", [0.06, 0.4, 1.9])
def test_a_loss_amid_bursts_is_found(lost_s: float) -> None:
    """Where callbacks are held up for a third of a second now and then, it is found as well.

    A loss among blocks that were held up may be told in two parts: before the first of these, and
    where it was.
    """
    for seed in range(40):
        lost_at_s = 4.0 + seed / 40
        blocks = [
            (end_s, max(at_s, BEGAN_S + (at_s - BEGAN_S) // 0.9 * 0.9 + 0.3))
            for end_s, at_s in arrivals(10.0, losses=[(lost_at_s, lost_s)], seed=seed)
        ]
        found = found_in(blocks)
        assert sum(missing_s for _, missing_s in found) == pytest.approx(lost_s, abs=0.025)
        assert 1 <= len(found) <= 2
        assert all(-0.3 < found_at_s - lost_at_s <= BLOCK_S + 1e-9 for found_at_s, _ in found)
        if lost_s > 0.3:
            assert found[-1][0] > lost_at_s


def test_losses_one_after_the_other_are_all_found() -> None:
    """Many losses, some close together: what is found adds up to what was lost."""
    rng = np.random.default_rng(1)
    losses = [(at_s, float(rng.uniform(0.1, 1))) for at_s in np.cumsum(rng.uniform(0.2, 8, 60))]
    found = found_in(arrivals(400.0, ppm=50, jitter_s=0.01, losses=losses))
    lost_s = sum(lost_s for _, lost_s in losses)
    assert sum(missing_s for _, missing_s in found) == pytest.approx(lost_s, abs=0.2)
    assert len(found) >= 40


def test_a_loss_among_few_long_blocks_is_found_once() -> None:
    """Blocks of a second, each of which alone tells how late things are: the loss counts once."""
    blocks = arrivals(60.0, block_s=1.0, losses=[(20.0, 0.5)])
    [(found_at_s, missing_s)] = found_in(blocks)
    assert missing_s == pytest.approx(0.5, abs=0.04)
    assert found_at_s == 21.0


def test_a_loss_in_the_first_half_second_is_found() -> None:
    """The very first blocks suffice to tell that some are missing after them."""
    [(found_at_s, missing_s)] = found_in(arrivals(5.0, jitter_s=0.0, losses=[(0.2, 0.3)]))
    assert missing_s == pytest.approx(0.3)
    assert found_at_s <= 0.2 + BLOCK_S + 1e-9


def test_what_is_late_at_the_end_counts_as_after_a_loss() -> None:
    """Where nothing more comes to decide it, a sound across it is not heard as if it were whole."""
    blocks = list(arrivals(5.3, jitter_s=0.01, losses=[(5.0, 0.3)]))
    assert found_in(blocks) == []
    [(found_at_s, missing_s)] = found_in(blocks, flush=True)
    assert 0 < found_at_s - 5.0 <= BLOCK_S + 1e-9
    assert missing_s == pytest.approx(0.3, abs=0.02)


def test_what_is_flagged_is_a_loss_however_short() -> None:
    """Where the device says so, half a second and more of blocks tell how much: without jitter."""
    clock = SampleClock()
    finder: LossFinder[int] = LossFinder(clock)
    given: list[tuple[int, float]] = []
    for i, (end_s, at_s) in enumerate(arrivals(4.0, jitter_s=0.04, losses=[(2.0, 0.03)])):
        for what, missing_s in finder.push(Arrival(i, end_s, at_s, is_flagged=i == 50)):
            finder.origin_s += missing_s
            clock.hear(finder.origin_s + end_s, at_s)
            given.append((what, missing_s))
        assert len(given) == i + 1 or 50 <= i < 50 + 25
    assert [what for what, _ in given] == list(range(100))
    [(what, missing_s)] = [(what, missing_s) for what, missing_s in given if missing_s]
    assert what == 50
    assert missing_s == pytest.approx(0.03, abs=0.01)


def test_a_restart_forgets_how_late_blocks_were() -> None:
    """A device that is opened again, with longer buffers, has lost nothing by that."""
    clock = SampleClock()
    assert found_in(arrivals(5.0), clock) == []
    clock.restart()
    later = [(end_s + 5.0, at_s + 5.0 + 0.4) for end_s, at_s in arrivals(5.0)]
    assert found_in(later, clock) == []


# --- the time of day -----------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-60, 60])
def test_the_time_of_a_sound_follows_the_drift(ppm: float) -> None:
    """Over two weeks, in which the sample count goes wrong by a minute, times stay true."""
    clock, began = SampleClock(), datetime(2026, 1, 1, tzinfo=UTC)
    errors_s, origins = [], []
    for n, (end_s, at_s) in enumerate(arrivals(14 * 86_400.0, ppm=ppm, jitter_s=0.01, block_s=2.0)):
        assert clock.hear(end_s, at_s) == 0
        if n % 1800 == 100:
            origin = clock.utc_of_origin(began + timedelta(seconds=at_s), at_s)
            told = origin + timedelta(seconds=end_s)
            true = began + timedelta(seconds=BEGAN_S + LATENCY_S + end_s * (1 + 1e-6 * ppm))
            errors_s.append((told - true).total_seconds())
            origins.append(origin)
    assert len(errors_s) > 300
    assert max(np.abs(errors_s)) < 0.01
    assert abs((origins[-1] - origins[0]).total_seconds()) > 60


def test_the_time_of_day_is_set() -> None:
    """Where the system's time is corrected by an hour, later sounds have the corrected time."""
    clock, utc = SampleClock(), datetime(2026, 1, 1, tzinfo=UTC)
    found_in(arrivals(10.0), clock)
    at_s = BEGAN_S + 10.0
    before = clock.utc_of_origin(utc, at_s)
    assert clock.utc_of_origin(utc + timedelta(hours=1), at_s) - before == timedelta(hours=1)


def test_a_restart_keeps_the_time_of_what_was_heard() -> None:
    """Between the restart and the first block, sounds of before still have the time they had."""
    clock, utc = SampleClock(), datetime(2026, 1, 1, tzinfo=UTC)
    found_in(arrivals(10.0), clock)
    before = clock.utc_of_origin(utc, BEGAN_S + 10.0)
    for seconds in range(1, 4):
        clock.restart()
        now = clock.utc_of_origin(utc + timedelta(seconds=seconds), BEGAN_S + 10.0 + seconds)
        assert now == before


def test_the_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that counts sleep, where the system has it; else one that never goes back."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert before_s <= now_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    before_s = time.monotonic()
    assert before_s <= now_s() <= time.monotonic()
