"""The help: every action with the key that is in force, and where the keys can be changed."""

from __future__ import annotations

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
    "The filter takes words of time, cluster and source, and: anomalous, normal, not scored,\n"
    "cluster:4. Enter keeps it, escape lists all again.\n"
    "p is the share of reference sounds at least as odd as this one: the smaller, the odder.\n"
    "The heavy part of each scale begins at the threshold: there one score alone is enough.\n"
    "▲ raised an alarm · ▸ is chosen · unlike any: odd in a way no reference sound was ·\n"
    "outside conditions: more or less noise than in the reference."
)


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

    def _text(self) -> str:
        actions = unique()
        lines = []
        for group in GROUPS:
            lines.append(group)
            lines += [
                f"  {self._keys.text(action.id):<10} {action.help}"
                for action in actions
                if action.group == group
            ]
            lines.append("")
        file = printable(str(settings_path()))
        lines += [
            "what is on the screen",
            *(f"  {line}" for line in _LEGEND.splitlines()),
            "",
            "other keys",
            f"  In {file}:",
            "    [keys]",
            '    pause = "F5"',
            "  Names of the actions: " + ", ".join(action.id for action in actions) + ".",
        ]
        return "\n".join(lines)

    def action_scroll(self, lines: int) -> None:
        """Scroll the help."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)
