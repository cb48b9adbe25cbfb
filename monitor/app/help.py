"""The help: every action with the key in force, what the words mean, where keys are changed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from model.parts import Part
from monitor.app.keys import GROUPS, Action, Keys, settings_path, unique
from monitor.app.words import printable

_LEGEND = (
    "The filter takes words of time, cluster and source, and: anomalous, normal, not scored, "
    "cluster:4. enter keeps it, esc lists all again.",
    "The heavy part of each scale begins at the threshold: there one score alone is enough.",
    "▲ raised an alarm · ▸ is chosen",
)
_WORDS = (
    "isolation score: how easily a sound is told apart from the reference; above 0 it is odder "
    "than 90 % of it.",
    "reconstruction error: how much of the sound the reference cannot explain.",
    "p: the share of reference sounds at least as odd as this one: the smaller, the odder.",
    "error profile: at which frequencies the reference cannot explain it.",
    "cluster: one way of being off, found among the reference; the nearest one is named.",
    "reach: how far from the middle of a cluster 99 % of its members lie.",
    "unlike any: beyond the reach of the nearest cluster, its errors lie where those of no cluster "
    "do. What is anomalous is then odd in a way of its own; a normal sound may be so, too.",
    "outside conditions: more or less noise around the sound than in the reference; trust p less.",
    "floor: the level of the background noise.",
    "gate: open while something sounds over the floor; what comes through is one segment.",
    "lost: sound that never came; unreported: the device did not say so, the clock told it.",
)
"""For somebody who knows sound and has not read about the method; what is needed most is first."""
_BEFORE_PARTS = "error profile"
"""The parts of the features are told behind this word, in which they show."""
_WIDTH, _BESIDE = 88, 8
"""Cells of the box; cells of it beside the text: frame, padding, scrollbar."""


class HelpScreen(ModalScreen[None]):
    """All actions by groups."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close"),
        Binding("w", "words", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
    ]

    def __init__(
        self,
        keys: Keys,
        is_of_use: Callable[[Action], bool] = lambda _: True,
        parts: Sequence[Part] = (),
    ) -> None:
        """`is_of_use` says of an action whether there is anything here that it is for.

        `parts` are those of the features, which are explained where they have names.
        """
        super().__init__()
        self._keys, self._is_of_use = keys, is_of_use
        self._parts = [f"{part.name}: {part.meaning}." for part in parts if part.name]

    def compose(self) -> ComposeResult:
        """The keys; behind them, a key away, what the words mean and the rest."""
        with VerticalScroll(id="help", can_focus=False) as box:
            box.border_title = Content("what can be done")
            box.border_subtitle = Content("w words and keys · ↑↓ scroll · esc closes")
            yield Static(self._keys_text(), id="keys", markup=False)
            yield Static(self._words_text(), id="words", markup=False)

    def on_resize(self) -> None:
        """Wrap to another width."""
        self.query_one("#keys", Static).update(self._keys_text())
        self.query_one("#words", Static).update(self._words_text())

    def _keys_text(self) -> Content:
        """The jump to the words first: a newcomer looks for them, and they stand below."""
        pieces: list[tuple[str, str]] = [
            (f"  {'w':<10} ", "bold"),
            ("What the words on the screen mean, and back.\n\n", ""),
        ]
        for group in GROUPS:
            pieces.append((f"{group}\n", "bold $text-primary"))
            for action in unique():
                if action.group == group and self._is_of_use(action):
                    keys = f"  {self._keys.text(action.id):<10} "
                    pieces += [(keys, "bold"), (f"{action.help}\n", "")]
            pieces.append(("\n", ""))
        return Content.assemble(*pieces[:-1], ("\n", ""))

    def _words_text(self) -> Content:
        title = "bold $text-primary"
        pieces = [("what the words mean\n", title), *self._words()]
        pieces += [("\nwhat is on the screen\n", title), (self._wrapped(_LEGEND), "")]
        pieces += [("\nother keys\n", title), (self._other_keys(), "")]
        return Content.assemble(*pieces)

    def _words(self) -> list[tuple[str, str]]:
        """Each word stands out before what it means."""
        pieces = []
        after = 1 + next(i for i, text in enumerate(_WORDS) if text.startswith(_BEFORE_PARTS))
        for text in (*_WORDS[:after], *self._parts, *_WORDS[after:]):
            word, _, meaning = self._wrapped([text]).partition(":")
            pieces += [(word, "bold"), (f":{meaning}", "")]
        return pieces

    def _other_keys(self) -> str:
        ids = ", ".join(action.id for action in unique())
        file = f'  In {printable(_from_home(settings_path()))}:\n    [keys]\n    pause = "F5"\n'
        return file + self._wrapped([f"Names of the actions: {ids}."])

    def _wrapped(self, paragraphs: tuple[str, ...] | list[str]) -> str:
        """Paragraphs in the lines that there is room for, each a little to the right."""
        width = max(24, min(_WIDTH, self.app.size.width * 95 // 100) - _BESIDE)
        lines = (
            textwrap.wrap(p, width, initial_indent="  ", subsequent_indent="    ")
            for p in paragraphs
        )
        return "".join(f"{line}\n" for paragraph in lines for line in paragraph)

    def action_words(self) -> None:
        """Go to what the words mean; from there, or anywhere below the keys' top, to the keys."""
        box = self.query_one("#help")
        top = self.query_one("#words").virtual_region.y if box.scroll_offset.y == 0 else 0
        box.scroll_to(y=top, animate=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll the help."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)


def _from_home(path: Path) -> str:
    """A path, shorter where it lies at home."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
