"""The subspace is a projection; errors and profiles are what is left over."""

from __future__ import annotations

import numpy as np
import pytest

from calibrate.estimators import fit_subspace
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
