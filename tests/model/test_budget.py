"""A budget of alarms an hour becomes the largest false-alarm rate that keeps to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.alarms import AlarmFinder, AlarmRule, Window
from model.budget import (
    LARGEST_RATE,
    check_alarms_per_hour,
    count_alarms,
    describe_budget,
    rate_for_sounds,
    recordings_needed,
    smallest_budget,
    window_budget,
)
from model.conformity import Conformity
from model.detector import Detector
from model.errors import InputError
from model.segment import Segmentation

HOP_S = 0.5


@pytest.fixture
def windows(word_detector: Detector) -> Detector:
    """A detector of 2,000 held-out windows, every half second."""
    rng = np.random.default_rng(3)
    held_out = Conformity(rng.normal(size=2000), rng.normal(size=2000))
    cut = Segmentation("continuous", 1.0, HOP_S, alarm=AlarmRule(2, 3))
    return replace(word_detector, conformity=held_out, segmentation=cut)


@pytest.mark.parametrize("rule", [AlarmRule(1, 1), AlarmRule(2, 3), AlarmRule(3, 5)])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
def test_skipping_normal_windows_changes_no_count(rule: AlarmRule, rate: float) -> None:
    """Alarms counted near anomalous windows alone are those of all windows."""
    p = np.random.default_rng(5).uniform(size=3000)
    finder = AlarmFinder(rule)
    all_of_them = sum(
        finder.take(Window(i * HOP_S, i * HOP_S + 1.0, float(x) if x <= rate else None))
        for i, x in enumerate(p)
    )
    assert count_alarms(p, rate, rule, 1.0, HOP_S) == all_of_them


def test_a_budget_of_windows_is_kept_and_used(windows: Detector) -> None:
    """The rate keeps to the budget on held-out windows; the next larger one would not."""
    budget = window_budget(windows, 20)
    assert budget.is_kept
    assert (budget.alarms + 1) / budget.hours <= 20
    n = windows.conformity.n
    p = windows.conformity.reference_p() * n / (n + 1)
    more = count_alarms(p, budget.rate + 1 / (n + 1), AlarmRule(2, 3), 1.0, HOP_S)
    assert (more + 1) / budget.hours > 20


def test_new_windows_alarm_as_budgeted(windows: Detector) -> None:
    """A hundred hours of new windows alarm at most a half more often than the budget says."""
    rng = np.random.default_rng(11)
    n = 100 * 7200
    budget = window_budget(windows, 20)
    p = windows.conformity.p_values(rng.normal(size=n), rng.normal(size=n)).joint
    assert 5 <= count_alarms(p, budget.rate, AlarmRule(2, 3), 1.0, HOP_S) / 100 <= 30


def test_what_windows_cannot_show_is_said(windows: Detector) -> None:
    """Below one alarm in all of the held-out time no budget is called kept, and it says why."""
    least = smallest_budget(windows)
    assert least == pytest.approx(3600 / (2000 * HOP_S))
    assert window_budget(windows, least).is_kept
    refused = window_budget(windows, least / 10)
    assert not refused.is_kept
    assert refused.needed == 20_000
    assert "3.6" in describe_budget(windows)[0]


@pytest.mark.parametrize("n", range(100, 130))
def test_windows_without_an_alarm_keep_the_smallest_budget(windows: Detector, n: int) -> None:
    """Whatever their number: what was rounded on the way decides nothing."""
    rising = Conformity(np.arange(float(n)), np.arange(float(n)))
    known = replace(windows, conformity=rising)
    assert window_budget(known, smallest_budget(known)).is_kept


def test_the_budget_that_is_told_is_one_that_is_kept(windows: Detector) -> None:
    """What is said to be the smallest budget is not refused: it is rounded up, never down."""
    for n in range(101, 160):
        rising = replace(windows, conformity=Conformity(np.arange(float(n)), np.arange(float(n))))
        told = float(describe_budget(rising)[0].split("from ")[1].split(" on")[0])
        assert window_budget(rising, told).is_kept
        assert told <= 1.1 * smallest_budget(rising)


def test_groups_that_differ_count_against_the_budget(windows: Detector) -> None:
    """Held-out windows count as they rank among other groups: one that is off alarms."""
    assert windows.gallery is not None
    n = windows.conformity.n
    odd = np.arange(n) % 100 < 10  # ten windows on end, twenty times
    p = np.where(odd, 1e-4, 0.5).astype(np.float32)
    gallery = replace(windows.gallery, p=p)
    assert window_budget(replace(windows, gallery=gallery), 80).alarms == 20


@pytest.mark.parametrize("asked", [5e-324, 1e-320, 1e-308, 1e-306, 9e-7])
def test_a_budget_that_nobody_can_show_is_refused(asked: float) -> None:
    """However small a budget is, it is refused in a sentence."""
    with pytest.raises(InputError, match="less than anybody can show"):
        check_alarms_per_hour(asked)


@pytest.mark.parametrize("asked", [1e-6, 1e-3, 3600])
def test_every_budget_that_is_taken_can_be_reckoned(windows: Detector, asked: float) -> None:
    """The smallest and the largest budget give a rate and a number of sounds in both modes."""
    check_alarms_per_hour(asked)
    assert 0 < window_budget(windows, asked).rate <= LARGEST_RATE
    for sounds_per_hour in (1e-3, 600, 1e6):
        assert rate_for_sounds(windows.conformity, asked, sounds_per_hour) > 0
        recordings_needed(asked, sounds_per_hour)


def test_sounds_share_the_budget() -> None:
    """Ten alarms an hour of 1,000 sounds are a rate of 1 in 100, within what can be promised."""
    held_out = Conformity(np.arange(500.0), np.arange(500.0))
    assert rate_for_sounds(held_out, 10, 1000) == 0.01
    assert rate_for_sounds(held_out, 0.1, 1000) == held_out.smallest_p
    assert rate_for_sounds(held_out, 500, 1000) == LARGEST_RATE
    assert recordings_needed(0.1, 1000) == 9_999
