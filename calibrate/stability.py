"""How much clusters depend on chance: agreement over seeds, over halves, with the map's plane.

All by the adjusted Rand index (Hubert, Arabie: Comparing partitions, Journal of Classification 2,
1985): 1 for the same clusters, about 0 for unrelated ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibrate.threads import one_core_each
from model.gallery import Agreement

MOST = 15
_MOST_ROWS = 3000
_SEEDS = 3
_SPLITS = 3
_STARTS = 3
_AS_GOOD = 0.05  # below the best: more is not seen through so few splits
Labels = NDArray[np.intp]


def choose_number(profiles: NDArray[np.float64], seed: int) -> tuple[tuple[int, float], ...]:
    """Try 2 to 15 clusters, at most n / 10, on error profiles, shape `(n, 64)`.

    Each number with its agreement over halves; `best_of` says which one to take.
    """
    profiles = _some(profiles, seed)
    largest = min(MOST, len(profiles) // 10, len(np.unique(profiles, axis=0)) // 2)
    return tuple((k, _over_halves(profiles, k, seed)) for k in range(2, largest + 1))


def best_of(tried: Sequence[tuple[int, float]]) -> int:
    """The largest number whose agreement is about that of the best; 1 of none."""
    best = max((value for _, value in tried), default=0.0)
    return max((number for number, value in tried if value >= best - _AS_GOOD), default=1)


def measure_agreement(
    profiles: NDArray[np.float64],
    cluster: NDArray[np.int16],
    n_clusters: int,
    seed: int,
    tried: tuple[tuple[int, float], ...] = (),
) -> Agreement:
    """Agreement of clusters, of shape `(n,)`, of error profiles, shape `(n, 64)`."""
    rows = _rows(len(profiles), seed)
    profiles, cluster = profiles[rows], cluster[rows]
    others = [_labels(profiles, profiles, n_clusters, seed + i) for i in range(1, _SEEDS + 1)]
    return Agreement(
        seeds=float(np.mean([_rand(cluster, labels) for labels in others])),
        halves=_over_halves(profiles, n_clusters, seed),
        tried=tried,
    )


def agreement_in_plane(
    places: NDArray[np.float32], cluster: NDArray[np.int16], n_clusters: int, seed: int
) -> float:
    """Agreement of clusters, of shape `(m,)`, with k-means on a map, shape `(m, 2)`."""
    return _rand(cluster, _labels(places, places, n_clusters, seed))


def _over_halves(profiles: NDArray[np.float64], n_clusters: int, seed: int) -> float:
    """Mean agreement, on all, of the clusters that two halves give; over three splits."""
    if len(profiles) < 2 * n_clusters:
        return 0.0
    random, found = np.random.default_rng(seed), []
    for _ in range(_SPLITS):
        order = random.permutation(len(profiles))
        cuts = pairwise((0, len(order) // 2, len(order)))
        one, other = (
            _labels(profiles[order[low:high]], profiles, n_clusters, seed) for low, high in cuts
        )
        found.append(_rand(one, other))
    return float(np.mean(found))


def _labels(
    fitted: NDArray[np.floating], labelled: NDArray[np.floating], n_clusters: int, seed: int
) -> Labels:
    """Clusters of `labelled` by k-means on `fitted`.

    One thread: several wait for each other longer than such small sums take.
    """
    from sklearn.cluster import KMeans

    n_clusters = min(n_clusters, len(np.unique(fitted, axis=0)))
    with one_core_each():
        fit = KMeans(n_clusters, n_init=_STARTS, random_state=seed % 2**32).fit(fitted)
        labels: Labels = fit.predict(labelled)
    return labels


def _rand(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(one, other))


def _rows(n: int, seed: int) -> NDArray[np.int64]:
    if n <= _MOST_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, _MOST_ROWS, replace=False))


def _some(profiles: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    return profiles[_rows(len(profiles), seed)]
