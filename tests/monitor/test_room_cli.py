"""`offkey room`: ten seconds of the place, and what is wrong with them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from monitor.room_cli import sounds_in

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
RATE_HZ = 8000


def hiss(seed: int, seconds: float, level: float = 0.003) -> Samples:
    """Make the steady noise of a room."""
    n = round(seconds * RATE_HZ)
    return (level * np.random.default_rng(seed).normal(size=n)).astype(np.float32)


def record(run: Callable[..., Outcome], samples: Samples, out: Path, *words: str) -> Outcome:
    """Record a room from samples as if they came from a microphone."""
    place = out.with_name("place.wav")
    soundfile.write(place, samples, RATE_HZ, subtype="FLOAT")
    return run("room", "-o", out, "--rehearse", place, "--speed", "max", *words)


@pytest.mark.parametrize("name", ["room.flac", "room.wav"])
def test_the_room_is_recorded_as_it_was(
    run: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    """Ten seconds are in the file, as they came, and the next command is said."""
    samples, out = hiss(0, 12), tmp_path / name
    done = record(run, samples, out)
    assert done.returncode == 0, done.stderr
    heard, rate_hz = soundfile.read(out, dtype="float32")
    assert rate_hz == RATE_HZ
    assert len(heard) == 10 * RATE_HZ
    assert np.abs(heard - samples[: len(heard)]).max() < 1e-6
    assert "--room" in done.stdout
    assert "sounded" not in done.stderr


def test_nothing_is_overwritten_by_a_slip(run: Callable[..., Outcome], tmp_path: Path) -> None:
    """A file that is there is refused with exit code 2 and stays; --replace records anew."""
    out = tmp_path / "room.wav"
    out.write_bytes(b"something dear")
    done = record(run, hiss(0, 3), out, "--seconds", "2")
    assert done.returncode == 2
    assert "--replace" in done.stderr
    assert out.read_bytes() == b"something dear"
    done = record(run, hiss(0, 3), out, "--seconds", "2", "--replace")
    assert done.returncode == 0, done.stderr
    assert soundfile.info(out).frames == 2 * RATE_HZ


def test_a_sound_in_the_room_is_told(
    run: Callable[..., Outcome], make_word: Callable[..., Samples], tmp_path: Path
) -> None:
    """A word in the room is named with its place; the file is written all the same."""
    samples = hiss(0, 8)
    word = 20 * make_word(3)
    samples[5 * RATE_HZ : 5 * RATE_HZ + len(word)] += word
    done = record(run, samples, tmp_path / "room.flac", "--seconds", "8")
    assert done.returncode == 0
    assert "something sounded at" in done.stderr
    assert (tmp_path / "room.flac").exists()
    assert any(4.8 < start_s < 5.2 for start_s in sounds_in(samples, RATE_HZ))


def test_steady_noise_is_no_sound() -> None:
    """In steady noise of ten seeds nothing opens the gate."""
    assert not [start for seed in range(10) for start in sounds_in(hiss(seed, 10), RATE_HZ)]


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(3 * RATE_HZ, np.float32), "digital zero"),
        (hiss(0, 0.5), "Less than a second"),
    ],
)
def test_what_is_no_room_is_not_written(
    run: Callable[..., Outcome], tmp_path: Path, samples: Samples, sentence: str
) -> None:
    """A muted or hardly heard microphone fails with a sentence; no file is left behind."""
    done = record(run, samples, tmp_path / "room.flac", "--seconds", "3")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["place.wav"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-o", "room.mp3"], "neither .flac nor .wav"),
        (["-o", "nowhere/room.wav"], "does not exist"),
        (["-o", "room.wav", "--seconds", "0"], "--seconds takes"),
        (["-o", "room.wav", "--rehearse", "missing.wav"], "missing.wav"),
    ],
)
def test_bad_input_gets_one_sentence(
    run: Callable[..., Outcome], tmp_path: Path, words: list[str], sentence: str
) -> None:
    """What cannot be done is refused with exit code 2 before anything is recorded."""
    done = run("room", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
