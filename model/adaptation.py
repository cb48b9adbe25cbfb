"""Other held-out scores for a model: those of normal sounds on the site where it listens.

Subspace, forest and clusters stay, and so do both scores of every sound; only the sounds among
which they are ranked are others. None of these was fitted on, so the promise of false alarms is
theirs as it was the reference's. The reference's own scores stay beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.card import Adaptation
from model.conformity import Conformity
from model.detector import ANOMALOUS, Detector, Score
from model.errors import InputError

FEWEST = 20


def sounds_needed(rate: float) -> int:
    """So many held-out sounds it takes for a p as small as `rate`; never below 20."""
    return max(FEWEST, math.ceil(1 / rate - 1e-9) - 1)


def adapted(detector: Detector, scores: Sequence[Score], source: str, created: str) -> Detector:
    """The detector with held-out scores of these sounds; the reference's are kept beside them.

    Sounds that were not scored are left out. Raises InputError for fewer than it takes to keep the
    detector's false-alarm rate.
    """
    scored = [score for score in scores if score.p is not None]
    needed = sounds_needed(detector.false_alarm_rate)
    if len(scored) < needed:
        what = "windows" if detector.segmentation.mode == "continuous" else "sounds"
        raise InputError(
            f"{len(scored):,} scored {what} are too few to adapt to: a false-alarm rate of "
            f"{detector.false_alarm_rate:.2g} takes at least {needed:,}.",
            "Listen longer: --seconds. Nothing was changed.",
        )
    isolation = np.array([score.isolation_score for score in scored], np.float64)
    reconstruction = np.array([score.reconstruction_error for score in scored], np.float64)
    before = sum(score.verdict == ANOMALOUS for score in scored)
    made = Adaptation(created, len(scored), before, detector.false_alarm_rate, source)
    return replace(
        detector,
        conformity=Conformity(isolation, reconstruction),
        original=detector.original or detector.conformity,
        card=replace(detector.card, adaptation=made),
    )


def forgotten(detector: Detector) -> Detector:
    """The detector with the reference's own held-out scores again. Raises InputError for none."""
    if detector.original is None:
        raise InputError("This model was never adapted: its scores are those of its reference.")
    return replace(
        detector,
        conformity=detector.original,
        original=None,
        card=replace(detector.card, adaptation=None),
    )


def as_calibrated(detector: Detector) -> Detector:
    """The detector with the reference's own scores in force; its card still says what was adapted.

    Its scores are in the gallery's order then, one for each sound.
    """
    return replace(detector, conformity=detector.original or detector.conformity, original=None)


def describe_adaptation(detector: Detector) -> list[str]:
    """What was adapted, in sentences; none where nothing was."""
    made = detector.card.adaptation
    if made is None:
        return []
    what = "windows" if detector.segmentation.mode == "continuous" else "sounds"
    kept = 0 if detector.original is None else detector.original.n
    return [
        f"p is the rank among {made.sounds:,} {what} of {made.source}, heard {made.created}, "
        f"of which {made.alarms_before:,} alarmed before",
        f"the tables above and below tell of the {kept:,} of the reference, whose scores are "
        "kept: offkey check MODEL --forget goes back to them",
    ]
