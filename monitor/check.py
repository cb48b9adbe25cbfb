"""Whether a model's promise holds where it listens: normal sounds on the site against its p-values.

p of normal sounds like those of the reference is spread evenly from 0 to 1. How well it is so is
told by the two-sided Kolmogorov-Smirnov test for two samples, reference and site, because the
reference is a sample too; how often they alarm by a share with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.adaptation import sounds_needed
from model.conformity import Conformity
from model.detector import ANOMALOUS, Detector, Score
from model.features import band_parts
from model.profiles import range_text
from model.shares import Share, share_of

Floats = NDArray[np.float64]
SURE = 0.01
"""A p of the test below this is no chance."""
FEWEST_TO_TEST = 10
_SURE_ERRORS = 4.0
_MORE = 1.25
_MOST_BANDS = 3
OFTEN = 0.2
"""Such a share in more noise than the reference had is no accident."""


@dataclass(frozen=True)
class Agreement:
    """What normal sounds of the site say of a model, those that it does not know yet."""

    scored: int
    not_scored: int
    alarms: Share
    rate: float
    """What was asked of the model."""
    expected: float
    """What calibration measured on groups that it had not heard, where that is more."""
    distance: float
    """Of the two distributions, from 0 to 1: the statistic of the test."""
    test_p: float
    """How often chance alone gives such a distance."""
    is_odder: bool
    """The sounds of the site are odder on the whole, not more alike, than the reference."""
    bands: tuple[str, ...]
    """Where their errors are larger than those of the reference, in words."""
    noisier: Share
    """Stand out from the background by less than anything in the reference."""
    quieter: Share
    """By more."""

    @property
    def can_test(self) -> bool:
        """Whether there are enough sounds for the test to say something."""
        return self.scored >= FEWEST_TO_TEST

    @property
    def agrees(self) -> bool:
        """Neither the test nor the alarms speak against the model."""
        differs = self.can_test and self.test_p < SURE
        return not differs and not self.alarms_too_often

    @property
    def alarms_too_often(self) -> bool:
        """More often than the model leads to expect, and not by chance."""
        return self.alarms.low > self.expected


@dataclass(frozen=True)
class SiteSound:
    """A sound of the site."""

    score: Score
    snr_db: float | None
    """Signal over noise."""
    digest: int | None = None
    """Of its samples, where it is a whole recording."""


def measure(detector: Detector, heard: Sequence[SiteSound]) -> Agreement:
    """Compare sounds of the site, at least one of them scored, with the detector's reference."""
    overlap = _overlap(detector)
    scored = [sound for sound in heard if sound.score.p is not None]
    scores = [sound.score for sound in scored]
    p = np.array([score.p for score in scores], np.float64)
    distance = distance_to(detector.conformity, p)
    n, reference = len(p) / overlap, detector.conformity.n / overlap
    alarms = sum(score.verdict == ANOMALOUS for score in scores)
    low_db, high_db = detector.card.snr_range_db or (-math.inf, math.inf)
    snr_db = [sound.snr_db for sound in scored if sound.snr_db is not None]
    noisier, quieter = sum(x < low_db for x in snr_db), sum(x > high_db for x in snr_db)
    return Agreement(
        scored=len(scores),
        not_scored=len(heard) - len(scores),
        alarms=share_of(alarms, len(scores), overlap),
        rate=detector.false_alarm_rate,
        expected=max(detector.false_alarm_rate, detector.measured_rate or 0.0),
        distance=distance,
        test_p=kolmogorov(distance, n * reference / (n + reference)),
        is_odder=bool(p.mean() < 0.5),
        bands=_bands(detector, scores),
        noisier=share_of(noisier, len(scores), overlap),
        quieter=share_of(quieter, len(scores), overlap),
    )


def _overlap(detector: Detector) -> float:
    """How many windows share each moment: so many count as one sound; 1 in event mode."""
    cut = detector.segmentation
    return max(1.0, cut.duration_s / cut.hop_s) if cut.mode == "continuous" else 1.0


def distance_to(conformity: Conformity, p: Floats) -> float:
    """Largest difference between the shares of site and reference that are at most so probable.

    `p`, shape `(n,)`, are joint p-values of the site's sounds. Each tells exactly how many of the
    reference are at least as odd, which is all that the statistic needs.
    """
    place = np.sort((p * (conformity.n + 1) - 1) / conformity.n)
    reference = np.sort(conformity.reference_p())
    at_site = np.searchsorted(place, place, side="right") / len(place) - place
    below = np.searchsorted(place, reference - 1e-9, side="left") / len(place)
    return float(max(np.abs(at_site).max(), np.abs(below - reference).max()))


def kolmogorov(distance: float, n: float) -> float:
    """How often chance gives at least this distance; `n`: the product of both sizes by their sum.

    The limiting distribution with the correction for small samples of Stephens (Journal of the
    Royal Statistical Society B 32, 1970).
    """
    x = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if x < 0.2:  # the sum converges slowly, and is 1 to twelve digits
        return 1.0
    total = sum((-1.0) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return float(min(1.0, max(0.0, 2 * total)))


def _bands(detector: Detector, scores: Sequence[Score]) -> tuple[str, ...]:
    """Runs of bands whose error is larger than in the reference by more than chance.

    What the reference's mean profile is, the clusters tell: their centroids are means of members.
    """
    if len(scores) < 2:
        return ()
    sizes = np.array(detector.clusters.sizes, np.float64)
    usual = sizes @ detector.clusters.centroids / sizes.sum()
    profiles = np.array([score.profile for score in scores], np.float64)
    mean = profiles.mean(axis=0)
    error = np.maximum(profiles.std(axis=0, ddof=1) / math.sqrt(len(profiles)), 1e-12)
    stands_out = (mean > _MORE * usual) & (mean - usual > _SURE_ERRORS * error)
    excess = np.where(stands_out, mean - usual, 0.0)
    found: list[tuple[float, str]] = []
    for of in band_parts(detector.front_end):
        found += [
            (size, f"{of.part.name} {range_text(low_hz, high_hz)}".strip())
            for size, low_hz, high_hz in _runs(excess[of.bands], of.edges_hz)
        ]
    return tuple(text for _, text in sorted(found, reverse=True)[:_MOST_BANDS])


def _runs(excess: Floats, edges_hz: Floats) -> list[tuple[float, float, float]]:
    """Consecutive bands that stand out: how much in all, from where, to where."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], excess > 0, [0]])))
    return [
        (float(excess[low:high].sum()), float(edges_hz[low]), float(edges_hz[high]))
        for low, high in zip(edges[::2], edges[1::2], strict=True)
    ]


def advice(found: Agreement) -> str:
    """What is the matter: `few`, `nothing`, `fewer`, `background`, `odder`, `differs` or `alike`.

    `few` sounds can tell nothing; `fewer` than it takes to see the rate speak for nothing else.
    """
    if not found.can_test:
        return "few"
    if found.agrees:
        return "fewer" if found.scored < sounds_needed(found.rate) else "nothing"
    if found.noisier.share >= OFTEN:
        return "background"
    if found.alarms_too_often:
        return "odder"
    return "differs" if found.is_odder else "alike"
