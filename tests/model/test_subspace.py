"""The subspace is a projection; errors and profiles are what is left over."""

from __future__ import annotations

import numpy as np
import pytest

from calibrate.estimators import fit_subspace
from calibrate.reference import Reference
from model.detector import Detector
from model.subspace import Subspace, reconstruction_error


@pytest.fixture(scope="module")
def subspace() -> Subspace:
    """Fit a few components to rows that lie near a plane."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 50)) + 0.01 * rng.normal(size=(200, 50))
    return fit_subspace((rows + 3).astype(np.float32), 0.95)


def test_reconstruction_is_a_projection(subspace: Subspace) -> None:
    """What was reconstructed once is its own reconstruction, and the rest is orthogonal to it."""
    rows = np.random.default_rng(1).normal(size=(20, 50)).astype(np.float32)
    once = subspace.reconstruct(rows)
    np.testing.assert_allclose(subspace.reconstruct(once.astype(np.float64)), once, atol=1e-5)
    np.testing.assert_allclose((rows - once) @ subspace.components.T, 0, atol=1e-5)


def test_the_error_is_the_mean_square_of_the_profile(subspace: Subspace) -> None:
    """Both are plain differences between features and reconstruction, for a row and for many."""
    rows = np.random.default_rng(2).normal(size=(7, 50)).astype(np.float32)
    profiles = subspace.error_profile(rows)
    for row, profile in zip(rows, profiles, strict=True):
        centred = row.astype(np.float64) - subspace.mean
        plain = centred - sum(np.dot(centred, c) * c for c in subspace.components)
        np.testing.assert_allclose(profile, np.abs(plain), atol=1e-12)
        np.testing.assert_allclose(subspace.error_profile(row), profile, atol=1e-12)
        assert reconstruction_error(profile) == pytest.approx(sum(plain**2) / 50, rel=1e-12)
    np.testing.assert_allclose(reconstruction_error(profiles), np.mean(profiles**2, axis=1))


@pytest.mark.parametrize("left_over", [None, 1e-1, 1e-2, 1e-3, 1e-5])
def test_the_quick_error_is_that_of_double_precision(
    small_detector: Detector, sixes: Reference, left_over: float | None
) -> None:
    """Of real sounds, and of such that the reference explains nearly wholly, to 1e-6 of itself."""
    subspace, rows = small_detector.subspace, sixes.features[::10]
    if left_over is not None:
        known = subspace.reconstruct(rows)
        rows = (known + left_over * (rows - known)).astype(np.float32)
    exact = reconstruction_error(subspace.error_profile(rows))
    quick = reconstruction_error(np.array([subspace.difference(row) for row in rows]))
    np.testing.assert_allclose(quick, exact, rtol=1e-6)
