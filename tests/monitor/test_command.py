"""The command for alarms: it gets the line, alone and in time, and can hold nothing back."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.detector import Score
from model.segment import Segment
from monitor.command import OnAnomaly
from monitor.events import Gap, Heard, StateChange
from monitor.sinks import json_line

Run = Callable[..., subprocess.CompletedProcess[str]]
Parse = Callable[[str], list[dict[str, Any]]]

PROC = Path("/proc/self")
LIMIT_S = 60.0
"""How long anything may take before its test fails: far more than it needs."""


@pytest.fixture(scope="module")
def bang(wav: Callable[..., bytes]) -> bytes:
    """Make a WAV of four seconds with one burst of noise."""
    rng = np.random.default_rng(1)
    samples = 1e-4 * rng.normal(size=32_000)
    samples[16_000:19_000] += 0.1 * rng.normal(size=3000)
    return wav(samples.astype(np.float32), 8000)


def alarm(number: int) -> Heard:
    """Make an alarm of this number, from a source of that name."""
    segment = Segment(np.zeros(0, np.float32), 0.0, 0.0)
    return Heard(str(number), None, segment, Score("anomalous"), number, alarm=True)


def python(program: str, *arguments: str | Path) -> list[str]:
    """Make a command that runs a program of Python."""
    return [sys.executable, "-c", program, *map(str, arguments)]


def wait_for(is_so: Callable[[], Any]) -> None:
    """Wait until something is so, however slow the machine is."""
    end = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def text_of(path: Path) -> str:
    """Read a file that may not be there yet."""
    return path.read_text() if path.exists() else ""


# --- what the command gets -----------------------------------------------------------------------


def test_the_command_gets_the_line_on_its_stdin(
    run: Run, parse: Parse, demo_model: Path, bang: bytes, tmp_path: Path
) -> None:
    """The command of an alarm reads the alarm's own JSON line, also when the run has ended."""
    script, got = tmp_path / "a script.py", tmp_path / "got.json"
    script.write_text(
        "import sys, time; time.sleep(1); open(sys.argv[1], 'w').write(sys.stdin.read())"
    )
    command = f"{sys.executable} '{script}' {got}"
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", command, stdin=bang)
    [line] = [line for line in parse(done.stdout) if line["type"] == "segment"]
    wait_for(lambda: text_of(got).endswith("\n"))
    assert parse(got.read_text()) == [line]
    assert done.returncode == 0


def test_the_command_runs_without_a_shell(
    run: Run, demo_model: Path, bang: bytes, tmp_path: Path
) -> None:
    """What a shell would expand or run is handed over as plain words."""
    words, made = tmp_path / "words", tmp_path / "made"
    program = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    command = f'{sys.executable} -c "{program}" {words} $HOME ; touch {made} *'
    run("monitor", demo_model, "--input", "-", "--on-anomaly", command, stdin=bang)
    wait_for(lambda: text_of(words).endswith("]"))
    assert words.read_text() == repr(["$HOME", ";", "touch", str(made), "*"])
    assert not made.exists()


def test_the_command_is_beyond_the_reach_of_ctrl_c(tmp_path: Path) -> None:
    """The command leads a session of its own: keys pressed in offkey's terminal do not end it."""
    said = tmp_path / "said"
    program = "import os, sys; open(sys.argv[1], 'w').write(f'{os.getpid()} {os.getsid(0)}\\n')"
    sink = OnAnomaly(python(program, said), lambda _: None)
    sink.take(alarm(1))
    wait_for(lambda: text_of(said).endswith("\n"))
    sink.close()
    process, session = said.read_text().split()
    assert process == session != str(os.getsid(0))


def test_what_is_no_alarm_runs_no_command(tmp_path: Path) -> None:
    """Normal segments, gaps, states and what carries on an alarm do not run the command."""
    made = tmp_path / "made"
    sink = OnAnomaly(["touch", str(made)], lambda _: None)
    sink.take(replace(alarm(1), alarm=False))
    sink.take(Gap(0.0, 1.0, "overflow"))
    sink.take(StateChange("now", "live"))
    sink.close()
    assert not made.exists()


@pytest.mark.parametrize("asked", ["it's", "'", " ", "", "/no/such/command --now", "/etc/passwd"])
def test_a_command_that_is_none_is_refused(
    run: Run, demo_model: Path, bang: bytes, asked: str
) -> None:
    """A command with an open quote, of blanks, or that is no program is wrong usage: exit 2."""
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", asked, stdin=bang)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--on-anomaly" in done.stderr


# --- commands that fail --------------------------------------------------------------------------


def test_a_command_that_fails_is_one_warning(
    run: Run, parse: Parse, demo_model: Path, bang: bytes
) -> None:
    """A command that fails is one warning; every line is still printed."""
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", "false", stdin=bang)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("offkey: ")]
    assert done.returncode == 0
    assert len(warnings) == 1
    assert "1" in warnings[0]
    assert sum(line.get("verdict") == "anomalous" for line in parse(done.stdout)) == 1


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (["false"], "failed with exit code 1"),
        (["sh", "-c", "kill -9 $$"], "was ended by signal 9"),
        (["/no/such/command"], "cannot be run: No such file or directory"),
    ],
)
def test_failures_are_warned_of_once_and_counted(command: list[str], how: str) -> None:
    """However often the command fails, there is one warning, and the number at the end."""
    warnings: list[str] = []
    sink = OnAnomaly(command, warnings.append)

    def has_failed(times: int) -> Callable[[], bool]:
        return lambda: sink.failed == times

    for number in (1, 2, 3):
        sink.take(alarm(number))
        wait_for(has_failed(number))
    sink.close()
    assert warnings == [
        f"The command {command[0]} {how}.",
        f"The command {command[0]} failed 3 times.",
    ]


@pytest.mark.parametrize("program", [":", "exec <&-; sleep .2", "exec >&-; sleep .2"])
def test_a_command_need_not_read(program: str) -> None:
    """A command that ends without reading, or closes what it was given, is no failure."""
    warnings: list[str] = []
    sink = OnAnomaly(["sh", "-c", program], warnings.append)
    # As long as the longest name makes it.
    sink.take(replace(alarm(1), source="六" * 4000))
    sink.close()
    assert warnings == []


# --- commands that take their time ---------------------------------------------------------------


def test_while_a_command_runs_only_the_newest_alarm_waits(tmp_path: Path) -> None:
    """Of the alarms that come while the command is busy only the last is told after it."""
    log, go = tmp_path / "log", tmp_path / "go"
    program = (
        "import sys, json, time, pathlib\n"
        "log, go = map(pathlib.Path, sys.argv[1:])\n"
        "with log.open('a') as f: f.write(json.loads(sys.stdin.read())['source'] + '\\n')\n"
        "while not go.exists(): time.sleep(.01)\n"
    )
    warnings: list[str] = []
    sink = OnAnomaly(python(program, log, go), warnings.append)
    sink.take(alarm(1))
    wait_for(lambda: text_of(log))
    for number in (2, 3, 4):
        sink.take(alarm(number))
    go.touch()
    wait_for(lambda: text_of(log).count("\n") == 2)
    sink.close()
    assert log.read_text().split() == ["1", "4"]
    assert warnings == ["Alarms not handed to the command: 2, it was still busy."]


def test_taking_an_alarm_never_waits(tmp_path: Path) -> None:
    """A thousand alarms are taken at once while the command is busy; the first is at work."""
    go = tmp_path / "go"
    warnings: list[str] = []
    sink = OnAnomaly(["sh", "-c", f"until test -e {go}; do sleep .05; done"], warnings.append)
    began = time.monotonic()
    for number in range(1000):
        sink.take(alarm(number))
    sink.close()
    assert time.monotonic() - began < 5
    assert len(warnings) == 1
    assert sink.not_handed == 999
    go.touch()
    sink._thread.join(LIMIT_S)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At its limit a command and its children are ended, with a warning, and the next one runs."""
    monkeypatch.setattr(OnAnomaly, "limit_s", 1.0)
    held, log = tmp_path / "held", tmp_path / "log"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    # Both the shell and its child hold the FIFO open: it ends when neither is left.
    program = f"echo >> {log}; test $(wc -l < {log}) = 1 || exit 0; exec 3> {held}; sleep 600; :"
    warnings: list[str] = []
    sink = OnAnomaly(["sh", "-c", program], warnings.append)
    sink.take(alarm(1))
    wait_for(lambda: text_of(log))
    sink.take(alarm(2))
    wait_for(lambda: text_of(log).count("\n") == 2)
    assert select.select([reader], [], [], LIMIT_S)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)
    sink.close()
    assert warnings == ["The command sh took longer than 1 s and was ended."]


def test_the_end_does_not_wait_for_a_slow_command(tmp_path: Path) -> None:
    """At the end a running command is left alone and finishes; the alarm behind it is told of.

    How it then ends is nobody's business any more.
    """
    log, go, out = tmp_path / "log", tmp_path / "go", tmp_path / "out"
    program = (
        "import sys, time, pathlib\n"
        "log, go, out = map(pathlib.Path, sys.argv[1:])\n"
        "log.touch()\n"
        "while not go.exists(): time.sleep(.01)\n"
        "out.write_text(sys.stdin.read())\n"
        "sys.exit(3)\n"
    )
    warnings: list[str] = []
    sink = OnAnomaly(python(program, log, go, out), warnings.append)
    sink.take(alarm(1))
    wait_for(log.exists)
    sink.take(alarm(2))
    sink.close()
    assert not out.exists()
    assert warnings == ["Alarms not handed to the command: 1, it was still busy."]
    go.touch()
    sink._thread.join(LIMIT_S)
    assert out.read_text() == json_line(alarm(1)) + "\n"
    assert len(warnings) == 1
    assert (sink.failed, sink.not_handed) == (0, 1)


def test_a_run_with_a_slow_command_ends_at_once(
    run: Run, demo_model: Path, bang: bytes, tmp_path: Path
) -> None:
    """A run whose last alarm runs `sleep 20` does not last that long, and nothing is missing."""
    began = time.monotonic()
    options = ("--save", tmp_path, "--on-anomaly", "sleep 20")
    done = run("monitor", demo_model, "--input", "-", *options, stdin=bang)
    assert time.monotonic() - began < 15
    assert done.returncode == 0
    assert "offkey: " not in done.stderr
    assert len(list(tmp_path.iterdir())) == 2


# --- weeks ---------------------------------------------------------------------------------------


def zombies() -> list[str]:
    """List the children of this process that ended and were not fetched."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if (state, parent) == ("Z", str(os.getpid())):
                found.append(status.parent.name)
    return found


@pytest.mark.skipif(not PROC.exists(), reason="/proc tells what a process holds")
def test_many_alarms_leave_nothing_behind() -> None:
    """Two hundred alarms in a row leave no thread, descriptor or process."""

    class Counted(OnAnomaly):
        ran = threading.Semaphore(0)

        def _run(self, heard: Heard) -> str | None:
            problem = super()._run(heard)
            self.ran.release()
            return problem

    def held() -> Counter[str]:
        descriptors = [os.path.realpath(entry) for entry in (PROC / "fd").iterdir()]
        return Counter(descriptors + [thread.name for thread in threading.enumerate()])

    warnings: list[str] = []
    before = held()
    sink = Counted(["true"], warnings.append)
    for number in range(200):
        sink.take(alarm(number))
        assert sink.ran.acquire(timeout=LIMIT_S)
    sink.close()
    assert held() == before
    assert zombies() == []
    assert warnings == []
