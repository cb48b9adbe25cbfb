"""The model's card: what a model was made of, when, with which settings, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

Part = TypeVar("Part")


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
class DamageHeard:
    """How much of one kind of damage a model finds."""

    name: str
    unit: str
    """Of the strengths."""
    strengths: tuple[float, ...]
    """From weak to strong."""
    found: tuple[float, ...]
    """Share of the sounds that are anomalous damaged and not undamaged, by strength."""

    @property
    def half_from(self) -> float | None:
        """The weakest strength from which on at least half are found; None where none is."""
        weakest = None
        for strength, share in zip(self.strengths[::-1], self.found[::-1], strict=True):
            if share < 0.5:
                break
            weakest = strength
        return weakest


@dataclass(frozen=True)
class Hearing:
    """What a model hears of held-out sounds that were damaged on purpose."""

    sounds: int
    rate: float
    """Largest p that counted as found: the model's false-alarm rate."""
    undamaged: float
    """Share of the same sounds, undamaged, that are anomalous."""
    damages: tuple[DamageHeard, ...]

    @property
    def found(self) -> float:
        """Share found, every kind of damage as important as any other."""
        return sum(sum(row.found) / len(row.found) for row in self.damages) / len(self.damages)


@dataclass(frozen=True)
class RoomUsed:
    """The room that was mixed into every reference recording."""

    name: str
    duration_s: float
    level_dbfs: float
    snr_db: float | None
    """Level of every sound over the room; None: both as they were recorded."""
    digest: str
    """SHA-256 of its file."""
    is_held_out: bool = True
    """Each fold of the recordings heard a part of it that no other one did."""
    in_time: bool = False
    """Those folds are pieces in time of each recording."""
    clipped: bool = False
    highest_hz: float | None = None
    """Where its noise ends, if that is below what the front end listens to."""
    narrows: bool = False
    """The front end listens less far up than the recordings would allow: the room's rate is lower.
    """
    missed: int | None = None
    """For how many recordings the gate does not open there; None in continuous mode."""


@dataclass(frozen=True)
class Adaptation:
    """Held-out scores that were taken from normal sounds on the site."""

    created: str
    """UTC, ISO 8601."""
    sounds: int
    """Windows in continuous mode."""
    alarms_before: int
    """So many of them are anomalous by the scores of the reference, whatever was adapted before."""
    rate: float
    """At this largest p."""
    source: str
    """Where they were heard: a device, or files."""


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
    """Name and reason; copies of other recordings among them."""
    clipped: tuple[str, ...]
    ignored_files: int
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
    hearing: Hearing | None = None
    """None for older models, and where it could not be measured."""
    adaptation: Adaptation | None = None
    """None where the held-out scores are those of the reference."""
    room: RoomUsed | None = None
    """None where the recordings were taken as they are."""
    offset: tuple[str, ...] = field(default=())
    """Recordings that are off their zero line; empty for older models."""
    choice: str = ""
    """Why these features, where they were chosen automatically."""


def card_from(described: dict[str, Any]) -> ModelCard:
    """The card that `dataclasses.asdict` made a dict of, and JSON its tuples lists of.

    Raises KeyError or TypeError where it is of another version.
    """
    card = _with_tuples(described)
    card.pop("identical", None)  # older models counted copies, which they used
    card["skipped"] = tuple((name, reason) for name, reason in described["skipped"])
    card["false_alarms"] = tuple(FalseAlarms(**row) for row in described["false_alarms"])
    card["alarm_rates"] = tuple(AlarmRate(**row) for row in described.get("alarm_rates", ()))
    card["hearing"] = _hearing(described.get("hearing"))
    card["adaptation"] = _or_none(Adaptation, described.get("adaptation"))
    card["room"] = _or_none(RoomUsed, described.get("room"))
    return ModelCard(**card)


def _hearing(described: dict[str, Any] | None) -> Hearing | None:
    if described is None:
        return None
    rows = tuple(DamageHeard(**_with_tuples(row)) for row in described["damages"])
    return Hearing(**(described | {"damages": rows}))


def _or_none(kind: type[Part], described: dict[str, Any] | None) -> Part | None:
    return None if described is None else kind(**described)


def _with_tuples(described: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
