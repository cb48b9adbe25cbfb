"""How numbers, times and states are worded on the screen. Text only: no widgets, no styles."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from rich.cells import cell_len, set_cell_size

from model.detector import NOT_SCORED
from model.segment import Segment
from monitor.events import Heard
from monitor.ledger import Account

NONE = "–"
"""Stands where there is no number."""

UNLIKE = "unlike any"
"""Said of a segment beyond the reach of its nearest cluster."""

_SUGGESTED = re.compile(r"(?P<part>[a-z]+) (?P<range>[\d.]+–[\d.]+ k?Hz)(?P<twin> \(\d+\))?$")
_LEAST_OF_PART = 2
"""With fewer letters `shape` and `steadiness` could not be told apart."""

STATES = {
    "opening": ("◌", "accent"),
    "warming up": ("◌", "accent"),
    "live": ("●", "good"),
    "playing": ("▶", "good"),
    "paused": ("‖", "warn"),
    "digital zero": ("!", "warn"),
    "silent": ("!", "warn"),
    "not finite": ("!", "warn"),
    "stalled": ("!", "bad"),
    "reconnecting": ("↻", "bad"),
    "ending": ("■", "muted"),
    "ended": ("■", "muted"),
}
"""State to symbol and role."""

_REASONS = {
    "digital zero": "digital zero: no signal at all",
    "silent": "silent: below −90 dBFS",
    "gap": "gap: part of the sound was lost",
    "too short": "too short to be judged",
    "not finite": "not finite: broken sample values",
}


def printable(text: str) -> str:
    """Text from outside as one line: control characters and broken Unicode are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, width: int) -> str:
    """Text in at most `width` cells, its middle left out where it is longer."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = text[::-1]
    head_width = (width - 1) // 2
    head = set_cell_size(text, head_width).rstrip()
    return head + "…" + set_cell_size(tail, width - 1 - cell_len(head)).rstrip()[::-1]


def clip(text: str, width: int) -> str:
    """Text in at most `width` cells, its end left out where it is longer."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"[:width]


def first_fitting(choices: list[str], width: int) -> str:
    """The first text that fits into `width` cells, else the last one clipped."""
    for text in choices:
        if cell_len(text) <= width:
            return text
    return clip(choices[-1], width)


def plural(n: int, word: str) -> str:
    """`1 alarm`, `5 alarms`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def isolation_text(score: float | None) -> str:
    """An isolation score: `+0.114`."""
    return NONE if score is None else f"{score:+.3f}".replace("-", "−")


def reconstruction_text(error: float | None) -> str:
    """A reconstruction error: `5.0e-4`, `0.88`, `24`."""
    if error is None:
        return NONE
    if 0.1 <= error < 9999.5:
        return plain_text(error)
    mantissa, exponent = f"{error:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def unit_power(usual: float) -> int:
    """The power of ten in which errors are told that are usually so large; 0 from 0.1 on."""
    return 0 if usual >= 0.1 or usual <= 0 else math.floor(math.log10(usual))


def in_unit_text(error: float | None, power: int) -> str:
    """A reconstruction error in units of a power of ten, without an exponent: `3.7`, `24`."""
    if error is None:
        return NONE
    value = error / 10.0**power
    return f"{value:.2f}" if value < 0.995 else plain_text(value)


def plain_text(value: float) -> str:
    """Two significant digits, or all before the point: `0.030`, `2.4`, `124`."""
    return f"{value:#.2g}" if value < 9.95 else f"{value:,.0f}"


def p_text(p: float | None) -> str:
    """A p-value to two significant digits."""
    if p is None:
        return NONE
    return f"{p:#.2g}" if p >= 1e-4 else reconstruction_text(p)


def odds_text(p: float | None) -> str:
    """A p-value as a share of the reference sounds: `1 in 401`, `62 in 100`.

    Not rounded further, so that the smallest one reads as it does where a model is inspected.
    """
    if p is None or not p > 0:
        return NONE
    return f"{round(p * 100)} in 100" if p > 0.1 else f"1 in {round(1 / p):,}"


def position_text(position_s: float) -> str:
    """A position in a file: `mm:ss.s`, with hours where there are some."""
    tenths = round(position_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{minutes:02}:{tenths / 10:04.1f}"
    return f"{hours}:{seconds}" if hours else seconds


def elapsed_text(elapsed_s: float) -> str:
    """How long a live source has been heard: `h:mm:ss`."""
    minutes, seconds = divmod(int(elapsed_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def when_text(heard: Heard) -> str:
    """When a segment began: local time of a live source, position in a file."""
    if heard.time is None:
        return position_text(heard.segment.start_s)
    return f"{datetime.fromisoformat(heard.time).astimezone():%H:%M:%S}"


def duration_text(segment: Segment) -> str:
    """Length of a segment."""
    return f"{segment.duration_s:.2f} s"


def lost_text(account: Account) -> str:
    """How much sound was lost, and how much of it the device did not report."""
    if account.lost_s <= 0:
        return "nothing lost"
    unseen_s = account.lost_by_clock_s
    by_clock = f", {_short_time(unseen_s)} of it unreported" if unseen_s > 0 else ""
    return f"{_short_time(account.lost_s)} lost{by_clock}"


def _short_time(time_s: float) -> str:
    return f"{max(1, round(time_s * 1000))} ms" if time_s < 1 else f"{time_s:,.1f} s"


def rate_text(rate_hz: int) -> str:
    """A sampling rate: `44.1 kHz`."""
    return f"{rate_hz / 1000:g} kHz"


def speed_text(speed: float) -> str:
    """How fast a file plays: `1× real time`."""
    return "as fast as it goes" if math.isinf(speed) else f"{speed:g}× real time"


def level_text(level_dbfs: float | None) -> str:
    """A level as a whole number of fixed width; a dash for digital zero."""
    return f"{NONE:>3}" if level_dbfs is None else f"{level_dbfs:3.0f}".replace("-", "−")


def reason_text(heard: Heard) -> str:
    """Why a segment is not scored."""
    reason = heard.score.reason or ""
    return _REASONS.get(reason, printable(reason))


def remarks(heard: Heard) -> list[str]:
    """What else is to be known of a segment, each in a word or two."""
    found = []
    if heard.score.unlike_any:
        found.append(UNLIKE)
    if heard.score.outside_conditions:
        found.append("outside conditions")
    if heard.segment.clipped:
        found.append("clipped")
    if heard.segment.continues:
        found.append("goes on")
    return found


def cluster_text(heard: Heard, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """Number and name of the nearest cluster, or why there is none.

    `names` are those that clusters were given since the segment was heard.
    """
    score = heard.score
    if score.verdict == NOT_SCORED:
        return printable(score.reason or NONE)
    name = names.get(score.cluster or 0, score.cluster_name or NONE)
    return f"{score.cluster}: {printable(name)}"


def short_name(name: str, width: int) -> str:
    """A cluster's name in at most `width` cells, with an ellipsis where something is left out.

    Of a suggested one such as `steadiness 1.7–2.1 kHz (2)` the frequencies stay as long as they
    can: the part is shortened, then the number of its twin left out, then the part.
    """
    if cell_len(name) <= width:
        return name
    found = _SUGGESTED.match(name)
    if found is None:
        return clip(name, width)
    part, hz, twin = found["part"], found["range"], found["twin"] or ""
    ends = [f" {hz}{twin}", f" {hz}…"] if twin else [f" {hz}"]
    for end in ends:
        letters = width - len(end) - 1
        if len(part + end) <= width:
            return part + end
        if letters >= _LEAST_OF_PART:
            return f"{part[:letters]}…{end}"
    return clip(f"…{hz}{'…' * bool(twin)}", width)


def short_cluster_text(
    heard: Heard, width: int, names: Mapping[int, str] = MappingProxyType({})
) -> str:
    """Number and name of the nearest cluster in at most `width` cells; the number stays whole."""
    number, colon, name = cluster_text(heard, names).partition(": ")
    return number + colon + short_name(name, width - len(number + colon)) if colon else number
