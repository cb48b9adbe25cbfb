"""How loud it is at every input, for somebody who has to choose one.

A process of its own measures (helper.py says why): it sees also what was plugged in since the
program began, because PortAudio looks for devices only when it starts. `LevelWatch` is what others
use; levelprobe.py is what that process runs.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from monitor import helper

AGAIN = 4
"""Exit code of a process that has to begin again."""
_SILENCE_S = 8.0
"""So long without a word, and the process hangs."""
_JOIN_S = 1.0


@dataclass(frozen=True)
class InputLevel:
    """An input device and what it brings."""

    name: str
    channels: int
    rate_hz: int
    is_default: bool
    state: str
    """`waiting`: its turn comes; `opening`; `heard`; `mute`: open, but nothing comes; `failed`;
    `hung`: the call that opens it does not return."""
    peak_dbfs: float | None = None
    """Where it is heard, the largest peak of the last half second; None for digital zero."""
    problem: str | None = None
    """Where it failed: why, in a few words."""


@dataclass(frozen=True)
class Levels:
    """All inputs at one moment."""

    inputs: tuple[InputLevel, ...] | None = None
    """None until it is known which there are, or where there is a problem."""
    problem: str | None = None
    """Why nothing can be measured, in one sentence."""
    hint: str = ""


class LevelWatch:
    """Measures from `start` to `close`. No call waits for the sound system."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = Levels()
        self._heard_at_s = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, name="offkey-levels", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def newest(self) -> Levels:
        """What was measured last."""
        if self._thread.is_alive() and time.monotonic() - self._heard_at_s > _SILENCE_S:
            return SILENT
        return self._newest

    def close(self) -> None:
        """End, and let go of every device."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _read(self) -> None:
        """Measure; while a device hangs no other can be opened: then again, without it."""
        hung: list[str] = []
        try:
            while self._run(hung) == AGAIN:
                hung = [one.name for one in self._newest.inputs or () if one.state == "hung"]
        except OSError as error:
            self._newest = Levels(problem=f"The inputs cannot be measured: {error.strerror}.")
            return
        if self._newest.problem is None:
            self._newest = _ENDED

    def _run(self, hung: list[str]) -> int | None:
        process = helper.start("monitor.levelprobe", json.dumps(hung))
        with self._lock:
            self._process = process
            if self._is_closed:
                process.kill()
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._take(read_levels(json.loads(line)))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_JOIN_S)  # it has closed its stdout, and is about to say why
        helper.end(process)
        return process.returncode

    def _take(self, told: Levels) -> None:
        self._heard_at_s = time.monotonic()
        if told.inputs is not None or told.problem is not None:
            self._newest = told


SILENT = Levels(
    problem="The sound system does not answer.",
    hint="It may be starting anew: look again after a while.",
)
_ENDED = Levels(problem="The sound system failed while the inputs were measured.")


def read_levels(told: dict[str, Any]) -> Levels:
    """What a line of the process says. Raises KeyError or TypeError for anything else."""
    if told["problem"] is not None:
        return Levels(None, str(told["problem"]), str(told["hint"]))
    if told["inputs"] is None:
        return Levels()
    return Levels(tuple(InputLevel(**one) for one in told["inputs"]))
