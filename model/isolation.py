"""The Isolation Forest as flat arrays, descended for all trees at once.

Liu, Ting, Zhou: Isolation Forest (ICDM 2008). Scores equal scikit-learn's to 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.features import Features

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class _Nodes:
    """The same nodes in another order, first those that ask, then the leaves; widened for numpy."""

    feature: Indices
    """Feature that an asking node looks at, shape `(n_asking,)`."""
    limit: NDArray[np.float32]
    """Largest single-precision value that goes left, shape `(n_asking,)`."""
    left: Indices
    right: Indices
    stay: Indices
    """Every node itself, shape `(n_nodes,)`."""
    roots: Indices
    path_length: NDArray[np.float64]


@dataclass(frozen=True)
class IsolationForest:
    """All nodes of all trees, one after the other; a leaf is its own child."""

    roots: NDArray[np.int32]
    """Index of each tree's root, shape `(n_trees,)`."""
    feature: NDArray[np.int32]
    """Feature that a node looks at, 0 for a leaf, shape `(n_nodes,)`."""
    threshold: NDArray[np.float64]
    """A node sends values up to its threshold left, shape `(n_nodes,)`."""
    children: NDArray[np.int32]
    """Left and right child, shape `(n_nodes, 2)`."""
    path_length: NDArray[np.float64]
    """A leaf's depth plus the mean path length of what it holds, else 0; shape `(n_nodes,)`."""
    depth: int
    """Steps from a root to the deepest leaf."""
    mean_path_length: float
    """Mean path length of an unsuccessful search among the samples of one tree."""
    offset: float
    """scikit-learn's `offset_`: 10 % of the reference lie below it."""

    def score(self, features: Features) -> NDArray[np.float64]:
        """Isolation scores, shape `(n,)`, of `features`, shape `(n, n_features)`.

        Negated decision function: above 0 is odder than 90 % of the reference. This is the one
        place where scikit-learn's sign, small for odd, is turned round.
        """
        return np.array([self.score_one(row) for row in features], np.float64)

    def score_one(self, features: Features) -> float:
        """Isolation score of one segment's features, shape `(n_features,)`, single precision."""
        nodes = self._nodes
        # Every node answers, also those that no tree will ask: that is a few long steps for numpy
        # instead of many short ones.
        goes_right = features.take(nodes.feature) > nodes.limit
        following = nodes.stay.copy()
        following[: len(goes_right)] = np.where(goes_right, nodes.right, nodes.left)
        node = nodes.roots
        for _ in range(self.depth):
            node = following.take(node)
        total = float(nodes.path_length.take(node).sum())
        # `-score_samples`: between 0 and 1, near 1 for what is isolated after few splits.
        raw: float = 2.0 ** (-total / (len(self.roots) * self.mean_path_length))
        return raw + self.offset

    @cached_property
    def _nodes(self) -> _Nodes:
        own = np.arange(len(self.children))
        is_leaf = self.children[:, 0] == own
        order = np.concatenate([np.flatnonzero(~is_leaf), np.flatnonzero(is_leaf)])
        place = np.empty(len(own), np.intp)
        place[order] = own
        asking = order[: len(own) - int(is_leaf.sum())]
        return _Nodes(
            self.feature[asking].astype(np.intp),
            _rounded_down(self.threshold[asking]),
            place[self.children[asking, 0]],
            place[self.children[asking, 1]],
            own.astype(np.intp),
            place[self.roots],
            self.path_length[order],
        )


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest single-precision value up to each threshold: sorts such values just the same."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
