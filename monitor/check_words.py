"""What `check` says: how well a model fits the site, what to expect, and what to do."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence

from model.adaptation import sounds_needed
from model.conformity import Thresholds
from model.detector import Detector
from model.errors import shown
from model.summary import error_text
from monitor.check import OFTEN, SURE, Agreement, Share, advice

_WIDTH = 80
_MEANS = {
    "nothing": "The model's promise holds here, as far as these {what} tell.",
    "too few": "Nothing speaks against the model, but these {what} are too few to be sure.",
    "background": "There is more noise here than in the reference: its promise is not to be relied "
    "on.",
    "odder": "Normal {what} here are odder than those of the reference: the promise does not hold.",
    "differs": "Normal {what} here are odder on the whole than those of the reference, but do not "
    "alarm more often than promised.",
    "alike": "Normal {what} here are less odd than those of the reference: few alarm, and odd ones "
    "may be missed.",
}


def describe(
    found: Agreement, detector: Detector, path: str, files: Sequence[str] = ()
) -> list[str]:
    """Lines for a person, 80 characters wide at most, but for commands; `files` is what was heard.

    Without files it was a microphone.
    """
    what = _what(detector)
    lines = _rows("heard", _heard(found, what))
    lines += _rows("alarms", _alarms(found, what))
    lines += _rows("p-values", _spread(found, what))
    if found.bands:
        lines += _rows("differs", f"larger errors than in the reference: {', '.join(found.bands)}")
    for share, how in ((found.noisier, "less"), (found.quieter, "more")):
        if share.share >= OFTEN / 4:
            lines += _rows(
                "conditions",
                f"{_of(share)} stand out from the background by {how} than anything in the "
                "reference",
            )
    kind = advice(found)
    lines += ["", *textwrap.wrap(_MEANS[kind].format(what=what), _WIDTH)]
    return lines + _what_to_do(kind, found, path, files, what)


def compare(before: Agreement, old: Thresholds, new: Detector, path: str) -> list[str]:
    """What adapting changed, and the way back."""
    what, now = _what(new), new.thresholds
    alarms = int((new.conformity.reference_p() <= new.false_alarm_rate).sum())
    return [
        f"{'adapted':<12}p is now the rank among these {before.scored:,} {what}",
        f"{'':<12}{'before':<22}after",
        f"{'alarms':<12}{_of(before.alarms):<22}{alarms:,} of {before.scored:,}, each ranked among "
        "all",
        f"{'isolation':<12}{f'from {old.isolation_score:+.3f} on':<22}"
        f"from {now.isolation_score:+.3f} on",
        f"{'error':<12}{f'from {error_text(old.reconstruction_error)} on':<22}"
        f"from {error_text(now.reconstruction_error)} on",
        "",
        "What was odd here while it listened now counts as normal. The scores of the",
        f"reference are kept. To go back: offkey check {_word(path)} --forget",
    ]


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


def _spread(found: Agreement, what: str) -> str:
    if not found.can_test:
        return f"{found.scored:,} {what} are too few to see how they are spread; it takes 10"
    test = f"Kolmogorov-Smirnov: distance {found.distance:.2f}, by chance {_chance(found.test_p)}"
    return f"{'not spread' if found.test_p < SURE else 'spread'} as in the reference ({test})"


def _chance(p: float) -> str:
    if p < 1e-4:
        return "less than 1 in 10,000"
    return f"{100 * p:.0f} in 100" if p >= 0.1 else f"{100 * p:.2g} in 100"


def _what_to_do(
    kind: str, found: Agreement, path: str, files: Sequence[str], what: str
) -> list[str]:
    model = _word(path)
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


def _what(detector: Detector) -> str:
    return "windows" if detector.segmentation.mode == "continuous" else "sounds"


def _word(path: str) -> str:
    return shlex.quote(shown(path))
