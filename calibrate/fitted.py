"""A front end fitted to the reference, once on everything and once more without each fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.crossfit import HeldOut
from calibrate.folds import Folds
from calibrate.groups import Groups
from calibrate.maps import Draughtsman
from calibrate.parts import Parts
from calibrate.reference import Reference
from model.conformity import Conformity
from model.features import FrontEnd


@dataclass(frozen=True)
class Fitted:
    """All that scores, and who has not heard what; a Detector is made of it by finishing.py."""

    front_end: FrontEnd
    reference: Reference
    groups: Groups
    folds: Folds
    in_time: bool
    """Whether the folds are pieces in time of each recording."""
    explained_variance: float
    """Share of it that was asked for."""
    rate: float
    """The false-alarm rate in force."""
    final: Parts
    without: tuple[Parts, ...]
    """By fold: what was fitted without it."""
    held_out: HeldOut
    conformity: Conformity
    maps: Draughtsman

    @property
    def held_out_folds(self) -> Folds:
        """Of the sounds that have held-out scores, shape `(n,)`."""
        return self.folds[self.held_out.kept]

    @property
    def group_of(self) -> NDArray[np.str_]:
        """Group of each segment, shape `(n_segments,)`."""
        return np.array(self.groups.of_recording)[self.reference.recording]

    @property
    def n_unmarked_groups(self) -> int:
        """Number of groups without that of the marked sounds."""
        return count_groups(self.reference, self.groups)


def count_groups(reference: Reference, groups: Groups) -> int:
    """Number of groups without that of the marked sounds."""
    return len(set(groups.of_recording[: len(reference.names) - len(reference.marked)]))
