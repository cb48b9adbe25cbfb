"""What a person may choose about a calibration."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from calibrate.room import Room
from model.features import FRONT_ENDS
from model.segment import Segmentation

AUTO = "auto"
FEATURES = (AUTO, *FRONT_ENDS)


@dataclass(frozen=True)
class Settings:
    """All of it, as usual unless said otherwise."""

    segmentation: Segmentation = field(default_factory=Segmentation)
    group: re.Pattern[str] | None = None
    """Its one capture in a recording's path is the recording's group."""
    features: str = AUTO
    """One of `FEATURES`."""
    explained_variance: float | None = None
    """None: what the front end usually takes."""
    n_clusters: int | None = 10
    """None: as many as come out alike from both halves of the reference."""
    false_alarm_rate: float | None = None
    seed: int = 42
    jobs: int = -1
    maps: bool = True
    room: Room | None = None
    """Mixed into every recording."""
