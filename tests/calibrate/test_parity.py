"""Fitted like the reference method, the detector says what the reference method published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from calibrate.estimators import fit_forest, fit_subspace
from calibrate.reference import Reference
from model.detector import RawScores, raw_scores
from model.subspace import Subspace

N_FIT = 2700


@pytest.fixture(scope="module")
def subspace(sixes: Reference) -> Subspace:
    """Fit PCA as the notebook did: on the first 2,700 names in sorted order."""
    return fit_subspace(sixes.features[:N_FIT], 0.99)


@pytest.fixture(scope="module")
def scores(sixes: Reference, subspace: Subspace) -> RawScores:
    """Score all 3,000 by PCA and forest that were fitted on the first 2,700."""
    return raw_scores(subspace, fit_forest(sixes.features[:N_FIT], 42), sixes.features[:])


@pytest.fixture(scope="module")
def expected(sixes: Reference, published: dict[str, Any]) -> NDArray[np.float64]:
    """Give the published scores in the order of the names, shape `(3000, 2)`."""
    return np.array([published["scores"][Path(name).stem] for name in sixes.names])


def test_there_are_as_many_components(subspace: Subspace, published: dict[str, Any]) -> None:
    """131 components explain 99 % of the variance."""
    assert len(subspace.components) == published["n_components"] == 131


def test_components_explain_the_published_shares(
    sixes: Reference, subspace: Subspace, published: dict[str, Any]
) -> None:
    """The variance along each of the first ten components is the published share of the whole."""
    centred = sixes.features[:N_FIT].astype(np.float64)
    centred -= centred.mean(axis=0)
    shares = np.square(centred @ subspace.components[:10].T).sum(axis=0) / np.square(centred).sum()
    np.testing.assert_allclose(shares, published["explained_variance_ratio_top10"], atol=1e-6)


def test_isolation_scores_are_as_published(
    scores: RawScores, expected: NDArray[np.float64]
) -> None:
    """All 3,000 isolation scores agree to 1e-6."""
    np.testing.assert_allclose(scores.isolation, expected[:, 0], rtol=0, atol=1e-6)


def test_reconstruction_errors_are_as_published(
    scores: RawScores, expected: NDArray[np.float64], published: dict[str, Any]
) -> None:
    """All errors agree to a thousandth, their means to the last printed digit."""
    np.testing.assert_allclose(scores.reconstruction, expected[:, 1], rtol=1e-3)
    means = published["mean_reconstruction_error"]
    fitted, rest = scores.reconstruction[:N_FIT].mean(), scores.reconstruction[N_FIT:].mean()
    assert f"{fitted:.3e}" == f"{means['fit']:.3e}" == "5.407e-05"
    assert f"{rest:.3e}" == f"{means['rest']:.3e}" == "5.566e-05"


def test_both_scores_rank_as_published(scores: RawScores) -> None:
    """Spearman's correlation between the two scores is 0.6083."""
    assert round(spearmanr(scores.isolation, scores.reconstruction).statistic, 4) == 0.6083


def test_the_largest_errors_come_in_the_published_order(
    sixes: Reference, scores: RawScores, published: dict[str, Any]
) -> None:
    """The ten recordings with the largest errors are the published ten, in their order."""
    largest = np.argsort(-scores.reconstruction)[:10]
    found = [[Path(sixes.names[i]).stem, round(scores.reconstruction[i], 6)] for i in largest]
    assert found == published["largest_reconstruction_errors"]
