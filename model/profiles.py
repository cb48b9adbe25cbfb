"""Error-profile clusters: in which way a sound is off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.errors import InputError, shown
from model.features import BandPart


@dataclass(frozen=True)
class Nearest:
    """The cluster nearest to an error profile."""

    cluster: int
    distance: float
    """Euclidean distance divided by the cluster's reach; above 1 it is unlike any cluster."""


@dataclass(frozen=True)
class ProfileClusters:
    """k-means groups of held-out error profiles over 64 bands."""

    centroids: NDArray[np.float64]
    """Shape `(n_clusters, 64)`."""
    reach: NDArray[np.float64]
    """Distance that 99 % of the members keep, shape `(n_clusters,)`."""
    sizes: tuple[int, ...]
    anomalous_share: tuple[float, ...]
    """Share of each cluster's members that are anomalous themselves."""
    suggested: tuple[str, ...]
    """Dominant bands in words, as a name until a person gives one."""
    given: tuple[str | None, ...]
    """Names that a person gave."""

    def __len__(self) -> int:
        return len(self.centroids)

    def name(self, cluster: int) -> str:
        """A person's name for the cluster, else its dominant bands."""
        return self.given[cluster] or self.suggested[cluster]

    def nearest(self, profile: NDArray[np.float64]) -> Nearest:
        """The cluster nearest to a profile of shape `(64,)`."""
        apart = self.centroids - profile
        squares = np.einsum("ij,ij->i", apart, apart)
        cluster = int(squares.argmin())
        return Nearest(cluster, math.sqrt(squares[cluster]) / float(self.reach[cluster]))

    def renamed(self, cluster: int, name: str) -> ProfileClusters:
        """The same clusters with a person's name for one; an empty name takes it away.

        Raises InputError where there is no such cluster.
        """
        if not 0 <= cluster < len(self):
            raise InputError(
                f"There is no cluster {cluster}.", f"This model has 0 to {len(self) - 1}."
            )
        given = list(self.given)
        given[cluster] = shown(name.strip()) or None
        return replace(self, given=tuple(given))

    def named_like(self, old: ProfileClusters) -> tuple[ProfileClusters, tuple[str, ...]]:
        """Move names from an older model's clusters to the nearest new centroid within reach.

        Returns the renamed clusters and the names that found no place.
        """
        given: list[str | None] = list(self.given)
        homeless = []
        for centroid, name in zip(old.centroids, old.given, strict=True):
            if name is None:
                continue
            nearest = self.nearest(centroid)
            if nearest.distance <= 1 and given[nearest.cluster] is None:
                given[nearest.cluster] = name
            else:
                homeless.append(name)
        return replace(self, given=tuple(given)), tuple(homeless)


def dominant_band(
    profile: NDArray[np.float64], average: NDArray[np.float64], edges_hz: NDArray[np.float64]
) -> str:
    """Where a profile stands out from the average one, in words, such as `1.7–2.1 kHz`.

    The run of bands around its largest excess that stay above half of that; `below average`
    where the excess is nowhere a tenth of the average's peak. Profiles of shape `(64,)`, edges
    `(65,)`.
    """
    excess = profile - average
    top = int(np.argmax(excess))
    if excess[top] < 0.1 * average.max():
        return "below average"
    high_enough = excess >= excess[top] / 2
    low, high = top, top + 1
    while low > 0 and high_enough[low - 1]:
        low -= 1
    while high < len(profile) and high_enough[high]:
        high += 1
    return range_text(float(edges_hz[low]), float(edges_hz[high]))


def dominant_in_parts(
    profile: NDArray[np.float64], average: NDArray[np.float64], parts: Sequence[BandPart]
) -> str:
    """The same of the part that stands out most, with its name: `steadiness 1.7–2.1 kHz`."""
    excess = profile - average
    most = max(parts, key=lambda of: float(excess[of.bands].max()))
    found = dominant_band(profile[most.bands], average[most.bands], most.edges_hz)
    return f"{most.part.name} {found}".strip() if found[0].isdigit() else found


def range_text(low_hz: float, high_hz: float) -> str:
    """A range of frequencies in its proper unit."""
    if high_hz < 1000:
        return f"{round(low_hz, -1):.0f}–{round(high_hz, -1):.0f} Hz"
    low, high = f"{low_hz / 1000:.1f}", f"{high_hz / 1000:.1f}"
    if low == high:
        low, high = f"{low_hz / 1000:.2f}", f"{high_hz / 1000:.2f}"
    return f"{low}–{high} kHz"
