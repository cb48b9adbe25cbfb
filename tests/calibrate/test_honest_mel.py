"""With mel, too, a promised rate of false alarms holds for speakers never heard before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.fitting import Settings, fit_detector
from calibrate.groups import group_recordings
from calibrate.reference import Reference, read_reference
from model.detector import Detector, raw_scores
from model.features import make_front_end
from model.files import find_recordings
from model.segment import Segmentation

RATES = (0.01, 0.05, 0.10)
PROMISED = ((0.005, 0.025), (0.035, 0.065), (0.08, 0.12))
"""As for the spectrum."""


@pytest.fixture(scope="module")
def mel_sixes(six_folder: Path) -> Reference:
    """All 3,000 sixes through mel."""
    found = find_recordings([str(six_folder)])
    return read_reference(found, make_front_end("mel", 1.0), Segmentation(), -1, lambda *_: None)


def calibrated_on(sixes: Reference, mask: NDArray[np.bool_]) -> Detector:
    """Calibrate on the sixes of a mask."""
    chosen = np.flatnonzero(mask)
    part = replace(
        sixes,
        names=tuple(sixes.names[i] for i in chosen),
        features=sixes.features[chosen],
        recording=np.arange(len(chosen)),
        window=np.zeros(len(chosen), np.int64),
    )
    groups = group_recordings(part.names)
    return fit_detector(part, groups, make_front_end("mel", 1.0), Settings(maps=False))


def test_new_speakers_alarm_as_often_as_promised(
    mel_sixes: Reference, speakers: NDArray[np.int64]
) -> None:
    """Over six splits of 60 speakers, the share with `p <= a` averages about `a`."""
    shares = np.empty((6, 3))
    for split in range(6):
        new = speakers % 6 == split
        detector = calibrated_on(mel_sixes, ~new)
        raw = raw_scores(detector.subspace, detector.forest, mel_sixes.features[new])
        p = detector.conformity.p_values(raw.isolation, raw.reconstruction).joint
        shares[split] = [np.mean(p <= rate) for rate in RATES]
    print("\nmel, held-out, share of new sounds with p <= 1, 5, 10 %")
    print("\n".join("  " + "  ".join(f"{share:6.1%}" for share in row) for row in shares))
    print("mean: " + "  ".join(f"{share:6.1%}" for share in shares.mean(axis=0)))
    for mean, (low, high) in zip(shares.mean(axis=0), PROMISED, strict=True):
        assert low <= mean <= high
