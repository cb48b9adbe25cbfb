"""What `check` says: how well a model fits the site, what to expect, and what to do."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence

import numpy as np

from model.adaptation import sounds_needed
from model.detector import Detector
from model.errors import shown
from model.known import Known
from model.shares import Share
from model.words import error_text
from monitor.check import FEWEST_TO_TEST, OFTEN, SURE, Agreement, advice

_WIDTH = 80
_MEANS = {
    "nothing": "The model's promise holds here, as far as these {what} tell.",
    "too few": "Nothing speaks against the model, but these {what} are too few to be sure.",
    "background": "There is more noise here than in the reference: its promise is not to be relied "
    "on.",
    "odder": "Normal {what} here are odder than the {known}: the promise does not hold.",
    "differs": "Normal {what} here are odder on the whole than the {known}, but do not alarm more "
    "often than promised.",
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
        lines += _rows("differs", f"larger errors than in the reference: {', '.join(found.bands)}")
    for share, how in ((found.noisier, "less"), (found.quieter, "more")):
        if share.share >= OFTEN / 4:
            lines += _rows(
                "conditions",
                f"{_of(share)} stand out from the background by {how} than anything in the "
                "reference",
            )
    means = _MEANS[advice(found)].format(what=what, known=detector.held_out_sounds)
    return [*lines, "", *textwrap.wrap(means, _WIDTH)]


def known_ones(known: Known) -> str:
    """How many sounds are known and from where, in words."""
    copies, learnt, adapted = (int(np.count_nonzero(mask)) for mask in known)
    parts = [f"{copies:,} {'copy' if copies == 1 else 'copies'}"] if copies else []
    parts += [f"{learnt:,} that the model learnt from"] if learnt else []
    parts += [f"{adapted:,} that it was adapted to"] if adapted else []
    return ", ".join(parts)


def compare(before: Agreement, old: Detector, new: Detector, path: str) -> list[str]:
    """What adapting changed, and the way back; where it was adapted before, the reference too."""
    what, made = new.sounds, new.card.adaptation
    assert made is not None and new.original is not None  # it has just been adapted
    alarms = int((new.conformity.reference_p() <= new.false_alarm_rate).sum())
    columns = [
        ("before", _of(before.alarms), old.thresholds),
        ("after", f"{alarms:,} of {made.sounds:,}", new.thresholds),
    ]
    if old.original is not None:
        by_reference = new.original.thresholds(new.false_alarm_rate)
        text = f"{made.alarms_before:,} of {made.sounds:,}"
        columns.insert(0, ("by the reference", text, by_reference))
    names, counts, limits = zip(*columns, strict=True)
    isolation = [f"from {one.isolation_score:+.3f} on" for one in limits]
    errors = [f"from {error_text(one.reconstruction_error)} on" for one in limits]
    return [
        f"{'adapted':<12}p is now the rank among these {made.sounds:,} {what}",
        _columns("", names),
        _columns("alarms", counts),
        _columns("isolation", isolation),
        _columns("error", errors),
        "",
        f"After: each is ranked among all of them, itself included. How often new {what}",
        "alarm, others can tell. What was odd here while it listened counts as normal",
        "from now on. The scores of the reference are kept. To go back:",
        f"  offkey check {_word(path)} --forget",
    ]


def _columns(label: str, cells: Sequence[str]) -> str:
    return f"{label:<12}{''.join(f'{cell:<22}' for cell in cells)}".rstrip()


def _heard(found: Agreement, what: str) -> str:
    if not found.not_scored:
        return f"{found.scored:,} {what}"
    return f"{found.scored:,} {what}; {found.not_scored:,} more could not be scored"


def _alarms(found: Agreement, what: str) -> str:
    low, high = _hundred(found.alarms.low), _hundred(found.alarms.high)
    sentence = f"{_of(found.alarms)} at p up to {found.rate:.2g}: "
    promised = _hundred(found.rate)
    if found.alarms.low > found.rate:
        return (
            f"{sentence}about {_hundred(found.alarms.share)} in 100 instead of {promised} "
            f"({low} to {high} with 95 % confidence)"
        )
    if found.alarms.high < found.rate:
        return f"{sentence}at most {high} in 100 with 95 % confidence, promised are {promised}"
    text = f"{sentence}{low} to {high} in 100 with 95 % confidence, promised are {promised}"
    if found.scored < 1 / found.rate - 1:
        text += f"; it takes {math.ceil(1 / found.rate):,} {what} or more to see that rate"
    return text


def _spread(found: Agreement, detector: Detector) -> str:
    if not found.can_test:
        few = f"{found.scored:,} {detector.sounds}"
        return f"{few} are too few to see how they are spread; it takes {FEWEST_TO_TEST}"
    test = f"Kolmogorov-Smirnov: distance {found.distance:.2f}, by chance {_chance(found.test_p)}"
    spread = "not spread" if found.test_p < SURE else "spread"
    return f"{spread} as the {detector.held_out_sounds} are ({test})"


def _chance(p: float) -> str:
    if p < 1e-4:
        return "less than 1 in 10,000"
    return f"{100 * p:.0f} in 100" if p >= 0.1 else f"{100 * p:.2g} in 100"


def what_to_do(
    found: Agreement, detector: Detector, path: str, files: Sequence[str] = ()
) -> list[str]:
    """Next steps, with their commands; none where the promise holds."""
    kind, model, what = advice(found), _word(path), detector.sounds
    if kind == "nothing":
        return []
    if kind == "too few" and files:
        return ["Give more files of the sound as it should be."]
    if kind == "too few":
        return [f"Listen longer: offkey check {model} --seconds 600"]
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
    needed = sounds_needed(found.rate)
    more = "" if found.scored >= needed else f"; it takes {needed:,}"
    return [
        *steps,
        f"Or rank {what} among these from now on, if all was as it should be{more}:",
        f"  {' '.join(['offkey check', model, *map(_word, files), '--adapt'])}",
    ]


def _rows(label: str, sentence: str) -> list[str]:
    lines = textwrap.wrap(sentence, _WIDTH - 12)
    return [f"{'' if i else label:<12}{line}" for i, line in enumerate(lines)]


def _of(share: Share) -> str:
    return f"{share.count:,} of {share.of:,}"


def _hundred(share: float) -> str:
    """In a hundred, with a digit after the point where it is small."""
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}".removesuffix(".0")


def _word(path: str) -> str:
    return shlex.quote(shown(path))
