"""A command that is run for alarms. It can never hold the stream back, nor the end of the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence

from model.errors import shown
from monitor.events import Event, Heard
from monitor.sinks import Sink, Warn, json_line


class OnAnomaly(Sink):
    """Runs a command for every alarm, without a shell, the JSON line on its standard input.

    One at a time with a time limit; while one runs, only the newest alarm waits.
    """

    limit_s = 30.0
    closing_s = 0.5
    """How long `close` waits. What still runs then is left to end by itself."""

    def __init__(self, command: Sequence[str], warn: Warn) -> None:
        self._command = list(command)
        self._warn = warn
        self._newest: Heard | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._left = False
        self.failed = 0
        self.not_handed = 0
        """Alarms that a newer one replaced, or the end met, before the command was free."""
        self._thread = threading.Thread(target=self._work, name="offkey-command", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        """Hand an alarm over; never waits."""
        if isinstance(event, Heard) and event.alarm:
            with self._changed:
                self.not_handed += self._newest is not None
                self._newest = event
                self._changed.notify()

    def close(self) -> None:
        """Give the last commands a moment to end; tell what did not run, or not well."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self.closing_s)
        with self._changed:
            self._left = True
            self.not_handed += self._newest is not None
            self._newest = None
        if self.failed > 1:
            self._warn(f"The command {shown(self._command[0])} failed {self.failed:,} times.")
        if self.not_handed:
            self._warn(f"Alarms not handed to the command: {self.not_handed:,}, it was still busy.")

    def _work(self) -> None:
        while (heard := self._next()) is not None:
            problem = self._run(heard)
            if problem is None or self._left:
                continue
            self.failed += 1
            if self.failed == 1:
                self._warn(f"The command {shown(self._command[0])} {problem}.")

    def _next(self) -> Heard | None:
        """The newest alarm, as soon as there is one; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._closing)
            heard, self._newest = self._newest, None
            return heard

    def _run(self, heard: Heard) -> str | None:
        """Run the command for one alarm; what went wrong, to be said after its name, or None."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for offkey, not for the message under way
            )
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        try:
            # A line is smaller than a pipe: it is handed over whether the command reads or not.
            process.communicate(f"{json_line(heard)}\n".encode(), self.limit_s)
        except subprocess.TimeoutExpired:
            if self._left:
                return None
            _end_group(process)
            return f"took longer than {self.limit_s:g} s and was ended"
        return _failure(process.returncode)


def _failure(code: int) -> str | None:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"failed with exit code {code}" if code else None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started. One that may not be ended is not waited for."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    if process.stdin is not None:
        process.stdin.close()
