"""A promised rate of false alarms holds for speakers that the detector has never heard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.reference import Reference
from model.conformity import Conformity
from model.detector import Detector, raw_scores

RATES = (0.01, 0.05, 0.10)
PROMISED = ((0.005, 0.025), (0.035, 0.065), (0.08, 0.12))
IN_SAMPLE = (0.042, 0.116, 0.205)


@pytest.fixture(scope="module")
def splits(
    sixes: Reference,
    speakers: NDArray[np.int64],
    calibrated_on: Callable[[NDArray[np.bool_]], Detector],
) -> NDArray[np.float64]:
    """Calibrate on 50 speakers, measure on 10, six times over; shape `(6, 2, 3)`.

    For each split the shares of new sounds with `p <= a` at each rate: the joint held-out p, and
    that of the reconstruction error ranked among the very sounds that were fitted.
    """
    shares = np.empty((6, 2, 3))
    for split in range(6):
        new = speakers % 6 == split
        detector = calibrated_on(~new)
        known, unknown = (
            raw_scores(detector.subspace, detector.forest, sixes.features[mask])
            for mask in (~new, new)
        )
        in_sample = Conformity(known.isolation, known.reconstruction)
        new_scores = unknown.isolation, unknown.reconstruction
        honest = detector.conformity.p_values(*new_scores).joint
        naive = in_sample.p_values(*new_scores).reconstruction
        shares[split] = [[np.mean(p <= rate) for rate in RATES] for p in (honest, naive)]
    return shares


def test_new_speakers_alarm_as_often_as_promised(splits: NDArray[np.float64]) -> None:
    """Over six splits of 60 speakers, the share with `p <= a` averages about `a`."""
    print("\nheld-out, share of new sounds with p <= 1, 5, 10 %")
    for split, shares in enumerate(splits[:, 0]):
        print(f"  split {split}: " + "  ".join(f"{share:6.1%}" for share in shares))
    print("  mean:    " + "  ".join(f"{share:6.1%}" for share in splits[:, 0].mean(axis=0)))
    for mean, (low, high) in zip(splits[:, 0].mean(axis=0), PROMISED, strict=True):
        assert low <= mean <= high


def test_in_sample_thresholds_alarm_two_to_four_times_too_often(
    splits: NDArray[np.float64],
) -> None:
    """Errors ranked among fitted sounds alarm at 4.2, 11.6, 20.5 %: that is why there are folds."""
    print("\nin-sample: " + "  ".join(f"{share:6.1%}" for share in splits[:, 1].mean(axis=0)))
    np.testing.assert_allclose(splits[:, 1].mean(axis=0), IN_SAMPLE, atol=0.015)
