"""Processes of our own for sound calls beside the monitored input.

PortAudio's calls may hang, and starting PortAudio anew, as a lost microphone needs, ends every
stream that its process holds. A process of its own can hang, or be ended, without harm to anybody.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = (
    "import importlib, sys; sys.path.append(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)
_GONE_S = 1.0


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Run `main(*arguments)` of a module of ours, stdin and stdout piped. Raises OSError."""
    root = str(Path(__file__).resolve().parent.parent)
    return subprocess.Popen(
        # -P: what lies in the current folder must not take the place of our modules.
        [sys.executable, "-P", "-c", _PROGRAM, root, module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # PortAudio and ALSA print there
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process at once, whatever it does, and let nothing of it stay behind."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GONE_S)


def ignore_interrupts() -> None:
    """Ctrl-C goes to every process of a terminal; what ends a helper is whoever started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def reason(error: Exception) -> str:
    """What PortAudio says, without its codes and without the name of its call."""
    plain = re.sub(r"\s*\[[^\]]*\]", "", str(error))
    plain = re.sub(r"^Error (opening|starting|querying) \w+: ", "", plain).strip()
    of_host = re.fullmatch(r"Unanticipated host error(?:: '(.*)')?", plain, re.DOTALL)
    return plain if of_host is None else of_host[1] or "no reason is given"
