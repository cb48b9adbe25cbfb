"""The leading eigenpairs are those of a full decomposition, also where few of them are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate import eigen
from calibrate.eigen import leading_eigenpairs

Floats = NDArray[np.float64]


def matrix_of(values: Floats, seed: int = 0) -> tuple[Floats, Floats]:
    """Make a symmetric matrix with these eigenvalues, descending, and give its eigenvectors."""
    n = len(values)
    vectors, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return (vectors * values) @ vectors.T, vectors


@pytest.fixture
def decomposed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the sizes of the matrices that are decomposed in full."""
    sizes: list[int] = []
    eigh = np.linalg.eigh

    def counted(matrix: Floats, **options: Any) -> object:
        sizes.append(len(matrix))
        return eigh(matrix, **options)

    monkeypatch.setattr(np.linalg, "eigh", counted)
    return sizes


@pytest.mark.parametrize("n", [50, 900, 1500])
def test_pairs_are_those_of_the_matrix(n: int) -> None:
    """Number, values and span are right for small matrices and for large ones."""
    values = 1 / (1 + np.arange(n)) ** 1.5
    matrix, vectors = matrix_of(values)
    wanted = 0.93 * values.sum()
    k = int(np.searchsorted(np.cumsum(values), wanted)) + 1
    found, directions = leading_eigenpairs(matrix, wanted)
    assert len(found) == k
    np.testing.assert_allclose(found, values[:k], rtol=1e-9)
    outside = directions - vectors[:, :k] @ (vectors[:, :k].T @ directions)
    assert np.linalg.norm(outside, 2) < 1e-6
    np.testing.assert_allclose(directions.T @ directions, np.eye(k), atol=1e-10)


def test_a_large_matrix_is_not_decomposed_whole(decomposed: list[int]) -> None:
    """For a spectrum that falls as that of sounds, only matrices of a third its size are."""
    values = np.exp(-np.arange(1500) / 25)
    matrix, _ = matrix_of(values)
    leading_eigenpairs(matrix, 0.99 * values.sum())
    assert decomposed
    assert max(decomposed) <= 1500 // 3


def test_a_spectrum_that_hardly_falls_is_decomposed_whole(decomposed: list[int]) -> None:
    """Where nearly all pairs are asked for, they are the right ones all the same."""
    values = np.linspace(1, 0.5, 800)
    matrix, _ = matrix_of(values)
    found, _ = leading_eigenpairs(matrix, 0.9 * values.sum())
    assert max(decomposed) == 800
    np.testing.assert_allclose(found, values[: len(found)], rtol=1e-9)
    assert len(found) == int(np.searchsorted(np.cumsum(values), 0.9 * values.sum())) + 1


@pytest.mark.parametrize("rank", [3, 40])
def test_copies_of_few_sounds_have_few_pairs(rank: int) -> None:
    """A large matrix of small rank gives exactly that many pairs, whatever is asked for."""
    values = np.zeros(900)
    values[:rank] = np.linspace(2, 1, rank)
    matrix, vectors = matrix_of(values)
    found, directions = leading_eigenpairs(matrix, values.sum() * (1 - 1e-12))
    assert len(found) == rank
    outside = directions - vectors[:, :rank] @ (vectors[:, :rank].T @ directions)
    assert np.linalg.norm(outside, 2) < 1e-6


def test_pairs_are_the_same_each_time() -> None:
    """Nothing in them is left to chance."""
    matrix, _ = matrix_of(np.exp(-np.arange(900) / 25))
    first, again = (leading_eigenpairs(matrix, 0.99 * np.trace(matrix)) for _ in range(2))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert len(matrix) > eigen._SMALL
