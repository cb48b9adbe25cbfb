"""What the tests of `monitor` share: small models, sounds, the command with any input, pulse.

The models are made once a session by the real command. Every run of the command is a process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from model.detector import Detector
from model.storage import read_model

DEMO = Path(__file__).parents[2] / "monitor" / "demo"
Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]

Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]

LIMIT_S = 60.0
"""How long a process may take before its test fails: far more than any needs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what test_app_pictures.py knows beside its comparison."""
    parser.addoption(
        "--update-pictures",
        action="store_true",
        help="store the pictures of the screen as they are now",
    )


@pytest.fixture(scope="session", autouse=True)
def _buffered() -> Iterator[None]:
    """Let processes buffer what they print, as they do elsewhere: a missing flush shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONUNBUFFERED", raising=False)
        yield


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them, and what they write in a folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def command() -> str:
    """Find the installed command `offkey`."""
    path = Path(sys.executable).with_name("offkey")
    if not path.exists():
        pytest.skip(f"offkey is not installed beside {sys.executable}")
    return str(path)


@pytest.fixture(scope="session")
def run(command: str) -> Callable[..., Outcome]:
    """Run `offkey` in a process of its own, perhaps with input, a folder and an environment."""

    def run(
        *arguments: str | Path,
        stdin: bytes | None = None,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> Outcome:
        done = subprocess.run(
            [command, *arguments],
            input=stdin or b"",
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            cwd=cwd,
            env=os.environ | (env or {}),
        )
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def start(command: str) -> Start:
    """Start `offkey` to be talked with, all three streams piped and unbuffered; ends it at last."""

    @contextlib.contextmanager
    def start(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [command, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        ) as process:
            limit = threading.Timer(LIMIT_S, process.kill)
            limit.start()
            try:
                yield process
            finally:
                limit.cancel()
                process.kill()

    return start


@pytest.fixture(scope="session")
def parse() -> Callable[[str], list[dict[str, Any]]]:
    """Parse JSON lines strictly: every line whole, no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    def parse(text: str) -> list[dict[str, Any]]:
        assert not text or text.endswith("\n"), "the last line is not complete"
        return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]

    return parse


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Outcome]) -> Path:
    """Calibrate on the 240 recordings of the demo. Nobody writes to it."""
    path = tmp_path_factory.mktemp("demo model") / "six.offkey"
    done = run("calibrate", DEMO / "reference", "-o", path, "--no-maps", "--features", "spectrum")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def mel_model(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Outcome]) -> Path:
    """Calibrate on the demo's recordings with mel. Nobody writes to it."""
    path = tmp_path_factory.mktemp("mel model") / "six.offkey"
    done = run("calibrate", DEMO / "reference", "-o", path, "--no-maps", "--features", "mel")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def mel_detector(mel_model: Path) -> Detector:
    """Read the mel model of the demo's recordings."""
    return read_model(mel_model)


@pytest.fixture(scope="session")
def demo_detector(demo_model: Path) -> Detector:
    """Read the model of the demo."""
    return read_model(demo_model)


@pytest.fixture(scope="session")
def demo_files() -> list[Path]:
    """List the 240 recordings of the demo, sorted."""
    return sorted((DEMO / "reference").glob("*.flac"))


@pytest.fixture(scope="session")
def demo_stream() -> Samples:
    """Read the demo's stream of a minute, at 8,000 Hz."""
    samples, rate_hz = soundfile.read(DEMO / "stream.flac", dtype="float32")
    assert rate_hz == 8000
    return np.asarray(samples, np.float32)


@pytest.fixture(scope="session")
def excerpt(demo_stream: Samples) -> Samples:
    """Cut out the stream's seconds 6 to 14 at 8,000 Hz: three sixes, a "one", a tone."""
    return demo_stream[6 * 8000 : 14 * 8000]


@pytest.fixture(scope="session")
def excerpt_file(tmp_path_factory: pytest.TempPathFactory, excerpt: Samples) -> Path:
    """Write the excerpt as 16-bit WAV."""
    path = tmp_path_factory.mktemp("excerpt") / "excerpt.wav"
    soundfile.write(path, excerpt, 8000)
    return path


@pytest.fixture(scope="session")
def six() -> Samples:
    """Read one of the demo's sixes at 48,000 Hz, 0.95 s with the silence after it."""
    samples, rate_hz = soundfile.read(DEMO / "reference" / "6_en-029-max_2.flac", dtype="float32")
    high: Samples = soxr.resample(samples, rate_hz, 48_000, quality="VHQ")
    return np.concatenate([high, np.zeros(45_600 - len(high), np.float32)])


@pytest.fixture(scope="session")
def wav() -> Callable[..., bytes]:
    """Make the bytes of a WAV: samples, rate and one of soundfile's subtypes."""

    def make(samples: Samples, rate_hz: int, subtype: str = "PCM_16") -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
        return file.getvalue()

    return make


def machine(seed: int, seconds: float) -> Samples:
    """Make up the steady sound of a machine at 8,000 Hz: hum, its overtones, and a hiss."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(8000 * seconds)) / 8000
    turn_hz = rng.uniform(49.5, 50.5)
    hum = sum(np.sin(2 * np.pi * k * turn_hz * t + rng.uniform(0, 6)) / k for k in (1, 2, 4, 8))
    samples = 0.05 * hum + 0.01 * rng.normal(size=len(t))
    return samples.astype(np.float32)


@pytest.fixture(scope="session")
def make_machine() -> Callable[[int, float], Samples]:
    """Make the steady sound of a machine from a seed and a length in seconds."""
    return machine


@pytest.fixture(scope="session")
def machine_model(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Outcome]) -> Path:
    """Calibrate in continuous mode on 8 recordings of a machine: windows of 0.5 s every 0.25 s."""
    folder = tmp_path_factory.mktemp("machine")
    for i in range(8):
        soundfile.write(folder / f"day {i}.wav", machine(i, 6.0), 8000)
    path = folder / "machine.offkey"
    done = run(
        "calibrate", folder, "-o", path, "--no-maps", "--mode", "continuous", "--duration", "0.5"
    )
    assert done.returncode == 0, done.stderr
    return path
