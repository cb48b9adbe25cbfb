"""The spectrum front end is the reference method; bands are what the design says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from calibrate.reference import Reference
from model.errors import InputError
from model.features import Spectrum, band_edges_hz, band_means, make_front_end

DURATIONS = [0.05, 0.5, 1.0, 1.2345, 10.0]


def reference_method(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Do what the notebook did with a second of samples at 6,800 Hz, as plainly as can be."""
    padded = np.concatenate([samples, np.zeros(6800)])[:6800]
    averaged = np.mean([padded[k : k + 6796] for k in range(5)], axis=0, dtype=np.float64)
    magnitude: NDArray[np.float64] = np.abs(np.fft.fft(averaged))[:3400]
    largest: float = magnitude.max()
    return magnitude / largest


def test_features_of_real_recordings_are_as_published(
    sixes: Reference, published: dict[str, Any]
) -> None:
    """First and last features agree with the notebook to single precision."""
    row = {Path(name).stem: i for i, name in enumerate(sixes.names)}
    for name, first in published["first_features"].items():
        np.testing.assert_allclose(sixes.features[row[name]][: len(first)], first, rtol=1e-6)
    for name, last in published["last_features"].items():
        np.testing.assert_allclose(sixes.features[row[name]][-len(last) :], last, rtol=1e-4)


def test_features_of_real_recordings_equal_the_plain_method(sixes: Reference) -> None:
    """Files read, resampled and transformed plainly give the same features."""
    for i in range(0, len(sixes.names), 150):
        samples, rate_hz = soundfile.read(sixes.names[i], dtype="float32")
        plain = reference_method(soxr.resample(samples, rate_hz, 6800, quality="HQ"))
        np.testing.assert_allclose(sixes.features[i], plain, atol=1e-6)


@pytest.mark.parametrize("n", [1, 100, 6795, 6800, 9000])
def test_any_length_is_padded_or_cut_to_the_duration(n: int) -> None:
    """A segment shorter or longer than the duration gives the features of the plain method."""
    samples = np.random.default_rng(n).normal(size=n).astype(np.float32)
    features = Spectrum().features(samples)
    assert features is not None
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, reference_method(samples), atol=1e-6)


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_every_duration_has_the_layout_of_the_design(duration_s: float) -> None:
    """Half as many features as samples, value `i` at `i * 6800 / (n - 4)` Hz, the last a mirror."""
    front_end = Spectrum(duration_s)
    n = front_end.n_samples
    assert abs(n - 6800 * duration_s) <= 1
    assert front_end.n_features == n / 2
    np.testing.assert_allclose(front_end.frequencies_hz(), np.arange(n // 2) * 6800 / (n - 4))
    features = front_end.features(np.random.default_rng(1).normal(size=n).astype(np.float32))
    assert features is not None
    assert features.shape == (n // 2,)
    assert features[-1] == features[-3]


@pytest.mark.parametrize("frequency_hz", [100.0, 440.0, 1000.0, 2100.0])
def test_a_tone_peaks_at_its_own_frequency(frequency_hz: float) -> None:
    """The largest feature of a pure tone lies within one value of its frequency."""
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(6800) / 6800).astype(np.float32)
    features = Spectrum().features(tone)
    assert features is not None
    assert features.max() == 1
    peak_hz = Spectrum().frequencies_hz()[np.argmax(features)]
    assert abs(peak_hz - frequency_hz) <= 6800 / 6796


def test_loudness_does_not_matter(make_word: Callable[..., NDArray[np.float32]]) -> None:
    """A sound 60 dB quieter has the same features."""
    word = make_word(1, 6800)
    loud, quiet = Spectrum().features(word), Spectrum().features(word / np.float32(1024))
    assert loud is not None
    np.testing.assert_array_equal(loud, quiet)


def test_no_signal_has_no_features() -> None:
    """Zeros, and nothing at all, give None instead of NaN."""
    assert Spectrum().features(np.zeros(6800, np.float32)) is None
    assert Spectrum().features(np.empty(0, np.float32)) is None


@pytest.mark.parametrize("duration_s", [0.0, -1.0, 0.049, 10.1, float("nan"), float("inf")])
def test_a_senseless_duration_is_refused(duration_s: float) -> None:
    """A duration outside 0.05 to 10 seconds is an error of the input."""
    with pytest.raises(InputError, match="duration"):
        make_front_end("spectrum", duration_s)


def test_an_unknown_front_end_is_refused_with_what_is_known() -> None:
    """The error names the front ends that there are."""
    with pytest.raises(InputError, match="spectrum"):
        make_front_end("cepstrum", 1.0)


@pytest.mark.parametrize("n_features", [170, 1700, 3400, 4197])
def test_bands_are_plain_means_between_rounded_edges(n_features: int) -> None:
    """Each of 64 bands is the mean from `round(i * n / 64)` to the next, for one row or many."""
    profiles = np.random.default_rng(2).random((3, n_features))
    edges = [round(i * n_features / 64) for i in range(65)]
    plain = [[row[a:b].mean() for a, b in pairwise(edges)] for row in profiles]
    np.testing.assert_allclose(band_means(profiles), plain, rtol=1e-12)
    np.testing.assert_allclose(band_means(profiles[0]), plain[0], rtol=1e-12)


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_bands_span_zero_to_half_the_rate(duration_s: float) -> None:
    """The 65 band edges in Hz rise from 0 to 3,400 Hz."""
    edges_hz = band_edges_hz(Spectrum(duration_s))
    assert (edges_hz[0], edges_hz[-1], len(edges_hz)) == (0, 3400, 65)
    assert (np.diff(edges_hz) > 0).all()
