"""Held-out reference scores: p-values, thresholds, verdicts.

Conformal p-values (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005): a new
sound's p is the share of held-out reference sounds at least as odd, itself counted among them. The
two scores are joined by the smaller of their p-values, ranked once more among the reference.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import InputError
from model.oddness import Surprise

Floats = NDArray[np.float64]
SMALLEST_RATE = 1e-9
"""One in a billion sounds. Less no reference can promise, and its arithmetic overflows."""


@dataclass(frozen=True)
class PValues:
    """Three p-values per sound, each of shape `(n,)`."""

    isolation: Floats
    reconstruction: Floats
    joint: Floats


@dataclass(frozen=True)
class Thresholds:
    """The smallest score that alone makes a segment anomalous; infinite where none does."""

    isolation_score: float
    reconstruction_error: float


@dataclass(frozen=True)
class Conformity:
    """Held-out scores of the reference sounds, in their order, each of shape `(n,)`."""

    isolation: Floats
    reconstruction: Floats

    @property
    def n(self) -> int:
        """Number of reference sounds."""
        return len(self.isolation)

    @property
    def smallest_p(self) -> float:
        """No sound, however odd, gets a smaller p: `1 / (n + 1)`."""
        return 1 / (self.n + 1)

    @cached_property
    def _sorted(self) -> tuple[Floats, Floats]:
        return np.sort(self.isolation), np.sort(self.reconstruction)

    @cached_property
    def _surprises(self) -> tuple[Surprise, Surprise]:
        isolation, reconstruction = self._sorted
        return Surprise.of(isolation), Surprise.of(reconstruction)

    @cached_property
    def _sorted_m(self) -> Floats:
        return np.sort(self._reference_m)

    @cached_property
    def _reference_m(self) -> Floats:
        ranks = [
            _at_least(ordered, scores) / self.n
            for ordered, scores in zip(
                self._sorted, (self.isolation, self.reconstruction), strict=True
            )
        ]
        return np.minimum(*ranks)

    def p_values(self, isolation: ArrayLike, reconstruction: ArrayLike) -> PValues:
        """p-values of new sounds from their scores, arrays of shape `(n_new,)`."""
        p_isolation, p_reconstruction = (
            (1 + _at_least(ordered, np.atleast_1d(np.asarray(scores, np.float64)))) / (self.n + 1)
            for ordered, scores in zip(self._sorted, (isolation, reconstruction), strict=True)
        )
        m = np.minimum(p_isolation, p_reconstruction)
        joint = (1 + np.searchsorted(self._sorted_m, m, side="right")) / (self.n + 1)
        return PValues(p_isolation, p_reconstruction, joint)

    @cached_property
    def _lists(self) -> tuple[list[float], list[float], list[float]]:
        """Both scores and m, ascending: one number is found faster in a list."""
        return self._sorted[0].tolist(), self._sorted[1].tolist(), self._sorted_m.tolist()

    def p_of_one(self, isolation: float, reconstruction: float) -> tuple[float, float, float]:
        """For one new sound the p of both scores and the joint p: what p_values gives."""
        by_isolation, by_reconstruction, by_m = self._lists
        n = self.n
        p_isolation = (1 + n - bisect_left(by_isolation, isolation)) / (n + 1)
        p_reconstruction = (1 + n - bisect_left(by_reconstruction, reconstruction)) / (n + 1)
        joint = (1 + bisect_right(by_m, min(p_isolation, p_reconstruction))) / (n + 1)
        return p_isolation, p_reconstruction, joint

    def oddness(self, isolation: ArrayLike, reconstruction: ArrayLike) -> Floats:
        """Joint oddness of new sounds, to sort by, shape `(n_new,)`: see oddness.py."""
        of_isolation, of_reconstruction = self._surprises
        return of_isolation(np.atleast_1d(np.asarray(isolation, np.float64))) + of_reconstruction(
            np.atleast_1d(np.asarray(reconstruction, np.float64))
        )

    def oddness_of_one(self, isolation: float, reconstruction: float) -> float:
        """The same of one new sound."""
        of_isolation, of_reconstruction = self._surprises
        return of_isolation.of_one(isolation) + of_reconstruction.of_one(reconstruction)

    def reference_p(self) -> Floats:
        """The reference sounds' own joint p, itself counted once: share of `m` at most as large."""
        return np.searchsorted(self._sorted_m, self._reference_m, side="right") / self.n

    def thresholds(self, false_alarm_rate: float) -> Thresholds:
        """Scores from which one score alone suffices for an alarm."""
        allowed = math.floor(false_alarm_rate * (self.n + 1) + 1e-9) - 1
        if allowed < 0:
            return Thresholds(math.inf, math.inf)
        # The p of one score is (1 + k) / (n + 1) with k reference scores at least as large. Take
        # the largest k whose joint p still keeps to the rate.
        k = np.arange(self.n + 1)
        joint_rank = np.searchsorted(self._sorted_m, (1 + k) / (self.n + 1), side="right")
        largest = int(np.flatnonzero(joint_rank <= allowed)[-1])
        return Thresholds(*(_just_above(ordered, largest) for ordered in self._sorted))


def check_false_alarm_rate(asked: float | None) -> None:
    """Raises InputError for a rate that is not between 0 and 1, or smaller than any promise."""
    if asked is None:
        return
    if not 0 < asked < 1:
        raise InputError(f"A false-alarm rate of {asked:g} is not between 0 and 1.")
    if asked < SMALLEST_RATE:
        raise InputError(
            f"A false-alarm rate of {asked:g} is smaller than any reference can promise.",
            f"The smallest that is taken is {SMALLEST_RATE:g}, one in a billion sounds.",
        )


def resolve_false_alarm_rate(
    asked: float | None, n: int, sounds: str = "reference sounds", more: str = "recordings"
) -> float:
    """The rate in force with `n` held-out sounds: 0.01 unless asked, never below `1 / (n + 1)`.

    Raises InputError for a rate that was asked for and that `n` sounds cannot promise; it says what
    they are, `sounds`, and what it takes more of.
    """
    smallest = 1 / (n + 1)
    if asked is None:
        return max(0.01, smallest)
    check_false_alarm_rate(asked)
    if asked < smallest:
        needed = math.ceil(1 / asked - 1e-9) - 1
        raise InputError(
            f"{n:,} {sounds} cannot promise a false-alarm rate of {asked:g}; "
            f"the smallest is {smallest:.2g}.",
            f"It takes at least {needed:,} {more}.",
        )
    return asked


def _at_least(ordered: Floats, scores: Floats) -> NDArray[np.int64]:
    """How many of `ordered`, ascending, are at least as large as each score."""
    return len(ordered) - np.searchsorted(ordered, scores, side="left")


def _just_above(ordered: Floats, k: int) -> float:
    """The smallest number that at most `k` of `ordered` reach."""
    if k >= len(ordered):
        return -math.inf
    return float(np.nextafter(ordered[len(ordered) - 1 - k], math.inf))
