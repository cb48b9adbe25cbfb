"""What `check --adapt` says: what adapting changed, and the way back."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.conformity import Conformity
from model.detector import Detector
from model.errors import as_word
from model.words import error_text
from monitor.check import Agreement

_WIDTH = 80
_STRICTER = 3.0
"""Times as many of the reference's own sounds as were asked for: that is no small change."""


@dataclass(frozen=True)
class _Column:
    name: str
    alarms: str
    conformity: Conformity
    """Among which sounds are ranked."""


def compare(before: Agreement, old: Detector, new: Detector, path: str) -> list[str]:
    """Lines for a person; where it was adapted before, by the reference alone, too."""
    what, made, reference = new.sounds, new.card.adaptation, new.original
    assert made is not None and reference is not None  # it has just been adapted
    rate, n = new.false_alarm_rate, f"{made.sounds:,}"
    alarms = int((new.conformity.reference_p() <= rate).sum())
    heard = f"{before.alarms.count:,} of {before.alarms.of:,}"
    columns = [
        _Column("before", heard, old.conformity),
        _Column("after", f"{alarms:,} of {n}", new.conformity),
    ]
    if old.original is not None:
        columns.insert(0, _Column("by the reference", f"{made.alarms_before:,} of {n}", reference))
    limits = [column.conformity.thresholds(rate) for column in columns]
    odd = [_alarming(reference, column.conformity, rate) for column in columns]
    lines = [
        f"{'adapted':<12}p is now the rank among these {n} {what}",
        _row("", [column.name for column in columns]),
        _row("alarms", [column.alarms for column in columns]),
        _row("reference", [f"{count:,} of {reference.n:,}" for count in odd]),
        _row("isolation", [f"from {one.isolation_score:+.3f} on" for one in limits]),
        _row("error", [f"from {error_text(one.reconstruction_error)} on" for one in limits]),
        "",
    ]
    return lines + _remarks(old, new, odd[-1], path)


def _alarming(reference: Conformity, among: Conformity, rate: float) -> int:
    """How many of the reference's held-out sounds alarm, ranked among others or themselves."""
    if among is reference:
        return int(np.count_nonzero(reference.reference_p() <= rate))
    p = among.p_values(reference.isolation, reference.reconstruction).joint
    return int(np.count_nonzero(p <= rate))


def _remarks(old: Detector, new: Detector, odd: int, path: str) -> list[str]:
    what, reference = new.sounds, new.original
    assert reference is not None
    text = (
        f"After: each is ranked among all of them, itself included. How often new {what} alarm, "
        "others can tell. What was odd here while it listened counts as normal from now on."
    )
    if old.card.adaptation is not None:
        text += (
            f" The {old.card.adaptation.sounds:,} of before count no more: give them, too, if they "
            "should."
        )
    if odd > max(5.0, _STRICTER * new.false_alarm_rate * reference.n):
        text += (
            f" It is far stricter now: {odd:,} of the {reference.n:,} of its reference would alarm "
            "that were not learnt from. That is right where all sounds here are as alike as these, "
            "and wrong where these are copies of what it learnt from."
        )
    text += " The scores of the reference are kept. To go back:"
    return [*textwrap.wrap(text, _WIDTH), f"  offkey check {as_word(path)} --forget"]


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<12}{''.join(f'{cell:<22}' for cell in cells)}".rstrip()
