"""Scores of the reference, heard and held out, and how often each group alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.detector import Detector
from model.gallery import GroupAlarms

_BINS = 60


@dataclass(frozen=True)
class Distribution:
    """One score over the reference: shares of sounds in bins."""

    edges: list[float]
    held_out: list[float]
    in_sample: list[float]
    threshold: float | None
    """None where no score of this kind suffices alone."""


@dataclass(frozen=True)
class Promises:
    """What the scores of the reference promise for new sounds."""

    isolation: Distribution
    reconstruction: Distribution
    """Its edges are powers of ten: the axis is logarithmic."""
    rank_correlation: float
    groups: list[GroupAlarms]
    """The most often first; none where every recording is a group by itself."""


def promises(detector: Detector) -> Promises:
    """Of a detector that has a gallery."""
    gallery, held_out = detector.gallery, detector.conformity
    assert gallery is not None
    limits = detector.thresholds
    return Promises(
        isolation=_distribution(
            held_out.isolation, gallery.isolation, limits.isolation_score, logarithmic=False
        ),
        reconstruction=_distribution(
            held_out.reconstruction,
            gallery.reconstruction,
            limits.reconstruction_error,
            logarithmic=True,
        ),
        rank_correlation=rank_correlation(held_out.isolation, held_out.reconstruction),
        groups=gallery.alarms_by_group(detector.false_alarm_rate, len(detector.card.marked)),
    )


def _distribution(
    held_out: NDArray[np.float64],
    in_sample: NDArray[np.float32],
    threshold: float,
    *,
    logarithmic: bool,
) -> Distribution:
    both = [np.asarray(values, np.float64) for values in (held_out, in_sample)]
    if logarithmic:
        both = [np.log10(np.maximum(values, 1e-12)) for values in both]
    edges = np.linspace(min(v.min() for v in both), max(v.max() for v in both) + 1e-9, _BINS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in both]
    return Distribution(
        edges=(10**edges if logarithmic else edges).tolist(),
        held_out=shares[0].tolist(),
        in_sample=shares[1].tolist(),
        threshold=threshold if np.isfinite(threshold) else None,
    )


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's: correlation of the ranks, the mean rank for equal values; 0 without spread."""
    ranks = [_ranks(values) for values in (one, other)]
    if any(rank.std() == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[index]
    return ranks
