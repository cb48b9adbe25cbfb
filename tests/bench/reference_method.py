"""The reference method written plainly: scikit-learn's objects, one recording at a time.

The notebook study's way, as far as a detector needs it: no held-out scores, no clusters. What
offkey is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

RATE_HZ = 6800


def read(path: Path) -> NDArray[np.float32]:
    """Decode one file, mix it down and resample it to 6,800 Hz."""
    frames, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    resampled: NDArray[np.float32] = soxr.resample(frames.mean(axis=1), rate_hz, RATE_HZ)
    return resampled


def spectrum(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """One second as 3,400 magnitudes, the largest 1."""
    padded = np.zeros(RATE_HZ)
    padded[: len(samples)] = samples[:RATE_HZ]
    averaged = np.convolve(padded, np.ones(5) / 5, "valid")
    magnitude = np.abs(np.fft.fft(averaged))[: RATE_HZ // 2]
    scaled: NDArray[np.float64] = magnitude / magnitude.max()
    return scaled


@dataclass(frozen=True)
class Fitted:
    """The two fitted objects."""

    pca: Any
    forest: Any

    def score(self, samples: NDArray[np.float32]) -> tuple[float, float]:
        """Isolation score and reconstruction error of one recording."""
        row = spectrum(samples)[None]
        isolation = -float(self.forest.decision_function(row)[0])
        back = self.pca.inverse_transform(self.pca.transform(row))
        return isolation, float(np.mean((row - back) ** 2))


def calibrate(paths: Sequence[Path]) -> Fitted:
    """Read all recordings, fit PCA and the forest."""
    features = np.array([spectrum(read(path)) for path in paths])
    pca = PCA(0.99).fit(features)
    forest = IsolationForest(contamination=0.1, random_state=42).fit(features)
    return Fitted(pca, forest)
