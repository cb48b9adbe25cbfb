"""PCA and clusters as arrays are what scikit-learn's objects, or plain counting, say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from calibrate.estimators import fit_clusters, fit_subspace
from model.errors import InputError
from model.features import Spectrum, band_parts
from model.subspace import reconstruction_error

PARTS = band_parts(Spectrum())


def features_of(n: int, n_features: int) -> NDArray[np.float32]:
    """Draw rows whose variance falls slowly from one direction to the next."""
    rng = np.random.default_rng(n)
    strength = 1 / np.sqrt(1 + np.arange(n_features))
    return (rng.normal(size=(n, n_features)) * strength + rng.normal(size=n_features)).astype("f4")


@pytest.mark.parametrize(("n", "n_features"), [(20, 300), (300, 20), (80, 80), (500, 700)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_subspace_equals_scikit_learn(n: int, n_features: int, share: float) -> None:
    """Wide, tall, and beyond the first 256 components: same number, same errors of new rows."""
    features = features_of(n, n_features)
    theirs = PCA(share, svd_solver="full").fit(features.astype(np.float64))
    ours = fit_subspace(features, share)
    assert len(ours.components) == theirs.n_components_
    new = features_of(n + 1, n_features)
    plain = new - theirs.inverse_transform(theirs.transform(new.astype(np.float64)))
    errors = reconstruction_error(ours.error_profile(new))
    np.testing.assert_allclose(errors, np.mean(plain**2, axis=1), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(("n", "n_features"), [(30, 300), (300, 30)])
def test_nearly_all_variance_is_not_nonsense(n: int, n_features: int) -> None:
    """Asked for a share that rounding cannot reach, every component is still a unit vector."""
    components = fit_subspace(features_of(n, n_features), 1 - 1e-16).components
    assert np.isfinite(components).all()
    np.testing.assert_allclose(np.linalg.norm(components, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_rows_that_do_not_differ_are_refused(value: float) -> None:
    """From copies of one sound nothing can be learnt, and the error says so."""
    with pytest.raises(InputError, match="do not differ"):
        fit_subspace(np.full((30, 50), value, np.float32), 0.99)


def blobs(*sizes: int) -> NDArray[np.float64]:
    """Draw profiles around as many distant centres."""
    rng = np.random.default_rng(0)
    centres = rng.random((len(sizes), 64)) * 100
    return np.repeat(centres, sizes, axis=0) + rng.normal(size=(sum(sizes), 64))


def test_clusters_are_what_plain_counting_finds() -> None:
    """Centroid, size, anomalous share and reach of each cluster follow from its members."""
    sizes = (200, 100, 60, 30, 10)
    profiles = blobs(*sizes)
    anomalous = np.random.default_rng(1).random(len(profiles)) < 0.3
    found = fit_clusters(profiles, anomalous, 5, 42, PARTS)
    nearest = np.array([found.nearest(profile).cluster for profile in profiles])
    distance = np.linalg.norm(profiles - found.centroids[nearest], axis=1)
    assert sorted(found.sizes, reverse=True) == list(sizes)
    for i, size in enumerate(found.sizes):
        members = nearest == i
        assert np.count_nonzero(members) == size
        np.testing.assert_allclose(found.centroids[i], profiles[members].mean(axis=0))
        assert found.anomalous_share[i] == pytest.approx(anomalous[members].mean())
        within = np.mean((distance if size < 50 else distance[members]) <= found.reach[i])
        assert 0.98 <= within < 1
    assert set(found.given) == {None}


@pytest.mark.parametrize(
    ("n", "asked", "made"), [(400, 10, 10), (45, 10, 4), (20, 10, 2), (9, 3, 1)]
)
def test_there_are_at_most_a_tenth_as_many_clusters_as_sounds(
    n: int, asked: int, made: int
) -> None:
    """Fewer than ten sounds a cluster are not asked to make one."""
    profiles = np.random.default_rng(n).random((n, 64))
    assert len(fit_clusters(profiles, np.zeros(n, bool), asked, 42, PARTS)) == made


def test_profiles_that_do_not_differ_make_one_cluster() -> None:
    """Copies of one profile are one cluster, with a reach that distances can be divided by."""
    profiles = np.ones((50, 64))
    found = fit_clusters(profiles, np.zeros(50, bool), 5, 42, PARTS)
    assert len(found) == 1
    assert found.nearest(profiles[0]).distance == 0
    assert np.isfinite(found.nearest(profiles[0] + 1).distance)
