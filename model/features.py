"""Front ends: a segment's samples to a feature vector.

`Spectrum` is the reference method, `Mel` (mel.py) hears more. A further front end is one class with
the members of `FrontEnd` and one entry in `FRONT_ENDS`.
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
from model.mel import Mel
from model.parts import Part

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

    @property
    def explained_variance(self) -> float:
        """Share of the variance that its components explain unless asked otherwise."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What its values say, one part after another; their sizes add up to `n_features`."""

    def frequencies_hz(self) -> NDArray[np.float64]:
        """Frequency of each feature, shape `(n_features,)`, rising in each part."""

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
    rates_hz = (6800,)
    explained_variance = 0.99
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

    @property
    def parts(self) -> tuple[Part, ...]:
        """One part: all values say how much there is of a frequency."""
        return (Part("", self.n_features, "too much", "too little", "more", "less"),)

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


FRONT_ENDS: dict[str, type[Spectrum] | type[Mel]] = {Spectrum.name: Spectrum, Mel.name: Mel}


def make_front_end(name: str, duration_s: float, recorded_hz: int | None = None) -> FrontEnd:
    """The front end of that name, at the highest of its rates that recordings reach.

    Its lowest rate where they reach none, its highest where nothing is said of them. Raises
    InputError for a name that is not known.
    """
    if name not in FRONT_ENDS:
        raise InputError(f"There is no front end {name!r}.", f"Known: {', '.join(FRONT_ENDS)}.")
    if name == Spectrum.name:
        return Spectrum(duration_s)
    reached = [rate for rate in Mel.rates_hz if recorded_hz is None or rate <= recorded_hz]
    return Mel(duration_s, max(reached, default=min(Mel.rates_hz)))


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
    """Lower edges of the 64 bands in Hz, and half the rate at last, shape `(65,)`.

    They rise within each part; see `band_parts`.
    """
    frequencies = np.append(front_end.frequencies_hz(), front_end.rate_hz / 2)
    return frequencies[band_edges(front_end.n_features)]


@dataclass(frozen=True)
class BandPart:
    """The bands of one part of the features."""

    part: Part
    bands: slice
    edges_hz: NDArray[np.float64]
    """Shape `(bands + 1,)`; the last is half the rate."""


def band_parts(front_end: FrontEnd) -> tuple[BandPart, ...]:
    """Which of the 64 bands belong to which part of the features."""
    edges, edges_hz = band_edges(front_end.n_features), band_edges_hz(front_end)
    found, first = [], 0
    for part in front_end.parts:
        low, high = np.searchsorted(edges, (first, first + part.size))
        within = np.append(edges_hz[low:high], front_end.rate_hz / 2)
        found.append(BandPart(part, slice(int(low), int(high)), within))
        first += part.size
    return tuple(found)
