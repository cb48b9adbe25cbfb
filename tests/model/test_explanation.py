"""An explanation is the score's own arithmetic, value by value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audio import resample
from model.detector import Detector
from model.explanation import explain
from model.features import band_means
from model.segment import Segment

Samples = NDArray[np.float32]


@pytest.mark.parametrize("seed", [0, 1000, 1001, 1002])
@pytest.mark.parametrize("change", ["as it is", "quiet", "backwards", "clipped"])
def test_an_explanation_adds_up_to_the_score(
    word_detector: Detector, make_word: Callable[..., Samples], seed: int, change: str
) -> None:
    """Mean squared error and band means of the error are those that the segment is scored by."""
    rate_hz = word_detector.front_end.rate_hz
    word = resample(make_word(seed), 8000, rate_hz)
    samples = {
        "as it is": word,
        "quiet": word * np.float32(0.01),
        "backwards": np.ascontiguousarray(word[::-1]),
        "clipped": np.clip(word, -0.02, 0.02),
    }[change]
    score = word_detector.score(Segment(samples, 0.0, len(samples) / rate_hz))
    found = explain(word_detector, samples)
    assert found is not None
    assert np.mean(np.square(found.error)) == pytest.approx(score.reconstruction_error, rel=1e-9)
    assert band_means(found.error) == pytest.approx(score.profile, rel=1e-9)


def test_an_explanation_is_made_of_the_detectors_parts(
    word_detector: Detector, make_word: Callable[..., Samples]
) -> None:
    """Features and frequencies are the front end's; the error is what the subspace leaves over."""
    front_end = word_detector.front_end
    samples = resample(make_word(7), 8000, front_end.rate_hz)
    features = front_end.features(samples)
    found = explain(word_detector, samples)
    assert features is not None
    assert found is not None
    assert (found.features == features).all()
    assert (found.frequencies_hz == front_end.frequencies_hz()).all()
    assert (found.error == np.abs(found.features - found.reconstruction)).all()
    again = word_detector.subspace.reconstruct(found.reconstruction.astype(np.float32))
    assert again == pytest.approx(found.reconstruction, abs=1e-6)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(3400, np.float32),
        np.full(3400, 0.1, np.float32),
        np.empty(0, np.float32),
        np.full(3400, np.nan, np.float32),
        np.sin(np.arange(3400, dtype=np.float32)) * np.float32(1e-6),
    ],
    ids=["zeros", "constant", "empty", "not a number", "silent"],
)
def test_what_cannot_be_scored_has_no_explanation(
    word_detector: Detector, samples: Samples
) -> None:
    """There is none for digital zero, for silence, for nothing and for broken samples."""
    assert explain(word_detector, samples) is None
