"""Why a sound has its reconstruction error: its features, what the reference explains, the rest.

And the same in words: `too much at 1.9 kHz`, `too steady below 300 Hz`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.audio import Samples, input_state
from model.detector import Detector
from model.features import BandPart, FrontEnd, band_means, band_parts
from model.parts import Part

_MOST_VALUES = 1000
"""More of them than this, and single ones mean little."""


@dataclass(frozen=True)
class Explanation:
    """One sound along frequency; all four arrays have the shape `(n_features,)`."""

    frequencies_hz: NDArray[np.float64]
    features: NDArray[np.float64]
    """As the front end makes them: a spectrum whose largest value is 1, or decibels."""
    reconstruction: NDArray[np.float64]
    """What the reference set explains of the features; may be a little below 0."""
    error: NDArray[np.float64]
    """Absolute difference. Its mean square is the reconstruction error of the sound's score."""
    parts: tuple[Part, ...]
    """What the values say, one part after another."""
    findings: tuple[str, ...]
    """In which ways the sound is off, the largest first; at most one a part."""
    differences: tuple[str, ...]
    """The same of a normal sound, of which nothing is too much: `less steady at 3.1 kHz`."""

    def part_of(self, index: int) -> Part:
        """The part to which a value belongs."""
        ends = np.cumsum([part.size for part in self.parts])
        return self.parts[int(np.searchsorted(ends, index, "right"))]


def explain(detector: Detector, samples: Samples) -> Explanation | None:
    """Explain a segment's samples at the front end's rate; None where they cannot be scored."""
    if input_state(samples) is not None or not np.isfinite(samples).all():
        return None
    features = detector.front_end.features(samples)
    if features is None:
        return None
    reconstruction = features - detector.subspace.difference(features)
    found = _findings(features - reconstruction, detector.front_end)
    return Explanation(
        detector.front_end.frequencies_hz(),
        features.astype(np.float64),
        reconstruction,
        np.abs(features - reconstruction),
        detector.front_end.parts,
        tuple(one.fault for one in found),
        tuple(one.difference for one in found),
    )


class _Finding(NamedTuple):
    """A run of values that the reference does not explain."""

    size: float
    fault: str
    """Of a sound that is off."""
    difference: str
    """Of one that is not."""


def _findings(residual: NDArray[np.float64], front_end: FrontEnd, most: int = 3) -> list[_Finding]:
    """The largest run of values of each part, in words, where it is a third of the largest of all.

    Of very many values, of their bands.
    """
    parts = band_parts(front_end)
    if front_end.n_features > _MOST_VALUES:
        residual = band_means(residual)
    else:
        parts = _value_parts(front_end)
    found = sorted((_finding(residual[of.bands], of) for of in parts), reverse=True)
    return [one for one in found[:most] if one.size >= found[0].size / 3]


def _value_parts(front_end: FrontEnd) -> tuple[BandPart, ...]:
    """Every value as a band of its own, with edges half way between two."""
    frequencies, found, first = front_end.frequencies_hz(), [], 0
    for part in front_end.parts:
        values = slice(first, first + part.size)
        between = (frequencies[values][1:] + frequencies[values][:-1]) / 2
        edges = np.concatenate([[0.0], between, [front_end.rate_hz / 2]])
        found.append(BandPart(part, values, edges))
        first += part.size
    return tuple(found)


def _finding(banded: NDArray[np.float64], of: BandPart) -> _Finding:
    top = int(np.argmax(np.abs(banded)))
    same = banded * np.sign(banded[top]) >= np.abs(banded[top]) / 2
    low, high = top, top + 1
    while low > 0 and same[low - 1]:
        low -= 1
    while high < len(banded) and same[high]:
        high += 1
    part, where = of.part, _where(low, top, high, of.edges_hz)
    fault, difference = (part.above, part.more) if banded[top] >= 0 else (part.below, part.less)
    return _Finding(float(np.abs(banded[top])), f"{fault} {where}", f"{difference} {where}")


def _where(low: int, top: int, high: int, edges_hz: NDArray[np.float64]) -> str:
    """A run of bands from `low` up to `high`, with its largest at `top`, in words."""
    last = len(edges_hz) - 1
    if low == 0 and high == last:
        return "everywhere"
    if low == 0:
        return f"below {_hz_text(float(edges_hz[high]))}"
    if high == last:
        return f"above {_hz_text(float(edges_hz[low]))}"
    return f"at {_hz_text(float(edges_hz[top] + edges_hz[top + 1]) / 2)}"


def _hz_text(hz: float) -> str:
    return f"{round(hz, -1):.0f} Hz" if hz < 995 else f"{hz / 1000:.1f} kHz"
