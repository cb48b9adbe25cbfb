"""The three panels: isolation score, reconstruction error, verdict."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.segment import Segment as Piece
from rich.style import Style
from textual.content import Content
from textual.renderables.digits import Digits

from model.detector import ANOMALOUS, NORMAL, Detector
from monitor.app import words
from monitor.app.drawing import Drawing, Line, Scale, history, history_room, ruler
from monitor.events import Heard

LAST = 60
"""How many segments the history shows at most, where there is room for them."""


@dataclass(frozen=True)
class _Fact:
    """Something to be said of a segment."""

    long: str
    role: str = ""
    short: str = ""
    """Where there is no room for the long form."""


_HEARING = ("live", "playing")
"""States in which the newest verdict is about what sounds now."""
_VERDICTS = {NORMAL: _Fact("✓ NORMAL", "good"), ANOMALOUS: _Fact("▲ ANOMALOUS", "bad")}
_WAITING = {
    "opening": "opening the input",
    "warming up": "listening: warming up, getting to know the background noise",
    "paused": "paused before the first sound",
    "stalled": "no sound arrives from the input",
    "reconnecting": "the input is gone; trying to open it again",
    "ended": "the input has ended without a sound",
}


class ScorePanel(Drawing):
    """One score: its value, its place beside the threshold, and how the last ones were."""

    def __init__(
        self,
        titles: list[str],
        detector: Detector,
        scale_of: Callable[[Detector], Scale],
        text: Callable[[float | None], str],
        values: Callable[[Heard], tuple[float | None, float | None]],
    ) -> None:
        """`titles` are the same in fewer and fewer words."""
        super().__init__(classes="panel")
        self.border_title = Content(titles[0])
        self._titles = titles
        self._scale_of = scale_of
        self._scale = scale_of(detector)
        self._text = text
        self._values = values
        self._recent: Sequence[Heard] = ()

    def show(self, recent: Sequence[Heard]) -> None:
        """Show the newest segments, oldest first."""
        self._recent = recent[-LAST:]
        self._caption()
        self.redraw()

    def on_resize(self) -> None:
        """Say as much of the score and its threshold as there is room for."""
        self.border_title = Content(words.first_fitting(self._titles, self.size.width - 2))
        self._caption()

    def use(self, detector: Detector) -> None:
        """Another false-alarm rate has another threshold."""
        self._scale = self._scale_of(detector)
        self._caption()
        self.redraw()

    def _caption(self) -> None:
        scale = self._scale
        threshold = f"threshold {self._text(scale.threshold)}"
        if not scale.has_mark:
            threshold = "no threshold" if scale.threshold > 0 else "beyond at any score"
        last = min(len(self._recent), history_room(LAST, self.size.width))
        choices = [f"last {last} · {threshold}", threshold] if last else [threshold]
        choices += [f"≥ {self._text(scale.threshold)}"] * scale.has_mark
        caption = words.first_fitting(choices, self.size.width - 4)
        if self.border_subtitle != caption:
            self.border_subtitle = Content(caption)

    def draw(self, width: int, height: int) -> list[Line]:
        """Value and p, large where there is room; ruler; history in threes of rows."""
        score, p = self._values(self._recent[-1]) if self._recent else (None, None)
        beyond = score is not None and self._scale.is_beyond(score)
        role = "bad" if beyond else "strong"
        text, p_text = self._text(score), "" if p is None else f"p {words.p_text(p)}"
        digits = text.replace("−", "-")
        if height >= 8 and score is not None and Digits.get_width(digits) + 12 <= width:
            lines = _large(digits, role, p_text)
        else:
            blank: list[Line] = [[]] if height >= 8 else []
            lines = [*blank, [(text, role), ("   ", ""), (p_text, "")], *blank]
        lines += [ruler(self._scale, score, width)]
        rows = (height - len(lines)) // 3 * 3
        lines += [[]] * (height - len(lines) - rows)
        scores = [self._values(heard)[0] for heard in self._recent]
        return [*lines, *history(self._scale, scores, LAST, width, rows)][:height]


def _large(digits: str, role: str, p_text: str) -> list[Line]:
    """A number in digits three lines high, its p beside it."""
    pieces = (p for p in Digits(digits).render(Style(bold=True)) if isinstance(p, Piece))
    lines: list[Line] = [
        [("".join(piece.text for piece in row), role)] for row in Piece.split_lines(pieces)
    ]
    lines[2] += [(f"   {p_text}", "")]
    return lines


def score_panels(detector: Detector) -> tuple[ScorePanel, ScorePanel]:
    """The panels of both scores of a model.

    Small reconstruction errors are told in a unit that stands in the title, the same for all that
    a model hears: a power of ten beside large digits would be overlooked. It is that of the
    threshold, so that the threshold has the digits that it has wherever a model is inspected.
    """
    usual = detector.thresholds.reconstruction_error
    if not math.isfinite(usual):
        usual = float(np.median(detector.conformity.reconstruction))
    power = words.unit_power(usual)
    unit = f", in 1e{power}" if power else ""
    isolation = ScorePanel(
        ["isolation score", "isolation"],
        detector,
        lambda known: Scale.of(known.conformity.isolation, known.thresholds.isolation_score),
        words.isolation_text,
        lambda heard: (heard.score.isolation_score, heard.score.isolation_p),
    )
    reconstruction = ScorePanel(
        [f"{name}{unit}" for name in ("reconstruction error", "recon. error", "error")],
        detector,
        lambda known: Scale.of(
            known.conformity.reconstruction, known.thresholds.reconstruction_error, log=True
        ),
        lambda error: words.in_unit_text(error, power),
        lambda heard: (heard.score.reconstruction_error, heard.score.reconstruction_p),
    )
    return isolation, reconstruction


class VerdictPanel(Drawing):
    """What is to be thought of a segment, and why."""

    def __init__(self, detector: Detector) -> None:
        super().__init__(classes="panel")
        self.border_title = Content("verdict")
        self._detector = detector
        self._thresholds = detector.thresholds
        self._heard: Heard | None = None
        self._state = "opening"
        self._is_old = False

    def use(self, detector: Detector) -> None:
        """Another false-alarm rate has other thresholds."""
        self._detector, self._thresholds = detector, detector.thresholds

    def show(self, heard: Heard | None, state: str, chosen: str = "") -> None:
        """Show a segment, or the state of the input before there is one.

        `chosen` says in words that somebody has chosen it. Where nothing is heard just now, the
        newest one is told as the last one, and that it was normal is no good news any more.
        """
        self._heard, self._state = heard, state
        self._is_old = heard is not None and state not in _HEARING and not chosen
        title = "verdict · chosen" if chosen else "last verdict" if self._is_old else "verdict"
        if heard is not None:
            when = f"{words.when_text(heard)} · {words.duration_text(heard.segment)}"
            room = self.size.width - 4
            self.border_subtitle = Content(words.first_fitting([f"{when}{chosen}", when], room))
            self.set_class(heard.is_anomalous, "-anomalous")
        self.set_class(bool(chosen), "-chosen")
        self.border_title = Content(title)
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """One fact a line, wrapped to the width, the most important first.

        Where there is no room for all of them, those above are shortened before those below.
        """
        facts = self._waiting() if self._heard is None else self._facts(self._heard)
        lines: list[Line] = []
        for n in range(len(facts) + 1):
            told = [
                (fact.short or fact.long) if i < n else fact.long for i, fact in enumerate(facts)
            ]
            lines = _wrapped([(t, fact.role) for t, fact in zip(told, facts, strict=True)], width)
            if len(lines) <= height:
                break
        if len(lines) < height >= 8:
            lines.insert(1, [])
        return lines[:height]

    def _waiting(self) -> list[_Fact]:
        windows = self._detector.segmentation.mode == "continuous"
        sentence = f"waiting for the first {'window' if windows else 'sound'}"
        return [_Fact("no verdict yet", "strong"), _Fact(_WAITING.get(self._state, sentence))]

    def _facts(self, heard: Heard) -> list[_Fact]:
        score = heard.score
        if score.verdict not in _VERDICTS:
            reason = _Fact(words.reason_text(heard))
            return [_Fact("○ NOT SCORED", "warn"), reason, *_notes(heard)]
        verdict = _VERDICTS[score.verdict]
        if self._is_old and score.verdict == NORMAL:
            verdict = replace(verdict, role="muted")
        return [
            verdict,
            _Fact(f"p {words.p_text(score.p)} · {words.odds_text(score.p)}", "strong"),
            self._by(heard),
            *self._now(heard),
            *_unlike(heard),
            *self._conditions(heard),
            *_notes(heard),
        ]

    def _by(self, heard: Heard) -> _Fact:
        score, thresholds = heard.score, self._thresholds
        isolation = (score.isolation_score or 0.0) >= thresholds.isolation_score
        reconstruction = (score.reconstruction_error or 0.0) >= thresholds.reconstruction_error
        if isolation and reconstruction:
            return _Fact("by both scores")
        if isolation:
            return _Fact("by the isolation score")
        if reconstruction:
            return _Fact("by the reconstruction error", short="by reconstruction")
        return _Fact("both scores below their thresholds", short="below both thresholds")

    def _now(self, heard: Heard) -> list[_Fact]:
        """A verdict stays what it was; where another rate would say otherwise, that is told."""
        rate, p = self._detector.false_alarm_rate, heard.score.p
        if p is None or (p <= rate) == heard.is_anomalous:
            return []
        now = NORMAL if heard.is_anomalous else ANOMALOUS
        return [_Fact(f"now at p ≤ {words.p_text(rate)} it would be {now}", "warn", f"now {now}")]

    def _conditions(self, heard: Heard) -> list[_Fact]:
        if not heard.score.outside_conditions:
            return []
        snr_db, known = heard.segment.snr_db, self._detector.card.snr_range_db
        noisier = snr_db is not None and known is not None and snr_db < known[0]
        long = f"outside conditions: {'noisier' if noisier else 'clearer'} than reference"
        return [_Fact(long, "warn", "outside conditions")]


def _unlike(heard: Heard) -> list[_Fact]:
    if not heard.score.unlike_any:
        return []
    if heard.is_anomalous:
        return [_Fact("unlike any: odd in a way of its own", "warn", "unlike any")]
    long = "unlike any: its small errors lie where those of no cluster do"
    return [_Fact(long, short="small errors unlike any")]


def _notes(heard: Heard) -> list[_Fact]:
    notes = []
    if heard.segment.clipped:
        notes.append(_Fact("clipped: the input is overloaded", "warn", "clipped"))
    if heard.segment.continues:
        notes.append(_Fact("goes on from the sound before", short="goes on"))
    return notes


def _wrapped(facts: Line, width: int) -> list[Line]:
    return [[(part, role)] for text, role in facts for part in textwrap.wrap(text, max(8, width))]
