"""Each damage is what it claims to be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate import damages
from calibrate.damages import DAMAGES, Damage
from model.audio import Samples, level_dbfs

RATE_HZ = 16000


def tone(hz: float, seconds: float = 1.0, level: float = 0.1) -> Samples:
    """A sine."""
    t = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def chance(seed: int = 0) -> np.random.Generator:
    """A source of chance."""
    return np.random.default_rng(seed)


def loudest_hz(samples: Samples) -> float:
    """Where the spectrum is largest."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE_HZ / len(samples))


def power(samples: Samples, low_hz: float, high_hz: float) -> float:
    """Power between two frequencies."""
    spectrum: NDArray[np.float64] = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(spectrum[(hz >= low_hz) & (hz < high_hz)].sum())


@pytest.mark.parametrize("add", [damages.add_hum, damages.add_tone, damages.add_hiss])
@pytest.mark.parametrize("level_db", [-20, 0, 10])
@pytest.mark.parametrize("loudness", [1e-3, 0.3])
def test_what_is_added_has_its_level(add: object, level_db: float, loudness: float) -> None:
    """Hum, tone and hiss lie so many dB over the sound's own level."""
    assert callable(add)
    sound = tone(700, level=loudness)
    added = add(sound, RATE_HZ, level_db, chance()) - sound
    measured, own = level_dbfs(added), level_dbfs(sound)
    assert measured is not None
    assert own is not None
    assert measured - own == pytest.approx(level_db, abs=0.05)


def test_hum_is_fifty_hertz_and_its_harmonics() -> None:
    """All of what is added lies at 50 Hz and its multiples, most of it at 50 Hz."""
    sound = tone(700)
    added = damages.add_hum(sound, RATE_HZ, 0, chance()) - sound
    assert loudest_hz(added) == 50
    at_multiples = sum(power(added, 50 * k - 2, 50 * k + 2) for k in range(1, 7))
    assert at_multiples == pytest.approx(power(added, 0, 8000), rel=1e-3)


def test_a_click_is_short_and_has_its_peak() -> None:
    """Two milliseconds, ten decibels over the peak of the sound; the rest is untouched."""
    sound = tone(700)
    added = damages.add_click(sound, RATE_HZ, 10, chance()) - sound
    there = np.flatnonzero(np.abs(added) > 1e-6)
    assert np.ptp(there) <= 0.002 * RATE_HZ
    assert np.abs(added).max() == pytest.approx(np.abs(sound).max() * 10**0.5, rel=0.01)


@pytest.mark.parametrize("octaves", [0.5, 1, 2])
def test_a_band_is_cut_out_and_nothing_else(octaves: float) -> None:
    """White noise loses one band so many octaves wide, and keeps what is around it."""
    sound = damages.add_hiss(tone(1, 4.0, 1e-6), RATE_HZ, 0, chance()) * np.float32(1e5)
    cut = damages.cut_band(sound, RATE_HZ, octaves, chance(7))
    hz = np.geomspace(60, 7900, 400)
    kept = np.array([power(cut, a, b) / power(sound, a, b) for a, b in itertools.pairwise(hz)])
    width = np.count_nonzero(kept < 0.5) * np.log2(hz[1] / hz[0])
    assert width == pytest.approx(octaves, abs=0.05)
    assert np.count_nonzero((kept > 0.01) & (kept < 0.95)) <= 4


def test_clipping_keeps_within_its_limit() -> None:
    """Nothing is beyond 12 dB under the peak; what was within it is as it was."""
    sound = tone(700)
    clipped = damages.clip(sound, RATE_HZ, 12, chance())
    limit = np.abs(sound).max() * 10 ** (-12 / 20)
    assert np.abs(clipped).max() == pytest.approx(limit, rel=1e-5)
    quiet = np.abs(sound) < limit
    assert (clipped[quiet] == sound[quiet]).all()


def test_cut_short_and_reversed() -> None:
    """Cut short, the beginning is left; reversed, all of it, backwards."""
    sound = damages.add_hiss(tone(700), RATE_HZ, 0, chance())
    left = damages.cut_short(sound, RATE_HZ, 0.25, chance())
    assert len(left) == 12000
    assert (left == sound[:12000]).all()
    assert (damages.reverse(sound, RATE_HZ, 1, chance()) == sound[::-1]).all()


@pytest.mark.parametrize("semitones", [-8, -2, 2, 8])
def test_pitch_moves_and_length_stays(semitones: float) -> None:
    """A tone of 440 Hz is so many semitones away, as long and as loud as it was."""
    shifted = damages.change_pitch(tone(440), RATE_HZ, semitones, chance())
    assert len(shifted) == RATE_HZ
    assert loudest_hz(shifted) == pytest.approx(440 * 2 ** (semitones / 12), abs=3)
    assert level_dbfs(shifted) == pytest.approx(level_dbfs(tone(440)), abs=0.5)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2])
def test_speed_changes_length_and_pitch_stays(factor: float) -> None:
    """A tone of 440 Hz keeps its pitch and level in 1 / factor of the time."""
    changed = damages.change_speed(tone(440), RATE_HZ, factor, chance())
    assert len(changed) == RATE_HZ / factor
    assert loudest_hz(changed) == pytest.approx(440, abs=3)
    assert level_dbfs(changed) == pytest.approx(level_dbfs(tone(440)), abs=0.5)


def test_what_comes_late_comes_late_at_another_speed() -> None:
    """A burst in the last fifth is in the last fifth of the sound at any speed."""
    sound = tone(700) * (np.arange(RATE_HZ) > 0.8 * RATE_HZ)
    for factor in (0.5, 2):
        changed = np.abs(damages.change_speed(sound, RATE_HZ, factor, chance()))
        first = np.flatnonzero(changed > 0.03)[0] / len(changed)
        assert first == pytest.approx(0.8, abs=0.05)


def test_an_echo_comes_after_its_delay_at_its_level() -> None:
    """An impulse comes again after 120 ms at half its height, after 240 ms at a quarter."""
    sound = np.zeros(RATE_HZ, np.float32)
    sound[100] = 1
    echoed = damages.add_echo(sound, RATE_HZ, 20 * np.log10(0.5), chance())
    there = np.flatnonzero(echoed)
    assert there.tolist() == [100, 100 + 1920, 100 + 3840]
    np.testing.assert_allclose(echoed[there], [1, 0.5, 0.25], rtol=1e-5)


@pytest.mark.parametrize("lost", [0.1, 0.25, 0.5])
def test_drop_outs_lose_their_share(lost: float) -> None:
    """That share of the sound is digital zero, in pieces of 30 ms."""
    sound = tone(700) + np.float32(1)
    holed = damages.drop_out(sound, RATE_HZ, lost, chance())
    assert np.mean(holed == 0) == pytest.approx(lost, abs=0.021)
    edges = np.flatnonzero(np.diff((holed == 0).astype(int)))
    assert (np.diff(edges) % 480 == 0).all()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
@pytest.mark.parametrize("n", [1, 7, 400, 5000])
def test_every_damage_takes_every_length(damage: Damage, n: int) -> None:
    """However short a sound is, what comes back is finite, and the same for the same chance."""
    sound = np.random.default_rng(n).normal(size=n).astype(np.float32) * np.float32(0.01)
    for strength in damage.strengths:
        one, other = (damage.apply(sound, RATE_HZ, strength, chance(3)) for _ in range(2))
        assert one.dtype == np.float32
        assert len(one) > 0
        assert np.isfinite(one).all()
        assert (one == other).all()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_strengths_go_from_weak_to_strong(damage: Damage) -> None:
    """What is left of the sound as it was gets less with every strength, or is all gone at once."""
    assert len(set(damage.strengths)) == len(damage.strengths)
    signs = np.sign(np.diff(damage.strengths))
    assert abs(signs.sum()) == len(signs)
