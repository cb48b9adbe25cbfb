"""Joint oddness ranks where p has ended, and never against both scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import genpareto

from model.conformity import Conformity
from model.oddness import Surprise


def conformity(n: int, seed: int = 0) -> Conformity:
    """Held-out scores of about the shapes that real ones have."""
    rng = np.random.default_rng(seed)
    return Conformity(rng.normal(-0.1, 0.05, n), rng.lognormal(-8, 0.4, n))


@pytest.mark.parametrize("n", [20, 99, 3000])
def test_what_is_odder_by_both_scores_is_odder(n: int) -> None:
    """Larger scores never make less of it, inside the reference and far beyond."""
    known = conformity(n)
    isolation = np.linspace(-0.4, 2, 4000)
    reconstruction = np.geomspace(1e-6, 10, 4000)
    oddness = known.oddness(isolation, reconstruction)
    assert np.isfinite(oddness).all()
    assert (np.diff(oddness) >= 0).all()
    beyond = (isolation > known.isolation.max()) & (reconstruction > known.reconstruction.max())
    assert (np.diff(oddness[beyond]) > 0).all()


def test_sounds_beyond_all_references_still_rank() -> None:
    """Two with the same smallest p differ in oddness by how far beyond they are."""
    known = conformity(200)
    isolation, reconstruction = (
        known.isolation.max() + np.array([0.01, 0.2]),
        known.reconstruction.max() * np.array([2, 9]),
    )
    assert (known.p_values(isolation, reconstruction).joint == known.smallest_p).all()
    near, far = known.oddness(isolation, reconstruction)
    assert far > near + 0.5


def test_there_is_no_step_anywhere() -> None:
    """Just below, at, and just above every reference score it is nearly the same."""
    known = conformity(500)
    around = known.reconstruction[:, np.newaxis] * np.array([1 - 1e-9, 1, 1 + 1e-9])
    oddness = known.oddness(np.zeros(1500), around.ravel()).reshape(500, 3)
    assert np.ptp(oddness, axis=1).max() < 1e-5


def test_inside_the_reference_it_is_minus_the_logarithm_of_p() -> None:
    """At a reference score the surprise is −log10 of that score's own p, nearly so in the tail."""
    known = conformity(300)
    ordered = np.sort(known.isolation)
    surprise = Surprise.of(ordered)(ordered)
    p = known.p_values(ordered, np.zeros(300)).isolation
    np.testing.assert_allclose(surprise[:270], -np.log10(p)[:270], atol=1e-12)
    np.testing.assert_allclose(surprise[270:], -np.log10(p)[270:], atol=0.6)


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5])
def test_the_tail_is_that_of_the_distribution(shape: float) -> None:
    """Ten times rarer than the rarest reference is told within a factor of three, most times."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        surprise = Surprise.of(np.sort(genpareto.rvs(shape, size=2000, random_state=rng)))
        truth = genpareto.isf(1e-4, shape)
        errors.append(float(surprise(np.array([truth]))[0]) - 4)
    assert abs(np.median(errors)) < np.log10(3)


def test_copies_of_one_sound_leave_finite_numbers() -> None:
    """Where all held-out scores are the same, what lies beyond is odd, and a number."""
    known = Conformity(np.zeros(30), np.full(30, 1e-4))
    oddness = known.oddness([0.0, 0.1], [1e-4, 1e-3])
    assert np.isfinite(oddness).all()
    assert oddness[1] > oddness[0]


@pytest.mark.parametrize("n", [6, 20, 99, 3000])
def test_one_sound_gets_what_many_get(n: int) -> None:
    """Below, at, between and beyond the reference scores, and among equal ones, it is the same."""
    rng = np.random.default_rng(n)
    known = Conformity(rng.normal(-0.1, 0.05, n).round(2), rng.lognormal(-8, 0.4, n))
    isolation = np.concatenate([known.isolation, rng.normal(-0.1, 0.2, 500), [-9.0, 9.0]])
    reconstruction = np.concatenate([known.reconstruction, rng.lognormal(-8, 2, 500), [0.0, 9.0]])
    one_by_one = [
        known.oddness_of_one(one, other)
        for one, other in zip(isolation.tolist(), reconstruction.tolist(), strict=True)
    ]
    np.testing.assert_allclose(one_by_one, known.oddness(isolation, reconstruction), atol=1e-9)


def test_one_sound_among_copies_gets_what_many_get() -> None:
    """Where all held-out scores are the same, too."""
    known = Conformity(np.zeros(30), np.full(30, 1e-4))
    for one, other in ((-1.0, 0.0), (0.0, 1e-4), (0.1, 1e-3)):
        np.testing.assert_allclose(
            known.oddness_of_one(one, other), known.oddness([one], [other])[0], rtol=1e-9
        )
