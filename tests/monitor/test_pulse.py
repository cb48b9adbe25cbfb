"""The microphone for real: a file is played into a null sink of PulseAudio and heard from it.

PulseAudio runs in a folder of its own and is ended by its process, so that nothing else is touched.
"""

from __future__ import annotations

import ctypes.util
import os
import queue
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

    def start(self) -> None:
        """Start the server; return when the microphone is there."""
        sink = "sink_name=vmic rate=48000 format=float32le channels=1 channel_map=mono"
        socket = f"auth-anonymous=1 socket={self._socket}"
        self._process = subprocess.Popen(
            [
                shutil.which("pulseaudio") or "",
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                f"--load=module-native-protocol-unix {socket}",
                f"--load=module-null-sink {sink}",
            ],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + LIMIT_S
        while self.control("set-default-source", "vmic.monitor").returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.skip("PulseAudio does not start here")
            time.sleep(0.1)

    def control(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run pactl."""
        return subprocess.run(
            [shutil.which("pactl") or "", *words], env=self.env, capture_output=True, check=False
        )

    def play(self, path: Path) -> None:
        """Play a file into the sink, to its end."""
        command = [shutil.which("paplay") or "", "--latency-msec=40", "--device=vmic", str(path)]
        subprocess.run(command, env=self.env, check=True, timeout=LIMIT_S)

    def end(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            self._process = None


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    """Run a sound server for one test."""
    with tempfile.TemporaryDirectory(prefix="offkey-pulse-") as folder:
        server = Pulse(Path(folder))
        server.start()
        yield server
        server.end()


class Monitor:
    """`offkey monitor` at work on the device `pulse`; its lines can be waited for."""

    def __init__(self, command: str, model: Path, pulse: Pulse, parse: Parse) -> None:
        self._process = subprocess.Popen(
            [command, "monitor", model, "--headless", "--device", "pulse"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=pulse.env,
        )
        self._parse = parse
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self.lines: list[Line] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._waiting.put(line)
        self._waiting.put(None)

    def wait_for(self, n: int = 1, **fields: Any) -> None:
        """Read lines until `n` of them have these fields, of those that come from now on."""
        until = time.monotonic() + LIMIT_S
        while n:
            text = self._waiting.get(timeout=max(0.1, until - time.monotonic()))
            assert text is not None, "the monitor has ended"
            [line] = self._parse(text)
            self.lines.append(line)
            n -= fields.items() <= line.items()

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C; read what is left: exit code and stderr."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        code = self._process.wait(LIMIT_S)
        while (text := self._waiting.get(timeout=LIMIT_S)) is not None:
            self.lines += self._parse(text)
        return code, errors

    def kill(self) -> None:
        """End it whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def monitor(command: str, demo_model: Path, pulse: Pulse, parse: Parse) -> Iterator[Monitor]:
    """Monitor the microphone; it is heard when this is given."""
    started = Monitor(command, demo_model, pulse, parse)
    try:
        started.wait_for(type="state", state="live")
        yield started
    finally:
        started.kill()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, demo_stream: Samples) -> Path:
    """Write 16 s of the demo's stream at 48,000 Hz, 2 s after the beginning, 1 s before the end.

    40 dB over its noise; 20 dB quieter than shipped, so that its noise does not begin as a sound.
    """
    high = soxr.resample(demo_stream[: 16 * 8000], 8000, 48_000, quality="VHQ")
    silence = np.zeros(48_000, np.float32)
    sound = np.concatenate([silence, silence, 0.1 * high, silence])
    path = tmp_path_factory.mktemp("played") / "played.wav"
    soundfile.write(path, sound.astype(np.float32), 48_000, subtype="FLOAT")
    return path


def test_a_played_file_is_heard_as_it_is_replayed(
    run: Run, parse: Parse, demo_model: Path, pulse: Pulse, monitor: Monitor, played: Path
) -> None:
    """As many segments as the file gives, their starts within 20 ms, their errors within 5 %."""
    expected = parse(run("replay", demo_model, played).stdout)
    assert len(expected) >= 8
    assert all(line["snr_db"] >= 30 for line in expected)
    pulse.play(played)
    monitor.wait_for(len(expected), type="segment")
    code, errors = monitor.end()
    heard = [line for line in monitor.lines if line["type"] == "segment"]
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
    assert not [line for line in monitor.lines if line["type"] == "gap"]
    assert code == 0
    assert f"{len(heard)} segments" in errors
    assert "Expression" not in errors


def test_a_sound_server_that_comes_back_is_heard_again(pulse: Pulse, monitor: Monitor) -> None:
    """The server ends and starts anew: stalled, reconnecting, a gap, live; then Ctrl-C, exit 0."""
    pulse.end()
    monitor.wait_for(type="state", state="stalled")
    monitor.wait_for(type="state", state="reconnecting")
    pulse.start()
    monitor.wait_for(type="gap")
    code, errors = monitor.end()
    [gap] = [line for line in monitor.lines if line["type"] == "gap"]
    assert gap["lost_s"] > 0
    assert gap["cause"] == "device"
    assert code == 0
    assert "Traceback" not in errors
    assert "Expression" not in errors


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
