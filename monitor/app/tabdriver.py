"""Textual's driver for a browser's tab, which begins in view and ends with its server."""

from __future__ import annotations

import contextlib

from textual.drivers.web_driver import WebDriver
from textual.events import AppFocus
from textual.messages import ExitApp


class TabDriver(WebDriver):
    """Draws for `--web`; named in the environment of a tab's process."""

    def start_application_mode(self) -> None:
        """Begin as if the page were in view.

        Textual takes it for out of sight until it says otherwise, and then the list of keys stays
        empty: in a window beside another one, for as long as nobody clicks on it.
        """
        super().start_application_mode()
        self._app.call_later(self._app.post_message, AppFocus())

    def run_input_thread(self) -> None:
        """Take what the page says; when the server is gone, so is the page."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(ExitApp())

    def write(self, data: str) -> None:
        """Draw; for a page that is gone, nothing."""
        with contextlib.suppress(BrokenPipeError):
            super().write(data)

    def write_meta(self, data: dict[str, object]) -> None:
        """Say something to the server; to one that is gone, nothing."""
        with contextlib.suppress(BrokenPipeError):
            super().write_meta(data)
