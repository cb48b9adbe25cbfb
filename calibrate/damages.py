"""Damage done to a sound on purpose, to learn what a model hears of it.

Each damage takes mono samples of shape `(n,)`, their rate, a strength and a source of chance, and
gives new samples. Levels in dB are relative to the RMS level of the sound itself unless said
otherwise, so a damage is as strong on a quiet recording as on a loud one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.audio import Samples, resample

Chance = np.random.Generator
Floats = NDArray[np.float64]
_HUM_HZ, _HARMONICS = 50.0, 6
_TONE_HZ = (300.0, 3000.0)
_CLICK_S = 0.002
_ECHO_S = 0.12
_DROPOUT_S = 0.03
_PIECE_S = 0.03
"""Of a stretched sound: long enough for low voices, short enough for consonants."""
_SEARCHED_HZ = 8000
"""Where pieces fit is searched at about this rate: finer steps take far longer to try."""


def add_hum(samples: Samples, rate_hz: int, level_db: float, chance: Chance) -> Samples:
    """Mains hum: 50 Hz and five harmonics at random phases, together at `level_db`."""
    t = np.arange(len(samples)) / rate_hz
    phases = chance.uniform(0, 2 * np.pi, _HARMONICS)
    hum = sum(
        np.sin(2 * np.pi * _HUM_HZ * k * t + phase) / k for k, phase in enumerate(phases, start=1)
    )
    return _add(samples, np.asarray(hum), level_db)


def add_tone(samples: Samples, rate_hz: int, level_db: float, chance: Chance) -> Samples:
    """A pure tone somewhere from 300 to 3,000 Hz, each octave as likely, at `level_db`."""
    hz = np.exp(chance.uniform(*np.log(_TONE_HZ)))
    t = np.arange(len(samples)) / rate_hz
    return _add(samples, np.sin(2 * np.pi * hz * t + chance.uniform(0, 2 * np.pi)), level_db)


def add_hiss(samples: Samples, _rate_hz: int, level_db: float, chance: Chance) -> Samples:
    """White noise at `level_db`."""
    return _add(samples, chance.normal(size=len(samples)), level_db)


def add_click(samples: Samples, rate_hz: int, peak_db: float, chance: Chance) -> Samples:
    """One burst of noise, 2 ms long, its peak `peak_db` over the peak of the sound."""
    n = min(len(samples), max(2, round(_CLICK_S * rate_hz)))
    start = int(chance.integers(len(samples) - n + 1))
    click = chance.normal(size=n) * np.hanning(n + 2)[1:-1]
    clicked = samples.astype(np.float64)
    clicked[start : start + n] += click * (_peak(samples) * _ratio(peak_db) / np.abs(click).max())
    return clicked.astype(np.float32)


def cut_band(samples: Samples, rate_hz: int, octaves: float, chance: Chance) -> Samples:
    """Nothing left of a band so many octaves wide, centred from 400 to 2,000 Hz."""
    centre_hz = np.exp(chance.uniform(np.log(400), np.log(2000)))
    n = 1 << (len(samples) - 1).bit_length()  # other lengths take several times as long
    spectrum = np.fft.rfft(samples, n)
    hz = np.fft.rfftfreq(n, 1 / rate_hz)
    spectrum[np.abs(np.log2(np.maximum(hz, 1e-3) / centre_hz)) < octaves / 2] = 0
    return np.fft.irfft(spectrum, n)[: len(samples)].astype(np.float32)


def clip(samples: Samples, _rate_hz: int, below_peak_db: float, _chance: Chance) -> Samples:
    """Everything beyond `below_peak_db` under the peak cut off, as an overloaded input does."""
    limit = np.float32(_peak(samples) * _ratio(-below_peak_db))
    return np.clip(samples, -limit, limit)


def cut_short(samples: Samples, _rate_hz: int, lost: float, _chance: Chance) -> Samples:
    """The last share of the sound is missing."""
    return samples[: max(1, round(len(samples) * (1 - lost)))].copy()


def reverse(samples: Samples, _rate_hz: int, _strength: float, _chance: Chance) -> Samples:
    """Played backwards."""
    return samples[::-1].copy()


def change_speed(samples: Samples, rate_hz: int, factor: float, _chance: Chance) -> Samples:
    """So many times as fast, at the same pitch."""
    return _stretched(samples.astype(np.float64), rate_hz, 1 / factor).astype(np.float32)


def change_pitch(samples: Samples, rate_hz: int, semitones: float, _chance: Chance) -> Samples:
    """Higher by so many semitones, lower where negative, in the same time."""
    factor = 2 ** (semitones / 12)
    stretched = _stretched(samples.astype(np.float64), rate_hz, factor).astype(np.float32)
    shifted = resample(stretched, round(rate_hz * factor), rate_hz)
    fitted = np.zeros(len(samples), np.float32)
    fitted[: len(shifted)] = shifted[: len(samples)]
    return fitted


def add_echo(samples: Samples, rate_hz: int, level_db: float, _chance: Chance) -> Samples:
    """The sound again after 120 ms, at `level_db`, and again at twice that many dB; no longer."""
    delay, echoed = round(_ECHO_S * rate_hz), samples.astype(np.float64)
    for times in (1, 2):
        late = samples[: max(0, len(samples) - times * delay)]
        echoed[len(samples) - len(late) :] += _ratio(times * level_db) * late
    return echoed.astype(np.float32)


def drop_out(samples: Samples, rate_hz: int, lost: float, chance: Chance) -> Samples:
    """Pieces of 30 ms lost, that share of all of them, at least one."""
    size = max(1, round(_DROPOUT_S * rate_hz))
    n = max(1, len(samples) // size)
    holed = samples.copy()
    for piece in chance.permutation(n)[: max(1, round(lost * n))]:
        holed[piece * size : (piece + 1) * size] = 0
    return holed


@dataclass(frozen=True)
class Damage:
    """A kind of damage and the strengths at which it is tried."""

    name: str
    unit: str
    """Of the strengths; empty where there is only one way."""
    strengths: tuple[float, ...]
    """From weak to strong."""
    apply: Callable[[Samples, int, float, Chance], Samples]
    of_windows: bool = True
    """Whether it can befall a window of a steady sound, which has neither beginning nor end."""


def damages_in(mode: str) -> tuple[Damage, ...]:
    """What is tried in a mode."""
    return tuple(damage for damage in DAMAGES if damage.of_windows or mode == "event")


DAMAGES = (
    Damage("hum", "dB", (-20, -10, 0), add_hum),
    Damage("tone", "dB", (-20, -10, 0), add_tone),
    Damage("click", "dB over peak", (0, 10, 20), add_click),
    Damage("hiss", "dB", (-20, -10, 0), add_hiss),
    Damage("band cut out", "octaves", (0.5, 1, 2), cut_band),
    Damage("clipping", "dB off", (6, 12, 20), clip),
    Damage("cut short", "share lost", (0.25, 0.5, 0.75), cut_short, of_windows=False),
    Damage("reversed", "", (1,), reverse, of_windows=False),
    Damage("pitch up", "semitones", (2, 4, 8), change_pitch),
    Damage("pitch down", "semitones", (-2, -4, -8), change_pitch),
    Damage("faster", "times", (1.25, 1.5, 2), change_speed, of_windows=False),
    Damage("slower", "times", (0.8, 0.67, 0.5), change_speed),
    Damage("echo", "dB", (-10, -5, 0), add_echo),
    Damage("drop-outs", "share lost", (0.1, 0.25, 0.5), drop_out),
)


def _add(samples: Samples, other: Floats, level_db: float) -> Samples:
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    scale = level * _ratio(level_db) / np.sqrt(np.mean(np.square(other)))
    damaged: Samples = (samples + scale * other).astype(np.float32)
    return damaged


def _peak(samples: Samples) -> float:
    return float(np.abs(samples).max())


def _ratio(db: float) -> float:
    return float(10 ** (db / 20))


def _stretched(samples: Floats, rate_hz: int, factor: float) -> Floats:
    """`factor` times as long at the same pitch.

    Overlapping pieces of the sound are laid out closer or further apart; each is taken from where,
    near its place, it best carries on the piece before it (Verhelst and Roelands: WSOLA, ICASSP
    1993).
    """
    hop = max(1, round(_PIECE_S * rate_hz / 2))
    size, slack = 2 * hop, hop // 2
    step = max(1, rate_hz // _SEARCHED_HZ)
    n_pieces = round(len(samples) * factor) // hop + 2
    padded = np.pad(samples, (hop + slack, size + hop + slack))
    last = len(padded) - size - hop - slack
    window = np.hanning(size + 1)[:-1]
    out = np.zeros((n_pieces + 1) * hop)
    place = slack
    for i in range(n_pieces):
        if i:
            wanted = min(slack + round(i * hop / factor), last)
            near = padded[wanted - slack : wanted + slack + size : step]
            carried_on = padded[place + hop : place + hop + size : step]
            likeness = np.correlate(near, carried_on, "valid")
            place = wanted - slack + step * int(likeness.argmax())
        out[i * hop : i * hop + size] += window * padded[place : place + size]
    return out[hop : hop + max(1, round(len(samples) * factor))]
