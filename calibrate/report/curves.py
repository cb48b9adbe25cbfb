"""The curves of a sound for the page: few columns of one byte each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.explanation import Explanation

COLUMNS = 288
"""Of each curve: about what a screen shows; four curves of so many bytes are whole in base64."""
_SMOOTHING = 1 / 64  # of all features: the centred moving average
_TINY = 1e-12


@dataclass(frozen=True)
class Curves:
    """Features, reconstruction, error and its moving average of a sound, to be drawn."""

    code: bytes
    """`COLUMNS` bytes each, one curve after another."""
    floor: float
    """What 0 is in the first two: 0 unless features can be negative."""
    level: float
    """What 255 is in them."""
    error: float
    """The same in the last two, in which 0 is 0."""


def reduce(explanation: Explanation) -> Curves:
    """Four curves of `COLUMNS` bytes: the largest value in each column, the average's mean."""
    columns = [
        in_columns(curve, np.maximum)
        for curve in (
            explanation.features,
            explanation.reconstruction,
            explanation.error,
            _averaged(explanation),
        )
    ]
    is_signed = bool(explanation.features.min() < 0)
    floor = float(min(columns[0].min(), columns[1].min())) if is_signed else 0.0
    level = float(max(columns[0].max(), columns[1].max(), floor + _TINY))
    error = float(max(columns[2].max(), _TINY))
    scales = ((floor, level), (floor, level), (0.0, error), (0.0, error))
    coded = [
        np.clip(np.round(255 * (column - low) / (high - low)), 0, 255).astype(np.uint8)
        for column, (low, high) in zip(columns, scales, strict=True)
    ]
    return Curves(b"".join(column.tobytes() for column in coded), floor, level, error)


def _averaged(explanation: Explanation) -> NDArray[np.float64]:
    """The moving average of the error, of each part of the features by itself."""
    ends = np.cumsum([part.size for part in explanation.parts])[:-1]
    return np.concatenate([moving_average(part) for part in np.split(explanation.error, ends)])


def moving_average(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred, over a 64th of the curve; at the ends over what there is. Same shape."""
    half = max(1, round(len(curve) * _SMOOTHING / 2))
    sums = np.concatenate([[0.0], np.cumsum(curve)])
    low = np.maximum(np.arange(len(curve)) - half, 0)
    high = np.minimum(np.arange(len(curve)) + half + 1, len(curve))
    average: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return average


def in_columns(curve: NDArray[np.float64], of: np.ufunc) -> NDArray[np.float64]:
    """A curve in `COLUMNS` columns; fewer values than that are repeated."""
    edges = np.arange(COLUMNS) * len(curve) // COLUMNS
    columns: NDArray[np.float64] = of.reduceat(curve, edges)
    return columns


def column_hz(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequency at which each column begins, shape `(COLUMNS,)`."""
    return frequencies_hz[np.arange(COLUMNS) * len(frequencies_hz) // COLUMNS]
