"""The table of segments: the newest 500 at most, following unless somebody has scrolled back.

A DataTable takes milliseconds to lose a row: where it is full, it begins anew with the newest 400.
It takes new rows five times a second at most, so that a replay at full speed is not held up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.events import Resize
from textual.widgets import DataTable

from model.detector import ANOMALOUS, NOT_SCORED
from monitor.app import words
from monitor.events import Heard
from monitor.snapshot import RECENT

_NARROW = 100
_BEGINS_WITH = 400
_PAUSE_S = 0.2


class SegmentTable(DataTable[Text]):
    """A row a segment, newest at the bottom."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--anomalous", "table--muted"}
    DEFAULT_CSS = """
    SegmentTable {
        .table--anomalous { color: $text-error; text-style: bold; }
        .table--muted { color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__(cursor_type="none", zebra_stripes=False)
        self.border_title = Content("segments")
        self._recent: Sequence[Heard] = ()
        self._newest = 0
        self._follows = True
        self._settling = False
        self._laid_out_for = 0
        self._resting = False

    def on_mount(self) -> None:
        """Draw anew in the colours of another theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._rebuild())

    def on_resize(self, event: Resize) -> None:
        """Lay the columns out anew for another width; keep the newest row in sight."""
        if event.size.width != self._laid_out_for:
            self._rebuild()
        else:
            self.call_after_refresh(self._settle)

    def show(self, recent: Sequence[Heard]) -> None:
        """Take what is new among the newest segments, oldest first."""
        self._recent = recent
        if self.columns and not self._resting and self._unseen():
            self._resting = True
            self._take(self._unseen())
            self.set_timer(_PAUSE_S, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._settle()
        self.show(self._recent)

    def release_anchor(self) -> None:
        """Textual calls this for every scrolling: somebody's own ends the following."""
        super().release_anchor()
        self._follows = self._follows and self._settling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls down to the newest row follows again."""
        super().watch_scroll_y(old_value, new_value)
        self._follows = self._follows or old_value < new_value >= self.max_scroll_y

    def _settle(self, back_at: float | None = None) -> None:
        """Scroll to the newest row, or to where somebody who scrolled back was."""
        y = self.max_scroll_y if self._follows else back_at
        if y is not None:
            self._settling = True
            self.scroll_to(y=y, animate=False, force=True)
            self._settling = False

    def _unseen(self) -> list[Heard]:
        return [heard for heard in self._recent if heard.number > self._newest]

    def _take(self, new: Sequence[Heard]) -> None:
        if len(self.rows) + len(new) > RECENT:
            self._rebuild(_BEGINS_WITH)
            return
        self._add(new)
        self.call_after_refresh(self._settle)

    def _add(self, new: Sequence[Heard]) -> None:
        width = self.ordered_columns[-1].width
        for heard in new:
            self.add_row(*self._cells(heard, width))
        if new:
            self._newest = new[-1].number

    def _rebuild(self, most: int = RECENT) -> None:
        self._laid_out_for = width = self.size.width
        kept = self._recent[-most:]
        seen = [heard for heard in kept if heard.number <= self._newest]
        follows, back_at = self._follows, self.scroll_target_y - len(self.rows) + len(seen)
        self.clear(columns=True)
        self._follows = follows
        narrow = width < _NARROW
        layout = [
            ("time", 9),
            ("length", 6),
            ("isolation", 9),
            ("recon." if narrow else "reconstruction", 6 if narrow else 14),
            ("p", 7),
            ("verdict", 10 if narrow else 12),
        ]
        used = sum(cells for _, cells in layout) + 2 * (len(layout) + 1)
        last = "cluster" if narrow else "nearest cluster, remarks"
        layout.append((last, max(8, width - used - 1)))
        for label, cells in layout:
            right = label not in ("verdict", last)
            self.add_column(Text(label, justify="right" if right else "left"), width=cells)
        self._add(kept)
        self.call_after_refresh(self._settle, max(0, back_at))

    def _cells(self, heard: Heard, cluster_width: int) -> list[Text]:
        score = heard.score
        anomalous = score.verdict == ANOMALOUS
        name = "table--anomalous" if anomalous else "table--muted"
        whole = self.get_component_rich_style(name)
        style = Style(color=whole.color, bold=whole.bold)
        plain = style if score.verdict == NOT_SCORED else ""
        numbers = [
            words.when_text(heard),
            words.duration_text(heard.segment),
            words.isolation_text(score.isolation_score),
            words.reconstruction_text(score.reconstruction_error),
            words.p_text(score.p),
        ]
        verdict = score.verdict.upper() if anomalous else score.verdict
        return [
            *(Text(number, style=plain, justify="right") for number in numbers),
            Text(verdict, style=style if anomalous else plain),
            Text(_last_column(heard, cluster_width), style=plain),
        ]


def _last_column(heard: Heard, width: int) -> str:
    """The cluster, then as many remarks as fit."""
    cluster, notes = words.cluster_text(heard), words.remarks(heard)
    choices = [" · ".join([cluster, *notes[:n]]) for n in range(len(notes), -1, -1)]
    return words.first_fitting(choices, width)
