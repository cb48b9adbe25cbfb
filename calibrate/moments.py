"""What PCA needs of the recordings, summed once and shared by the final model and all folds.

With no more recordings than features that is the Gram matrix of all pairs of recordings, and a
fold's is the part of it without the fold. With more it is the scatter matrix of the features, kept
per fold, and a fold's is the sum of the others. Either way the recordings are gone through once,
in blocks, and the matrix is no larger than the square of the smaller of the two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calibrate.eigen import Matrix, leading_eigenpairs
from calibrate.rows import BLOCK, Indices, Rows, SquareFile, blocks
from calibrate.threads import at_once, drain
from model.errors import InputError
from model.subspace import Subspace

Labels = NDArray[np.int64]
"""Fold of each row; −1 for a row that only the final model is fitted on."""


class Moments(Protocol):
    """The recordings, as far as PCA needs them."""

    def subspace(self, left_out: int | None, explained_variance: float) -> Subspace:
        """PCA of all rows, or of all rows in folds but the one left out.

        As many components as explain that share of the variance (Jolliffe: Principal Component
        Analysis, 2002, 3.5). Raises InputError where the rows do not differ.
        """


def measure(rows: Rows, labels: Labels, jobs: int = 1) -> Moments:
    """Go through `rows`, shape `(n, n_features)`, once."""
    if len(rows) <= rows.shape[1]:
        return _gram(rows, labels, jobs)
    return _scatter(rows, labels, jobs)


def trained_on(labels: Labels, left_out: int | None) -> Indices:
    """Indices of the rows that a detector is fitted on."""
    if left_out is None:
        return np.arange(len(labels))
    return np.flatnonzero((labels >= 0) & (labels != left_out))


@dataclass(frozen=True)
class _Gram:
    """Products of all pairs of rows, less a centre."""

    rows: Rows
    labels: Labels
    centre: NDArray[np.float64]
    products: Matrix

    def subspace(self, left_out: int | None, explained_variance: float) -> Subspace:
        """See Moments."""
        used = trained_on(self.labels, left_out)
        gram = self.products[np.ix_(used, used)]
        of_rows = gram.mean(axis=0)
        gram -= of_rows
        gram -= (of_rows - of_rows.mean())[:, None]
        total = _differing(float(np.trace(gram)), len(used) * len(self.centre))
        values, vectors = leading_eigenpairs(gram, explained_variance * total)
        del gram
        components = np.zeros((len(values), len(self.centre)))
        mean, place = np.zeros_like(self.centre), 0
        for some, part in blocks(self.rows, used):
            centred = part - self.centre
            mean += centred.sum(axis=0)
            components += vectors[place : place + len(some)].T @ centred
            place += len(some)
        components /= np.sqrt(values)[:, None]
        return _subspace(self.centre + mean / len(used), components)


def _gram(rows: Rows, labels: Labels, jobs: int) -> Moments:
    from joblib import delayed

    centre, n = _mean(rows), len(rows)
    products = np.empty((n, n))
    starts = reversed(range(0, n, BLOCK))  # the longest rows of blocks first
    drain(at_once(jobs, (delayed(_multiply)(rows, centre, start, products) for start in starts)))
    return _Gram(rows, labels, centre, products)


def _multiply(rows: Rows, centre: NDArray[np.float64], start: int, products: Matrix) -> None:
    """Products of one block of rows with itself and with those before it, and their mirror."""
    here = np.arange(start, min(start + BLOCK, len(rows)))
    left = rows[here] - centre
    for there, part in blocks(rows, np.arange(here[-1] + 1)):
        right = left if there[0] == start else part - centre
        found = left @ right.T
        products[start : here[-1] + 1, there[0] : there[-1] + 1] = found
        products[there[0] : there[-1] + 1, start : here[-1] + 1] = found.T


@dataclass(frozen=True)
class _Sums:
    """Number, sum and scatter about the centre of the rows of one label."""

    n: int
    total: NDArray[np.float64]
    place: int
    """Which in the file is its scatter matrix."""


@dataclass(frozen=True)
class _Scatter:
    """Scatter matrices of the features: their sum in memory, those of the folds in a file."""

    centre: NDArray[np.float64]
    whole: Matrix
    of_label: dict[int, _Sums]
    file: SquareFile

    def subspace(self, left_out: int | None, explained_variance: float) -> Subspace:
        """See Moments."""
        out = () if left_out is None else self.of_label.keys() & {-1, left_out}
        used = [sums for label, sums in self.of_label.items() if label not in out]
        scatter = self.whole.copy()
        for label in out:
            np.subtract(scatter, self.file.read(self.of_label[label].place), out=scatter)
        n, total = sum(sums.n for sums in used), sum(sums.total for sums in used)
        mean = np.asarray(total) / n
        for strip in _strips(len(mean)):
            scatter[strip] -= n * mean[strip, None] * mean
        variance = _differing(float(np.trace(scatter)), n * len(mean))
        _, vectors = leading_eigenpairs(scatter, explained_variance * variance)
        return _subspace(self.centre + mean, vectors.T)


def _scatter(rows: Rows, labels: Labels, jobs: int) -> Moments:
    from joblib import delayed

    n_features = rows.shape[1]
    centre = rows[np.arange(min(BLOCK, len(rows)))].mean(axis=0, dtype=np.float64)
    file, known = SquareFile(n_features), np.unique(labels).tolist()
    work = (delayed(_add)(file, rows, np.flatnonzero(labels == label), centre) for label in known)
    of_label = dict(zip(known, at_once(jobs, work), strict=True))
    whole = np.zeros((n_features, n_features))
    for sums in of_label.values():  # in order: the same recordings give the same bits
        whole += file.read(sums.place)
    return _Scatter(centre, whole, of_label, file)


def _add(file: SquareFile, rows: Rows, used: Indices, centre: NDArray[np.float64]) -> _Sums:
    """Sum some rows; their scatter matrix goes to the file."""
    total, scatter = np.zeros_like(centre), np.zeros((len(centre), len(centre)))
    strips = _strips(len(centre))
    for _, part in blocks(rows, used):
        centred = part - centre
        total += centred.sum(axis=0)
        for strip in strips:  # of the lower triangle: a product of all would be in the way
            scatter[strip, : strip.stop] += centred[:, strip].T @ centred[:, : strip.stop]
    for strip in strips:
        scatter[: strip.start, strip] = scatter[strip, : strip.start].T
    return _Sums(len(used), total, file.add(scatter))


def _strips(n: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def _mean(rows: Rows) -> NDArray[np.float64]:
    total = np.zeros(rows.shape[1])
    for _, part in blocks(rows, np.arange(len(rows))):
        total += part.sum(axis=0, dtype=np.float64)
    return total / len(rows)


def _differing(total: float, size: int) -> float:
    """The sum of squares about the mean. Raises InputError where it is nothing but rounding."""
    if not total > 1e-12 * size:
        raise InputError("The recordings do not differ from each other: there is nothing to learn.")
    return total


def _subspace(mean: NDArray[np.float64], components: Matrix) -> Subspace:
    """Rounded to single precision, as the model file holds it, in double precision."""
    return Subspace(_single(mean), _single(components))


def _single(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return array.astype(np.float32).astype(np.float64)
