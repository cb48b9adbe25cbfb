"""The quick transform gives numpy's magnitudes."""

from __future__ import annotations

import numpy as np
import pytest

from model.chirp import ChirpMagnitudes, chirp_magnitudes


@pytest.mark.parametrize("length", [12, 20, 212, 1692, 3396, 6796, 13596, 67996])
def test_magnitudes_are_those_of_numpy(length: int) -> None:
    """For 4 times odd numbers they agree to 1e-14 of the largest, a constant included."""
    rng = np.random.default_rng(length)
    quick = ChirpMagnitudes(length)
    for samples in (rng.normal(size=length), rng.normal(size=length) + 100, np.ones(length)):
        theirs = np.abs(np.fft.rfft(samples))
        ours = quick.magnitudes(samples)
        assert ours.shape == (length // 2 + 1,)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14 * theirs.max())


def test_samples_are_left_alone_and_called_twice_alike() -> None:
    """Nothing of one call is left for the next."""
    quick = ChirpMagnitudes(6796)
    samples = np.random.default_rng(0).normal(size=6796)
    kept = samples.copy()
    first = quick.magnitudes(samples)
    quick.magnitudes(np.full(6796, np.pi))
    np.testing.assert_array_equal(quick.magnitudes(samples), first)
    np.testing.assert_array_equal(samples, kept)


@pytest.mark.parametrize(
    ("length", "is_quick"), [(6796, True), (6800, False), (6798, False), (4 * 3 * 5 * 7, False)]
)
def test_it_is_used_where_numpy_is_slow(length: int, is_quick: bool) -> None:
    """For 4 times an odd number with a large prime factor, and for no other length."""
    assert (chirp_magnitudes(length) is not None) == is_quick
