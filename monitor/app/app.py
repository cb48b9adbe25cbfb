"""The app: draws what a stream has heard, forty times a second at most. It holds no audio logic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Print, Resize
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer

from monitor.app import words
from monitor.app.commands import Commands
from monitor.app.control import Control
from monitor.app.engine import forget_signals, leave_on_signals
from monitor.app.help import HelpScreen
from monitor.app.keys import ACTIONS, bindings, read_keys, settings_path
from monitor.app.modelview import ModelScreen
from monitor.app.session import Session
from monitor.events import Heard
from monitor.snapshot import Snapshot

PULLS_PER_S = 40
_ROOM_FOR_KEYS = 100
_CALM_PULLS = 4
"""While nothing sounds the header is drawn at every so many pulls."""


class MonitorApp(Control):
    """Runs a session beside the screen; returns its last snapshot.

    `farewell` gives a further sentence for the end of the stream. With `quit_at_end` the app
    leaves by itself when the stream has ended.
    """

    CSS_PATH = "offkey.tcss"
    TITLE = "offkey"
    ENDING = "Ending: what was heard is being finished."
    AUTO_FOCUS = None
    COMMANDS = {Commands}  # noqa: RUF012 (declared by Textual)
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (112, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-least"),
        (10, "-tiny"),
        (13, "-low"),
        (20, "-short"),
        (34, "-medium"),
        (52, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(),
        Binding("escape", "back_out", show=False),
    ]

    def __init__(
        self,
        session: Session,
        *,
        quit_at_end: bool = False,
        farewell: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(session)
        self._quit_at_end = quit_at_end
        self._farewell = farewell
        self._last = Snapshot()
        self._pulls: Timer | None = None
        self._calm = 0
        self._footer = Footer(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """From the top: header, three panels, error profile, alarm, segments, notice, keys."""
        yield self.header
        yield Horizontal(self.isolation, self.reconstruction, self.verdict, id="panels")
        yield self.profile
        yield self.alarm_line
        yield self.table
        yield self.field
        yield self._notice
        yield self._footer

    def on_mount(self) -> None:
        """Begin."""
        leave_on_signals(self._leave_soon)
        self.begin_capture_print(self, stdout=False)
        self._take_keys()
        self.engine.start()
        self._pulls = self.set_interval(1 / PULLS_PER_S, self._pull)
        self.call_after_refresh(self._look_around)

    def on_resize(self, event: Resize) -> None:
        """Where the keys have room they stand apart from each other."""
        self._footer.compact = event.size.width < _ROOM_FOR_KEYS

    def _look_around(self) -> None:
        """What can wait until the first frame stands."""
        self.open_marks()
        self.tell_settings()

    def _take_keys(self) -> None:
        self.keys = read_keys(settings_path())
        self.set_keymap(self.keys.changed)
        self.header.pause_key = self.keys.text("pause")
        self.table.follow_key = self.keys.text("follow")
        self.alarm_line.key = self.keys.text("acknowledge")
        for problem in self.keys.problems:
            self.warn(problem)

    def on_unmount(self) -> None:
        """Whatever ended the app, the stream ends with it."""
        forget_signals()
        self.attention.restore()
        self.stop_playing()
        self.stream.stop()

    def on_print(self, event: Print) -> None:
        """A warning of a sink: shown for a while, and kept for after the screen."""
        # click takes Textual's stand-in for stderr for a binary stream, and writes bytes to it.
        said: str | bytes = event.text
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        for line in text.splitlines():
            if line.strip():
                self.warnings.append(line)
                self.warn(line)

    def _pull(self) -> None:
        is_done = self.engine.is_done
        snapshot, before = self.stream.snapshot, self._last
        new = self.take_new()
        self.follow_budget()
        if snapshot is not before or new:
            self._show(snapshot, before, new)
        if is_done and self._pulls is not None:
            self._pulls.stop()
            self._pulls = None
            self._finish()

    def _show(self, snapshot: Snapshot, before: Snapshot, new: list[Heard]) -> None:
        """Draw what has changed; the level of a quiet input less often."""
        has_new_state = snapshot.state != before.state
        is_calm = not (snapshot.gate_open or new or has_new_state or snapshot.finished)
        self._calm = (self._calm + 1) % _CALM_PULLS if is_calm else 0
        if self._calm:
            return
        self._last = snapshot
        self._head(snapshot)
        if has_new_state or (new and self.table.chosen is None):
            self.show_panels()
        if has_new_state:
            self.refresh_bindings()
            self.tell_settings()
        self._notice_alarms([heard for heard in new if heard.alarm])
        if has_new_state:
            self.attention.entitle(self.alarm_line.heard, snapshot.state)

    def _head(self, snapshot: Snapshot) -> None:
        """Show a moment in the header, and that a person has asked for the end."""
        is_ending = self.leaving and not snapshot.finished
        self.header.show(replace(snapshot, state="ending") if is_ending else snapshot)

    def _notice_alarms(self, alarms: list[Heard]) -> None:
        """Ring, pin and light up, but for what is muted."""
        loud = [heard for heard in alarms if heard.score.cluster not in self.muted]
        if loud:
            had_none = self.alarm_line.heard is None
            self.alarm_line.pin(loud)
            self.table.flash(loud[-1])
            self.attention.ring()
            self.attention.entitle(loud[-1], self._last.state)
            if had_none:
                self.refresh_bindings()
        if alarms:
            self.tell_settings()  # a file that hurried to its next alarm has its speed again

    def _finish(self) -> None:
        """The stream has ended by itself, or could not go on."""
        self.tell_settings()
        if self._has_failed():
            return
        if self._quit_at_end:
            self._leave()
        else:
            self._say(self._summary())

    def _summary(self) -> str:
        last = self.stream.snapshot
        sentences = [
            f"The input has ended: {words.plural(last.segments, 'segment')}, "
            f"{words.plural(last.alarms, 'alarm')}, {last.not_scored:,} not scored, "
            f"{words.lost_text(last.account)}."
        ]
        if last.problem is not None:
            sentences.append(f"! {words.printable(last.problem)}")
        if self._farewell is not None:
            sentences.append(words.printable(self._farewell()))
        return "\n".join(sentences)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:  # noqa: ARG002
        """Textual's own commands: what they can do is among ours."""
        yield from ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now has no key; other screens have keys of their own."""
        if not any(called.call.partition("(")[0] == action for called in ACTIONS):
            return True
        is_alone = len(self.screen_stack) == 1
        return is_alone and self.can(action, parameters)

    def action_help(self) -> None:
        """Show every action with its key."""
        self.push_screen(
            HelpScreen(self.keys, self.is_of_use, self.stream.detector.front_end.parts)
        )

    def action_model(self) -> None:
        """Show what the model can hear, is and promises."""
        self.push_screen(ModelScreen(self.stream.detector, self.session.title))

    def action_commands(self) -> None:
        """The command palette."""
        self.action_command_palette()

    def action_colours(self) -> None:
        """Light or dark."""
        self.theme = "textual-dark" if self.theme == "textual-light" else "textual-light"

    def _tell_ending(self) -> None:
        super()._tell_ending()
        self._head(self.stream.snapshot)
        self.verdict.show(self.shown, "ending", self.chosen_note)

    def _leave(self) -> None:
        self.attention.restore()
        super()._leave()
