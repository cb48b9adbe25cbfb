"""`offkey score --resume`: a run that ended early is gone on with, and nothing is scored twice.

All through the real command, since what is in the file at the end is the contract.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
HALF_KNOWN = '{"type": "segment", "source": "a", "verdict": "normal", "p": "0.5"}\n'


@pytest.fixture(scope="module")
def whole(run: Run, demo_model: Path, demo_files: list[Path]) -> bytes:
    """Give the lines of thirty recordings in one go."""
    done = run("score", demo_model, *demo_files[:30])
    assert done.returncode == 0
    return done.stdout.encode()


@pytest.mark.parametrize("kept", [0, 1, 5000, 20_001, -1, None])
def test_what_is_missing_is_added_and_nothing_else(
    run: Run,
    demo_model: Path,
    demo_files: list[Path],
    whole: bytes,
    tmp_path: Path,
    kept: int | None,
) -> None:
    """Cut short anywhere, in the middle of a line too, the file ends as that of one run."""
    target = tmp_path / "scores.jsonl"
    target.write_bytes(whole[:kept])
    done = run("score", demo_model, *demo_files[:30], "--resume", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert target.read_bytes() == whole
    there = whole[:kept].count(b"\n")
    told = f"offkey: {there} of 30 files are there already.\n" if there else ""
    account = f"offkey: {30 - there} recordings?: \\d+ anomalous, 0 not scored; .*learnt.*\\.\n"
    assert re.fullmatch(re.escape(told) + (account if there < 30 else ""), done.stderr)


def test_a_file_that_is_not_there_is_begun(
    run: Run, demo_model: Path, demo_files: list[Path], whole: bytes, tmp_path: Path
) -> None:
    """The same command begins an archive and goes on with it."""
    command = ("score", demo_model, *demo_files[:30], "--resume", tmp_path / "new.jsonl")
    for _ in range(2):
        assert run(*command).returncode == 0
        assert (tmp_path / "new.jsonl").read_bytes() == whole


def test_without_a_name_it_is_the_file_of_stdout(
    command: str, demo_model: Path, demo_files: list[Path], whole: bytes, tmp_path: Path
) -> None:
    """`--resume >> FILE` goes on with that file."""
    target = tmp_path / "scores.jsonl"
    target.write_bytes(whole[:9000])
    with target.open("ab") as file:
        words = [command, "score", str(demo_model), *map(str, demo_files[:30]), "--resume"]
        done = subprocess.run(words, stdout=file, stderr=subprocess.PIPE, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == whole


def test_a_pipe_cannot_be_gone_on_with(run: Run, demo_model: Path, demo_files: list[Path]) -> None:
    """Without a name and without a file one sentence says what to give."""
    done = run("score", demo_model, demo_files[0], "--resume")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "offkey: --resume takes the file to go on with. Such as --resume scores.jsonl.\n"
    )


def test_an_interrupted_run_is_gone_on_with(
    run: Run, start: Start, demo_model: Path, demo_files: list[Path], whole: bytes, tmp_path: Path
) -> None:
    """Killed in the middle of many recordings, the file still ends whole and in order."""
    folder, target = tmp_path / "many", tmp_path / "scores.jsonl"
    folder.mkdir()
    for i in range(400):
        (folder / f"{i:03}.flac").symlink_to(demo_files[i % 30])
    with start("score", demo_model, folder, "--jobs", "2", "--resume", target) as process:
        while not target.exists() or target.stat().st_size < 20_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 0 < target.read_bytes().count(b"\n") < 400
    assert run("score", demo_model, folder, "--resume", target).returncode == 0
    assert target.read_text() == run("score", demo_model, folder).stdout


def test_the_last_recording_of_many_windows_is_done_anew(
    run: Run,
    machine_model: Path,
    make_machine: Callable[[int, float], Any],
    tmp_path: Path,
) -> None:
    """In continuous mode a recording whose last windows are missing is scored as a whole."""
    for i in range(3):
        sound = make_machine(i, 4.0)
        soundfile.write(tmp_path / f"{i}.wav", sound, 48_000)
    whole = run("score", machine_model, tmp_path).stdout
    target = tmp_path / "scores.jsonl"
    n = len(whole.splitlines())
    assert n > 5
    for kept in (1, n // 2, n - 1, n):
        target.write_text("".join(whole.splitlines(keepends=True)[:kept]))
        assert run("score", machine_model, tmp_path, "--resume", target).returncode == 0
        assert target.read_text() == whole


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("source,time,start_s\n", id="csv"),
        pytest.param("three blind mice\n", id="words"),
        pytest.param("{}\n", id="empty object"),
        pytest.param('{"type": "gap"}\n', id="other line"),
        pytest.param("[1]\n", id="list"),
        pytest.param("\0\0\n", id="zeros"),
        pytest.param(HALF_KNOWN, id="no numbers"),
    ],
)
def test_what_is_something_else_is_left_alone(
    run: Run, demo_model: Path, demo_files: list[Path], tmp_path: Path, content: str
) -> None:
    """A file that is not of score is refused with its line, and not a byte of it changes."""
    target = tmp_path / "precious"
    target.write_text(content + "half a li")
    done = run("score", demo_model, demo_files[0], "--resume", target)
    assert done.returncode == 2
    assert done.stderr == (
        f"offkey: {target} is not what offkey score writes: see its line 1. "
        "Name another file, or score anew into a new one.\n"
    )
    assert target.read_text() == content + "half a li"


def test_a_half_line_of_something_else_is_left_alone(
    run: Run, demo_model: Path, demo_files: list[Path], tmp_path: Path
) -> None:
    """A file of one line without an end is only taken for half a line where it begins like one."""
    target = tmp_path / "precious"
    target.write_text("a password")
    assert run("score", demo_model, demo_files[0], "--resume", target).returncode == 2
    assert target.read_text() == "a password"


@pytest.mark.parametrize("change", ["model", "rate"])
def test_scores_of_another_model_are_not_mixed(
    run: Run,
    demo_model: Path,
    demo_files: list[Path],
    whole: bytes,
    words_model: Path,
    tmp_path: Path,
    change: str,
) -> None:
    """Lines of another model, or at a rate with other verdicts, are refused and kept."""
    target = tmp_path / "scores.jsonl"
    target.write_bytes(whole)
    words = (words_model,) if change == "model" else (demo_model, "--false-alarm-rate", "0.9")
    done = run("score", *words, *demo_files[:31], "--resume", target)
    assert done.returncode == 2
    assert "holds scores of another model, or of another false-alarm rate." in done.stderr
    assert target.read_bytes() == whole


@pytest.fixture(scope="module")
def words_model(run: Run, words_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrate on made-up words."""
    path = tmp_path_factory.mktemp("words") / "words.offkey"
    done = run("calibrate", words_folder, "-o", path, "--no-maps")
    assert done.returncode == 0, done.stderr
    return path


def test_what_cannot_be_scored_is_not_tried_again(
    run: Run, demo_model: Path, demo_files: list[Path], tmp_path: Path
) -> None:
    """An unreadable file has its line; a second run says nothing of it and ends well."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 48_000)
    (tmp_path / "b.wav").write_text("no sound")
    (tmp_path / "c.flac").symlink_to(demo_files[0])
    target = tmp_path / "scores.jsonl"
    first = run("score", demo_model, tmp_path, "--resume", target)
    assert first.returncode == 0
    assert "b.wav is not an audio file" in first.stderr
    content = target.read_bytes()
    again = run("score", demo_model, tmp_path, "--resume", target)
    assert again.returncode == 0
    assert again.stderr == "offkey: 3 of 3 files are there already.\n"
    assert target.read_bytes() == content


@pytest.mark.parametrize("target", ["folder", "missing/scores.jsonl"])
def test_a_target_that_cannot_be_written_is_one_sentence(
    run: Run, demo_model: Path, demo_files: list[Path], tmp_path: Path, target: str
) -> None:
    """A folder, and a file in a folder that is not there, are told before anything is scored."""
    (tmp_path / "folder").mkdir()
    done = run("score", demo_model, demo_files[0], "--resume", tmp_path / target)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / target) in done.stderr


def test_csv_cannot_be_gone_on_with(run: Run, demo_model: Path, demo_files: list[Path]) -> None:
    """Both options together are refused."""
    done = run("score", demo_model, demo_files[0], "--csv", "--resume", "a.csv")
    assert done.returncode == 2
    assert done.stderr == "offkey: --resume goes on with JSON lines, not with CSV.\n"
