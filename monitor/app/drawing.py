"""What the widgets draw with: lines that repaint only where they changed, a scale, bars, Braille.

Everything is reduced to the cells there are before it is drawn; nothing here knows what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Line = list[tuple[str, str]]
"""Pieces of text with their roles: `strong`, `muted`, `accent`, `good`, `warn`, `bad` or none."""

BAND = 2 / 3
"""Where the threshold stands on every scale, whatever the model."""

_LEAST_SPAN = 1e-9
_BLOCKS = np.array(list(" ▁▂▃▄▅▆▇█"))
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BRAILLE = 0x2800
_LEFT = np.array([0, 0x40, 0x44, 0x46, 0x47])
_RIGHT = np.array([0, 0x80, 0xA0, 0xB0, 0xB8])
_BOTTOM_DOTS = 0xC0


class Drawing(Widget):
    """A widget made of lines. `redraw` repaints those that differ from what stands there."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"drawing--{role}" for role in ("strong", "muted", "accent", "good", "warn", "bad")
    }
    DEFAULT_CSS = """
    Drawing {
        .drawing--strong { text-style: bold; }
        .drawing--muted { color: $text-muted; }
        .drawing--accent { color: $text-primary; }
        .drawing--good { color: $text-success; text-style: bold; }
        .drawing--warn { color: $text-warning; text-style: bold; }
        .drawing--bad { color: $text-error; text-style: bold; }
        &:nocolor .drawing--bad { color: $foreground; }
    }
    """

    _lines: Sequence[Line] = ()
    _drawn_for = (0, 0)

    def __init__(self, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._role_styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        """Another theme: look the colours up anew."""
        super().notify_style_update()
        self._role_styles.clear()

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines for that many cells; a subclass says which."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw anew and repaint what has changed."""
        width, height = self._drawn_for = self.size
        before, self._lines = self._lines, self.draw(width, height) if width and height else []
        if len(before) != len(self._lines):
            self.refresh()
            return
        changed = [y for y, line in enumerate(self._lines) if line != before[y]]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """One line of the widget as a strip."""
        if self._drawn_for != self.size:
            self._drawn_for = self.size
            self._lines = self.draw(*self.size)
        base = self._style_of("")
        if y >= len(self._lines):
            return Strip.blank(self.size.width, base)
        pieces = [Segment(text, self._style_of(role)) for text, role in self._lines[y]]
        return Strip(pieces).adjust_cell_length(self.size.width, base)

    def _style_of(self, role: str) -> Style:
        if role not in self._role_styles:
            component = self.get_component_rich_style(f"drawing--{role}") if role else None
            self._role_styles[role] = component or self.rich_style
        return self._role_styles[role]


@dataclass(frozen=True)
class Scale:
    """Places scores from 0 to 1 so that the threshold stands at two thirds.

    The left end is where 1 % of the held-out reference lies below. Without a finite threshold the
    largest reference score stands at two thirds.
    """

    low: float
    """Left end, after the logarithm."""
    mark: float
    """What stands at two thirds, after the logarithm."""
    threshold: float
    log: bool

    @classmethod
    def of(cls, reference: NDArray[np.float64], threshold: float, log: bool = False) -> Scale:
        """The scale of a model's score."""
        kept = reference[reference > 0] if log else reference
        values = np.log10(kept) if log else kept
        if not len(values):
            values = np.array([-6.0, -3.0]) if log else np.array([0.0, 1.0])
        mark = float(values.max())
        if math.isfinite(threshold) and (threshold > 0 or not log):
            mark = math.log10(threshold) if log else threshold
        for low in (float(np.quantile(values, 0.01)), float(values.min())):
            if mark - low > _LEAST_SPAN:
                return cls(low, mark, threshold, log)
        return cls(mark - max(float(np.ptp(values)), 0.1), mark, threshold, log)

    @property
    def has_mark(self) -> bool:
        """Whether there is a threshold to be drawn."""
        return math.isfinite(self.threshold)

    def is_beyond(self, score: float) -> bool:
        """Whether the score alone is anomalous."""
        return score >= self.threshold

    def place(self, score: float) -> float:
        """Where a score stands, 0 to 1; at or above two thirds only if it is beyond."""
        value = score
        if self.log:
            value = math.log10(score) if score > 0 else -math.inf
        place = min(1.0, max(0.0, BAND * ((value - self.low) / (self.mark - self.low))))
        if not self.has_mark:
            return place
        return max(place, BAND) if self.is_beyond(score) else min(place, math.nextafter(BAND, 0))


def ruler(scale: Scale, score: float | None, width: int) -> Line:
    """A line with the threshold at two thirds and a marker at the score."""
    at = round(BAND * (width - 1))
    cells = list("─" * at + "┃" + "━" * (width - at - 1)) if scale.has_mark else list("─" * width)
    roles = ["muted"] * width
    if scale.has_mark:
        roles[at:] = ["warn"] * (width - at)
    if score is not None and width:
        place = scale.place(score)
        column = round(place * (width - 1))
        beyond = scale.is_beyond(score)
        if scale.has_mark:
            column = max(column, at + 1) if beyond else min(column, at - 1)
        column = min(width - 1, max(0, column))
        cells[column] = "▶" if place >= 1 else "◀" if place <= 0 else "●"
        roles[column] = "bad" if beyond else "accent"
    return join(cells, roles)


def history_room(most: int, width: int) -> int:
    """How many scores a history of at most `most` has room for: one or two in a cell."""
    return min(most, width * (1 if width >= most else 2))


def history(
    scale: Scale, scores: Sequence[float | None], most: int, width: int, rows: int
) -> list[Line]:
    """At most `most` scores as Braille columns, newest at the right, over a dotted threshold.

    `rows` is a multiple of three: what rises over the line into the upper third is beyond it.
    """
    per_cell = 1 if width >= most else 2
    shown = scores[-history_room(most, width) :] if width else ()
    heights = np.zeros(width * 2, np.int64)
    levels = [_level(scale, score, rows) for score in shown]
    if levels:
        heights[len(heights) - len(levels) * (2 // per_cell) :: 2 // per_cell] = levels
    line_row = rows // 3 - 1
    drawn = []
    for row in range(rows):
        filled = np.clip(heights - 4 * (rows - 1 - row), 0, 4)
        codes = _LEFT[filled[0::2]] | _RIGHT[filled[1::2]]
        least = 1 if row == line_row else 0
        rising = np.maximum(filled[0::2], filled[1::2]) > least
        role = "bad" if row <= line_row and scale.has_mark else "accent"
        if row == line_row and scale.has_mark:
            codes = codes | _BOTTOM_DOTS
        cells = [chr(_BRAILLE + code) for code in codes]
        drawn.append(join(cells, [role if up else "warn" for up in rising]))
    return drawn


def _level(scale: Scale, score: float | None, rows: int) -> int:
    """Height of a column in dots; the threshold's line is the lowest dot of the upper third."""
    if score is None:
        return 0
    place, line = scale.place(score), 4 * rows * 2 // 3
    if scale.has_mark and scale.is_beyond(score):
        above = 4 * rows - line - 1
        return line + 1 + max(1, math.ceil((place - BAND) / (1 - BAND) * above))
    if scale.has_mark:
        return max(1, min(line, math.ceil(place / BAND * line)))
    return max(1, math.ceil(place * 4 * rows))


def bars(values: NDArray[np.float64], top: float, width: int, rows: int) -> list[str]:
    """Values of shape `(n,)` as block columns on a scale from 0 to `top`, highest row first."""
    columns = reduce_columns(values, width)
    levels = np.clip(np.ceil(columns / top * 8 * rows), 1, 8 * rows).astype(np.int64)
    return [
        "".join(_BLOCKS[np.clip(levels - 8 * (rows - 1 - row), 0, 8)].tolist())
        for row in range(rows)
    ]


def reduce_columns(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Values of shape `(n,)` on `width` columns: the largest of each, or each on several."""
    n = len(values)
    if width >= n:
        return values[(np.arange(width) * n + n // 2) // width]
    return np.maximum.reduceat(values, np.arange(width) * n // width)


def meter(level: float, floor: float | None, width: int) -> Line:
    """A horizontal bar for a level from 0 to 1 on a dotted track, with a tick at the floor."""
    eighths = round(min(1.0, max(0.0, level)) * width * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    track = ["·"] * (width - len(bar))
    if floor is not None and track:
        at = min(width - 1, round(floor * width)) - len(bar)
        track[max(0, at)] = "│" if at >= 0 else track[0]
    return [(bar, "good"), ("".join(track), "muted")]


def join(cells: Sequence[str], roles: Sequence[str]) -> Line:
    """Single cells to pieces of one role each."""
    line: Line = []
    for cell, role in zip(cells, roles, strict=True):
        if line and line[-1][1] == role:
            line[-1] = (line[-1][0] + cell, role)
        else:
            line.append((cell, role))
    return line
