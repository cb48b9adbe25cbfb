"""The recording screen: says what to do, shows what is heard, lists takes and what became of them.

It holds no audio logic; space plays the last take, and nothing is recorded meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Footer, Static

from model.errors import OffkeyError, shown
from monitor.app import words
from monitor.app.engine import forget_signals, leave_on_signals
from monitor.app.recordview import Count, Level, Takes, Top, goal_text, now_line
from monitor.app.streamapp import StreamApp, put
from monitor.playback import Player
from monitor.record_words import how_to, warning_text
from monitor.recording import Recording
from monitor.snapshot import Snapshot
from monitor.stream import Stream
from monitor.takes import read_take

PULLS_PER_S = 20
_ECHO_PULLS = 6
"""So long after a take was played its last sound may still be in the room."""


class RecordApp(StreamApp):
    """Runs a recording beside the screen; returns the stream's last snapshot."""

    CSS_PATH = "offkey.tcss"
    DEFAULT_CSS = """
    RecordApp {
        Top { height: 1; padding: 0 1; background: $panel; }
        #guide, #takes {
            border: round $foreground 25%;
            border-title-color: $text-muted;
            padding: 0 1;
        }
        #guide { height: auto; }
        #takes { height: 1fr; min-height: 4; }
        #now { text-style: bold; margin: 1 0; }
        #warning { height: 2; color: $text-warning; text-style: bold; }
        Level, Count { height: 1; }
        Takes { height: 1fr; margin-top: 1; }
        .-short #now { margin: 0; }
        .-short Takes { margin: 0; }
    }
    """
    TITLE = "offkey record"
    ENDING = "Ending: what was heard last is being kept."
    ENABLE_COMMAND_PALETTE = False
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012 (declared by Textual)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "listen", "listen to the last"),
        Binding("space", "stop_playing", "stop playing"),
        Binding("space", "miss('listen to')", show=False),
        Binding("u,backspace", "throw_away", "throw the last away"),
        Binding("u,backspace", "miss('throw away')", show=False),
        Binding("p", "pause(True)", "pause"),
        Binding("p", "pause(False)", "go on"),
        Binding("q,escape", "quit", "end"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, stream: Stream, recording: Recording) -> None:
        super().__init__(stream)
        self._recording = recording
        self._what = "pieces" if recording.plan.is_pieces else "takes"
        self._player = Player()
        self._paused = False
        self._has_takes = False
        self._listening = 0
        """Above 0 while a take is played, and a little longer."""
        self._pulls: Timer | None = None
        self._top = Top(shown(recording.folder.path))
        self._level = Level(has_gate=not recording.plan.is_pieces)
        self._count, self._takes = Count(recording), Takes(recording)
        self._now = Static("", id="now", markup=False)
        self._warning = Static("", id="warning", markup=False)

    def compose(self) -> ComposeResult:
        """From the top: state, what to do, takes, notice, keys."""
        yield self._top
        with Vertical(id="guide") as guide:
            guide.border_title = Content("what to do")
            yield Static(how_to(self._recording.plan), markup=False)
            yield self._now
            yield self._level
            yield self._warning
        with Vertical(id="takes") as takes:
            takes.border_title = Content(f"{self._what}, the newest first")
            yield self._count
            yield self._takes
        yield self._notice
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin."""
        leave_on_signals(self._leave_soon)
        self.engine.start()
        self._pulls = self.set_interval(1 / PULLS_PER_S, self._pull)

    def on_unmount(self) -> None:
        """Whatever ended the app, the recording ends with it."""
        forget_signals()
        self.stream.stop()
        self._player.close()

    def _pull(self) -> None:
        is_done = self.engine.is_done
        now = self.stream.snapshot
        self._attend_listening()
        if self._has_takes is not (self._recording.last is not None):
            self._has_takes = not self._has_takes
            self.refresh_bindings()
        self._top.show(self._as_told(now))
        self._level.show(now)
        self._show_takes()
        put(
            self._now,
            now_line(now, self._recording.plan, self._listening > 0, self._now.size.width),
        )
        warning = warning_text(now, self._recording)
        put(self._warning, f"! {warning}" if warning else "")
        if is_done and self._pulls is not None:
            self._pulls.stop()
            self._pulls = None
            self._finish(now)
        elif not self.leaving:
            self._say_goal()

    def _show_takes(self) -> None:
        self._count.redraw()
        self._takes.redraw()

    def _as_told(self, now: Snapshot) -> Snapshot:
        """The moment with the state as a person sees it: paused for playing, asked to end."""
        if self.leaving and not now.finished:
            return replace(now, state="ending")
        return replace(now, state="playing") if self._listening else now

    def _attend_listening(self) -> None:
        """When the last take has been played, and has faded in the room, record again."""
        if not self._listening:
            return
        if self._player.is_playing:
            self._listening = _ECHO_PULLS
            return
        self._listening -= 1
        if self._player.problem is not None:
            self._complain(self._player.problem)
            self._listening = 0
        if not self._listening:
            self._hold()

    def _hold(self) -> None:
        self.stream.pause(self._paused or self._listening > 0)
        self.refresh_bindings()

    def _say_goal(self) -> None:
        recording = self._recording
        if recording.kept >= recording.plan.goal:
            self._say(goal_text(recording))
        else:
            self._notice.display = False

    def _finish(self, now: Snapshot) -> None:
        """The stream has ended by itself, or could not go on."""
        if not self._has_failed():
            problem = f"! {words.printable(now.problem)}\n" if now.problem else ""
            self._say(f"{problem}The input has ended. q ends, and tells the next step.")

    def _complain(self, error: OffkeyError) -> None:
        self.notify(f"! {words.printable(str(error))}", severity="error", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What cannot be done now leaves its key to what can."""
        is_playing, has_takes = self._listening > 0, self._recording.last is not None
        if action == "pause":
            is_running = not (self.engine.is_done or self.leaving or is_playing)
            return is_running and parameters[0] is not self._paused
        if action == "stop_playing":
            return is_playing
        if action == "listen":
            return has_takes and not is_playing
        if action == "throw_away":
            return has_takes
        return action != "miss" or not (has_takes or is_playing)

    def action_pause(self, paused: bool) -> None:
        """Pause, or go on."""
        self._paused = paused
        self._hold()

    def action_listen(self) -> None:
        """Play the last good take."""
        take = self._recording.last
        if take is None or take.path is None:
            return
        try:
            samples, rate_hz = read_take(take.path)
        except OffkeyError as error:
            self._complain(error)
            return
        self._listening = _ECHO_PULLS
        self._hold()
        self._player.play(samples, rate_hz)

    def action_stop_playing(self) -> None:
        """Play no more; recording goes on when the room is quiet again."""
        self._player.stop()

    def action_miss(self, what: str) -> None:
        """Say why a key does nothing."""
        self.notify(f"There is no take to {what} yet.", markup=False)

    def action_throw_away(self) -> None:
        """Throw the last good take away."""
        try:
            take = self._recording.throw_away()
        except OffkeyError as error:
            self._complain(error)
            return
        if take is None:
            return
        self._show_takes()
        self.notify(f"Take {take.number:,} is thrown away; its file is gone.", markup=False)
        self.refresh_bindings()

    def _tell_ending(self) -> None:
        super()._tell_ending()
        self._top.show(self._as_told(self.stream.snapshot))
