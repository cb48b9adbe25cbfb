"""False alarms an hour as a budget: which false-alarm rate keeps to it.

A window comes every hop, so continuous mode can tell from held-out windows how often a rule alarms
at every rate. Event mode has to know how many sounds an hour there are: see monitor/budget.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.alarms import AlarmFinder, AlarmRule, Window
from model.conformity import Conformity
from model.detector import Detector
from model.errors import InputError
from model.words import two_digits_up

SMALLEST_BUDGET = 1e-6
"""Alarms an hour: one in a hundred years. Nobody can show less, and its arithmetic overflows."""
LARGEST_RATE = 0.1
"""Where more than this share of normal sounds alarms, an alarm says nothing."""


@dataclass(frozen=True)
class WindowBudget:
    """A budget of alarms an hour as a rate per window."""

    rate: float
    alarms: int
    """Of the rule on held-out windows at that rate."""
    hours: float
    """Of held-out windows."""
    is_kept: bool
    """Whether so many windows can show that it is kept."""
    needed: int
    """So many held-out windows it takes at least."""


def check_alarms_per_hour(asked: float) -> None:
    """Raises InputError for a budget that is none."""
    if not 0 < asked <= 3600:
        raise InputError(
            f"--alarms-per-hour takes a number above 0 and up to 3,600, not {asked:g}.",
            "0.1 is one in ten hours.",
        )
    if asked < SMALLEST_BUDGET:
        raise InputError(
            f"--alarms-per-hour {asked:g} is less than anybody can show.",
            f"The smallest that is taken is {SMALLEST_BUDGET:f}, one in a hundred years.",
        )


def window_budget(detector: Detector, alarms_per_hour: float) -> WindowBudget:
    """The largest rate at which the rule in force keeps to the budget on held-out windows.

    One alarm more than were counted is reckoned with, as p reckons with the new sound itself. Where
    even the smallest rate alarms more often, that one, and `is_kept` is False.
    """
    cut, p = detector.segmentation, detector.held_out_p
    n = len(p)
    hours = n * cut.hop_s / 3600
    most = max(1, math.floor(LARGEST_RATE * (n + 1)))

    def alarms(rank: int) -> int:
        return count_alarms(p, rank / (n + 1), cut.alarm, cut.duration_s, cut.hop_s)

    low, high = 0, most  # `low` keeps to the budget; above `high` nothing is asked
    while low < high:
        rank = (low + high + 1) // 2
        if (alarms(rank) + 1) / hours <= alarms_per_hour * (1 + 1e-9):
            low = rank
        else:
            high = rank - 1
    rank = max(1, low)
    needed = math.ceil(3600 / (cut.hop_s * alarms_per_hour) - 1e-9)
    return WindowBudget(rank / (n + 1), alarms(rank), hours, low > 0, max(needed, n * (low == 0)))


def count_alarms(
    p: NDArray[np.float64], rate: float, rule: AlarmRule, duration_s: float, hop_s: float
) -> int:
    """How often a rule alarms on windows that follow each other, p of shape `(n,)`.

    Only windows near an anomalous one are looked at: of normal ones the rule remembers `m`.
    """
    odd = p <= rate + 1e-12
    near = np.zeros(len(p) + rule.m, bool)
    for later in range(rule.m + 1):
        near[later : later + len(p)] |= odd
    finder = AlarmFinder(rule)
    return sum(
        finder.take(Window(i * hop_s, i * hop_s + duration_s, float(p[i]) if odd[i] else None))
        for i in np.flatnonzero(near[: len(p)]).tolist()
    )


def smallest_budget(detector: Detector) -> float:
    """Continuous mode: the fewest alarms an hour that held-out windows can show to be kept."""
    cut = detector.segmentation
    return 3600 / (detector.conformity.n * cut.hop_s)


def rate_for_sounds(
    conformity: Conformity, alarms_per_hour: float, sounds_per_hour: float
) -> float:
    """Event mode: budget over sounds, between what the reference can promise and 0.1."""
    asked = alarms_per_hour / sounds_per_hour
    return max(conformity.smallest_p, min(LARGEST_RATE, asked))


def recordings_needed(alarms_per_hour: float, sounds_per_hour: float) -> int:
    """Event mode: so many recordings a budget takes at that many sounds an hour."""
    return math.ceil(sounds_per_hour / alarms_per_hour - 1e-9) - 1


def describe_budget(detector: Detector) -> list[str]:
    """What budgets a model can keep, in words."""
    n = detector.conformity.n
    if detector.segmentation.mode == "event":
        return [
            f"--alarms-per-hour takes at least 1 alarm for every {n + 1:,} sounds: "
            f"at 100 sounds an hour from {two_digits_up(100 / (n + 1))} on"
        ]
    least = window_budget(detector, smallest_budget(detector))
    text = (
        f"--alarms-per-hour from {two_digits_up(smallest_budget(detector))} on can be shown on "
        f"{n:,} windows"
    )
    if not least.is_kept:
        text += (
            f"; the rule alarms {least.alarms:,} times on them even at the smallest p: more then"
        )
    return [text]
