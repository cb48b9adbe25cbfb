"""Runs the app with file descriptor 2 kept off the screen.

Textual draws on `sys.__stderr__`, and sound libraries print on descriptor 2 across it. While the
app is up, descriptor 2 is a temporary file; what came in is printed when the screen is gone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from monitor.app.streamapp import STOP_LIMIT_S, StreamApp


def run_app(app: StreamApp) -> None:
    """Run the app to its end; then print what was said meanwhile on stderr.

    Raises again whatever the stream raised but an OffkeyError: that one is `app.failure`.
    """
    with _screen_apart_from_stderr():
        try:
            app.run()
        finally:
            if app.return_value is None:
                app.engine.stop(STOP_LIMIT_S)
    for warning in app.warnings:
        print(warning, file=sys.stderr)  # noqa: T201
    if app.crash is not None:
        raise app.crash
    if app.return_code and app.failure is None:
        sys.exit(app.return_code)


@contextlib.contextmanager
def _screen_apart_from_stderr() -> Iterator[None]:
    """Give Textual a descriptor of its own for the terminal, and descriptor 2 a log."""
    terminal = _terminal()
    if terminal is None:
        yield
        return
    stderr, before = sys.__stderr__, os.dup(2)
    with tempfile.TemporaryFile() as log:
        screen = os.fdopen(os.dup(terminal), "w", encoding="utf-8", errors="replace")
        os.dup2(log.fileno(), 2)
        sys.__stderr__ = screen  # type: ignore[misc]
        try:
            yield
        finally:
            sys.__stderr__ = stderr  # type: ignore[misc]
            screen.close()
            os.dup2(before, 2)
            os.close(before)
            _print(log)


def _terminal() -> int | None:
    """The descriptor of the terminal: stderr's, or stdout's where stderr leads elsewhere."""
    try:
        os.fstat(2)
    except OSError:
        return None
    return next((number for number in (2, 1) if os.isatty(number)), None)


def _print(log: IO[bytes]) -> None:
    log.seek(0)
    text = log.read().decode(errors="replace")
    if text.strip():
        sys.stderr.write(text)
        sys.stderr.flush()
