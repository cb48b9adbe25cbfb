"""Drawing along frequency: which part is in view, two curves in one picture, an axis, peaks.

Values are reduced to the largest of each column before anything is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from monitor.app.drawing import Line, bars, join, reduce_columns

LEAST = 16
"""So many values stay in view at least."""

_VALLEY = 0.5
_TICK_CELLS = 12
_BRAILLE = 0x2800
_BLOCKS = "▁▂▃▄▅▆▇█"
_HALF = 4
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

Values = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """The values from `start` on, `size` of them, of `total`."""

    start: int
    size: int
    total: int

    @classmethod
    def whole(cls, total: int) -> View:
        """All values."""
        return cls(0, total, total)

    @property
    def is_whole(self) -> bool:
        """Whether all values are in view."""
        return self.size == self.total

    @property
    def part(self) -> slice:
        """The values in view."""
        return slice(self.start, self.start + self.size)

    def zoomed(self, factor: float, at: float = 0.5) -> View:
        """`factor` times as many values; what stands at `at`, 0 to 1, stays there."""
        size = max(min(LEAST, self.total), min(self.total, round(self.size * factor)))
        return self._placed(self.start + at * (self.size - size), size)

    def moved(self, share: float) -> View:
        """Further up by a share of what is in view, as far as there is something."""
        step = math.copysign(max(1, round(abs(share) * self.size)), share)
        return self._placed(self.start + step, self.size)

    def around(self, index: int, factor: float) -> View:
        """`factor` times as many values with one of them in the middle."""
        closer = self.zoomed(factor)
        return self._placed(index - closer.size / 2, closer.size)

    def _placed(self, start: float, size: int) -> View:
        return View(max(0, min(self.total - size, round(start))), size, self.total)


def overlay(front: Values, back: Values, top: float, width: int, rows: int) -> list[Line]:
    """`front` as a Braille line over `back` as filled blocks, from 0 to `top`.

    Roles: `front`, `back`, and `both` where the line runs inside the filled area. A cell holds one
    glyph: the line's, but in the lowest row the block where the line is well below its top.
    """
    fills = bars(back, top, width, rows)
    dots = _line_codes(front, top, width, rows)
    lines = []
    for row, (fill, codes) in enumerate(zip(fills, dots, strict=True)):
        least = len(_BLOCKS) if row == rows - 1 else _HALF
        cells, roles = [], []
        for block, code in zip(fill, codes, strict=True):
            level = _BLOCKS.find(block) + 1
            hidden = not code or (row == rows - 1 and 2 * _height(code) < level < least)
            cells.append(block if hidden else chr(_BRAILLE + code))
            roles.append("back" if hidden else "both" if level >= least else "front")
        lines.append(join(cells, roles))
    return lines


def _height(code: int) -> int:
    """How high the highest dot of a Braille code stands, 1 to 4."""
    return next(4 - i for i, dots in enumerate(_DOTS.sum(axis=1).tolist()) if code & dots)


def _line_codes(values: Values, top: float, width: int, rows: int) -> list[list[int]]:
    """Braille codes of a connected line, four dots a row; halfway between columns it is between."""
    columns = reduce_columns(values, width)
    points = np.repeat(columns, 2)
    points[1:-1:2] = (columns[:-1] + columns[1:]) / 2
    high = np.clip(np.rint(points / top * (4 * rows - 1)), 0, 4 * rows - 1).astype(np.int64)
    before = np.concatenate([high[:1], high[:-1]])
    low = np.where(before < high, before + 1, high)
    high = np.where(before > high, before - 1, high)
    level = np.arange(4 * rows)[::-1, None]
    is_set = (level >= low) & (level <= high)
    cells = is_set.reshape(rows, 4, width, 2).swapaxes(1, 2)
    codes: list[list[int]] = (cells * _DOTS).sum(axis=(2, 3)).tolist()
    return codes


def peaks(error: Values, apart: int, most: int) -> list[int]:
    """Indices of the largest local maxima above 0, largest first, further than `apart` apart.

    Those on the flank of a larger one are left out: between two of them the largest errors within
    half of `apart` go down to less than `_VALLEY` of the smaller one.
    """
    padded = np.pad(error, 1, constant_values=-1.0)
    is_peak = (error >= padded[:-2]) & (error >= padded[2:])
    left = np.where(is_peak, error, 0.0)
    hills = np.pad(error, (apart // 4, apart // 4))
    hills = np.lib.stride_tricks.sliding_window_view(hills, 2 * (apart // 4) + 1).max(axis=1)
    found: list[int] = []
    while len(found) < most and left.max() > 0:
        index = int(left.argmax())
        found.append(index)
        left[max(0, index - apart) : index + apart + 1] = 0
        down, up = hills[index::-1], hills[index:]
        valley = [np.minimum.accumulate(side) for side in (down, up)]
        lowest = np.concatenate([valley[0][:0:-1], valley[1]])
        left[lowest >= _VALLEY * error] = 0
    return found


def axis(frequencies_hz: Values, view: View, width: int) -> str:
    """Ticks over the values in view, each with its frequency at its right."""
    shown = frequencies_hz[view.part]
    step = _step(float(shown[-1] - shown[0]), max(2, width // _TICK_CELLS))
    text = ""
    for tick in range(math.ceil(shown[0] / step), math.floor(shown[-1] / step) + 1):
        index = float(np.interp(tick * step, shown, np.arange(view.size)))
        at = min(width - 1, int((index + 0.5) / view.size * width)) if tick else 0
        label = f"╵{_tick_text(tick * step, step)}"
        if (not text or len(text) < at) and at + cell_len(label) <= width:
            text = text.ljust(at) + label
    return text


def _step(span: float, most: int) -> float:
    """1, 2 or 5 times a power of ten: at most `most` fit into the span, and two if they can."""
    power = 10.0 ** math.floor(math.log10(span / most))
    steps = [factor * power for factor in (0.5, 1, 2, 5, 10)]
    fewest = next(i for i, step in enumerate(steps) if step >= span / most)
    return steps[fewest] if steps[fewest] <= span / 2 else steps[fewest - 1]


def _tick_text(frequency_hz: float, step_hz: float) -> str:
    if step_hz >= 100 and frequency_hz >= 1000:
        return f"{frequency_hz / 1000:g} kHz"
    return hz_text(frequency_hz, step_hz)


def hz_text(frequency_hz: float, step_hz: float, unit: str = " Hz") -> str:
    """A frequency as exactly as steps of `step_hz` need it: `1,450 Hz`, `87.3 Hz`."""
    return f"{frequency_hz:,.{0 if step_hz > 0.5 else 1}f}{unit}"


def parts_axis(
    parts: Sequence[tuple[str, int]], frequencies_hz: Values, view: View, width: int
) -> str:
    """Names of the parts of the values in view, each with a few frequencies.

    `parts` are names and numbers of values, one part after another.
    """
    text, first = "", 0
    for name, size in parts:
        low, high = max(first, view.start), min(first + size, view.start + view.size)
        first += size
        if low >= high:
            continue
        start, end = ((index - view.start) * width // view.size for index in (low, high))
        text = text.ljust(start) + _part_axis(name, frequencies_hz[low:high], end - start)
    return text


def _part_axis(name: str, shown: Values, width: int) -> str:
    text = f"│{name}"[:width]
    if len(shown) < 2:
        return text
    step = _step(float(shown[-1] - shown[0]), max(2, width // _TICK_CELLS))
    for tick in range(math.ceil(shown[0] / step), math.floor(shown[-1] / step) + 1):
        index = float(np.interp(tick * step, shown, np.arange(len(shown))))
        at = int((index + 0.5) / len(shown) * width)
        label = f"╵{_tick_text(tick * step, step)}"
        if len(text) < at and at + cell_len(label) <= width:
            text = text.ljust(at) + label
    return text


def map_line(error: Values, view: View, width: int) -> Line:
    """All errors in one row, with brackets around what is in view."""
    cells = list(bars(error, max(float(error.max()), 1e-12), width, 1)[0])
    first = view.start * width // view.total
    last = min(width - 1, max(first + 1, (view.start + view.size) * width // view.total))
    roles = ["muted"] * width
    roles[first : last + 1] = ["warn"] * (last + 1 - first)
    cells[first], cells[last] = "[", "]"
    roles[first] = roles[last] = "strong"
    return join(cells, roles)
