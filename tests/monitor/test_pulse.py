"""The microphone for real: what is played into a null sink of PulseAudio is heard from it.

PulseAudio runs in a folder of its own and is ended by its process, so that nothing else is touched.
What a fault did to the monitor is measured and printed: `pytest -rP` shows it.
"""

from __future__ import annotations

import ctypes.util
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]

MISSING = [tool for tool in ("pulseaudio", "pactl", "paplay") if not shutil.which(tool)]
if not ctypes.util.find_library("portaudio"):
    MISSING.append("libportaudio2")
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

LIMIT_S = 60.0
STALLED_S = 6.0
"""The state is to be shown within 3 s; a busy machine may take longer."""
ENDED_S = 1.5
"""An end with a frozen sound server, on a busy machine."""
NEAR_S = 0.5
"""So far may a loss as told lie from one as seen from outside, on a busy machine."""
IN_STEP_S = 0.3
"""So far may the time line lie from the clock on the wall."""


class Pulse:
    """A sound server of its own with one null sink, whose monitor is the microphone."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "pa.sock"
        self.env = os.environ | {
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
            "PULSE_SERVER": f"unix:{self._socket}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._modules: dict[str, str] = {}

    def start(self) -> None:
        """Start the server; return when the microphone is there."""
        self._process = subprocess.Popen(
            [
                shutil.which("pulseaudio") or "",
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            ],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + LIMIT_S
        while self._control("info").returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.skip("PulseAudio does not start here")
            time.sleep(0.1)
        self.add("vmic")

    def _control(self, *words: str) -> Outcome:
        return subprocess.run(
            [shutil.which("pactl") or "", *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def do(self, *words: str) -> str:
        """Run pactl; what it prints."""
        done = self._control(*words)
        assert done.returncode == 0, f"pactl {words}: {done.stderr}"
        return done.stdout.strip()

    def add(self, sink: str) -> None:
        """Add a null sink; while there is no other its monitor is the default source.

        Without `norewinds` it may work in steps of 2 s, and its first sound come as late.
        """
        form = "rate=48000 format=float32le channels=1 channel_map=mono norewinds=1"
        name = f"sink_name={sink}"
        self._modules[sink] = self.do("load-module", "module-null-sink", name, *form.split())

    def remove(self, sink: str) -> None:
        """Remove a null sink."""
        self.do("unload-module", self._modules[sink])

    def play(self, path: Path, sink: str = "vmic") -> None:
        """Play a file into a sink, to its end."""
        command = [
            shutil.which("paplay") or "",
            "--latency-msec=500",
            f"--device={sink}",
            str(path),
        ]
        subprocess.run(command, env=self.env, check=True, timeout=LIMIT_S)

    def freeze(self) -> float:
        """Let the server answer nobody; when that was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        return time.monotonic()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> float:
        """End the server at once, whatever it does; when that was."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait(LIMIT_S)
            self._process = None
        return time.monotonic()


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    """Run a sound server for one test."""
    with tempfile.TemporaryDirectory(prefix="offkey-pulse-") as folder:
        server = Pulse(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


class Ended:
    """How a monitor ended: exit code, stderr, its account, and when."""

    def __init__(self, code: int, errors: str, asked_at: float, ended_at: float) -> None:
        self.code, self.errors = code, errors
        self.asked_at, self.ended_at = asked_at, ended_at
        [last] = re.findall(r"^.* s in all: .*$", errors, re.MULTILINE)
        amounts = re.findall(r"([\d.]+) s (in all|[a-z ]+)", re.sub(r" \(.*?\)|,(?=\d)", "", last))
        self.parts_s = {name: float(amount) for amount, name in amounts}
        self.total_s = self.parts_s.pop("in all")


class Monitor:
    """`offkey monitor` at work on the device `pulse`; its lines can be waited for."""

    def __init__(self, command: list[str | Path], pulse: Pulse, parse: Parse) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=pulse.env,
        )
        self._parse = parse
        self._waiting: queue.Queue[tuple[float, str | None]] = queue.Queue()
        self.lines: list[Line] = []
        self.began_at = 0.0
        """When the first line came: with the first block."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._waiting.put((time.monotonic(), line))
        self._waiting.put((time.monotonic(), None))

    def look_for(self, limit_s: float, n: int = 1, **fields: Any) -> float | None:
        """Read lines until `n` with these fields have come from now on; when the last of them did.

        None where they do not come in time, or the monitor ends.
        """
        until = time.monotonic() + limit_s
        while True:
            try:
                at, text = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return None
            if text is None:
                return None
            [line] = self._parse(text)
            self.lines.append(line)
            self.began_at = self.began_at or at
            n -= fields.items() <= line.items()
            if not n:
                return at

    def wait_for(self, n: int = 1, **fields: Any) -> float:
        """As `look_for`; they have to come."""
        at = self.look_for(LIMIT_S, n, **fields)
        assert at is not None, f"{n} lines with {fields} did not come: {self.lines[-5:]}"
        return at

    def of_type(self, kind: str) -> list[Line]:
        """The lines of a type so far."""
        return [line for line in self.lines if line["type"] == kind]

    @property
    def states(self) -> list[str]:
        """The states that were told so far."""
        return [line["state"] for line in self.of_type("state")]

    def interrupt(self) -> Ended:
        """Press Ctrl-C and read what is left."""
        asked_at = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        return self.wait_until_it_ends(asked_at)

    def wait_until_it_ends(self, asked_at: float) -> Ended:
        """Read what is left."""
        code = self._process.wait(LIMIT_S)
        ended_at = time.monotonic()
        self.look_for(LIMIT_S, type="end")
        assert self._process.stderr is not None
        ended = Ended(code, self._process.stderr.read(), asked_at, ended_at)
        self._check_account(ended)
        return ended

    def _check_account(self, ended: Ended) -> None:
        """What was heard and what was lost is as much time as has passed; gaps tell what was lost.

        Where the process is asked to end it may go on counting until it has ended.
        """
        lost_s = sum(gap["lost_s"] for gap in self.of_type("gap"))
        wall_s = ended.asked_at - self.began_at, ended.ended_at - self.began_at
        print(f"time line {ended.total_s} s, lost {lost_s:.2f} s; wall {wall_s[0]:.2f} s")
        assert sum(ended.parts_s.values()) == pytest.approx(ended.total_s, abs=0.21)
        assert ended.parts_s["lost"] == pytest.approx(lost_s, abs=0.06)
        assert wall_s[0] - IN_STEP_S < ended.total_s < wall_s[1] + IN_STEP_S

    def kill(self) -> None:
        """End it whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


Start = Callable[..., Monitor]


@pytest.fixture
def start_monitor(
    command: str, demo_model: Path, pulse: Pulse, parse: Parse
) -> Iterator[Callable[..., Monitor]]:
    """Start to monitor the microphone, perhaps with more options; it is heard when this returns."""
    started: list[Monitor] = []

    def start(*options: str) -> Monitor:
        words: list[str | Path] = [
            command,
            "monitor",
            demo_model,
            "--headless",
            "--device",
            "pulse",
            *options,
        ]
        started.append(Monitor(words, pulse, parse))
        started[-1].wait_for(type="state")
        return started[-1]

    try:
        yield start
    finally:
        for monitor in started:
            monitor.kill()


def high(samples: Samples) -> Samples:
    """Take from 8,000 to 48,000 Hz; 20 dB quieter, so that the noise does not begin as a sound."""
    quiet: Samples = np.float32(0.1) * soxr.resample(samples, 8000, 48_000, quality="VHQ")
    return quiet


def write(path: Path, before_s: float, samples: Samples, after_s: float) -> Path:
    """Write samples of 48,000 Hz with digital silence before and after."""
    before, after = (np.zeros(round(48_000 * s), np.float32) for s in (before_s, after_s))
    soundfile.write(path, np.concatenate([before, samples, after]), 48_000, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, demo_stream: Samples) -> Path:
    """Write 12.5 s of the demo's stream, which is 40 dB over its noise."""
    path = tmp_path_factory.mktemp("played") / "played.wav"
    return write(path, 2.0, high(demo_stream[:100_000]), 1.0)


class Call:
    """Two short sounds, a six and a "one", to find out whether anybody hears."""

    def __init__(self, path: Path, verdicts: list[str]) -> None:
        self.path, self.verdicts = path, verdicts

    def is_heard(self, pulse: Pulse, monitor: Monitor, sink: str = "vmic") -> bool:
        """Play them, up to three times, as a busy machine may play them badly."""
        for _ in range(3):
            before = len(monitor.lines)
            pulse.play(self.path, sink)
            monitor.look_for(3.0, len(self.verdicts), type="segment")
            heard = [line for line in monitor.lines[before:] if line["type"] == "segment"]
            if [line["verdict"] for line in heard] == self.verdicts:
                return True
        return False


@pytest.fixture(scope="module")
def call(
    tmp_path_factory: pytest.TempPathFactory,
    demo_stream: Samples,
    run: Run,
    parse: Parse,
    demo_model: Path,
) -> Call:
    """Write the two sounds and see what they are as a file."""
    path = tmp_path_factory.mktemp("call") / "call.wav"
    two = np.concatenate([demo_stream[53_000:60_500], demo_stream[66_500:73_000]])
    write(path, 0.3, high(two), 0.2)
    verdicts = [line["verdict"] for line in parse(run("replay", demo_model, path).stdout)]
    assert verdicts == ["normal", "anomalous"]
    return Call(path, verdicts)


def check_stall(monitor: Monitor, fault_at: float) -> None:
    """It is told within seconds that no sound comes, and that the device is looked for."""
    stalled_s = monitor.wait_for(type="state", state="stalled") - fault_at
    print(f"stalled after {stalled_s:.2f} s")
    assert stalled_s < STALLED_S
    monitor.wait_for(type="state", state="reconnecting")


def check_recovery(monitor: Monitor, fault_at: float, back_at: float, cause: str) -> None:
    """Sound comes again by itself, after one gap that is as long as the clock says."""
    gap_at = monitor.wait_for(type="gap")
    [gap] = monitor.of_type("gap")
    print(f"gap of {gap['lost_s']:.2f} s told {gap_at - fault_at:.2f} s after the fault, ", end="")
    print(f"{gap_at - back_at:.2f} s after its end")
    assert gap["cause"] == cause
    assert gap["lost_s"] == pytest.approx(gap_at - fault_at, abs=NEAR_S)
    monitor.wait_for(type="state", state="live")


def check_clean_end(ended: Ended) -> None:
    """Ctrl-C is a success, and stderr holds the two lines of the summary alone."""
    assert ended.code == 0
    assert len(ended.errors.splitlines()) == 2, ended.errors


def check_loss_at_the_end(ended: Ended, sentence: str) -> None:
    """Input that is lost at the end is exit 1 and one sentence above the summary."""
    print(f"ended after {ended.ended_at - ended.asked_at:.2f} s")
    assert ended.code == 1
    assert len(ended.errors.splitlines()) == 3, ended.errors
    assert ended.errors.startswith(sentence)


# --- while all is well ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_played_file_is_heard_as_it_is_replayed(
    run: Run, parse: Parse, demo_model: Path, pulse: Pulse, start_monitor: Start, played: Path
) -> None:
    """As many segments as the file gives, their starts within 20 ms, their errors within 5 %."""
    expected = parse(run("replay", demo_model, played).stdout)
    assert len(expected) >= 8
    assert all(line["snr_db"] >= 30 for line in expected)
    monitor = start_monitor()
    pulse.play(played)
    monitor.wait_for(len(expected), type="segment")
    ended = monitor.interrupt()
    heard = monitor.of_type("segment")
    assert len(heard) == len(expected)
    shifts = np.array([h["start_s"] - e["start_s"] for h, e in zip(heard, expected, strict=True)])
    assert np.abs(shifts - np.median(shifts)).max() <= 0.02
    for line, other in zip(heard, expected, strict=True):
        assert line["verdict"] == other["verdict"]
        assert line["reconstruction_error"] == pytest.approx(
            other["reconstruction_error"], rel=0.05
        )
        assert line["source"] == "pulse"
        assert line["time"].endswith("Z")
    assert not monitor.of_type("gap")
    check_clean_end(ended)
    assert f"{len(heard)} segments" in ended.errors


def test_the_device_is_listed(run: Run, pulse: Pulse) -> None:
    """`offkey devices` lists the sound server among the inputs, and one default."""
    done = run("devices", env=dict(pulse.env))
    assert (done.returncode, done.stderr) == (0, "")
    assert "pulse" in [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert done.stdout.count("(default)") == 1


def test_an_unknown_device_is_refused_with_the_choices(
    run: Run, demo_model: Path, pulse: Pulse
) -> None:
    """A wrong name on the command line is exit 2 and names `pulse`."""
    done = run("monitor", demo_model, "--device", "gramophone", env=dict(pulse.env))
    assert (done.returncode, done.stdout) == (2, "")
    assert "'pulse'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- what happens when the device goes away: the table in FACTS.md -------------------------------


def test_a_server_that_was_killed_is_heard_again(
    pulse: Pulse, start_monitor: Start, call: Call
) -> None:
    """A killed server stalls the monitor; once it runs again its sounds are heard, after a gap."""
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    killed_at = pulse.kill()
    check_stall(monitor, killed_at)
    pulse.start()
    check_recovery(monitor, killed_at, time.monotonic(), "device")
    assert call.is_heard(pulse, monitor)
    check_clean_end(monitor.interrupt())


def test_a_sink_that_was_removed_is_heard_again(
    pulse: Pulse, start_monitor: Start, call: Call
) -> None:
    """A server without any source is as good as gone; a new source is heard, after a gap."""
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    pulse.remove("vmic")
    removed_at = time.monotonic()
    check_stall(monitor, removed_at)
    pulse.add("vmic")
    check_recovery(monitor, removed_at, time.monotonic(), "device")
    assert call.is_heard(pulse, monitor)
    check_clean_end(monitor.interrupt())


def test_another_source_that_takes_over_is_heard(
    pulse: Pulse, start_monitor: Start, call: Call
) -> None:
    """Which source is heard cannot be known, but its sounds are, and what the change lost is told.

    Only the clock tells of a loss, from 50 ms on; a source that is so much slower looks the same.
    """
    pulse.add("other")
    pulse.do("set-default-source", "vmic.monitor")
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    pulse.remove("vmic")
    assert call.is_heard(pulse, monitor, "other")
    print(f"gaps {[(gap['cause'], gap['lost_s']) for gap in monitor.of_type('gap')]}")
    assert {gap["cause"] for gap in monitor.of_type("gap")} <= {"clock"}
    assert "stalled" not in monitor.states
    check_clean_end(monitor.interrupt())


def test_a_suspended_source_is_heard_again(pulse: Pulse, start_monitor: Start, call: Call) -> None:
    """A source that brings nothing, though active, is a stall; it is heard when it is resumed."""
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    pulse.do("suspend-sink", "vmic", "1")  # a monitor cannot be suspended by itself
    suspended_at = time.monotonic()
    check_stall(monitor, suspended_at)
    pulse.do("suspend-sink", "vmic", "0")
    check_recovery(monitor, suspended_at, time.monotonic(), "stall")
    assert call.is_heard(pulse, monitor)
    check_clean_end(monitor.interrupt())


def test_a_short_freeze_is_no_stall(pulse: Pulse, start_monitor: Start, call: Call) -> None:
    """After 1.2 s of a frozen server the time line is right: late sound, or a gap by the clock."""
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    pulse.freeze()
    time.sleep(1.2)
    pulse.thaw()
    assert call.is_heard(pulse, monitor)
    gaps = monitor.of_type("gap")
    print(f"gaps {[(gap['cause'], gap['lost_s']) for gap in gaps]}")
    assert all(gap["cause"] == "clock" and gap["lost_s"] < 1.2 + NEAR_S for gap in gaps)
    assert "stalled" not in monitor.states
    check_clean_end(monitor.interrupt())


def test_a_frozen_server_is_heard_again(pulse: Pulse, start_monitor: Start, call: Call) -> None:
    """Calls that hang in a frozen server hold nobody up: stalled, and heard when it goes on."""
    monitor = start_monitor()
    monitor.wait_for(type="state", state="live")
    frozen_at = pulse.freeze()
    check_stall(monitor, frozen_at)
    time.sleep(max(0.0, frozen_at + 6.0 - time.monotonic()))
    pulse.thaw()
    check_recovery(monitor, frozen_at, time.monotonic(), "stall")
    assert call.is_heard(pulse, monitor)
    check_clean_end(monitor.interrupt())


# --- ending while it is away ---------------------------------------------------------------------


def test_ctrl_c_ends_while_the_server_is_frozen(pulse: Pulse, start_monitor: Start) -> None:
    """Nobody waits for a frozen server: exit 1 within seconds, the loss up to then told."""
    monitor = start_monitor()
    pulse.freeze()
    monitor.wait_for(type="state", state="stalled")  # the call that closes the device hangs now
    ended = monitor.interrupt()
    assert ended.ended_at - ended.asked_at < ENDED_S
    check_loss_at_the_end(ended, "offkey: 'pulse' was lost and has not come back.\n")
    [gap] = monitor.of_type("gap")
    assert gap["cause"] == "stall"


def test_exit_on_loss_ends_when_the_server_is_killed(pulse: Pulse, start_monitor: Start) -> None:
    """With --exit-on-loss a killed server is the end: exit 1 and one sentence."""
    monitor = start_monitor("--exit-on-loss")
    killed_at = pulse.kill()
    ended = monitor.wait_until_it_ends(killed_at)
    assert ended.ended_at - killed_at < STALLED_S
    check_loss_at_the_end(ended, "offkey: 'pulse' was lost; --exit-on-loss ends the run.\n")
    assert "stalled" in monitor.states


def test_a_server_that_is_frozen_from_the_start_is_refused(
    run: Run, demo_model: Path, pulse: Pulse
) -> None:
    """A server that does not answer at the start is exit 1 and one sentence, within seconds."""
    pulse.freeze()
    done = run("monitor", demo_model, "--headless", "--device", "pulse", env=dict(pulse.env))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("offkey: The sound system does not answer")
    assert len(done.stderr.splitlines()) == 1
