"""The dialogue that says why the stream cannot go on, and what to do next."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from model.errors import OffkeyError
from monitor.app.words import printable


class FailureDialogue(ModalScreen[None]):
    """One sentence, the next step, and the key that leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "dismiss", "quit"),
        Binding("escape,q,ctrl+c", "dismiss", show=False),
    ]

    def __init__(self, error: OffkeyError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """The sentence, its hint, the key."""
        with Vertical(id="failure") as box:
            box.border_title = Content("offkey cannot go on")
            yield Static(printable(self._error.sentence), id="sentence", markup=False)
            if self._error.hint:
                yield Static(printable(self._error.hint), id="hint", markup=False)
            yield Static("Press enter to quit.", id="leave", markup=False)
