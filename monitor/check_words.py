"""What `check` says: how well a model fits the site, what to expect, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from model.adaptation import sounds_needed
from model.detector import Detector
from model.errors import as_word, shown
from model.known import Known
from model.shares import Share
from monitor.check import FEWEST_TO_TEST, OFTEN, SURE, Agreement, advice

_WIDTH = 80
_MEANS = {
    "few": "Too few {what} to tell whether the model's promise holds here.",
    "fewer": "Nothing speaks against the model, but these {what} are too few to be sure.",
    "nothing": "The model's promise holds here, as far as these {what} tell.",
    "background": "There is more noise here than in the reference: its promise is not to be relied "
    "on.",
    "odder": "Normal {what} here are odder than the {known}: the promise does not hold.",
    "differs": "Normal {what} here are odder on the whole than the {known}, but do not alarm more "
    "often than expected.",
    "alike": "Normal {what} here are less odd than the {known}: few alarm, and odd ones may be "
    "missed.",
}


def describe(found: Agreement, known: Known, detector: Detector) -> list[str]:
    """What was found, 80 characters wide at most; of those sounds alone that are not `known`."""
    what = detector.sounds
    lines = _rows("heard", _heard(found, what))
    if not known.is_new.all():
        lines += _rows("left out", f"{known_ones(known)}: nothing can be told by these")
    lines += _rows("alarms", _alarms(found, what))
    lines += _rows("p-values", _spread(found, detector))
    if found.bands:
        lines += _rows("errors", f"larger than in the reference: {', '.join(found.bands)}")
    for share, how in ((found.noisier, "less"), (found.quieter, "more")):
        if share.share >= OFTEN / 4:
            lines += _rows(
                "conditions",
                f"{_of(share)} stand out from the background by {how} than anything in the "
                "reference",
            )
    means = _MEANS[advice(found)].format(what=what, known=detector.held_out_sounds)
    if found.can_test and found.agrees and found.bands:
        means += " They differ a little, as said above, and do not alarm more for it."
    room = detector.card.room
    if room is not None and found.quieter.share >= OFTEN:
        means += f" It learnt them in the noise of {shown(room.name)}: here there is less of it."
    return [*lines, "", *textwrap.wrap(means, _WIDTH)]


def known_ones(known: Known) -> str:
    """How many sounds are known and from where, in words."""
    copies, learnt, adapted = (int(np.count_nonzero(mask)) for mask in known)
    parts = [f"{copies:,} {'copy' if copies == 1 else 'copies'}"] if copies else []
    parts += [f"{learnt:,} that the model learnt from"] if learnt else []
    parts += [f"{adapted:,} that it was adapted to"] if adapted else []
    return ", ".join(parts)


def _heard(found: Agreement, what: str) -> str:
    heard = _count(found.scored, what)
    if not found.not_scored:
        return heard
    return f"{heard}; {found.not_scored:,} more could not be scored"


def _alarms(found: Agreement, what: str) -> str:
    low, high = _hundred(found.alarms.low), _hundred(found.alarms.high)
    sentence = f"{_of(found.alarms)} at p up to {found.rate:.2g}: "
    asked, expected = _hundred(found.rate), ""
    if found.expected > 1.5 * found.rate:
        expected = f"; calibration expects about {_hundred(found.expected)} of a new group"
    if found.alarms_too_often:
        return (
            f"{sentence}about {_hundred(found.alarms.share)} in 100 instead of {asked} "
            f"({low} to {high} with 95 % confidence){expected}"
        )
    if found.alarms.high < found.rate:
        return f"{sentence}at most {high} in 100 with 95 % confidence, asked for are {asked}"
    text = f"{sentence}{low} to {high} in 100 with 95 % confidence, asked for are {asked}{expected}"
    needed = sounds_needed(found.rate)
    if found.scored < needed:
        text += f"; it takes {needed:,} {what} or more to see that rate"
    return text


def _spread(found: Agreement, detector: Detector) -> str:
    if not found.can_test:
        few = _count(found.scored, detector.sounds)
        return f"too few to see how they are spread: {few}, and it takes {FEWEST_TO_TEST}"
    spread = "not spread" if found.test_p < SURE else "spread"
    return (
        f"{spread} as the {detector.held_out_sounds} are: a difference as large is chance in "
        f"{_chance(found.test_p)} (Kolmogorov-Smirnov: {found.distance:.2f})"
    )


def _chance(p: float) -> str:
    if p < 1e-4:
        return "less than 1 of 10,000"
    return f"{100 * p:.0f} of 100" if p >= 0.1 else f"{100 * p:.2g} of 100"


def what_to_do(
    found: Agreement,
    detector: Detector,
    path: str,
    heard_by: Sequence[str],
    is_adaptable: bool = True,
) -> list[str]:
    """Next steps, with their commands; none where the promise holds.

    `heard_by` are the words of a command, files or options, by which the sounds were heard. Where
    files were taken whole, `is_adaptable` says whether the model can be adapted to them.
    """
    kind, model, what = advice(found), as_word(path), detector.sounds
    again = " ".join(["offkey check", model, *heard_by])
    if kind == "nothing":
        return []
    if kind in ("few", "fewer"):
        by_files = bool(heard_by) and not heard_by[0].startswith("--")
        if by_files:
            return ["Give more files of the sound as it should be."]
        return [f"Listen longer: {again} --seconds 600"]
    steps = [
        "Best: record the sound here too, with this microphone, and calibrate on all:",
        "  offkey record -o RECORDINGS --name here",
    ]
    if kind == "background":
        steps = [
            "Take the background in:",
            "  offkey room -o room.flac",
            f"  offkey calibrate RECORDINGS -o {model} --room room.flac --replace",
        ]
    if not is_adaptable:
        return steps
    needed = sounds_needed(found.rate)
    more = "" if found.scored >= needed else f"; it takes {needed:,}"
    return [
        *steps,
        f"Or take these {what} for what is normal here, if all was as it should be{more}:",
        f"  {again} --adapt",
    ]


def _rows(label: str, sentence: str) -> list[str]:
    lines = textwrap.wrap(sentence, _WIDTH - 12)
    return [f"{'' if i else label:<12}{line}" for i, line in enumerate(lines)]


def _count(n: int, what: str) -> str:
    return f"{n:,} {what.removesuffix('s') if n == 1 else what}"


def _of(share: Share) -> str:
    return f"{share.count:,} of {share.of:,}"


def _hundred(share: float) -> str:
    """In a hundred, with a digit after the point where it is small."""
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}".removesuffix(".0")
