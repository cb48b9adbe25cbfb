"""PCA, Isolation Forest and k-means fitted; scikit-learn's objects end here as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.moments import measure
from calibrate.threads import one_core_each
from model.features import BandPart, Features
from model.isolation import IsolationForest
from model.profiles import ProfileClusters, dominant_in_parts
from model.subspace import Subspace

_CONTAMINATION = 0.1
_REACH_QUANTILE = 0.99
_FEWEST_FOR_OWN_REACH = 50
_SMALLEST_REACH = 1e-9  # copies of one sound have none: distances stay finite


def import_ahead() -> None:
    """Begin to import scikit-learn, which takes a second or two, while something else is done."""
    Thread(target=_import_all, name="offkey-import").start()


def _import_all() -> None:
    with suppress(ImportError):  # it is told where it is needed
        import_module("sklearn.ensemble")
        import_module("sklearn.cluster")


def fit_subspace(features: Features, explained_variance: float) -> Subspace:
    """PCA of `features`, shape `(n, n_features)`: as many components as explain that share.

    Raises InputError where the features do not differ.
    """
    return measure(features, np.zeros(len(features), np.int64)).subspace(None, explained_variance)


def fit_forest(features: Features, seed: int) -> IsolationForest:
    """scikit-learn's Isolation Forest on `features`, shape `(n, n_features)`, as flat arrays.

    Its contamination is 0.1: the offset is where 10 % of the features' scores lie below.
    """
    forest = grow_forest(features, seed)
    scores = forest.offset - forest.score(features)  # scikit-learn's: small for odd
    return replace(forest, offset=float(np.percentile(scores, 100 * _CONTAMINATION)))


def grow_forest(features: Features, seed: int) -> IsolationForest:
    """The trees of that forest alone: its offset is not that of these features."""
    from sklearn.ensemble import IsolationForest as SklearnForest

    fitted = SklearnForest(
        n_estimators=100, max_samples="auto", contamination="auto", random_state=seed
    ).fit(features)
    return flatten_forest(fitted)


def flatten_forest(fitted: Any) -> IsolationForest:
    """The nodes of a fitted scikit-learn IsolationForest as flat arrays."""
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    parts = [_flatten_tree(tree, root) for tree, root in zip(trees, roots, strict=True)]
    feature, threshold, children, path_length = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    return IsolationForest(
        roots.astype(np.int32),
        feature.astype(np.int32),
        threshold,
        children.astype(np.int32),
        path_length,
        depth=max(tree.max_depth for tree in trees),
        mean_path_length=float(_mean_path_length(np.array([fitted.max_samples_]))[0]),
        offset=float(fitted.offset_),
    )


def _flatten_tree(tree: Any, root: int) -> tuple[NDArray[Any], ...]:
    leaf = tree.children_left < 0
    itself = np.arange(tree.node_count)
    left = np.where(leaf, itself, tree.children_left)
    right = np.where(leaf, itself, tree.children_right)
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(~leaf):  # scikit-learn numbers parents before their children
        depth[[left[node], right[node]]] = depth[node] + 1
    path_length = np.where(leaf, depth + _mean_path_length(tree.n_node_samples), 0.0)
    feature = np.where(leaf, 0, tree.feature)
    threshold = np.where(leaf, np.inf, tree.threshold)
    return feature, threshold, np.column_stack([left, right]) + root, path_length


def _mean_path_length(n: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean path length of an unsuccessful search in a tree of `n` samples (Liu et al., eq. 1)."""
    large = np.maximum(n, 3).astype(np.float64)
    long = 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, long))


def fit_clusters(
    profiles: NDArray[np.float64],
    anomalous: NDArray[np.bool_],
    n_clusters: int,
    seed: int,
    parts: Sequence[BandPart],
) -> ProfileClusters:
    """k-means on held-out error profiles, shape `(n, 64)`; at most n / 10 clusters."""
    from sklearn.cluster import KMeans

    distinct = len(np.unique(profiles, axis=0))
    n_clusters = max(1, min(n_clusters, len(profiles) // 10, distinct))
    with one_core_each():
        fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(profiles)
    centroids: NDArray[np.float64] = fitted.cluster_centers_
    distance = np.linalg.norm(profiles - centroids[fitted.labels_], axis=1)
    sizes = np.bincount(fitted.labels_, minlength=n_clusters)
    reach_of_all = np.quantile(distance, _REACH_QUANTILE)
    reach = [
        np.quantile(distance[fitted.labels_ == i], _REACH_QUANTILE)
        if sizes[i] >= _FEWEST_FOR_OWN_REACH
        else reach_of_all
        for i in range(n_clusters)
    ]
    average = profiles.mean(axis=0)
    return ProfileClusters(
        centroids=centroids,
        reach=np.maximum(reach, _SMALLEST_REACH),
        sizes=tuple(sizes.tolist()),
        anomalous_share=tuple((np.bincount(fitted.labels_, anomalous) / sizes).tolist()),
        suggested=_told_apart([dominant_in_parts(row, average, parts) for row in centroids]),
        given=(None,) * n_clusters,
    )


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Number the names that occur more than once."""
    return tuple(
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    )
