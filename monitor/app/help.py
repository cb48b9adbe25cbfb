"""The help: every action with the key that is in force, and where the keys can be changed."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from monitor.app.keys import GROUPS, Keys, settings_path, unique
from monitor.app.words import printable

_LEGEND = (
    "The filter takes words of time, cluster and source, and: anomalous, normal, not scored, "
    "cluster:4. Enter keeps it, escape lists all again.",
    "p is the share of reference sounds at least as odd as this one: the smaller, the odder.",
    "The heavy part of each scale begins at the threshold: there one score alone is enough.",
    "▲ raised an alarm · ▸ is chosen · unlike any: odd in a way no reference sound was · "
    "outside conditions: more or less noise than in the reference.",
)
_WIDTH, _BESIDE = 88, 8
"""Cells of the box; cells of it beside the text: frame, padding, scrollbar."""


class HelpScreen(ModalScreen[None]):
    """All actions by groups."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close"),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
    ]

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """The groups, the legend, the settings file."""
        with VerticalScroll(id="help", can_focus=False) as box:
            box.border_title = Content("what can be done")
            box.border_subtitle = Content("↑↓ scroll · escape closes")
            yield Static(self._text(), markup=False)

    def on_resize(self) -> None:
        """Wrap to another width."""
        self.query_one("#help Static", Static).update(self._text())

    def _text(self) -> Content:
        pieces: list[tuple[str, str]] = []
        for group in GROUPS:
            pieces.append((f"{group}\n", "bold $text-primary"))
            for action in unique():
                if action.group == group:
                    keys = f"  {self._keys.text(action.id):<10} "
                    pieces += [(keys, "bold"), (f"{action.help}\n", "")]
            pieces.append(("\n", ""))
        pieces += [("what is on the screen\n", "bold $text-primary"), (self._wrapped(_LEGEND), "")]
        pieces += [("\nother keys\n", "bold $text-primary"), (self._other_keys(), "")]
        return Content.assemble(*pieces)

    def _other_keys(self) -> str:
        ids = ", ".join(action.id for action in unique())
        file = f'  In {printable(str(settings_path()))}:\n    [keys]\n    pause = "F5"\n'
        return file + self._wrapped([f"Names of the actions: {ids}."])

    def _wrapped(self, paragraphs: tuple[str, ...] | list[str]) -> str:
        """Paragraphs in the lines that there is room for, each a little to the right."""
        width = max(24, min(_WIDTH, self.app.size.width * 95 // 100) - _BESIDE)
        lines = (
            textwrap.wrap(p, width, initial_indent="  ", subsequent_indent="    ")
            for p in paragraphs
        )
        return "".join(f"{line}\n" for paragraph in lines for line in paragraph)

    def action_scroll(self, lines: int) -> None:
        """Scroll the help."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)
