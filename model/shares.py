"""A share that was counted, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z95 = 1.959964


@dataclass(frozen=True)
class Share:
    """How many of how many, and where the true share lies with 95 % confidence."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The observed one."""
        return self.count / self.of


def share_of(count: int, of: int, overlap: float = 1.0) -> Share:
    """A share with its interval; of windows that overlap fewer count as independent.

    Wilson, Journal of the American Statistical Association 22, 1927.
    """
    n, share = of / overlap, count / of
    z2 = _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == of else min(1.0, centre + half)
    return Share(count, of, low, high)
