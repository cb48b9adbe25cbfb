"""How far up a room goes: one that was encoded, or recorded at a lower rate, ends at a cliff."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.audio import Samples

_BIN_HZ = 2
_LOWEST_HZ = 1000.0
"""Below, what a room resonates at looks like a cliff."""
_FALL_DB = 20.0
"""From one side of a cliff to the other the noise of a place falls by a few dB; behind a filter by
40 and more, down to the rounding of 16 bits."""
_STEPS_PER_OCTAVE = 24
_BELOW, _ABOVE = (0.8, 0.95), (1.08, 1.3)
"""Times the edge: what is compared."""
_USED = 0.9
"""Of a band: what resampling leaves of it."""
_SAME_FALL_DB = 3.0


def highest_hz(samples: Samples, rate_hz: int, top_hz: float) -> float | None:
    """Where the room's noise ends at a cliff below `top_hz`; None where it does not.

    `samples` are mono, shape `(n,)`, at least half a second. Behind the cliff the noise is 20 dB
    lower than before it and stays so. Levels are medians over frequency: tones do not count.
    """
    level_db, used_hz = _levels_db(samples, rate_hz), _USED * top_hz
    n = max(1, int(_STEPS_PER_OCTAVE * np.log2(_USED * used_hz / _LOWEST_HZ)))
    edges = _LOWEST_HZ * 2 ** (np.arange(n) / _STEPS_PER_OCTAVE)
    below, above = (
        np.array([_median(level_db, low * hz, min(high * hz, used_hz)) for hz in edges.tolist()])
        for low, high in (_BELOW, _ABOVE)
    )
    falls = below - np.maximum.accumulate(above[::-1])[::-1]
    if falls.max() < _FALL_DB:
        return None
    return float(np.median(edges[falls > falls.max() - _SAME_FALL_DB]))


def _levels_db(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Mean power of windows in each bin of 2 Hz, in dB of no fixed zero."""
    n = rate_hz // _BIN_HZ
    count = len(samples) // n
    frames = samples[: count * n].reshape(count, n).astype(np.float64)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(n)))).mean(axis=0)
    levels: NDArray[np.float64] = 10 * np.log10(power + 1e-20)
    return levels


def _median(level_db: NDArray[np.float64], low_hz: float, high_hz: float) -> float:
    low, high = round(low_hz / _BIN_HZ), round(high_hz / _BIN_HZ)
    return float(np.median(level_db[low : max(high, low + 1)]))
