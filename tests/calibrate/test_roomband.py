"""A room that was encoded or recorded with a narrower band is told from one that is only dull."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from calibrate.roomband import highest_hz

RATE_HZ = 48_000
Samples = NDArray[np.float32]


def noise(falls_db: float, seed: int = 0, seconds: float = 5.0) -> Samples:
    """Make noise whose power falls by so many dB an octave from 20 Hz on, at about −50 dBFS."""
    n = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum *= np.where(hz < 20, 0, (np.maximum(hz, 20) / 20) ** (-falls_db / 20 / np.log10(2)))
    samples = np.fft.irfft(spectrum, n)
    level: Samples = (0.003 * samples / np.sqrt(np.mean(samples**2))).astype(np.float32)
    return level


def in_16_bits(samples: Samples) -> Samples:
    """Round as a WAV file of 16 bits does."""
    return (np.round(samples * 32768) / 32768).astype(np.float32)


def with_hum(samples: Samples) -> Samples:
    """Add mains hum far above the noise, and a tone above the band."""
    t = np.arange(len(samples)) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 30))
    return (samples + 0.03 * hum + 1e-4 * np.sin(2 * np.pi * 6100 * t)).astype(np.float32)


@pytest.mark.parametrize("falls_db", [0, 3, 6])
@pytest.mark.parametrize("limit_hz", [6000, 8000, 11025, 12000])
def test_a_room_of_a_lower_rate_ends_below_half_of_it(falls_db: float, limit_hz: int) -> None:
    """Brought to a lower rate and back, noise ends a little below half that rate."""
    narrow = soxr.resample(soxr.resample(noise(falls_db), RATE_HZ, limit_hz), limit_hz, RATE_HZ)
    for samples in (in_16_bits(narrow), with_hum(in_16_bits(narrow))):
        found = highest_hz(samples, RATE_HZ, 8000.0)
        assert found is not None
        assert 0.85 < found / (limit_hz / 2) < 1


@pytest.mark.parametrize("falls_db", [0, 3, 6, 12])
@pytest.mark.parametrize("top_hz", [3400.0, 8000.0])
def test_a_room_that_is_only_dull_goes_all_the_way_up(falls_db: float, top_hz: float) -> None:
    """Noise that falls by up to 12 dB an octave has no end, with hum in it or without."""
    for seed in range(5):
        samples = noise(falls_db, seed)
        assert highest_hz(samples, RATE_HZ, top_hz) is None
        assert highest_hz(with_hum(samples), RATE_HZ, top_hz) is None


def test_what_ends_above_the_front_end_is_no_matter() -> None:
    """A room up to 12 kHz has all that a front end up to 8 kHz listens to; so has one of 8 kHz."""
    narrow = soxr.resample(soxr.resample(noise(3), RATE_HZ, 24_000), 24_000, RATE_HZ)
    assert highest_hz(narrow, RATE_HZ, 8000.0) is None
    assert highest_hz(soxr.resample(noise(3), RATE_HZ, 16_000), 16_000, 8000.0) is None
