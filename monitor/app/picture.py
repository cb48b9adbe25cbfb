"""The picture of the reference method: spectrum over reconstruction, and the error under it.

Both are drawn from the same columns, so that they can be compared wherever they are looked at.
"""

from __future__ import annotations

import textwrap
from typing import ClassVar

import numpy as np
from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp

from model.detector import Detector
from model.explanation import Explanation
from monitor.app import words
from monitor.app.curves import View, axis, hz_text, map_line, overlay, parts_axis, peaks
from monitor.app.drawing import Drawing, Line, bars, join

_GUTTER = 6
_PEAKS = 3
_TINY = 1e-12
_NOTHING = "There is nothing to compare: this segment cannot be scored."


class Picture(Drawing):
    """Spectrum over reconstruction, error on a scale of its own, one frequency axis."""

    DEFAULT_CSS = """
    Picture {
        height: 1fr;
        padding: 0 1;
        border: round $foreground 25%;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;

        .drawing--front { color: $foreground; text-style: bold; }
        .drawing--back { color: $primary 50%; }
        .drawing--both { color: $foreground; background: $primary 50%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"drawing--{n}" for n in ("front", "back", "both")}

    def __init__(
        self, detector: Detector, explanation: Explanation | None, is_anomalous: bool = True
    ) -> None:
        """Of what is not anomalous nothing is told as a fault."""
        super().__init__()
        self._explanation, self._is_anomalous = explanation, is_anomalous
        self._top_hz = detector.front_end.rate_hz / 2
        n = 0 if explanation is None else len(explanation.error)
        self._view = View.whole(n)

    @property
    def view(self) -> View:
        """What is in view; set it to show something else."""
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self._caption()
        self.redraw()
        self.screen.refresh_bindings()

    def on_mount(self) -> None:
        """Title the picture."""
        self._caption()

    def on_resize(self) -> None:
        """Say as much as there is room for."""
        self._caption()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Closer to where the pointer is."""
        self._wheel(0.5, event.x)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Further away from where the pointer is."""
        self._wheel(2.0, event.x)

    def _wheel(self, factor: float, x: int) -> None:
        if self._explanation is not None:
            at = (x - _GUTTER - self.gutter.left) / max(1, self.size.width - _GUTTER)
            self.view = self._view.zoomed(factor, min(1.0, max(0.0, at)))

    def peaks(self) -> list[int]:
        """Where the largest errors in view are, as indices of values, largest first."""
        if self._explanation is None:
            return []
        columns = max(1, self.size.width - _GUTTER)
        apart = max(1, 2 * self._view.size // columns)
        found = peaks(self._explanation.error[self._view.part], apart, _PEAKS)
        return [self._view.start + index for index in found]

    def draw(self, width: int, height: int) -> list[Line]:
        """From the top: spectrum, marks, error, axis, the whole, the largest errors."""
        columns = width - _GUTTER
        if self._explanation is None:
            return _told(_NOTHING, width)
        if columns < 24 or height < 8:
            return _told("Make the window larger.", width)
        view, shown = self._view, self._explanation
        below: list[Line] = [[(_label(""), "muted"), (self._axis(columns), "muted")]]
        if not view.is_whole:
            below.append([(_label("all"), "muted"), *map_line(shown.error, view, columns)])
        below += self._table(width) if height >= 24 else [[(self._sentence(width), "")]]
        rows = height - 1 - len(below)
        lower = max(2, rows // 3)
        return [
            *self._spectrum(columns, rows - lower),
            self._marks(columns),
            *self._error(columns, lower),
            *below,
        ]

    def _spectrum(self, columns: int, rows: int) -> list[Line]:
        assert self._explanation is not None
        sound = self._explanation.features[self._view.part]
        explained = self._explanation.reconstruction[self._view.part]
        top = max(float(sound.max()), float(explained.max()), _TINY)
        base = 0.0 if self._is_spectrum else min(float(sound.min()), float(explained.min()), 0.0)
        drawn = overlay(sound - base, explained - base, top - base, columns, rows)
        return _on_scale(drawn, top, base)

    def _error(self, columns: int, rows: int) -> list[Line]:
        assert self._explanation is not None
        error = self._explanation.error[self._view.part]
        top = max(float(error.max()), _TINY)
        return _on_scale([[(row, "warn")] for row in bars(error, top, columns, rows)], top)

    def _marks(self, columns: int) -> Line:
        """The ranks of the largest errors, each over its bar."""
        cells = [" "] * columns
        for rank, index in enumerate(self.peaks(), 1):
            place = (index - self._view.start + 0.5) / self._view.size
            cells[min(columns - 1, int(place * columns))] = str(rank)
        return [(f"{'error':<{_GUTTER}}", "muted"), *join(cells, ["strong"] * columns)]

    def _axis(self, columns: int) -> str:
        assert self._explanation is not None
        if self._is_spectrum:
            return axis(self._explanation.frequencies_hz, self._view, columns)
        parts = [(part.name, part.size) for part in self._explanation.parts]
        return parts_axis(parts, self._explanation.frequencies_hz, self._view, columns)

    @property
    def _is_spectrum(self) -> bool:
        """Values along frequency once, none below 0; else decibels, part after part."""
        return self._explanation is None or len(self._explanation.parts) == 1

    def _place_text(self, index: int) -> str:
        """Frequency of a value, after the name of its part where there are several."""
        assert self._explanation is not None
        hz = float(self._explanation.frequencies_hz[index])
        if self._is_spectrum:
            return hz_text(hz, self._spacing_hz())
        return f"{self._explanation.part_of(index).name} {hz_text(hz, 1.0)}"

    def _spacing_hz(self) -> float:
        assert self._explanation is not None
        shown = self._explanation.frequencies_hz[self._view.part]
        return float(shown[-1] - shown[0]) / max(1, len(shown) - 1)

    def _facts(self) -> list[tuple[str, str, str, str]]:
        """Of each of the largest errors: frequency, error, segment, reconstruction."""
        shown = self._explanation
        assert shown is not None
        return [
            (
                self._place_text(i),
                _value_text(shown.error[i]),
                _value_text(shown.features[i]),
                _value_text(shown.reconstruction[i]),
            )
            for i in self.peaks()
        ]

    def _sentence(self, width: int) -> str:
        """The largest errors on a line; fewer of them where they do not fit, with whole numbers."""
        facts = list(enumerate(self._facts(), 1))
        short = " · ".join(f"{n}: {fact[0]} {fact[1]}" for n, fact in facts)
        full = " · ".join(f"{n}: {f[0]} {f[1]} ({f[2]} against {f[3]})" for n, f in facts)
        intro = "largest errors  "
        fewer = [
            " · ".join(f"{n}: {fact[0]} {fact[1]}" for n, fact in facts[:most]) + " · …"
            for most in range(len(facts) - 1, 0, -1)
        ]
        return words.first_fitting([intro + full, intro + short, short, *fewer], width)

    def _table(self, width: int) -> list[Line]:
        head = f"{'':<{_GUTTER}}{'largest errors in view':<24}{'error':>9}{'segment':>9}"
        head += f"{'reconstruction':>17}     "
        unit = "1 is the strongest frequency of the segment" if self._is_spectrum else "in dB"
        choices = [head + unit, head]
        rows: list[Line] = [[(words.first_fitting(choices, width), "muted")]]
        for n, (at, error, sound, explained) in enumerate(self._facts(), 1):
            text = f"{at:<24}{error:>9}{sound:>9}{explained:>17}"
            rows.append([(f"{n:>{_GUTTER - 2}}  ", "strong"), (text, "")])
        return rows

    def _caption(self) -> None:
        """Into the border: what is what above, what is in view below."""
        if self._explanation is None or self.size.width < _GUTTER + 8:
            self.border_title, self.border_subtitle = None, None
            return
        what = "spectrum" if self._is_spectrum else "mel values"
        self.border_title = _legend(what, self.size.width - 2)
        self.border_subtitle = Content(words.first_fitting(self._ranges(), self.size.width - 2))

    def _in_words(self) -> list[str]:
        """In which ways the segment is off, or only other than what the reference explains.

        All of them, then fewer and fewer.
        """
        assert self._explanation is not None
        intro, found = "", self._explanation.findings
        if not self._is_anomalous:
            intro, found = "most different: ", self._explanation.differences
        return [intro + " · ".join(found[:n]) for n in range(len(found), 0, -1)]

    def _ranges(self) -> list[str]:
        """The exact range in view and what to know of it, the longest first."""
        assert self._explanation is not None
        shown, step = self._explanation.frequencies_hz[self._view.part], self._spacing_hz()
        low, high = float(shown[0]), min(float(shown[-1]), self._top_hz)
        ends = f"{hz_text(low, step, '')}–{hz_text(high, step)}"
        said = [f"{ends} · {step:.1f} Hz a value"]
        if not self._is_spectrum:
            ends_at = (self._view.start, self._view.part.stop - 1)
            ends = " to ".join(self._place_text(i) for i in ends_at)
            said = self._in_words()
        per_column = self._view.size / (self.size.width - _GUTTER)
        note = f" · a column shows the largest of {per_column:.0f}" if per_column >= 1.5 else ""
        squares = np.square(self._explanation.error)
        share = squares[self._view.part].sum() / max(float(squares.sum()), _TINY)
        part = "" if self._view.is_whole else f" · {100 * share:.0f} % of the reconstruction error"
        return [said[0] + note + part, *(text + part for text in said), ends + part, ends]


def _legend(what: str, width: int) -> Content:
    explained = "its reconstruction"
    if width >= 90:
        explained += ": what the reference set explains of it"
    return Content.assemble(
        f"{what} of ",
        ("⠒⠒⠒⠒", "bold $foreground"),
        (" this segment", "$foreground"),
        " over ",
        ("▀▀▀▀", "$primary 50%"),
        (f" {explained}", "$foreground"),
    )


def _told(sentence: str, width: int) -> list[Line]:
    return [[(part, "")] for part in textwrap.wrap(sentence, max(8, width))]


def _value_text(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _label(text: str) -> str:
    return f"{text:>{_GUTTER - 2}}  "


def _on_scale(rows: list[Line], top: float, base: float = 0.0) -> list[Line]:
    """Rows with `top` beside the first and `base` beside the last."""
    labels = [f"{top:.2g}", *[""] * (len(rows) - 2), f"{base:.2g}".replace("-", "−")]
    return [
        [(f"{label:>{_GUTTER - 1}}{'┤' if label else '│'}", "muted"), *row]
        for label, row in zip(labels, rows, strict=True)
    ]
