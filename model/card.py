"""The model's card: what a model was made of, when, with which settings, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FalseAlarms:
    """One row of the false-alarm table, measured on sounds that the detector had not heard."""

    rate: float
    """The nominal rate, for example 0.01."""
    mean: float
    """Share of the reference sounds with p at most `rate`, each ranked against the other folds."""
    worst: float
    """The same share in the group that alarms most often."""
    worst_group: str
    in_sample: float
    """What thresholds taken from the fitted recordings themselves would give."""
    measurable: bool
    """False where the other folds hold too few sounds for any p to be as small as `rate`."""


@dataclass(frozen=True)
class AlarmRate:
    """Continuous mode: how often a rule alarms on held-out normal sound."""

    k: int
    """The rule: `k` anomalous windows of the last `m`."""
    m: int
    alarms: int | None
    """None where the other folds hold too few windows for any p to reach the model's rate."""
    hours: float
    """Of held-out sound: as many hops as there are held-out windows."""


@dataclass(frozen=True)
class ModelCard:
    """Everything about a model that no score needs."""

    created: str
    """UTC, ISO 8601."""
    versions: dict[str, str]
    recordings: int
    segments: int
    """As many as recordings in event mode; windows in continuous mode."""
    groups: int
    group_rule: str
    """Where the groups came from, in words."""
    group_names: tuple[str, ...]
    """Empty where every recording is a group by itself."""
    folds: int
    skipped: tuple[tuple[str, str], ...]
    """Name and reason."""
    clipped: tuple[str, ...]
    ignored_files: int
    identical: int
    """Recordings whose file equals another one's, byte by byte."""
    cut: int
    """Recordings of which only the beginning was used."""
    reference_digest: str
    """SHA-256 over the digests of the used files in sorted order of their paths; with marked
    sounds, over that one and over theirs in sorted order."""
    seed: int
    explained_variance: float
    """Share of the variance that the components were asked to explain."""
    snr_range_db: tuple[float, float] | None
    """Lowest and highest signal-to-noise ratio among the reference sounds."""
    false_alarms: tuple[FalseAlarms, ...] = field(default=())
    alarm_rates: tuple[AlarmRate, ...] = field(default=())
    """The rule in force, then others beside it; empty in event mode and for older models."""
    marked: tuple[str, ...] = field(default=())
    """Names of the marked sounds among the recordings, the last of them; a group of their own."""
