"""Joint oddness: one number to sort by, which goes on where p has reached its end.

p counts reference sounds and is the same for all that are odder than every one of them. Here each
score has a p without steps: up to the upper tenth of the reference by interpolation between its
sounds, from there on by a generalised Pareto tail, which is what the excesses over a high threshold
tend to (Pickands, Annals of Statistics 3, 1975), fitted by probability-weighted moments (Hosking
and Wallis, Technometrics 29, 1987). The two are joined as Fisher joined p-values (Statistical
Methods for Research Workers, 1932): by the sum of their logarithms.

That sum found other digits among sixes better than the smaller of the two p-values did, on which
the verdict rests. So the order can differ a little from that of p, where one score is odd alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TAIL = 0.1
_FEWEST_IN_TAIL = 5
_HEAVIEST = 0.9
"""A shape of 1 would have no mean, and one below 0 an end: what lies beyond would be infinite."""
_STRAIGHT = 1e-6
_NATS = math.log(10)


@dataclass(frozen=True)
class Surprise:
    """−log10 of one score's p, continuous and never falling, from its held-out scores."""

    ordered: Floats
    """Held-out scores, ascending, shape `(n,)`."""
    threshold: float
    shape: float
    scale: float

    @classmethod
    def of(cls, ordered: Floats) -> Surprise:
        """Fit the tail; `ordered` is ascending, at least 6 values."""
        n = len(ordered)
        k = max(_FEWEST_IN_TAIL, round(_TAIL * n))
        threshold = float(ordered[n - k - 1])
        excess = ordered[n - k :] - threshold
        mean = float(excess.mean())
        weighted = float(np.mean((1 - (np.arange(1, k + 1) - 0.35) / k) * excess))
        spread = mean - 2 * weighted
        shape = 2 - mean / spread if spread > 0 else 0.0
        shape = min(max(shape, 0.0), _HEAVIEST)
        least = 1e-9 * max(abs(threshold), 1e-9)  # many copies of one sound leave no excess
        return cls(ordered, threshold, shape, max(mean * (1 - shape), least))

    def __call__(self, scores: Floats) -> Floats:
        """−log10 p of scores, shape `(n_new,)`: 0 for what is no odder than any reference sound."""
        up_to = np.interp(np.minimum(scores, self.threshold), self.ordered, self._steps)
        return np.asarray(up_to + self._tail(scores), np.float64)

    def of_one(self, score: float) -> float:
        """The same of one score, in a tenth of the time: from lists, by bisection."""
        ordered, steps = self._lists
        if score > self.threshold:
            return self._at_threshold + self._tail_of_one(score - self.threshold)
        low = bisect_right(ordered, score) - 1
        if low < 0:
            return steps[0]
        if low == len(ordered) - 1:
            return steps[low]
        slope = (steps[low + 1] - steps[low]) / (ordered[low + 1] - ordered[low])
        return slope * (score - ordered[low]) + steps[low]

    @cached_property
    def _steps(self) -> Floats:
        """−log10 of the p of each held-out score."""
        n = len(self.ordered)
        return -np.log10((1 + n - np.arange(n)) / (n + 1))

    @cached_property
    def _lists(self) -> tuple[list[float], list[float]]:
        return self.ordered.tolist(), self._steps.tolist()

    @cached_property
    def _at_threshold(self) -> float:
        return float(np.interp(self.threshold, self.ordered, self._steps))

    def _tail_of_one(self, beyond: float) -> float:
        excess = beyond / self.scale
        if self.shape < _STRAIGHT:
            return excess / _NATS
        return math.log1p(self.shape * excess) / self.shape / _NATS

    def _tail(self, scores: Floats) -> Floats:
        """−log10 of the share of the upper tenth that is at least as odd."""
        excess = np.maximum(scores - self.threshold, 0) / self.scale
        nats = excess if self.shape < _STRAIGHT else np.log1p(self.shape * excess) / self.shape
        return np.asarray(nats / _NATS, np.float64)
