"""A model in words: the summary that `calibrate` ends with and `inspect` prints.

It is long because all that is to be said of a model stands in one order, here.
"""

from __future__ import annotations

import textwrap

from model.adaptation import describe_adaptation
from model.alarms import AlarmRule
from model.audio import OFFSET
from model.budget import describe_budget
from model.card import AlarmRate, FalseAlarms, ModelCard, RoomUsed
from model.detector import Detector
from model.errors import shown
from model.features import FrontEnd
from model.hearing import describe_hearing
from model.portrait import (
    agreement_lines,
    cluster_lines,
    map_words,
    shortened,
    worst_groups,
)
from model.segment import Segmentation
from model.shares import share_of
from model.words import error_text, span_text, two_digits, why_skipped

_LISTED = 10
_LABEL = 18
"""Width of the column of labels."""
_MANY_MISSED = 0.02
"""Share of the recordings."""
_LONGEST_GROUP = 45
"""So many characters of a group's name leave a row of the table within 80."""


def describe(detector: Detector) -> str:
    """Several lines for a person; no trailing newline."""
    card = detector.card
    blocks = [
        _made_of(detector),
        _fitted(detector),
        cluster_lines(detector.clusters),
        agreement_lines(detector.gallery),
        _promise(detector),
        worst_groups(detector),
        _spaced(describe_hearing(card)),
        _listed("skipped", [why_skipped(name, reason) for name, reason in card.skipped]),
        _listed("clipped, kept", list(card.clipped)),
        _offset(card),
    ]
    return "\n".join(line for block in blocks for line in block)


def describe_origin(detector: Detector) -> list[str]:
    """When and with what a model was made; the digests by which it is told from others."""
    card = detector.card
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    of_reference = f"of the reference {card.reference_digest[:16]}"
    return [
        *_rows("made", f"{card.created} with {versions}"),
        *_rows("digest", f"{detector.digest[:16]}, {of_reference}"),
    ]


def _row(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _rows(label: str, *sentences: str) -> list[str]:
    """Sentences, each on lines of its own, up to 80 characters; the label before the first."""
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, 80 - _LABEL)]
    return [_row("" if i else label, line) for i, line in enumerate(lines)]


def _made_of(detector: Detector) -> list[str]:
    card = detector.card
    lines = [_row("recordings", f"{card.recordings:,} used, {len(card.skipped):,} skipped")]
    if card.marked:
        marked = f"{len(card.marked):,} of them marked as normal by a person: one group, `marked`"
        lines += _rows("", marked)
    if card.cut:
        lines += _rows(
            "",
            f"longer than {detector.segmentation.duration_s:g} s: {card.cut:,}; only their "
            "beginning is used. For a steady sound: --mode continuous",
        )
    if card.ignored_files:
        lines.append(_row("", f"other or hidden files passed over: {card.ignored_files:,}"))
    groups = f"{card.groups:,}, {card.group_rule}; held out in {card.folds} folds"
    lines += _rows("groups", groups)
    if card.groups - bool(card.marked) < 5:
        lines += _rows("", "independence is limited: new speakers or machines may alarm more often")
    cut = detector.segmentation
    sounds = f"one sound each, up to {cut.duration_s:g} s"
    if cut.mode == "continuous":
        sounds = f"{card.segments:,} windows of {cut.duration_s:g} s every {cut.hop_s:g} s"
    lines.append(_row("mode", f"{cut.mode}: {sounds}"))
    return lines


def _fitted(detector: Detector) -> list[str]:
    front_end, card = detector.front_end, detector.card
    components = len(detector.subspace.components)
    one = components == 1
    share = f"{100 * card.explained_variance:g} % of the variance"
    top_khz = front_end.rate_hz / 2000
    lines = [
        _row("features", f"{front_end.name}, {front_end.n_features:,} up to {top_khz:g} kHz"),
        *(_rows("", card.choice) if card.choice else []),
        _row(
            "components",
            f"{components} {'component explains' if one else 'components explain'} {share}",
        ),
    ]
    if detector.segmentation.mode == "event":
        lines += _gate(detector.segmentation)
    if card.snr_range_db is not None and detector.segmentation.mode == "event":
        low, high = card.snr_range_db
        lines.append(_row("conditions", f"signal over noise {low:.0f} to {high:.0f} dB"))
    if card.room is not None:
        lines += _room(card.room, front_end, card.recordings - len(card.marked))
    if detector.maps:
        lines += _rows("maps", map_words(detector))
    return lines


def _room(room: RoomUsed, front_end: FrontEnd, recordings: int) -> list[str]:
    how = "as it was recorded"
    if room.snr_db is not None:
        how = f"{abs(room.snr_db):g} dB {'above' if room.snr_db < 0 else 'below'} each recording"
    sentences = [
        f"{shown(room.name)}, {room.duration_s:.1f} s at {room.level_dbfs:.0f} dBFS, mixed into "
        f"every recording, {how}"
    ]
    if not room.is_held_out:
        sentences.append(
            "too short to be held out as recordings are: expect more alarms than below"
        )
    if room.clipped:
        sentences.append("it clips, and sounds otherwise: record it anew at a lower input level")
    reach = f"{front_end.name} listens up to {front_end.rate_hz / 2000:g} kHz"
    if room.narrows:
        sentences.append(f"its rate is lower than that of the recordings: so {reach} only")
    if room.highest_hz is not None:
        sentences.append(
            f"it holds next to nothing above {room.highest_hz / 1000:.1f} kHz, and {reach}: noise "
            "up there will seem odd. Record the room with the microphone of the monitor"
        )
    if room.missed is not None:
        sentences.append(
            "each is heard whole, and as the gate cuts it there; it opens for "
            f"{recordings - room.missed:,} of {recordings:,}"
        )
        sentences += _missed(room, recordings)
    return _rows("room", *sentences)


def _missed(room: RoomUsed, recordings: int) -> list[str]:
    """What to do where the gate does not open for many."""
    if share_of(room.missed or 0, recordings).low <= _MANY_MISSED:
        return []
    many = "all" if room.missed == recordings else "many"
    nearer = "bring the microphone nearer to them"
    if room.snr_db is not None:
        nearer = f"{room.snr_db:g} dB above it are too few, as of a microphone that is too far away"
    return [f"a monitor there would miss {many}: {nearer}"]


def _gate(segmentation: Segmentation) -> list[str]:
    gate = segmentation.gate
    return [
        *_rows(
            "noise floor",
            f"level that {gate.floor_percentile:g} % of the last {gate.floor_window_s:g} s stay "
            f"below, from {gate.lowest_floor_dbfs:g} dBFS up",
            f"held while a sound lasts, {gate.hold_floor_s:g} s at most",
            f"of a whole file: level that {gate.recording_percentile:g} % of it stay below",
            f"levels: of {1000 * gate.frame_s:g} ms each, smoothed over {gate.smooth_frames}",
        ),
        *_rows(
            "gate",
            f"opens {gate.on_db:g} dB over the noise floor, closes {gate.off_db:g} dB over it",
            f"hang-over {gate.hang_over_s:g} s: shorter pauses belong to the sound",
            f"pre-roll {gate.pre_roll_s:g} s, post-roll {gate.post_roll_s:g} s: taken along",
        ),
        *_rows(
            "length",
            f"shortest {gate.shortest_s:g} s: what is shorter is not scored",
            f"longest {segmentation.duration_s:g} s: what goes on is a further segment",
            f"tail {gate.tail_s:g} s: what goes on for no longer is cut off",
        ),
    ]


def _promise(detector: Detector) -> list[str]:
    card, rate = detector.card, detector.false_alarm_rate
    limits, continuous = detector.thresholds, detector.segmentation.mode == "continuous"
    among, per_window = "among sounds of groups", ""
    if continuous:
        among, per_window = "per window, among windows", ": the false-alarm rate per window"
    lines = [
        "",
        f"false alarms {among} that the detector had not heard",
        "  asked     mean   worst group                 if judged by what it learnt from",
        *(_false_alarm_row(row) for row in card.false_alarms),
        *_without_marked(card),
        *_expect(detector),
        "",
        _row(
            "smallest p",
            f"{detector.conformity.smallest_p:.2g} (1 in {detector.conformity.n + 1:,})",
        ),
        *(_rows("adapted", *describe_adaptation(detector)) if card.adaptation else []),
        *_rows(
            "in force",
            f"p up to {rate:.2g} is anomalous{per_window}",
            f"one score alone suffices from an isolation score of {limits.isolation_score:+.3f} "
            f"or a reconstruction error of {error_text(limits.reconstruction_error)} on",
        ),
    ]
    if rate > 0.01 and rate == detector.conformity.smallest_p:
        lines.append(_row("", f"99 {detector.takes_more} or more would allow the usual 0.01"))
    return (
        lines
        + (_alarms(detector) if continuous else [])
        + _rows("budget", *describe_budget(detector))
    )


def _alarms(detector: Detector) -> list[str]:
    """Continuous mode: the rule in force with what it promises, other rules beside."""
    rule, rates = detector.segmentation.alarm, detector.card.alarm_rates
    if not rates:
        return _rows("alarm", _in_words(rule), "false alarms an hour: not measured by this model")
    if rates[0].alarms is None:
        return _rows(
            "alarm",
            _in_words(rule),
            "false alarms an hour: cannot be measured on so few windows;",
            f"held out, none can have a p of {detector.false_alarm_rate:.2g} or less",
        )
    others = ", ".join(f"{_an_hour(rate)} with {rate.k} of {rate.m}" for rate in rates[1:])
    return _rows("alarm", _in_words(rule), _measured(rates[0]), f"other rules: {others}")


def _in_words(rule: AlarmRule) -> str:
    windows = "window" if rule.k == 1 else "windows"
    return f"{rule.k} anomalous {windows} of the last {rule.m}"


def _measured(rate: AlarmRate) -> str:
    """Alarms an hour; where none was seen, a limit: the rule of three.

    With no event in a time t the rate is below 3 / t with 95 % confidence, as exp(-3) is 0.05
    (Hanley and Lippman-Hand: If nothing goes wrong, is everything all right?, JAMA 249, 1983).
    """
    heard = f"{span_text(rate.hours)} of held-out sound"
    if rate.alarms:
        return f"{_an_hour(rate)} false alarms an hour ({rate.alarms:,} in {heard})"
    return f"none in {heard}: below {two_digits(3 / rate.hours)} an hour with 95 % confidence"


def _an_hour(rate: AlarmRate) -> str:
    return two_digits(rate.alarms / rate.hours) if rate.alarms else "none"


def _expect(detector: Detector) -> list[str]:
    """A plain sentence where new groups alarm clearly more often than was asked."""
    rate, measured = detector.false_alarm_rate, detector.measured_rate
    if measured is None or measured <= 1.5 * rate:
        return []
    sounds = "windows" if detector.segmentation.mode == "continuous" else "sounds of a new group"
    sentence = (
        f"expect about {100 * measured:.1f} false alarms in 100 {sounds}, not {100 * rate:g}: "
        "groups differ; more of them help"
    )
    return textwrap.wrap(sentence, 80, initial_indent="  ", subsequent_indent="  ")


def _without_marked(card: ModelCard) -> list[str]:
    if not card.marked:
        return []
    return ["  without the marked ones: a person chose them, mostly because they alarmed"]


def _false_alarm_row(row: FalseAlarms) -> str:
    if not row.measurable:
        return f"  {row.rate:>5.0%}   too few to measure"
    group = f"{row.worst:>6.1%}  {shortened(row.worst_group, _LONGEST_GROUP)}"
    return f"  {row.rate:>5.0%}   {row.mean:>6.1%}   {group:<26}  {row.in_sample:>6.1%}"


def _spaced(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _listed(label: str, names: list[str]) -> list[str]:
    """Files, a line each, however long: a path cut in two can be neither found nor copied."""
    if not names:
        return []
    lines = ["", f"{label} ({len(names):,})"] + [f"  {name}" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        lines.append(f"  … and {len(names) - _LISTED:,} more")
    return lines


def _offset(card: ModelCard) -> list[str]:
    """Recordings that are off their zero line, and what mends it."""
    if not card.offset:
        return []
    hint = (
        f"off their zero line by more than {100 * OFFSET:g} % of full scale, which hides what is "
        "odd: a high-pass filter mends it, here and before the monitor"
    )
    told = textwrap.wrap(hint, 80, initial_indent="  ", subsequent_indent="  ")
    return _listed("offset, kept", list(card.offset)) + told
