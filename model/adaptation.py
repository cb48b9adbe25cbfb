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
from model.detector import Detector, Score
from model.errors import InputError
from model.known import recognise, scores_of

FEWEST = 20


def sounds_needed(rate: float) -> int:
    """So many held-out sounds it takes for a p as small as `rate`; never below 20."""
    return max(FEWEST, math.ceil(1 / rate - 1e-9) - 1)


def adapted(
    detector: Detector,
    scores: Sequence[Score],
    source: str,
    created: str,
    digests: Sequence[int | None] = (),
) -> Detector:
    """The detector with held-out scores of these sounds; the reference's are kept beside them.

    Left out are sounds that were not scored, copies, and what the detector was fitted on: `digests`
    as for `recognise`. Raises InputError for fewer than it takes to keep the detector's false-alarm
    rate.
    """
    usable = recognise(detector, scores, digests).can_be_ranked_among
    pairs = zip(scores, usable.tolist(), strict=True)
    taken = [score for score, is_usable in pairs if is_usable and score.p is not None]
    rate, reference = detector.false_alarm_rate, detector.original or detector.conformity
    if len(taken) < (needed := sounds_needed(rate)):
        raise InputError(
            f"{len(taken):,} different {detector.sounds} are too few to adapt to: a false-alarm "
            f"rate of {rate:.2g} takes at least {needed:,}.",
            "Nothing was changed. Give more of them, or listen longer: --seconds.",
        )
    conformity = Conformity(*scores_of(taken))
    by_reference = reference.p_values(conformity.isolation, conformity.reconstruction).joint
    alarms = int(np.count_nonzero(by_reference <= rate))
    made = Adaptation(created, len(taken), alarms, rate, source)
    return replace(
        detector,
        conformity=conformity,
        original=reference,
        card=replace(detector.card, adaptation=made),
    )


def forgotten(detector: Detector) -> Detector:
    """The detector with the reference's own held-out scores again. Raises InputError for none."""
    if detector.original is None:
        raise InputError("This model ranks sounds among those of its reference already.")
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
    kept = 0 if detector.original is None else detector.original.n
    return [
        f"p is the rank among {made.sounds:,} {detector.sounds} of {made.source}, heard "
        f"{made.created}, of which {made.alarms_before:,} alarmed by the scores of the reference",
        f"the tables above and below tell of the {kept:,} of the reference, whose scores are "
        "kept: offkey check MODEL --forget goes back to them",
    ]
