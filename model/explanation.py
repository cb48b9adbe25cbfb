"""Why a sound has its reconstruction error: its features, what the reference explains, the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.audio import Samples, input_state
from model.detector import Detector


@dataclass(frozen=True)
class Explanation:
    """One sound along frequency; all four have the shape `(n_features,)`."""

    frequencies_hz: NDArray[np.float64]
    features: NDArray[np.float64]
    """As the front end makes them: a spectrum whose largest value is 1."""
    reconstruction: NDArray[np.float64]
    """What the reference set explains of the features; may be a little below 0."""
    error: NDArray[np.float64]
    """Absolute difference. Its mean square is the reconstruction error of the sound's score."""


def explain(detector: Detector, samples: Samples) -> Explanation | None:
    """Explain a segment's samples at the front end's rate; None where they cannot be scored."""
    if input_state(samples) is not None or not np.isfinite(samples).all():
        return None
    features = detector.front_end.features(samples)
    if features is None:
        return None
    reconstruction = features - detector.subspace.difference(features)
    return Explanation(
        detector.front_end.frequencies_hz(),
        features.astype(np.float64),
        reconstruction,
        np.abs(features - reconstruction),
    )
