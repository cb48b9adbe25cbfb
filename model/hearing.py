"""In words: what a model can hear, as calibration measured it."""

from __future__ import annotations

from model.card import DamageHeard, Hearing, ModelCard

TITLE = "what this model can hear: share found of held-out sounds damaged on purpose"


def describe_hearing(card: ModelCard) -> list[str]:
    """Lines for a person, 80 characters wide at most; none where nothing was measured."""
    hearing = card.hearing
    if hearing is None:
        return []
    return [
        TITLE,
        f"  {'damage':<24}{'strength: found':<38}{'half from':>9}",
        *(_row(row) for row in hearing.damages),
        f"  found: p up to {hearing.rate:.2g} with the damage, and not without it",
        f"  {hearing.sounds:,} sounds, of which {_percent(hearing.undamaged)} alarm undamaged",
        "  dB: relative to the sound's own level",
    ]


def hears_best(hearing: Hearing) -> tuple[list[str], list[str]]:
    """Names of the damages that are found half of the time at some strength, and of the others."""
    heard = [row.name for row in hearing.damages if row.half_from is not None]
    return heard, [row.name for row in hearing.damages if row.half_from is None]


def _row(row: DamageHeard) -> str:
    name = f"{row.name}, {row.unit}" if row.unit else row.name
    pairs = zip(row.strengths, row.found, strict=True)
    cells = [f"{_strength(row, s):>4}: {_percent(share):>5}" for s, share in pairs]
    half = "never" if row.half_from is None else _strength(row, row.half_from)
    return f"  {name:<24}{'  '.join(cells):<39}{half:>8}"


def _strength(row: DamageHeard, strength: float) -> str:
    return f"{strength:g}" if row.unit else "all"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
