"""Detector: features, subspace, forest, conformity, clusters; a segment in, a Score out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.card import ModelCard
from model.conformity import Conformity, Thresholds, resolve_false_alarm_rate
from model.features import Features, FrontEnd, band_means
from model.gallery import Gallery
from model.isolation import IsolationForest
from model.profiles import ProfileClusters
from model.segment import Segment, Segmentation
from model.subspace import Subspace, reconstruction_error

NORMAL, ANOMALOUS, NOT_SCORED = "normal", "anomalous", "not scored"


@dataclass(frozen=True)
class Score:
    """What the detector says of one segment. All numbers grow with oddness but the p-values."""

    verdict: str
    """`normal`, `anomalous` or `not scored`."""
    reason: str | None = None
    """Why it is not scored; then everything below is None."""
    outside_conditions: bool = False
    """The signal-to-noise ratio is outside the range of the reference set."""
    isolation_score: float | None = None
    reconstruction_error: float | None = None
    isolation_p: float | None = None
    reconstruction_p: float | None = None
    p: float | None = None
    """Share of held-out reference sounds at least as odd by either score."""
    oddness: float | None = None
    """Joint and continuous, also where p has reached its end: to sort by."""
    cluster: int | None = None
    cluster_name: str | None = None
    cluster_distance: float | None = None
    """Distance to the nearest cluster divided by its reach."""
    unlike_any: bool | None = None
    """The distance is beyond the reach."""
    profile: tuple[float, ...] | None = None
    """Error profile, mean over each of the 64 bands."""


@dataclass(frozen=True)
class ScoredSegment:
    """A segment with what the detector says of it."""

    segment: Segment
    score: Score


@dataclass(frozen=True)
class RawScores:
    """Both scores and the banded profiles of many sounds, before they are ranked."""

    isolation: NDArray[np.float64]
    """Shape `(n,)`."""
    reconstruction: NDArray[np.float64]
    """Shape `(n,)`."""
    profiles: NDArray[np.float64]
    """Shape `(n, 64)`."""


@dataclass(frozen=True)
class Detector:
    """Everything that is known about a sound; immutable."""

    front_end: FrontEnd
    segmentation: Segmentation
    subspace: Subspace
    forest: IsolationForest
    conformity: Conformity
    clusters: ProfileClusters
    false_alarm_rate: float
    card: ModelCard
    maps: dict[str, NDArray[np.float32]]
    """PaCMAP coordinates of the gallery's mapped sounds by name, shape `(m, 2)`; may be empty."""
    digest: str = ""
    """SHA-256 of the model file; empty for a model that was never saved."""
    gallery: Gallery | None = None
    """To look at; None for a model that older versions made."""
    original: Conformity | None = None
    """Held-out scores of the reference, where others are in force: see adaptation.py."""

    @property
    def thresholds(self) -> Thresholds:
        """Scores that alone make a segment anomalous at the false-alarm rate."""
        return self.conformity.thresholds(self.false_alarm_rate)

    @property
    def held_out_p(self) -> NDArray[np.float64]:
        """Joint p of each held-out sound as if it were new, shape `(n,)`.

        Ranked among the sounds of the other folds, so that it shows how groups differ; among all
        but itself where that is not known: after adapting, and for models of older versions.
        """
        n, gallery = self.conformity.n, self.gallery
        if gallery is None or self.original is not None or len(gallery.p) != n:
            return self.conformity.reference_p() * n / (n + 1)
        return gallery.p.astype(np.float64)

    @property
    def measured_rate(self) -> float | None:
        """Share of sounds of groups that it had not heard that alarm at the rate in force.

        None where that is not known: too few recordings, adapted since, or of an older version.
        """
        gallery, rate, folds = self.gallery, self.false_alarm_rate, self.card.folds
        if gallery is None or self.original is not None:
            return None
        p = gallery.p[gallery.recording < len(gallery.names) - len(self.card.marked)]
        # They are ranked among the other folds, whose sounds are fewer: no p is smaller than this.
        smallest = 1 / (self.conformity.n * (folds - 1) / folds + 1)
        return float(np.mean(p <= rate * (1 + 1e-6))) if smallest <= rate else None

    @property
    def sounds(self) -> str:
        """What it scores one by one, in a word."""
        return "windows" if self.segmentation.mode == "continuous" else "sounds"

    @property
    def held_out_sounds(self) -> str:
        """Among which it ranks, in words."""
        if self.original is None:
            return f"reference {self.sounds}"
        return f"{self.sounds} that it was adapted to"

    @property
    def takes_more(self) -> str:
        """What a smaller p takes more of, in a word."""
        is_recordings = self.original is None and self.segmentation.mode == "event"
        return "recordings" if is_recordings else self.sounds

    def with_false_alarm_rate(self, asked: float | None) -> Detector:
        """The same detector at another rate, or itself for None.

        Raises InputError for a rate that its reference cannot promise.
        """
        if asked is None:
            return self
        rate = resolve_false_alarm_rate(
            asked, self.conformity.n, self.held_out_sounds, self.takes_more
        )
        return replace(self, false_alarm_rate=rate)

    def score(self, segment: Segment) -> Score:
        """Score one segment."""
        features = None if segment.reason else self.front_end.features(segment.samples)
        if features is None:
            return Score(NOT_SCORED, segment.reason or "digital zero")
        return self._score_features(features, self._is_outside(segment))

    def score_batch(self, segments: Sequence[Segment]) -> list[Score]:
        """Score many segments; each gets exactly the score that it gets alone."""
        return [self.score(segment) for segment in segments]

    def _score_features(self, features: Features, outside_conditions: bool) -> Score:
        difference = self.subspace.difference(features)
        isolation = self.forest.score_one(features)
        error = float(np.dot(difference, difference)) / len(difference)
        p_isolation, p_reconstruction, p = self.conformity.p_of_one(isolation, error)
        profile = band_means(np.abs(difference))
        nearest = self.clusters.nearest(profile)
        return Score(
            verdict=ANOMALOUS if p <= self.false_alarm_rate else NORMAL,
            outside_conditions=outside_conditions,
            isolation_score=isolation,
            reconstruction_error=error,
            isolation_p=p_isolation,
            reconstruction_p=p_reconstruction,
            p=p,
            oddness=self.conformity.oddness_of_one(isolation, error),
            cluster=nearest.cluster,
            cluster_name=self.clusters.name(nearest.cluster),
            cluster_distance=nearest.distance,
            unlike_any=nearest.distance > 1,
            profile=tuple(profile.tolist()),
        )

    def _is_outside(self, segment: Segment) -> bool:
        snr_db, known = segment.snr_db, self.card.snr_range_db
        return snr_db is not None and known is not None and not known[0] <= snr_db <= known[1]


def raw_scores(subspace: Subspace, forest: IsolationForest, features: Features) -> RawScores:
    """Both scores and banded profiles of `features`, shape `(n, n_features)`."""
    profiles = subspace.error_profile(features)
    return RawScores(forest.score(features), reconstruction_error(profiles), band_means(profiles))
