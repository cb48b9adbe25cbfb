"""The table of segments: only the rows in sight are ever drawn, however many there are.

It follows the newest row unless somebody has scrolled back or chosen a row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from monitor.app import words
from monitor.app.columns import ROLES, Columns
from monitor.app.listing import Filter, Listing
from monitor.events import Heard

FLASH_S = 0.6


class SegmentTable(ScrollView, can_focus=False):
    """A row a segment, under a line of labels that stays."""

    class Chosen(Message):
        """Somebody clicked on a row."""

        def __init__(self, heard: Heard) -> None:
            super().__init__()
            self.heard = heard

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"table--{role}" for role in ROLES}
    DEFAULT_CSS = """
    SegmentTable {
        .table--label { color: $text-muted; text-style: bold; }
        .table--bad { color: $text-error; text-style: bold; }
        &:nocolor .table--bad { color: $foreground; }
        .table--muted { color: $text-muted; }
        .table--dim { color: $foreground 65%; }
        .table--chosen { color: $block-cursor-foreground; background: $block-cursor-background;
            text-style: bold; }
        .table--flash { text-style: bold reverse; }
    }
    """

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self.chosen: Heard | None = None
        self.muted: Collection[int] = ()
        self.marked: Collection[int] = ()
        self.follow_key = "f"
        self.names: dict[int, str] = {}
        """Names that clusters were given since."""
        listing.names = self.names
        self._columns = Columns(0, self.names)
        self._follows = True
        self._flashing = 0
        self._settings = ""
        self._styles: dict[str, Style] = {}

    @property
    def row_count(self) -> int:
        """Rows that there are, in sight or not."""
        return len(self.listing.rows)

    def notify_style_update(self) -> None:
        """Another theme: look the colours up anew."""
        super().notify_style_update()
        self._styles.clear()

    def on_resize(self) -> None:
        """Lay the columns out anew for another width; keep the newest row in sight."""
        if self.size.width != self._columns.width:
            self._columns = Columns(self.size.width, self.names)
        self._settle()
        self._tell()
        self.tell_settings(self._settings)
        self.refresh()

    def add(self, new: Sequence[Heard], most: int) -> bool:
        """Take new segments; says whether the listing is to be reloaded."""
        before = self.row_count
        is_stale = self.listing.add(new, most)
        if self.row_count != before:
            self._settle()
            self._tell()
            if self._follows or not self.listing.is_in_time_order or before < self.size.height:
                self.refresh()
        elif self.listing.filter != Filter():
            self._tell()
        return is_stale

    def reload(self, remembered: Sequence[Heard]) -> None:
        """List anew, keeping in sight what was."""
        listing = self.listing
        top = listing.at(self.scroll_offset.y)
        listing.reload(remembered)
        self._settle()
        if top is not None and not self._follows and listing.is_in_time_order:
            self.scroll_to(y=listing.place(top), animate=False, force=True)
        self._tell()
        self.refresh()

    def list_anew(self, remembered: Sequence[Heard]) -> None:
        """The filter or the order is another one: list anew, from the place that matters."""
        self.listing.reload(remembered)
        self._follows = self.listing.is_in_time_order and self.chosen is None
        self._settle()
        if self.chosen is not None:
            self._bring_into_sight(self.listing.place(self.chosen))
        elif not self._follows:
            self.scroll_to(y=0, animate=False, force=True)
        self._tell()
        self.refresh()

    def choose(self, heard: Heard | None) -> None:
        """Show which row is chosen; None: none is, and the newest is followed again."""
        self.chosen = heard
        self._follows = heard is None and self.listing.is_in_time_order
        self._settle()
        if heard is not None:
            self._bring_into_sight(self.listing.place(heard))
        elif not self._follows:
            self.scroll_to(y=0, animate=False, force=True)
        self._tell()
        self.refresh()

    def flash(self, heard: Heard) -> None:
        """Light a row up, once."""
        self._flashing = heard.number
        self.refresh()
        self.set_timer(FLASH_S, lambda: self._darken(heard.number))

    def _darken(self, number: int) -> None:
        if self._flashing == number:
            self._flashing = 0
            self.refresh()

    def tell_settings(self, text: str) -> None:
        """Say below the rows what is set."""
        self._settings = text
        self.border_subtitle = Content(words.clip(text, self._room))

    @property
    def _room(self) -> int:
        """Cells for words in the border, whether there is a scrollbar or not."""
        return max(8, self.outer_size.width - 6)

    @property
    def page(self) -> int:
        """Rows in sight."""
        return max(1, self.size.height - 1)

    def _settle(self) -> None:
        """Tell Textual how many rows there are, without the layout that it would do for it."""
        size = Size(self.size.width, self.row_count + 1)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)
        if self._follows or self.scroll_y > self.max_scroll_y:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def _bring_into_sight(self, place: int) -> None:
        top = self.scroll_offset.y
        y = min(max(top, place - self.page + 1), place)
        if y != top:
            self.scroll_to(y=y, animate=False, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls back stays there; who scrolls down to the newest row follows again."""
        super().watch_scroll_y(old_value, new_value)
        at_end = new_value >= self.max_scroll_y
        self._follows = at_end and self.chosen is None and self.listing.is_in_time_order

    def _tell(self) -> None:
        """Say in the border what is listed."""
        listed = self.listing.in_words
        choices = [f"segments · {listed}", listed]
        if self.listing.filter != Filter():
            choices = [*(f"{choice} · esc lists all" for choice in choices), listed]
        if self.chosen is not None:
            time = f"chosen {words.when_text(self.chosen)}"
            chosen = f"{time}, {self.follow_key} follows again"
            only = self.listing.filter_in_words
            short = only or listed
            choices = [
                *(f"{only} · esc lists all · {text}" for text in (chosen, time) if only),
                f"segments · {listed} · {chosen}",
                f"{listed} · {chosen}",
                f"{short} · {chosen}",
                f"{short} · {time}",
                chosen,
            ]
        title = words.first_fitting(choices, self._room)
        if self.border_title != title:
            self.border_title = Content(title)

    def on_click(self, event: Click) -> None:
        """Choose the row under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < 1:
            return
        place = self.scroll_offset.y + offset.y - 1
        if place < self.row_count:
            self.post_message(self.Chosen(self.listing.rows[place]))

    def render_line(self, y: int) -> Strip:
        """The labels, or one row."""
        width, base = self.size.width, self._style_of("")
        if y == 0:
            pieces = [(self._columns.labels, "label")]
        else:
            place = self.scroll_offset.y + y - 1
            if place < self.row_count:
                pieces = self._row(self.listing.rows[place])
            elif y == 1:
                pieces = [(words.clip(self._why_empty(), width), "muted")]
            else:
                return Strip.blank(width, base)
        strip = Strip([Segment(text, self._style_of(role)) for text, role in pieces])
        last = self._style_of(pieces[-1][1]) if pieces[-1][1] in ("chosen", "flash") else base
        return strip.adjust_cell_length(width, last)

    def _why_empty(self) -> str:
        if self.listing.total:
            return "  Nothing that was heard is like that: esc lists all."
        return "  Here every segment will have its row."

    def _row(self, heard: Heard) -> list[tuple[str, str]]:
        is_chosen = self.chosen is not None and heard.number == self.chosen.number
        is_muted = heard.score.cluster in self.muted
        notes = ["marked"] * (heard.number in self.marked) + ["muted"] * is_muted
        pieces = self._columns.row(heard, is_chosen, notes)
        if is_chosen or heard.number == self._flashing:
            role = "chosen" if is_chosen else "flash"
            return [("".join(text for text, _ in pieces), role)]
        return [(text, "dim") for text, _ in pieces] if is_muted else pieces

    def _style_of(self, role: str) -> Style:
        if role not in self._styles:
            component = self.get_component_rich_style(f"table--{role}") if role else None
            self._styles[role] = component or self.rich_style
        return self._styles[role]
