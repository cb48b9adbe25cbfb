"""Pictures of a screen as text: what stands in each cell, and how it looks.

A story's pictures are stored as a file for people. Of the first picture it has every line of the
screen, and below each line letters with numbers of cells; of each further picture only the lines
that are not as they were in the one before. At its top it says how each letter looks in every
colouring: dark, light, without colours, in those of the terminal. Text is the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar, cast

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual._compositor import LayoutUpdate

_ATTRIBUTES = ("bold", "dim", "italic", "underline", "blink", "reverse", "strike", "overline")
_ON_BLANKS = ("underline", "reverse", "strike", "overline")
_FOLD_FROM, _FOLDED = 120, re.compile(r"(.)⟨(\d+)⟩")
_REPEATED = re.compile(r"(.)\1{11,}")
"""In wider pictures so many equal characters are written as one of them and their number."""
_MOST_TOLD = 12

L = TypeVar("L", str, tuple[str, ...])


@dataclass(frozen=True)
class Row:
    """A line of a screen: its text; numbers of cells and their looks, one for each colouring."""

    text: str
    spans: tuple[tuple[int, tuple[str, ...]], ...]


Picture = tuple[Row, ...]


@dataclass(frozen=True)
class Told:
    """The pictures of a story at one size, by name."""

    colourings: tuple[str, ...]
    pictures: dict[str, Picture]


def look(app: Any) -> Picture:
    """What an app would write on a terminal now, in the one colouring that it has."""
    compositor = app.screen._compositor
    drawn = compositor.render_update(full=True, screen_stack=app._background_screens)
    return tuple(map(_row, cast(LayoutUpdate, drawn).strips))


def _row(strips: Any) -> Row:
    pieces = [piece for strip in strips for piece in strip if not piece.control]
    spans = ((cell_len(piece.text), (_look_of(piece.text, piece.style),)) for piece in pieces)
    return Row("".join(piece.text for piece in pieces), joined(spans))


def _look_of(text: str, style: Style | None) -> str:
    """Of a blank only what can be seen of it."""
    style = style or Style.null()
    is_blank = not text.strip(" ")
    found = [name for name in (_ON_BLANKS if is_blank else _ATTRIBUTES) if getattr(style, name)]
    if not is_blank or found:
        found.append(_colour(style.color))
    return " ".join([*found, "on", _colour(style.bgcolor)])


def _colour(colour: Color | None) -> str:
    if colour is None or colour.is_default:
        return "default"
    return colour.triplet.hex if colour.triplet else colour.name


def joined(spans: Iterable[tuple[int, L]]) -> tuple[tuple[int, L], ...]:
    """Neighbours that look alike as one."""
    alike = groupby((span for span in spans if span[0]), key=lambda span: span[1])
    return tuple((sum(n for n, _ in group), looks) for looks, group in alike)


def together(drawn: Mapping[str, Told]) -> Told:
    """The same pictures in several colourings as one; no colouring changes a text."""
    first, *others = drawn.values()
    pictures = {}
    for name, picture in first.pictures.items():
        all_of_it = [picture, *(other.pictures[name] for other in others)]
        texts = [[row.text for row in one] for one in all_of_it]
        assert all(text == texts[0] for text in texts), f"{name}: its text hangs on the colours"
        rows = zip(*all_of_it, strict=True)
        pictures[name] = tuple(Row(of_it[0].text, _side_by_side(of_it)) for of_it in rows)
    return Told(tuple(drawn), pictures)


def _side_by_side(rows: Sequence[Row]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    cells = zip(*(_spread(row) for row in rows), strict=True)
    return joined((1, tuple(look for looks in cell for look in looks)) for cell in cells)


def _spread(row: Row) -> list[tuple[str, ...]]:
    return [looks for n, looks in row.spans for _ in range(n)]


def cells_of(row: Row) -> list[tuple[str, tuple[str, ...]]]:
    """What stands in each cell, nothing in the second one of a wide character; and its looks."""
    texts = [cell for c in row.text for cell in (c, "")[: cell_len(c)]]
    return list(zip(texts, _spread(row), strict=True))


def differences(before: Picture, now: Picture, colourings: Sequence[str]) -> list[str]:
    """What is otherwise: rows and columns, counted from 1, before and now; the first few."""
    if [len(_spread(row)) for row in before] != [len(_spread(row)) for row in now]:
        return ["it has another size"]
    told = [
        text
        for y, rows in enumerate(zip(before, now, strict=True), 1)
        if rows[0] != rows[1]
        for text in _told(y, cells_of(rows[0]), cells_of(rows[1]), colourings)
    ]
    more = [f"and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
    return [*told[:_MOST_TOLD], *more]


def _told(y: int, before: list[Any], now: list[Any], colourings: Sequence[str]) -> Iterator[str]:
    """Runs of cells that differ in one way."""
    x = 0
    pairs = zip(before, now, strict=True)
    for key, group in groupby(pairs, lambda pair: pair[0] != pair[1] and (pair[0][1], pair[1][1])):
        run = list(group)
        first, x = x + 1, x + len(run)
        if not key:
            continue
        texts = ["".join(cell[side][0] for cell in run) for side in (0, 1)]
        lines = [f"row {y}, columns {first} to {x}: {texts[0]!r}"]
        lines += [f"now {texts[1]!r}"] if texts[0] != texts[1] else []
        looks = zip(colourings, *key, strict=True)
        lines += [f"{name}: {old}, now {new}" for name, old, new in looks if old != new]
        yield "\n    ".join(lines)


# --- as a file -----------------------------------------------------------------------------------


def write(path: Path, title: str, told: Told) -> None:
    """Store a story."""
    legend: dict[tuple[str, ...], str] = {}
    before: Picture = ()
    sections = []
    for name, picture in told.pictures.items():
        sections += ["", f"== {name}", *_lines(picture, before, legend)]
        before = picture
    looks = [f"{letter:<3}{' | '.join(key)}" for key, letter in legend.items()]
    head = [title, "", f"   {' | '.join(told.colourings)}", *looks]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*head, *sections, ""]), encoding="utf-8")


def _lines(picture: Picture, before: Picture, legend: dict[tuple[str, ...], str]) -> list[str]:
    old = before or [None] * len(picture)
    rows = [
        (row, None if row == then else y)
        for y, (row, then) in enumerate(zip(picture, old, strict=True))
    ]
    lines, y = [], 1
    for (row, is_new), group in groupby((row, at is not None) for row, at in rows):
        n = len(list(group))
        if is_new:
            number = f"{y}" if n == 1 else f"{y}-{y + n - 1}"
            letters = (
                f"{legend.setdefault(looks, _letter(len(legend)))}{cells}"
                for cells, looks in row.spans
            )
            lines += [f"{number:>5} |{_fold(row.text)}|", f"{'':>7}{' '.join(letters)}"]
        y += n
    return lines


def _fold(text: str) -> str:
    if cell_len(text) <= _FOLD_FROM:
        return text
    return _REPEATED.sub(lambda found: f"{found[1]}⟨{len(found[0])}⟩", text)


def _letter(i: int) -> str:
    """`a` to `z`, then `aa`, `ab` and so on."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return alphabet[i] if i < 26 else alphabet[i // 26 - 1] + alphabet[i % 26]


def read(path: Path) -> Told:
    """A stored story."""
    _, head, *sections = path.read_text(encoding="utf-8").split("\n\n")
    names, *looks = head.splitlines()
    legend = {line[:3].strip(): tuple(line[3:].split(" | ")) for line in looks}
    pictures: dict[str, Picture] = {}
    rows: dict[int, Row] = {}
    for section in sections:
        title, *lines = section.splitlines()
        for line, below in zip(lines[::2], lines[1::2], strict=True):
            number, _, text = line.partition(" |")
            letters = re.findall(r"([a-z]+)(\d+)", below)
            unfolded = _FOLDED.sub(lambda found: found[1] * int(found[2]), text[:-1])
            row = Row(unfolded, tuple((int(n), legend[letter]) for letter, n in letters))
            first, _, last = number.strip().partition("-")
            rows |= dict.fromkeys(range(int(first), int(last or first) + 1), row)
        pictures[title.removeprefix("== ")] = tuple(rows[y] for y in sorted(rows))
    return Told(tuple(names.strip().split(" | ")), pictures)
