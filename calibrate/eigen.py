"""Largest eigenpairs of a symmetric matrix: as many as a share of its trace takes, and no others.

Block Lanczos with full orthogonalisation (Golub, Underwood: The block Lanczos method for computing
eigenvalues, 1977): a few hundred columns are multiplied by the matrix, where a decomposition would
touch all of it many times over. It goes on until the subspace is found to `_ANGLE`; where that
would take too large a part of the matrix, all of it is decomposed instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Pairs = tuple[Matrix, Matrix]
"""Values, descending, shape `(k,)`, and their vectors as columns, shape `(n, k)`."""

_BLOCK = 32
_FIRST_LOOK = 12  # blocks: below that it has never been enough
_ANGLE = 1e-5  # radians, a bound that is mostly a hundred times too wide
_SMALL = 768  # up to there a decomposition of the whole matrix is as fast
_ORTHOGONAL = 1e-14
_EPS = float(np.finfo(np.float64).eps)


def leading_eigenpairs(matrix: Matrix, wanted: float) -> Pairs:
    """Largest eigenpairs of a positive semidefinite `matrix` until their sum reaches `wanted`.

    The number of pairs is that of a full decomposition: it is only taken where the sum without the
    last one misses `wanted` by more than it can be wrong.
    """
    if len(matrix) > _SMALL:
        found = _by_lanczos(matrix, wanted)
        if found is not None:
            return found
    values, vectors = np.linalg.eigh(matrix)
    return _enough(values[::-1], vectors[:, ::-1], wanted)


def _enough(values: Matrix, vectors: Matrix, wanted: float) -> Pairs:
    sound = values > values[0] * len(vectors) * _EPS  # below that is rounding
    values, vectors = values[sound], vectors[:, sound]
    enough = min(int(np.searchsorted(np.cumsum(values), wanted)) + 1, len(values))
    return values[:enough], vectors[:, :enough]


def _by_lanczos(matrix: Matrix, wanted: float) -> Pairs | None:
    """The pairs by block Lanczos; None where a third of all directions does not hold them."""
    n = len(matrix)
    most = n // (3 * _BLOCK)
    basis = np.empty((n, most * _BLOCK), order="F")
    small = np.zeros((most * _BLOCK, most * _BLOCK))
    block, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((n, _BLOCK)))
    for done in range(most):
        new = slice(done * _BLOCK, (done + 1) * _BLOCK)
        basis[:, new] = block
        known = basis[:, : new.stop]
        image = matrix @ block
        small[: new.stop, new] = known.T @ image
        image -= known @ small[: new.stop, new]
        if done + 1 >= _FIRST_LOOK:
            found = _ritz(small[: new.stop, : new.stop], image, wanted)
            if found is not None:
                return found[0], known @ found[1]
        block = _orthonormal(image, known)
    return None


def _orthonormal(image: Matrix, known: Matrix) -> Matrix:
    """An orthonormal basis of `image` at right angles to `known`, also after heavy cancellation."""
    image -= known @ (known.T @ image)
    block, _ = np.linalg.qr(image)
    for _ in range(2):
        inside = known.T @ block
        if np.abs(inside).max() < _ORTHOGONAL:
            break
        block, _ = np.linalg.qr(block - known @ inside)
    return block


def _ritz(small: Matrix, residual: Matrix, wanted: float) -> Pairs | None:
    """Eigenpairs within the basis, or None where the basis does not hold them well enough.

    `residual`, shape `(n, block)`, is what the matrix makes of the last block outside the basis.
    """
    values, vectors = np.linalg.eigh(small, UPLO="U")
    values, vectors = values[::-1], vectors[:, ::-1]
    sums = np.cumsum(values)
    k = int(np.searchsorted(sums, wanted)) + 1
    if k >= len(values):
        return None
    errors = np.linalg.norm(residual @ vectors[-residual.shape[1] :, :k], axis=0)
    gap = values[k - 1] - values[k]
    error = float(np.sqrt(np.square(errors).sum()))
    at_rounding = error <= 16 * _EPS * len(residual) ** 0.5 * values[0]
    if not (error <= _ANGLE * gap or at_rounding):
        return None
    # Sums within a basis are never too large, and too small by no more than this (Parlett: The
    # symmetric eigenvalue problem, 1998, 11.7).
    missing = error**2 / gap if gap > 0 else error
    before = float(sums[k - 1] - values[k - 1])
    if before + missing >= wanted and not at_rounding:
        return None
    return values[:k], vectors[:, :k]
