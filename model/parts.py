"""What the values of a feature vector say: its parts, one after another, each along frequency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Consecutive values of one kind, along frequency."""

    name: str
    """In a word; empty where there is only one kind."""
    size: int
    """Number of values."""
    above: str
    """What it means when a value is larger than the reference explains."""
    below: str
    """What it means when it is smaller."""
    more: str
    """The same as `above`, of a sound that is as it should be."""
    less: str
    """And as `below`."""
    meaning: str = ""
    """What the values tell of a sound, in words for a person."""
