"""Subspace and forest fitted on everything, and once more without each fold.

All of them share one pass over the recordings (moments.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.estimators import fit_forest, grow_forest
from calibrate.moments import Labels, measure, trained_on
from calibrate.rows import Indices, Rows, blocks
from calibrate.threads import at_once, one_core_each
from model.features import Features
from model.isolation import IsolationForest
from model.subspace import Subspace

MOST_FOR_FOREST = 10_000
"""Each tree looks at 256 recordings: from more than this a seeded sample is drawn."""


@dataclass(frozen=True)
class Parts:
    """What scores features: of the final model, or of the one that never heard a fold."""

    subspace: Subspace
    forest: IsolationForest


def fit_parts(
    rows: Rows,
    labels: Labels,
    explained_variance: float,
    seed: int,
    jobs: int,
    step: Callable[[], None] = lambda: None,
) -> tuple[Parts, tuple[Parts, ...]]:
    """Fit on all rows, then without each fold; `step` is called once for each of them, and once.

    The folds' forests get the final one's offset. Raises InputError where rows do not differ.
    """
    from joblib import delayed

    left_out = (None, *range(int(labels.max()) + 1))
    with one_core_each():
        moments = measure(rows, labels, jobs)
        step()
        subspaces = []
        for subspace in at_once(
            jobs, (delayed(moments.subspace)(fold, explained_variance) for fold in left_out)
        ):
            subspaces.append(subspace)
            step()
        del moments
        forests = list(
            at_once(jobs, (delayed(_forest)(rows, labels, fold, seed) for fold in left_out))
        )
    offset = forests[0].offset
    final, *others = (
        Parts(subspace, replace(forest, offset=offset))
        for subspace, forest in zip(subspaces, forests, strict=True)
    )
    return final, tuple(others)


def known_scores(
    rows: Rows, indices: Indices, parts: Parts
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Isolation scores and reconstruction errors of what `parts` are fitted on, each `(n,)`.

    As live sounds get them, but for rounding: the errors within 1e-6 of themselves.
    """
    products = parts.subspace.components @ parts.subspace.components.T
    known = [
        (parts.forest.score(part), _errors(parts.subspace, products, part))
        for _, part in blocks(rows, indices)
    ]
    isolation, reconstruction = (np.concatenate(column) for column in zip(*known, strict=True))
    return isolation, reconstruction


def _errors(
    subspace: Subspace, products: NDArray[np.float64], features: Features
) -> NDArray[np.float64]:
    """Reconstruction errors alone, shape `(n,)`, from lengths: no reconstruction is made.

    With coordinates `y = C x` the rest has the length `|x - C'y|² = |x|² - 2 |y|² + y' C C' y`;
    rounded components are not quite orthonormal, so the last two do not add up. `products` is
    `C C'`.
    """
    centred: NDArray[np.float64] = features - subspace.mean
    y = centred @ subspace.components.T
    lengths = np.einsum("ij,ij->i", centred, centred) + np.einsum(
        "ij,ij->i", y @ products - 2 * y, y
    )
    errors: NDArray[np.float64] = lengths / features.shape[1]
    return errors


def _forest(rows: Rows, labels: Labels, left_out: int | None, seed: int) -> IsolationForest:
    features = rows[_sample(trained_on(labels, left_out), seed)]
    return fit_forest(features, seed) if left_out is None else grow_forest(features, seed)


def _sample(indices: Indices, seed: int) -> Indices:
    if len(indices) <= MOST_FOR_FOREST:
        return indices
    chosen = np.random.default_rng(seed).choice(indices, MOST_FOR_FOREST, replace=False)
    return np.sort(chosen)
