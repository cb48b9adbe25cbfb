"""The mel front end: what its values say, what it does not look at, what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audio import Samples, resample
from model.errors import InputError
from model.features import FrontEnd, band_edges, band_parts, make_front_end
from model.mel import Mel

RATES_HZ = (16000, 8000)


def part(front_end: FrontEnd, samples: Samples, name: str) -> NDArray[np.float32]:
    """Values of one part."""
    features = front_end.features(samples)
    assert features is not None
    first = 0
    for of in front_end.parts:
        if of.name == name:
            return features[first : first + of.size]
        first += of.size
    raise AssertionError(name)


def noise(n: int, seed: int = 0) -> Samples:
    """White noise."""
    return np.random.default_rng(seed).normal(size=n).astype(np.float32) * np.float32(0.1)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("hz", [120, 440, 1000, 2500, 3600])
def test_a_tone_is_loudest_in_its_own_band(hz: float, rate_hz: int) -> None:
    """The largest value of the shape lies in the band nearest to a tone."""
    front_end = Mel(1.0, rate_hz)
    tone = np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz).astype(np.float32)
    centres = front_end.frequencies_hz()[:40]
    top = int(part(front_end, tone, "shape").argmax())
    assert abs(top - int(np.abs(centres - hz).argmin())) <= 1
    assert centres[max(0, top - 1)] < hz < centres[top + 1]


def test_level_changes_nothing(make_word: Callable[..., Samples]) -> None:
    """A sound has the same features 40 dB quieter."""
    word = resample(make_word(3), 8000, 16000)
    loud, quiet = Mel().features(word), Mel().features(word * np.float32(0.01))
    assert loud is not None
    assert quiet is not None
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_silence_around_a_sound_changes_little(make_word: Callable[..., Samples]) -> None:
    """How much silence a segment has before and after its sound does not matter."""
    word = resample(make_word(3), 8000, 16000)
    padded = np.concatenate([np.zeros(1600, np.float32), word, np.zeros(3200, np.float32)])
    alone, within = Mel().features(word), Mel().features(padded)
    assert alone is not None
    assert within is not None
    assert np.abs(alone - within).max() < 6
    assert np.abs(alone - within).mean() < 1


def test_order_is_what_turns_when_a_sound_is_reversed(make_word: Callable[..., Samples]) -> None:
    """Played backwards, a sound keeps shape, steadiness and middle; its order changes sign."""
    word = resample(make_word(3), 8000, 16000)[: 512 + 40 * 160]  # frames at the same places
    forwards, backwards = (
        {of.name: part(Mel(), samples, of.name) for of in Mel().parts}
        for samples in (word, word[::-1].copy())
    )
    for name in ("shape", "steadiness", "middle"):
        np.testing.assert_allclose(forwards[name], backwards[name], atol=0.6)
    np.testing.assert_allclose(forwards["order"], -backwards["order"], atol=0.6)
    assert np.abs(forwards["order"]).max() > 3


def test_steadiness_is_the_spread_over_time() -> None:
    """Noise that comes and goes is unsteady in every band, steady noise in none."""
    steady = noise(16000)
    swell = steady * (0.55 + 0.45 * np.sin(2 * np.pi * 6 * np.arange(16000) / 16000))
    low = part(Mel(), steady, "steadiness").mean()
    high = part(Mel(), swell.astype(np.float32), "steadiness").mean()
    assert high > low + 2


def test_what_comes_early_is_positive_in_order() -> None:
    """A tone in the first half is early, one in the second half late; one in the middle is low."""
    t, hz = np.arange(16000) / 16000, (500.0, 2000.0, 1000.0)
    when = (t < 0.4, t > 0.6, np.abs(t - 0.5) < 0.2)
    tones = [np.sin(2 * np.pi * f * t) * w for f, w in zip(hz, when, strict=True)]
    samples = (sum(tones) + noise(16000) * 0.05).astype(np.float32)
    centres = Mel().frequencies_hz()[:40]
    early, late, middle = (int(np.abs(centres - f).argmin()) for f in hz)
    order, in_middle = part(Mel(), samples, "order"), part(Mel(), samples, "middle")
    assert order[early] > 5
    assert order[late] < -5
    assert in_middle[middle] < -5


@pytest.mark.parametrize("n", [1, 100, 511, 512, 513, 16000, 40000])
def test_every_length_has_features(n: int) -> None:
    """However short, a segment with a signal has 160 finite values; what is too long is cut."""
    features = Mel().features(noise(n))
    assert features is not None
    assert features.shape == (160,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    if n > 16000:
        whole = Mel().features(noise(n)[:16000])
        assert (features == whole).all()


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_no_signal_has_no_features(constant: float) -> None:
    """Zeros have no features; a constant, which no band looks at, is no sound either."""
    features = Mel().features(np.full(16000, constant, np.float32))
    assert features is None or constant


def test_four_parts_have_sixteen_bands_each() -> None:
    """The 64 bands of a profile never mix two parts; edges rise within each."""
    found = band_parts(Mel())
    assert [of.part.name for of in found] == ["shape", "steadiness", "order", "middle"]
    assert [of.bands for of in found] == [slice(i, i + 16) for i in range(0, 64, 16)]
    assert set(range(0, 161, 40)) <= set(band_edges(160).tolist())
    for of in found:
        assert (np.diff(of.edges_hz) > 0).all()
        assert of.edges_hz[-1] == 8000


@pytest.mark.parametrize(
    ("recorded_hz", "rate_hz"),
    [(None, 16000), (48000, 16000), (16000, 16000), (11025, 8000), (8000, 8000), (6800, 8000)],
)
def test_the_rate_is_the_highest_that_recordings_reach(
    recorded_hz: int | None, rate_hz: int
) -> None:
    """Recordings that reach none of the rates meet the lowest one, which refuses them."""
    assert make_front_end("mel", 1.0, recorded_hz).rate_hz == rate_hz
    assert make_front_end("spectrum", 1.0, recorded_hz).rate_hz == 6800


@pytest.mark.parametrize("duration_s", [0.049, 10.1, float("nan")])
def test_a_duration_out_of_range_is_refused(duration_s: float) -> None:
    """As for the spectrum, from 0.05 to 10 seconds."""
    with pytest.raises(InputError, match="outside"):
        make_front_end("mel", duration_s)
