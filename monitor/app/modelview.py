"""The model panel: what the model can hear, what it is and what it promises."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from model.detector import Detector
from model.hearing import describe_hearing
from model.summary import describe
from monitor.app.words import first_fitting, printable

_FRAMED = 85
"""From so many columns on a frame and a scrollbar leave room for lines of 80."""
_UNKNOWN = "What this model can hear was not measured when it was made: calibrate anew."


class ModelScreen(ModalScreen[None]):
    """What `inspect` tells of the model that is in force, with what it can hear first."""

    DEFAULT_CSS = """
    ModelScreen {
        align: center middle;

        #model {
            width: 108;
            max-width: 100%;
            height: auto;
            max-height: 95%;
            padding: 0 1;
            border: round $primary;
            border-title-color: $text-primary;
            border-subtitle-color: $text-muted;
            background: $surface;
            scrollbar-size-vertical: 1;
            scrollbar-background: $surface;
            scrollbar-corner-color: $surface;
            scrollbar-color: $foreground 25%;
        }
        &.-bare #model {
            padding: 0;
            border: none;
            border-top: solid $primary;
            border-bottom: solid $primary;
            scrollbar-size-vertical: 0;
        }
        #model Static {
            width: auto;
            min-width: 1;
        }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-bare"), (_FRAMED, "-framed")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i,enter", "dismiss", "close"),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("left", "aside(-8)", show=False),
        Binding("right", "aside(8)", show=False),
    ]

    def __init__(self, detector: Detector, title: str) -> None:
        super().__init__()
        self._detector = detector
        self._title = title

    def compose(self) -> ComposeResult:
        """The table of hearing, then the rest of the summary."""
        with VerticalScroll(id="model", can_focus=False) as box:
            box.border_title = Content(printable(self._title))
            box.styles.overflow_x = "auto"
            yield Static("\n".join(map(printable, self._lines())), markup=False)

    def on_mount(self) -> None:
        """Say what is in sight, now and whenever that changes."""
        for what in ("scroll_y", "virtual_size", "size", "show_horizontal_scrollbar"):
            self.watch(self.query_one("#model"), what, self._tell)

    def _tell(self) -> None:
        """Which lines are in sight, as there may be no scrollbar; keys that show the others.

        Those to either side are told of only where a line is wider than the panel.
        """
        box = self.query_one("#model")
        first, all_lines = box.scroll_offset.y + 1, box.virtual_size.height
        last = min(all_lines, first + box.scrollable_content_region.height - 1)
        aside = "←→ " if box.max_scroll_x else ""
        keys = f"↑↓ {aside}scroll · esc closes"
        choices = [f"lines {first}–{last} of {all_lines} · {keys}", keys]
        box.border_subtitle = Content(first_fitting(choices, max(1, self.size.width - 6)))

    def _lines(self) -> list[str]:
        """Hearing first; the summary has it in its middle, where it is left out."""
        hearing = describe_hearing(self._detector.card)
        summary = describe(self._detector).splitlines()
        if not hearing:
            return [_UNKNOWN, "", *summary]
        start = summary.index(hearing[0])
        rest = summary[: start - 1] + summary[start + len(hearing) :]
        return [*hearing, "", *rest]

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one("#model").scroll_relative(y=lines, animate=False)

    def action_aside(self, columns: int) -> None:
        """Scroll sideways, where the screen is narrow."""
        self.query_one("#model").scroll_relative(x=columns, animate=False)
