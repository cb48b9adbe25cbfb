"""The app: draws what a stream has heard, twenty times a second. It holds no audio logic."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Print
from textual.timer import Timer
from textual.widgets import Footer, Static

from model.errors import OffkeyError
from monitor.app import words
from monitor.app.dialogue import FailureDialogue
from monitor.app.engine import Engine
from monitor.app.header import Header
from monitor.app.panels import VerdictPanel, score_panels
from monitor.app.profile import ProfilePanel
from monitor.app.table import SegmentTable
from monitor.snapshot import Snapshot
from monitor.stream import Stream

PULLS_PER_S = 20
STOP_LIMIT_S = 5.0


class MonitorApp(App[Snapshot]):
    """Runs a stream beside the screen; returns its last snapshot.

    `farewell` gives a further sentence for the end of the stream. With `quit_at_end` the app
    leaves by itself when the stream has ended.
    """

    CSS_PATH = "offkey.tcss"
    TITLE = "offkey"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (112, "-wide")]  # noqa: RUF012 (declared by Textual)
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-medium"), (52, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause(True)", "pause"),
        Binding("p", "pause(False)", "go on"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        stream: Stream,
        *,
        title: str,
        quit_at_end: bool = False,
        farewell: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self.engine = Engine(stream)
        self.failure: OffkeyError | None = None
        """Why the stream could not go on; its caller ends with its exit code."""
        self.crash: BaseException | None = None
        """Anything else that the stream raised; its caller raises it again."""
        self.warnings: list[str] = []
        """What sinks warned of while the screen was up."""
        self._stream = stream
        self._quit_at_end = quit_at_end
        self._farewell = farewell
        self._shown = Snapshot()
        self._pulls: Timer | None = None
        self._leaving = False
        detector = stream.detector
        has_gate = detector.segmentation.mode == "event"
        self._header = Header(title, detector.card, has_gate)
        self._isolation, self._reconstruction = score_panels(detector)
        self._verdict = VerdictPanel(detector)
        self._profile = ProfilePanel(detector)
        self._table = SegmentTable()
        self._notice = Static("", id="notice", markup=False)

    def compose(self) -> ComposeResult:
        """From the top: header, three panels, error profile, segments, notice, keys."""
        yield self._header
        yield Horizontal(self._isolation, self._reconstruction, self._verdict, id="panels")
        yield self._profile
        yield self._table
        yield self._notice
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin."""
        with contextlib.suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._leave_soon)
        self.begin_capture_print(self, stdout=False)
        self.engine.start()
        self._pulls = self.set_interval(1 / PULLS_PER_S, self._pull)

    def on_unmount(self) -> None:
        """Whatever ended the app, the stream ends with it."""
        with contextlib.suppress(NotImplementedError, RuntimeError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        self._stream.stop()

    def on_print(self, event: Print) -> None:
        """A warning of a sink: shown for a while, and kept for after the screen."""
        # click takes Textual's stand-in for stderr for a binary stream, and writes bytes to it.
        said: str | bytes = event.text
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        for line in text.splitlines():
            if line.strip():
                self.warnings.append(line)
                self.notify(words.printable(line), severity="warning", markup=False)

    def _pull(self) -> None:
        is_done = self.engine.is_done
        snapshot, before = self._stream.snapshot, self._shown
        if snapshot is not before:
            self._shown = snapshot
            self._header.show(snapshot)
            if snapshot.recent is not before.recent or snapshot.state != before.state:
                self._show_segments(snapshot)
            if snapshot.state != before.state:
                self.refresh_bindings()
        if is_done and self._pulls is not None:
            self._pulls.stop()
            self._pulls = None
            self._finish()

    def _show_segments(self, snapshot: Snapshot) -> None:
        self._isolation.show(snapshot.recent)
        self._reconstruction.show(snapshot.recent)
        self._verdict.show(snapshot)
        self._profile.show(snapshot.recent[-1] if snapshot.recent else None)
        self._table.show(snapshot.recent)

    def _finish(self) -> None:
        """The stream has ended by itself, or could not go on."""
        self._take_error()
        self.refresh_bindings()
        if self.crash is not None:
            self._leave()
        elif self.failure is not None:
            self.push_screen(FailureDialogue(self.failure), lambda _: self._leave())
        elif self._quit_at_end:
            self._leave()
        else:
            self._say(self._summary())

    def _take_error(self) -> None:
        error = self.engine.error
        if isinstance(error, OffkeyError):
            self.failure = error
        elif error is not None:
            self.crash = error

    def _summary(self) -> str:
        last = self._stream.snapshot
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

    def _say(self, text: str) -> None:
        self._notice.update(text)
        self._notice.display = True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Pausing and going on share a key: only one of them can be done at a time."""
        if action == "pause":
            ended = self.engine.is_done
            return not ended and parameters[0] is not self._stream.is_paused
        return True

    def action_pause(self, paused: bool) -> None:
        """Pause, or go on."""
        self._stream.pause(paused)
        self.refresh_bindings()

    async def action_quit(self) -> None:
        """End the stream with everything flushed, then leave."""
        if self._leaving:
            return
        self._leaving = True
        if not self.engine.is_done:
            self._say("Ending: what was heard is being finished.")
        if not await asyncio.to_thread(self.engine.stop, STOP_LIMIT_S):
            self.failure = OffkeyError(
                f"The input did not end within {STOP_LIMIT_S:g} seconds.",
                "What was heard last may be missing.",
            )
        self._take_error()
        self._leave()

    def _leave_soon(self) -> None:
        self.run_worker(self.action_quit(), exit_on_error=True)

    def _leave(self) -> None:
        code = 1 if self.crash is not None else self.failure.exit_code if self.failure else 0
        self.exit(self._stream.snapshot, return_code=code)
