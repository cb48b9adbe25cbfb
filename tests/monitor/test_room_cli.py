"""`offkey room`: ten seconds of the place, and what is wrong with them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from monitor.room_cli import sounds_in

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
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


def test_where_it_sounded_is_told_in_plain_words(
    run: Callable[..., Outcome], make_word: Callable[..., Samples], tmp_path: Path
) -> None:
    """Five places are named, the rest is counted: nobody reads the number as seconds."""
    samples = hiss(0, 12)
    for second in range(2, 11):
        word = 20 * make_word(second)
        samples[second * RATE_HZ : second * RATE_HZ + len(word)] += word
    told = record(run, samples, tmp_path / "room.flac", "--seconds", "12").stderr
    assert re.search(r"something sounded at (\d\.\d s, ){4}\d\.\d s, and 4 times more\.", told)


def next_command(done: Outcome) -> list[str]:
    """Find the words of the command that is named as the next step, as a shell takes them."""
    return shlex.split(done.stdout.splitlines()[-1].removeprefix("Next: "))


@pytest.mark.parametrize("name", ["my room.flac", "-x.flac", "it's.wav"])
def test_the_next_command_can_be_typed(
    run: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    """A name with a blank, a quote or a leading dash is one word, and no option."""
    soundfile.write(tmp_path / "place.wav", hiss(0, 3), RATE_HZ, subtype="FLOAT")
    words = ("--rehearse", "place.wav", "--speed", "max", "--seconds", "2")
    done = run("room", "-o", name, *words, cwd=tmp_path)
    command = next_command(done)
    assert command[:2] == ["offkey", "calibrate"]
    assert (tmp_path / command[-1]).samefile(tmp_path / name)
    assert not command[-1].startswith("-")


def test_after_a_doubt_the_next_step_is_to_record_anew(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    """A room that clips is not offered to calibrate: the command records the same place anew."""
    samples = hiss(0, 4)
    samples[::1000] = 1.5
    done = record(run, samples, tmp_path / "a room.wav", "--seconds", "3")
    assert "it clips" in done.stderr
    command = next_command(done)
    assert command[:4] == ["offkey", "room", "-o", str(tmp_path / "a room.wav")]
    assert command[-3:] == ["--seconds", "3", "--replace"]
    assert "--rehearse" in command


@pytest.mark.parametrize("name", ["room.flac", "room.wav"])
def test_the_level_is_that_of_the_file(
    run: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    """What a FLAC cannot hold is not told as if it were in it; WAV in floats holds it."""
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    samples = (1e3 * np.sin(2 * np.pi * 100.3 * t)).astype(np.float32)
    out = tmp_path / name
    done = record(run, samples, out, "--seconds", "3")
    heard, _ = soundfile.read(out)
    in_file = 20 * np.log10(np.sqrt(np.mean(heard**2)))
    assert f"at {in_file:.0f} dBFS".replace("-", "−") in done.stdout


def test_an_offset_is_told_and_is_no_level(run: Callable[..., Outcome], tmp_path: Path) -> None:
    """A room off its zero line is told; its level is that of what sounds in it."""
    done = record(run, hiss(0, 4) + np.float32(0.05), tmp_path / "room.flac", "--seconds", "3")
    assert "off its zero line by 5.0 % of full scale" in done.stderr
    assert "at −50 dBFS" in done.stdout
    done = record(run, hiss(0, 4) + np.float32(0.001), tmp_path / "other.flac", "--seconds", "3")
    assert "zero line" not in done.stderr


def test_a_file_that_comes_while_it_records_stays(
    run: Callable[..., Outcome], start: Start, tmp_path: Path
) -> None:
    """Without --replace what somebody else writes meanwhile is kept, and so is the room."""
    out, place = tmp_path / "room.wav", tmp_path / "place.wav"
    soundfile.write(place, hiss(0, 5), RATE_HZ, subtype="FLOAT")
    with start("room", "-o", out, "--rehearse", place, "--seconds", "3") as process:
        assert process.stderr is not None
        process.stderr.readline()  # it records
        out.write_bytes(b"something dear")
        told = process.stderr.read().decode()
        assert process.wait() == 1
    assert out.read_bytes() == b"something dear"
    assert f"it is in {out.with_name('room-2.wav')}" in told
    assert soundfile.info(out.with_name("room-2.wav")).frames == 3 * RATE_HZ
    assert len(list(tmp_path.iterdir())) == 3


def test_steady_noise_is_no_sound() -> None:
    """In steady noise of ten seeds nothing opens the gate."""
    assert not [start for seed in range(10) for start in sounds_in(hiss(seed, 10), RATE_HZ)]


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(3 * RATE_HZ, np.float32), "digital zero"),
        (np.full(3 * RATE_HZ, np.nan, np.float32), "not finite"),
        (np.where(np.arange(3 * RATE_HZ) % 3, np.inf, hiss(0, 3)), "not finite"),
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
        (["-o", "room.wav", "--seconds", "601"], "from 1 to 600"),
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
