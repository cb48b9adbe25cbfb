"""Which sounds a model knows already: they say nothing of how well it judges others.

A sound is known again by its two scores, which depend on every sample: two different sounds hardly
ever agree in both. Scores are compared as closely as they come out again: those of what a model was
fitted on are kept in single precision, and were summed in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.detector import Detector, Score

Mask = NDArray[np.bool_]
_SAME_ISOLATION = 1e-6
_SAME_ERROR = 1e-5
"""Of the reconstruction error itself."""


class Known(NamedTuple):
    """Which of some sounds are known, and from where; each of shape `(n,)`."""

    copies: Mask
    """The same as one before it."""
    learnt: Mask
    """The model was fitted on it."""
    adapted: Mask
    """Its score is one of those among which the model ranks since it was adapted."""

    @property
    def is_new(self) -> Mask:
        """Can tell how well the model judges: it knows no sound like this."""
        return ~(self.copies | self.learnt | self.adapted)

    @property
    def can_be_ranked_among(self) -> Mask:
        """Can be a held-out sound: it counts once, and nothing was fitted on it."""
        return ~(self.copies | self.learnt)


def recognise(
    detector: Detector, scores: Sequence[Score], digests: Sequence[int | None] = ()
) -> Known:
    """Which of these sounds the detector knows; one that was not scored is new.

    `digests` of whole recordings, where sounds are such, know them again also where the detector
    was fitted on them in a room.
    """
    isolation, reconstruction = scores_of(scores)
    nobody = np.zeros(len(scores), bool)
    copies, learnt, adapted = nobody.copy(), nobody.copy(), nobody.copy()
    seen: set[tuple[float, float]] = set()
    for i, pair in enumerate(zip(isolation.tolist(), reconstruction.tolist(), strict=True)):
        copies[i] = pair in seen  # never so where both are NaN
        seen.add(pair)
    gallery, held_out = detector.gallery, detector.conformity
    if gallery is not None:
        learnt = _among(isolation, reconstruction, gallery.isolation, gallery.reconstruction)
        learnt[: len(digests)] |= [
            digest is not None and gallery.has_learnt(digest) for digest in digests
        ]
    if detector.original is not None:
        adapted = _among(isolation, reconstruction, held_out.isolation, held_out.reconstruction)
    return Known(copies, learnt & ~copies, adapted & ~copies & ~learnt)


def scores_of(scores: Sequence[Score]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Isolation scores and reconstruction errors, each of shape `(n,)`; NaN where not scored."""
    pairs = [(score.isolation_score, score.reconstruction_error) for score in scores]
    columns = np.array(pairs, np.float64).reshape(-1, 2).T
    return columns[0], columns[1]


def _among(
    isolation: NDArray[np.float64],
    reconstruction: NDArray[np.float64],
    known_isolation: ArrayLike,
    known_reconstruction: ArrayLike,
) -> Mask:
    """Which pairs of scores are among those that are known."""
    others = np.asarray(known_isolation, np.float64)
    order = np.argsort(others)
    others, errors = others[order], np.asarray(known_reconstruction, np.float64)[order]
    first = np.searchsorted(others, isolation - _SAME_ISOLATION, side="left")
    last = np.searchsorted(others, isolation + _SAME_ISOLATION, side="right")
    return np.array(
        [
            bool(np.any(np.abs(errors[low:high] - error) <= _SAME_ERROR * error))
            for low, high, error in zip(first, last, reconstruction, strict=True)
        ],
        bool,
    )
