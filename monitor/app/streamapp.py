"""What both screens share: a stream that runs beside them, and how they are left."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.widgets import Static

from model.errors import OffkeyError
from monitor.app.colours import ThemedApp
from monitor.app.dialogue import FailureDialogue
from monitor.app.engine import Engine
from monitor.stream import Stream

STOP_LIMIT_S = 5.0


class StreamApp(ThemedApp):
    """Runs a stream beside the screen; returns its last snapshot."""

    ENDING: ClassVar[str]
    """What is told while the stream ends."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.engine = Engine(stream)
        self.failure: OffkeyError | None = None
        """Why the stream could not go on; its caller ends with its exit code."""
        self.crash: BaseException | None = None
        """Anything else that the stream raised; its caller raises it again."""
        self.warnings: list[str] = []
        """What sinks warned of while the screen was up."""
        self.leaving = False
        """Whether a person has asked for the end."""
        self._notice = Static("", id="notice", markup=False)

    def _say(self, text: str) -> None:
        put(self._notice, text)
        self._notice.display = True

    def _has_failed(self) -> bool:
        """Whether the stream could not go on; then it is told, and the app leaves."""
        self._take_error()
        self.refresh_bindings()
        if self.crash is not None:
            self._leave()
        elif self.failure is not None:
            self.push_screen(FailureDialogue(self.failure), lambda _: self._leave())
        else:
            return False
        return True

    def _take_error(self) -> None:
        error = self.engine.error
        if isinstance(error, OffkeyError):
            self.failure = error
        elif error is not None:
            self.crash = error

    async def action_quit(self) -> None:
        """End the stream with everything flushed, then leave."""
        if self.leaving:
            return
        self.leaving = True
        if not self.engine.is_done:
            self._tell_ending()
        if not await asyncio.to_thread(self.engine.stop, STOP_LIMIT_S):
            self.failure = OffkeyError(
                f"The input did not end within {STOP_LIMIT_S:g} seconds.",
                "What was heard last may be missing.",
            )
        self._take_error()
        self._leave()

    def _tell_ending(self) -> None:
        """Say that the end was asked for; it may take a while."""
        self._say(self.ENDING)
        self.refresh_bindings()

    def _leave_soon(self) -> None:
        self.run_worker(self.action_quit(), exit_on_error=True)

    def _leave(self) -> None:
        code = 1 if self.crash is not None else self.failure.exit_code if self.failure else 0
        self.exit(self.stream.snapshot, return_code=code)


def put(widget: Static, text: str) -> None:
    """Show a text, where it is not shown already."""
    if str(widget.content) != text:
        widget.update(text)
