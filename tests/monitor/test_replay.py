"""`offkey replay --headless`: files through the live path, as fast as they go or paced."""

from __future__ import annotations

import itertools
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.detector import Detector
from monitor.events import Event, Heard
from monitor.sinks import Sink, json_line
from monitor.sources import AudioFile
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
Parse = Callable[[str], list[dict[str, Any]]]


class Collector(Sink):
    """Keeps every event as the line that it becomes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heard: list[Heard] = []

    def take(self, event: Event) -> None:
        """Keep one."""
        self.lines.append(json_line(event))
        if isinstance(event, Heard):
            self.heard.append(event)


def streamed(detector: Detector, path: Path) -> list[str]:
    """Run a file through a stream in this process: its lines."""
    collector = Collector()
    Stream(detector, [AudioFile(str(path))], [collector]).run()
    return collector.lines


@pytest.fixture(scope="module")
def replayed(run: Run, demo_model: Path, excerpt_file: Path) -> Outcome:
    """Replay the excerpt as fast as it goes."""
    return run("replay", demo_model, excerpt_file)


def test_lines_are_those_of_a_stream(
    replayed: Outcome, demo_detector: Detector, excerpt_file: Path
) -> None:
    """The command prints exactly what a stream of the same file gives."""
    assert replayed.returncode == 0
    assert replayed.stdout.splitlines() == streamed(demo_detector, excerpt_file)


def test_every_sound_is_one_segment(replayed: Outcome, parse: Parse) -> None:
    """The excerpt's five sounds, and only they, are segments that hold them from end to end."""
    truth = [(6.955, 7.314), (8.635, 8.963), (9.905, 10.276), (11.262, 11.762), (12.944, 13.327)]
    lines = parse(replayed.stdout)
    assert len(lines) == len(truth)
    for line, (start_s, end_s) in zip(lines, truth, strict=True):
        assert line["start_s"] <= start_s - 6 <= line["start_s"] + 0.2
        assert line["start_s"] + line["duration_s"] >= end_s - 6 - 0.03
        assert line["time"] is None
        assert not line["continues"]


def test_a_segment_scores_like_its_own_samples(
    replayed: Outcome, parse: Parse, run: Run, demo_model: Path, excerpt: Samples, tmp_path: Path
) -> None:
    """A segment cut out of the file by hand and scored as a file gives nearly the same error."""
    line = parse(replayed.stdout)[0]
    first, n = (round(line[name] * 8000) for name in ("start_s", "duration_s"))
    soundfile.write(tmp_path / "cut.wav", excerpt[first : first + n], 8000)
    alone = parse(run("score", demo_model, tmp_path / "cut.wav").stdout)[0]
    assert alone["reconstruction_error"] == pytest.approx(line["reconstruction_error"], rel=0.02)


@pytest.mark.parametrize("speed", ["max", "7", "20.5"])
def test_speed_changes_no_line(
    run: Run, demo_model: Path, excerpt_file: Path, replayed: Outcome, speed: str
) -> None:
    """Paced at any speed, in other blocks, a file gives the same bytes."""
    assert run("replay", "--speed", speed, demo_model, excerpt_file).stdout == replayed.stdout


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_that_is_none_is_refused(
    run: Run, demo_model: Path, excerpt_file: Path, speed: str
) -> None:
    """A wrong speed is wrong usage: exit 2."""
    done = run("replay", f"--speed={speed}", demo_model, excerpt_file)
    assert done.returncode == 2
    assert "--speed" in done.stderr
    assert done.stdout == ""


def test_a_folder_is_refused_with_the_verb_that_takes_it(
    run: Run, demo_model: Path, tmp_path: Path
) -> None:
    """Replay takes files: of a folder it says so, and which verb takes one."""
    done = run("replay", demo_model, tmp_path)
    assert done.returncode == 2
    assert "is a folder. offkey score takes folders." in done.stderr


@pytest.mark.parametrize("value", [np.nan, 1e20])
def test_what_is_no_number_leaves_a_trace(
    run: Run, parse: Parse, demo_model: Path, tmp_path: Path, value: float
) -> None:
    """Half a second of it is a line that says so; a few samples are in the account at least."""
    samples = np.random.default_rng(0).normal(size=80_000) * 1e-3
    samples[40_000:44_000] = value
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    done = run("replay", demo_model, tmp_path / "x.wav", "--headless")
    lines = [line for line in parse(done.stdout) if line["reason"] == "not finite"]
    assert [(line["start_s"], line["duration_s"]) for line in lines] == [(5.0, 0.5)]
    assert "0.5 s not scored" in done.stderr
    assert "; 0.5 s of it not finite" in done.stderr
    samples[40_000:44_000] = 0
    samples[7] = value
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="FLOAT")
    done = run("replay", demo_model, tmp_path / "x.wav", "--headless")
    assert "; 0.00013 s of it not finite" in done.stderr


def test_several_files_are_one_after_the_other(
    run: Run, demo_model: Path, excerpt_file: Path, excerpt: Samples, replayed: Outcome,
    tmp_path: Path, parse: Parse,
) -> None:  # fmt: skip
    """Each file begins anew: its lines are those that it gives alone, in the order given."""
    other = tmp_path / "other.flac"
    soundfile.write(other, excerpt[::-1], 8000)
    alone = run("replay", demo_model, other).stdout
    assert alone
    done = run("replay", demo_model, excerpt_file, other, excerpt_file)
    assert done.stdout == replayed.stdout + alone + replayed.stdout
    assert f"{len(parse(done.stdout))} segments" in done.stderr


def test_a_missing_file_is_refused_before_anything_is_heard(
    run: Run, demo_model: Path, excerpt_file: Path, tmp_path: Path
) -> None:
    """A wrong name among the files is exit 2, one sentence, no lines."""
    done = run("replay", demo_model, excerpt_file, tmp_path / "gone.wav")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("offkey: ")
    assert "gone.wav does not exist." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_is_refused(run: Run, demo_model: Path, tmp_path: Path) -> None:
    """Replay takes files; a folder is called one."""
    done = run("replay", demo_model, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is a folder." in done.stderr


def test_more_files_than_may_be_open_at_once(
    command: str, demo_model: Path, demo_files: list[Path], parse: Parse
) -> None:
    """The number of files is not limited by how many a process may hold open."""
    done = subprocess.run(
        [command, "replay", demo_model, *demo_files[:60]],
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len({line["source"] for line in parse(done.stdout.decode())}) == 60


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_of_a_cut_file_what_is_there_is_scored(
    run: Run, parse: Parse, demo_model: Path, excerpt: Samples, excerpt_file: Path,
    replayed: Outcome, tmp_path: Path, suffix: str,
) -> None:  # fmt: skip
    """A cut file gives what it holds, one warning, exit 1; the file after it is heard."""
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    soundfile.write(whole, excerpt, 8000)
    data = whole.read_bytes()
    cut.write_bytes(data[: round(len(data) * 0.6)])
    done = run("replay", demo_model, cut, excerpt_file)
    expected = parse(replayed.stdout)
    lines = parse(done.stdout)
    assert done.returncode == 1
    of_cut = [line for line in lines if line["source"] == str(cut)]
    assert len(of_cut) in (2, 3)
    for line, other in zip(of_cut[:2], expected, strict=False):
        assert line | {"source": ""} == other | {"source": ""}
    assert [line for line in lines if line["source"] == str(excerpt_file)] == expected
    warnings = [line for line in done.stderr.splitlines() if line.startswith("offkey: ")]
    assert len(warnings) == 1
    assert f"cut.{suffix}" in warnings[0]


def test_what_is_not_finite_spoils_its_segment_only(
    run: Run, parse: Parse, demo_model: Path, excerpt: Samples, replayed: Outcome, tmp_path: Path
) -> None:
    """NaN and infinity inside a sound make that segment `not finite` and leave the others alone."""
    broken = excerpt.copy()
    broken[[8200, 30_200]] = np.nan, np.inf
    soundfile.write(tmp_path / "broken.wav", broken, 8000, subtype="FLOAT")
    lines = parse(run("replay", demo_model, tmp_path / "broken.wav").stdout)
    whole = parse(replayed.stdout)
    assert [line["reason"] for line in lines] == ["not finite", None, None, None, None][
        : len(lines)
    ]
    assert [line["start_s"] for line in lines] == [line["start_s"] for line in whole]
    for line, other in zip(lines[1:], whole[1:], strict=True):
        assert line["reconstruction_error"] == pytest.approx(
            other["reconstruction_error"], rel=1e-3
        )


def test_a_file_without_sound_scores_nothing(
    run: Run, parse: Parse, demo_model: Path, tmp_path: Path
) -> None:
    """Zeros, a constant and nothing at all are heard to their ends; nothing of them is scored."""
    for name, samples in (
        ("constant.wav", np.full(30_000, 0.5)),
        ("empty.wav", np.zeros(0)),
        ("zeros.wav", np.zeros(30_000)),
    ):
        soundfile.write(tmp_path / name, samples, 8000)
    done = run("replay", demo_model, *sorted(tmp_path.iterdir()))
    lines = parse(done.stdout)
    assert done.returncode == 0
    assert {line["verdict"] for line in lines} <= {"not scored"}
    assert {Path(line["source"]).name for line in lines} <= {"constant.wav"}
    assert " 0 alarms" in done.stderr


# --- alarms of long sounds, and signals ---------------------------------------------------------


def test_a_long_sound_is_one_alarm(
    run: Run, parse: Parse, demo_model: Path, tmp_path: Path
) -> None:
    """Four seconds of noise are segments that continue one another, one alarm, one clip."""
    rng = np.random.default_rng(1)
    t = np.arange(4 * 8000) / 8000
    # It pulses faster than the hang-over, so that the floor stays where it was.
    noise = rng.normal(size=len(t)) * 0.1 * (np.sin(2 * np.pi * 5 * t) > 0)
    samples = np.concatenate([np.zeros(16_000), noise, np.zeros(9600)])
    samples += 5e-4 * rng.normal(size=len(samples))
    soundfile.write(tmp_path / "long.wav", samples, 8000)
    done = run("replay", demo_model, tmp_path / "long.wav", "--save", tmp_path / "clips")
    lines = parse(done.stdout)
    assert len(lines) in (4, 5)
    assert [line["continues"] for line in lines] == [False] + [True] * (len(lines) - 1)
    assert {line["verdict"] for line in lines} == {"anomalous"}
    for before, after in itertools.pairwise(lines):
        assert after["start_s"] == pytest.approx(before["start_s"] + before["duration_s"])
    assert f"{len(lines)} segments, 1 alarm," in done.stderr
    assert len(list((tmp_path / "clips").glob("*.flac"))) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_paced_replay(
    start: Start, parse: Parse, demo_model: Path, excerpt_file: Path, replayed: Outcome,
    number: signal.Signals,
) -> None:  # fmt: skip
    """At the speed of the real thing a signal ends the run at once: exit 0, whole lines."""
    with start("replay", "--speed", "1", demo_model, *[excerpt_file] * 20) as process:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    lines = parse(first + out.decode())
    assert process.returncode == 0
    assert first == replayed.stdout.splitlines(keepends=True)[0]
    assert 1 <= len(lines) <= 40
    assert f"{len(lines)} segment" in err.decode()


def test_a_sound_under_way_is_given_when_a_signal_comes(
    start: Start, parse: Parse, demo_model: Path, excerpt: Samples, tmp_path: Path
) -> None:
    """What is open when the run is ended becomes its last segment: everything is flushed.

    A second after the first word a pulsing noise begins that lasts for two minutes.
    """
    rng = np.random.default_rng(1)
    t = np.arange(8000 * 120)
    noise = np.where(t % 1600 < 800, 0.1, 1e-4).astype(np.float32)
    noise *= rng.normal(size=len(t)).astype(np.float32)
    soundfile.write(tmp_path / "noisy.wav", np.concatenate([excerpt[:14_000], noise]), 8000)
    with start("replay", "--speed", "3", demo_model, tmp_path / "noisy.wav") as process:
        assert process.stdout is not None
        first = [process.stdout.readline().decode() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    lines = parse("".join(first) + out.decode())
    assert process.returncode == 0
    assert len(lines) >= 4
    assert [line["continues"] for line in lines[2:]] == [True] * len(lines[2:])
    for before, after in itertools.pairwise(lines[1:]):
        assert after["start_s"] == pytest.approx(before["start_s"] + before["duration_s"])


def test_a_reader_that_leaves_ends_the_replay(
    start: Start, demo_model: Path, excerpt_file: Path
) -> None:
    """After `| head -1` the exit code is 0 and there is no traceback."""
    with start("replay", demo_model, *[excerpt_file] * 40) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"}\n")
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() == 0


STREAMING = """
import os, signal, sys, threading
import numpy as np
from model.audio import Block
from model.storage import read_model
from monitor.stream import Stream
from monitor.terminal import stop_on_signals

class Waiting:
    name, rate_hz, is_live, length_s = "waiting", 8000, False, None
    state, detail, problem, began = "live", "", None, None
    def __enter__(self): return self
    def __exit__(self, *exc): pass
    def blocks(self, stop, paused):
        while not stop.wait(0):
            yield Block(np.empty(0, np.float32), 0)

detector = read_model(sys.argv[1])
for _ in range(100):
    stream = Stream(detector, [Waiting()])
    with stop_on_signals(stream.stop):
        threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGTERM)).start()
        stream.run()
print("done")
"""


def test_a_signal_at_any_moment_never_locks_up(demo_model: Path) -> None:
    """A signal that comes while the stream looks whether to stop ends it, a hundred times over."""
    done = subprocess.run(
        [sys.executable, "-c", STREAMING, demo_model],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
