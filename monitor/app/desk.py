"""What the screen knows and shows; the actions in lookback.py, teach.py, control.py work on it."""

from __future__ import annotations

from collections import deque
from pathlib import PurePath

from textual.notifications import Notify

from model.detector import Detector
from model.explanation import explain
from monitor.app import words
from monitor.app.attention import AlarmLine, Attention
from monitor.app.filterfield import FilterField
from monitor.app.header import Header
from monitor.app.keys import Keys
from monitor.app.listing import Listing
from monitor.app.panels import LAST, VerdictPanel, score_panels
from monitor.app.profile import ProfilePanel
from monitor.app.session import Session
from monitor.app.streamapp import StreamApp
from monitor.app.table import SegmentTable
from monitor.events import Heard
from monitor.history import ROWS

_ASKS = "words of time, cluster or source · anomalous · normal · not scored · cluster:4"


class Desk(StreamApp):
    """The widgets, the segment that is shown, and what a person has asked for."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.stream)
        self.session, self.history = session, session.history
        self.keys = Keys({})
        self.leaving = False
        """Whether a person has asked for the end."""
        self.muted: set[int] = set()
        self.marked: list[int] = []
        """Numbers of the segments that were marked in this session, the newest last."""
        self.attention = Attention(self, PurePath(session.title).name or session.title)
        detector = self._followed = self.stream.detector
        has_gate = detector.segmentation.mode == "event"
        self.header = Header(session.title, detector.card, has_gate)
        self.isolation, self.reconstruction = score_panels(detector)
        self.verdict = VerdictPanel(detector)
        self.profile = ProfilePanel(detector)
        self.table = SegmentTable(Listing())
        self.table.muted, self.table.marked = self.muted, self.marked
        self.alarm_line = AlarmLine()
        for shows in (self.profile, self.alarm_line, self.attention):
            shows.names = self.table.names
        self.field = FilterField(placeholder=_ASKS, id="filter", compact=True)
        self.field.display = False
        self._newest: deque[Heard] = deque(maxlen=LAST)
        self._last_number = 0

    @property
    def shown(self) -> Heard | None:
        """The segment that the panels show: the chosen one, or else the newest."""
        return self.table.chosen or (self._newest[-1] if self._newest else None)

    def take_new(self) -> list[Heard]:
        """What was heard since the last time, into the table."""
        new = self.history.after(self._last_number)
        if new:
            self._last_number = new[-1].number
            self._newest.extend(new[-LAST:])
            if self.table.add(new, ROWS):
                self.table.reload(self.history.rows())
        return new

    def choose(self, heard: Heard | None) -> None:
        """Show a segment on all panels; None: the newest, as they come."""
        self.table.choose(heard)
        self.show_panels()
        self.refresh_bindings()

    def show_panels(self) -> None:
        """Draw the panels for the segment that is to be shown."""
        heard, chosen = self.shown, self.table.chosen
        recent = list(self._newest) if chosen is None else self._until(chosen)
        for panel in (self.isolation, self.reconstruction):
            panel.show(recent)
        self.verdict.show(heard, self.stream.snapshot.state, self.chosen_note)
        self.profile.show(heard, self._findings(heard))

    def _findings(self, heard: Heard | None) -> tuple[str, ...]:
        """In which ways a segment is off, if it is; nothing where its sound is no longer kept."""
        if heard is None or not heard.is_anomalous:
            return ()
        samples = self.history.samples(heard.number)
        explanation = None if samples is None else explain(self.stream.detector, samples)
        return () if explanation is None else explanation.findings

    @property
    def chosen_note(self) -> str:
        """How one goes on from a chosen segment; nothing where none is chosen."""
        key = self.keys.text("follow")
        return "" if self.table.chosen is None else f" · {key} follows again"

    def _until(self, heard: Heard) -> list[Heard]:
        """The last segments up to one, oldest first."""
        rows = [row for row in self.history.rows() if row.number <= heard.number]
        return rows[-LAST:] or [heard]

    def use(self, detector: Detector) -> None:
        """Go on with other names or another false-alarm rate, from the next segment on."""
        self.stream.use(detector)
        self._follow(detector)

    def follow_budget(self) -> None:
        """Show the rate that a budget of alarms an hour has set meanwhile."""
        if self.stream.budget is not None and self.stream.detector is not self._followed:
            self._follow(self.stream.detector)

    def _follow(self, detector: Detector) -> None:
        self._followed = detector
        for panel in (self.isolation, self.reconstruction, self.verdict):
            panel.use(detector)
        self.tell_settings()
        self.show_panels()

    def tell_settings(self) -> None:
        """Say under the table what a person has set."""
        parts = [f"alarm at p ≤ {words.p_text(self.stream.detector.false_alarm_rate)}"]
        if self.stream.budget is not None:
            parts.append(self.stream.budget.text)
        if self.muted:
            numbers = ", ".join(map(str, sorted(self.muted)))
            parts.append(f"muted: cluster{'s' if len(self.muted) > 1 else ''} {numbers}")
        if self.mark_count:
            parts.append(f"{self.mark_count:,} marked as normal")
        if not self.attention.rings:
            parts.append("bell off")
        player = self.stream.player
        if player is not None and not self.engine.is_done:
            seeker = self.session.seeker
            speed = words.speed_text(seeker.before if seeker.is_seeking else player.speed)
            is_fast = seeker.is_seeking and not self.stream.is_paused
            parts.append("fast to the next alarm" if is_fast else speed)
        self.table.tell_settings(" · ".join(parts))

    @property
    def mark_count(self) -> int:
        """Sounds that were marked as normal for this model, in all sessions."""
        return 0

    def tell(self, text: str, severity: str = "information") -> None:
        """Say something for a while; text from outside is safe here."""
        lines = "\n".join(words.printable(line) for line in text.splitlines())
        if severity == "warning":
            self.notify(f"! {lines}", severity="warning", markup=False)
        else:
            self.notify(lines, markup=False)

    def on_notify(self, event: Notify) -> None:
        """What is told takes the place of what was told before; other warnings stay beside it."""
        for note in list(self._notifications):
            if note.severity == "information" or note.message == event.notification.message:
                self._unnotify(note)

    def warn(self, text: str) -> None:
        """Say what could not be done, and why."""
        self.tell(text, "warning")
