"""The Isolation Forest as flat arrays, descended for all trees and segments at once.

Liu, Ting, Zhou: Isolation Forest (ICDM 2008). Scores equal scikit-learn's to 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import Features

_ROWS = 512  # at once: keeps the working arrays in the processor's cache


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
        chunks = [self._raw(features[i : i + _ROWS]) for i in range(0, len(features), _ROWS)]
        return np.concatenate(chunks) + self.offset if chunks else np.empty(0)

    def _raw(self, features: Features) -> NDArray[np.float64]:
        """`-score_samples`: between 0 and 1, near 1 for what is isolated after few splits."""
        rows = np.arange(len(features))[:, None]
        node = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            goes_right = features[rows, self.feature[node]] > self.threshold[node]
            node = self.children[node, goes_right.astype(np.intp)]
        total = self.path_length[node].sum(axis=1)
        raw: NDArray[np.float64] = 2.0 ** (-total / (len(self.roots) * self.mean_path_length))
        return raw
