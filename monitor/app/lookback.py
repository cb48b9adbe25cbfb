"""Looking back: choosing a segment, filtering, sorting, listening, exporting, comparing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Input

from model.audio import Samples
from model.errors import OffkeyError
from monitor.app import words
from monitor.app.desk import Desk
from monitor.app.listing import ORDERS, Filter
from monitor.app.table import SegmentTable
from monitor.events import Heard

if TYPE_CHECKING:
    from monitor.playback import Player

_GONE = "The audio of this segment is gone: kept is that of the newest 200 and the oddest 200."
_NO_SEGMENT = "There is no segment yet."


class LookingBack(Desk):
    """Actions on what was heard."""

    _player: Player | None = None

    @property
    def player(self) -> Player:
        """What plays segments; made when it is first needed."""
        if self._player is None:
            from monitor.playback import Player

            self._player = Player(lambda problem: self.call_from_thread(self.warn, str(problem)))
        return self._player

    def stop_playing(self) -> None:
        """Nothing is to be heard any more."""
        if self._player is not None:
            self._player.close()

    def action_follow(self) -> None:
        """Show the newest again, and go on with it."""
        self.choose(None)

    def action_choose(self, rows: int) -> None:
        """Choose a row so many rows on; from following, beginning at the newest."""
        table, listing = self.table, self.table.listing
        start = table.chosen or self.shown
        if start is None or not listing.rows:
            return
        place = listing.place(start)
        if (place < len(listing.rows) and listing.rows[place].number == start.number) or rows < 0:
            place += rows
        self._choose_at(place)

    def action_page(self, pages: int) -> None:
        """Choose a row a page on."""
        self.action_choose(pages * self.table.page)

    def action_end(self, side: int) -> None:
        """Choose the first or the last row."""
        self._choose_at(0 if side < 0 else self.table.row_count - 1)

    def _choose_at(self, place: int) -> None:
        heard = self.table.listing.at(place)
        if heard is not None:
            self.choose(heard)

    def on_segment_table_chosen(self, event: SegmentTable.Chosen) -> None:
        """A click on a row chooses it."""
        self.choose(event.heard)

    def action_sort(self) -> None:
        """Sort by the next criterion."""
        listing, orders = self.table.listing, list(ORDERS)
        listing.order = orders[(orders.index(listing.order) + 1) % len(orders)]
        self.table.list_anew(self.history.rows())

    def action_filter(self) -> None:
        """Ask for what is to be listed."""
        field = self.field
        field.display = True
        self.screen.set_focus(field, scroll_visible=False)

    @on(Input.Changed, "#filter")
    def list_what_is_typed(self, event: Input.Changed) -> None:
        """List what is asked for, as it is typed."""
        self.table.listing.filter = Filter.parse(event.value)
        self.table.list_anew(self.history.rows())

    @on(Input.Submitted, "#filter")
    def close_filter(self) -> None:
        """Keep the filter; the keys are for the screen again."""
        field = self.field
        field.blur()
        field.display = False

    def action_back_out(self) -> None:
        """One step back: the field, the filter, the chosen segment."""
        field = self.field
        if field.display or field.value:
            field.value = ""
            self.close_filter()
        else:
            self.choose(None)

    def sound_of(self, heard: Heard | None) -> tuple[Heard, Samples] | None:
        """A segment with its audio; where there is none, that is said."""
        if heard is None:
            self.warn(_NO_SEGMENT)
            return None
        samples = self.history.samples(heard.number)
        if samples is None:
            self.warn(_GONE)
            return None
        return heard, samples

    def action_listen(self) -> None:
        """Play the segment through the default output."""
        found = self.sound_of(self.shown)
        if found is None:
            return
        heard, samples = found
        raised_db = self.player.play(samples, self.stream.detector.front_end.rate_hz)
        louder = f", {raised_db:.0f} dB louder than it was" if raised_db > 0 else ""
        what = f"{words.when_text(heard)}, {words.duration_text(heard.segment)}"
        self.tell(f"Playing {what}{louder}.")

    def action_export(self) -> None:
        """Write the segment into the current folder."""
        from monitor.export import export

        found = self.sound_of(self.shown)
        if found is None:
            return
        detector = self.stream.detector
        try:
            path = export(Path.cwd(), *found, detector.front_end.rate_hz, detector)
        except OffkeyError as error:
            self.warn(str(error))
            return
        self.tell(f"Written: {path}, with JSON beside it.")

    def action_compare(self) -> None:
        """Show the spectrum of the segment over what was expected of it."""
        from monitor.app.compare import CompareScreen

        found = self.sound_of(self.shown)
        if found is not None:
            self.push_screen(CompareScreen(self.stream.detector, *found, self.table.names))
