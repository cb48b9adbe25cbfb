"""Front ends: a segment's samples to a feature vector.

`Spectrum` is the reference method. A further front end is one class with the members of `FrontEnd`
and one entry in `FRONT_ENDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.audio import Samples
from model.chirp import chirp_magnitudes
from model.errors import InputError

Features = NDArray[np.float32]
N_BANDS = 64
_KERNEL = np.full(5, 1 / 5)


class FrontEnd(Protocol):
    """Turns samples at `rate_hz` into features."""

    @property
    def duration_s(self) -> float:
        """Longest sound, or window."""

    @property
    def name(self) -> str:
        """The word for it on the command line and in the model file."""

    @property
    def rate_hz(self) -> int:
        """Rate of the samples that it takes."""

    @property
    def n_samples(self) -> int:
        """Length to which a segment is padded or cut."""

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""

    def frequencies_hz(self) -> NDArray[np.float64]:
        """Frequency of each feature, shape `(n_features,)`."""

    def features(self, samples: Samples) -> Features | None:
        """Features of one segment, shape `(n_features,)`; None where there is no signal."""


@dataclass(frozen=True)
class Spectrum:
    """The reference method: magnitude spectrum of a moving average, scaled by its largest value.

    Padded with zeros or cut to `n = 6800 * duration_s` samples; moving average over 5, valid part;
    magnitude of the FFT of those `n - 4` samples, first `n / 2` values. Value `i` lies at
    `i * 6800 / (n - 4)` Hz; the last one lies beyond the Nyquist bin and mirrors the one before it.
    """

    duration_s: float = 1.0

    name = "spectrum"
    rate_hz = 6800
    _average = len(_KERNEL)

    def __post_init__(self) -> None:
        if not 0.05 <= self.duration_s <= 10:
            raise InputError(f"A duration of {self.duration_s:g} s is outside 0.05 to 10 seconds.")

    @property
    def n_samples(self) -> int:
        """Even, so that every duration has the reference's layout."""
        return 2 * round(self.rate_hz * self.duration_s / 2)

    @property
    def n_features(self) -> int:
        """Half the samples."""
        return self.n_samples // 2

    def frequencies_hz(self) -> NDArray[np.float64]:
        """Frequency of each value, shape `(n_features,)`."""
        return np.arange(self.n_features) * self.rate_hz / (self.n_samples - self._average + 1)

    def features(self, samples: Samples) -> Features | None:
        """Spectrum of one segment, shape `(n_features,)`, largest value 1."""
        padded = np.zeros(self.n_samples)
        padded[: len(samples)] = samples[: self.n_samples]
        averaged = np.convolve(padded, _KERNEL, "valid")
        quick = chirp_magnitudes(len(averaged))
        half = np.abs(np.fft.rfft(averaged)) if quick is None else quick.magnitudes(averaged)
        largest = half.max()
        if not largest > 0:
            return None
        half /= largest
        spectrum = np.empty(len(half) + 1, np.float32)
        spectrum[:-1] = half
        spectrum[-1] = half[-2]
        return spectrum


FRONT_ENDS: dict[str, type[Spectrum]] = {Spectrum.name: Spectrum}


def make_front_end(name: str, duration_s: float) -> FrontEnd:
    """The front end of that name. Raises InputError for a name that is not known."""
    if name not in FRONT_ENDS:
        raise InputError(f"There is no front end {name!r}.", f"Known: {', '.join(FRONT_ENDS)}.")
    return FRONT_ENDS[name](duration_s)


def band_edges(n_features: int) -> NDArray[np.int64]:
    """Edges of the 64 bands as feature indices, shape `(65,)`: `round(i * n_features / 64)`."""
    return np.array([round(i * n_features / N_BANDS) for i in range(N_BANDS + 1)])


@lru_cache(maxsize=8)
def _bands(n_features: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First feature and width of each band."""
    edges = band_edges(n_features)
    return edges[:-1], np.diff(edges)


def band_means(profiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average profiles, shape `(..., n_features)`, into bands, shape `(..., 64)`."""
    first, widths = _bands(profiles.shape[-1])
    sums: NDArray[np.float64] = np.add.reduceat(profiles, first, axis=-1, dtype=np.float64)
    return sums / widths


def band_edges_hz(front_end: FrontEnd) -> NDArray[np.float64]:
    """Edges of the 64 bands in Hz, shape `(65,)`; the last is half the rate."""
    frequencies = np.append(front_end.frequencies_hz(), front_end.rate_hz / 2)
    return frequencies[band_edges(front_end.n_features)]
