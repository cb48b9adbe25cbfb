"""`offkey score`: many files, each one recording; bad ones are a line with a reason.

All through the real command, since the lines, messages and exit codes are the contract.
"""

from __future__ import annotations

import csv
import io
import os
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
import soxr
from numpy.typing import NDArray

from model.detector import Detector
from model.segment import Segment

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]

SCORES = (
    "isolation_score",
    "reconstruction_error",
    "isolation_p",
    "reconstruction_p",
    "p",
    "oddness",
    "cluster",
    "cluster_name",
    "cluster_distance",
    "unlike_any",
    "profile",
)
ALWAYS = (
    "type",
    "source",
    "time",
    "start_s",
    "duration_s",
    "continues",
    "level_dbfs",
    "snr_db",
    "clipped",
    "outside_conditions",
    "verdict",
    "reason",
)


def check_fields(line: Line) -> None:
    """Hold a segment line of a file against the design, field by field."""
    assert set(line) == {*ALWAYS, *SCORES}
    assert line["type"] == "segment"
    assert isinstance(line["source"], str)
    assert line["time"] is None
    for name in ("start_s", "duration_s"):
        assert isinstance(line[name], float)
        assert line[name] >= 0
    for name in ("continues", "clipped", "outside_conditions"):
        assert isinstance(line[name], bool)
    if line["verdict"] == "not scored":
        assert isinstance(line["reason"], str)
        assert all(line[name] is None for name in SCORES)
        return
    assert line["verdict"] in ("normal", "anomalous")
    assert line["reason"] is None
    for name in ("level_dbfs", "snr_db", "isolation_score", "reconstruction_error"):
        assert isinstance(line[name], float)
    for name in ("isolation_p", "reconstruction_p", "p"):
        assert isinstance(line[name], float)
        assert 0 < line[name] <= 1
    assert isinstance(line["cluster"], int)
    assert isinstance(line["cluster_name"], str)
    assert isinstance(line["cluster_distance"], float)
    assert line["unlike_any"] is (line["cluster_distance"] > 1)
    assert len(line["profile"]) == 64
    assert all(isinstance(value, float) and value >= 0 for value in line["profile"])


# --- good recordings --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(run: Run, demo_model: Path, demo_files: list[Path]) -> list[str]:
    """Score thirty recordings of the reference, with one job: the lines."""
    done = run("score", demo_model, "--jobs", "1", *demo_files[:30])
    assert done.returncode == 0
    (account,) = done.stderr.splitlines()
    assert "not scored; 30 of them the model has learnt from, and seldom" in account
    return done.stdout.splitlines()


def test_an_account_comes_at_the_end(
    scored_oddities: Outcome, oddity_lines: dict[str, Line]
) -> None:
    """The last line on stderr counts recordings, those anomalous and those not scored."""
    verdicts = [line["verdict"] for line in oddity_lines.values()]
    anomalous, unscored = verdicts.count("anomalous"), verdicts.count("not scored")
    told = f"{len(verdicts)} recordings: {anomalous} anomalous, {unscored} not scored."
    assert scored_oddities.stderr.splitlines()[-1] == f"offkey: {told}"


def test_a_line_has_all_fields_of_the_design(batch: list[str], parse: Parse) -> None:
    """Every file gives one line of strict JSON with every field, of the right type."""
    lines = parse("\n".join(batch) + "\n")
    assert len(lines) == 30
    for line in lines:
        check_fields(line)


def test_lines_come_in_the_order_of_the_files(
    batch: list[str], parse: Parse, demo_files: list[Path]
) -> None:
    """The i-th line belongs to the i-th file, and names it as it was given."""
    sources = [line["source"] for line in parse("\n".join(batch) + "\n")]
    assert sources == [str(path) for path in demo_files[:30]]


def test_two_jobs_print_the_same_bytes(
    run: Run, demo_model: Path, demo_files: list[Path], batch: list[str]
) -> None:
    """How many files are scored at once changes neither a byte nor the order."""
    done = run("score", demo_model, "--jobs", "2", *demo_files[:30])
    assert done.stdout.splitlines() == batch


def test_a_recording_scores_alone_as_in_a_batch(
    run: Run, demo_model: Path, demo_files: list[Path], batch: list[str]
) -> None:
    """A recording by itself gives the very line that it gives among others."""
    for i in (0, 17):
        assert run("score", demo_model, demo_files[i]).stdout.splitlines() == [batch[i]]


SHUFFLED = [int(i) for i in np.random.default_rng(3).permutation(30)]


@pytest.fixture(scope="module")
def shuffled(run: Run, demo_model: Path, demo_files: list[Path]) -> list[str]:
    """Score the same recordings in another order: the lines."""
    return run("score", demo_model, *(demo_files[i] for i in SHUFFLED)).stdout.splitlines()


def test_shuffled_files_score_the_same(shuffled: list[str], batch: list[str]) -> None:
    """In whatever order the files come, each gives the same line."""
    assert sorted(shuffled) == sorted(batch)


def test_lines_come_in_the_order_of_the_arguments(shuffled: list[str], batch: list[str]) -> None:
    """Files that were given out of order are printed as they were given."""
    assert shuffled == [batch[i] for i in SHUFFLED]


def test_a_folder_is_searched_in_sorted_order(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path], tmp_path: Path
) -> None:
    """A folder is searched recursively and sorted by path; hidden and other files are not lines."""
    names = ["z/last.flac", "a/b/first.flac", "a/z.flac", ".hidden.flac", "m/notes.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(demo_files[0])
    lines = parse(run("score", demo_model, tmp_path).stdout)
    expected = ["a/b/first.flac", "a/z.flac", "z/last.flac"]
    assert [line["source"] for line in lines] == [str(tmp_path / name) for name in expected]


def test_the_verdict_follows_from_p_and_the_rate(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path]
) -> None:
    """A sound is anomalous exactly when p is at most the rate, and a rate changes no score."""
    lines = {
        rate: parse(run("score", demo_model, "--false-alarm-rate", rate, *demo_files[:60]).stdout)
        for rate in ("0.05", "0.6")
    }
    for rate, scored in lines.items():
        anomalous = [line["p"] <= float(rate) for line in scored]
        assert [line["verdict"] == "anomalous" for line in scored] == anomalous
    assert {line["verdict"] for line in lines["0.6"]} == {"normal", "anomalous"}
    for strict, loose in zip(lines["0.05"], lines["0.6"], strict=True):
        assert strict | {"verdict": None} == loose | {"verdict": None}


def test_a_p_equal_to_the_rate_is_anomalous(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path], batch: list[str]
) -> None:
    """At a rate that is exactly the p of a sound this sound is anomalous, the next is not."""
    rate = sorted(line["p"] for line in parse("\n".join(batch) + "\n"))[15]
    done = run("score", demo_model, "--false-alarm-rate", repr(rate), *demo_files[:30])
    found = [line["p"] for line in parse(done.stdout) if line["verdict"] == "anomalous"]
    assert max(found) == rate
    assert 16 <= len(found) < 30


def test_csv_has_a_header_and_the_same_rows(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path], batch: list[str]
) -> None:
    """`--csv` gives one header and a row a line, with the same numbers."""
    done = run("score", demo_model, "--csv", *demo_files[:30])
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    lines = parse("\n".join(batch) + "\n")
    assert len(done.stdout.splitlines()) == 31
    assert set(rows[0]) == {*ALWAYS, *SCORES} - {"type"}
    for row, line in zip(rows, lines, strict=True):
        for name in ("source", "verdict", "cluster_name"):
            assert row[name] == line[name]
        for name in ("isolation_score", "reconstruction_error", "p", "cluster_distance"):
            assert float(row[name]) == line[name]
        assert np.allclose([float(x) for x in row["profile"].split()], line["profile"], rtol=1e-5)


# --- kinds of files that are all the same sound --------------------------------------------------

RATES = (8000, 22_050, 44_100, 48_000, 96_000)
SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "FLOAT")


@pytest.fixture(scope="module")
def kinds(
    tmp_path_factory: pytest.TempPathFactory, run: Run, parse: Parse, demo_model: Path, six: Samples
) -> dict[str, Line]:
    """Score one six in every kind of file; lines by the file's name."""
    folder = tmp_path_factory.mktemp("kinds")
    sound = six / np.abs(six).max() * 0.9
    soundfile.write(folder / "plain.wav", sound, 48_000, subtype="FLOAT")
    for rate_hz in RATES:
        other = soxr.resample(sound, 48_000, rate_hz, quality="VHQ")
        soundfile.write(folder / f"{rate_hz} Hz.wav", other, rate_hz, subtype="FLOAT")
    for subtype in SUBTYPES:
        soundfile.write(folder / f"{subtype}.wav", sound, 48_000, subtype=subtype)
    for channels in (1, 2, 8):
        frames = np.repeat(sound[:, None], channels, axis=1)
        soundfile.write(folder / f"{channels} channels.wav", frames, 48_000, subtype="FLOAT")
    apart = np.stack([2 * sound, np.zeros_like(sound)], axis=1) * 0.5
    soundfile.write(folder / "one side.wav", apart, 48_000, subtype="FLOAT")
    soundfile.write(folder / "packed.flac", sound, 48_000)
    done = run("score", demo_model, folder)
    assert done.returncode == 0
    return {Path(line["source"]).name: line for line in parse(done.stdout)}


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        *((f"{rate_hz} Hz.wav", 0.03) for rate_hz in RATES),
        *((f"{subtype}.wav", 0.3 if subtype == "PCM_U8" else 1e-3) for subtype in SUBTYPES),
        *((f"{channels} channels.wav", 1e-6) for channels in (1, 2, 8)),
        ("one side.wav", 1e-6),
        ("packed.flac", 1e-3),
    ],
)
def test_the_kind_of_file_does_not_matter(
    kinds: dict[str, Line], name: str, tolerance: float
) -> None:
    """Any rate, width and number of channels is scored like the same sound in plain float."""
    plain, other = kinds["plain.wav"], kinds[name]
    check_fields(other)
    assert other["verdict"] == plain["verdict"] != "not scored"
    assert other["reconstruction_error"] == pytest.approx(
        plain["reconstruction_error"], rel=tolerance
    )
    assert other["isolation_score"] == pytest.approx(
        plain["isolation_score"], abs=max(1e-9, tolerance / 10)
    )
    assert other["cluster"] == plain["cluster"]


# --- files that cannot be scored, or that only look like it -----------------------------------

BAD = {
    "text.wav": "unreadable",
    "cut.wav": "unreadable",
    "cut.flac": "unreadable",
    "header only.wav": "unreadable",
    "dangling.wav": "unreadable",
    "empty.wav": "too short",
    "ten samples.wav": "too short",
    "zeros.wav": "digital zero",
    "constant.wav": "digital zero",
    "negative constant.wav": "digital zero",
    "silent.wav": "silent",
    "nan.wav": "not finite",
    "infinite.wav": "not finite",
    "minus infinite.wav": "not finite",
}


@pytest.fixture(scope="module")
def oddities(
    tmp_path_factory: pytest.TempPathFactory, wav: Callable[..., bytes], six: Samples
) -> Path:
    """Lay out a folder of files that are bad, and of some that only look like it."""
    folder = tmp_path_factory.mktemp("oddities")
    rng = np.random.default_rng(1)

    def put(name: str, samples: Samples) -> None:
        (folder / name).write_bytes(wav(samples, 48_000, "FLOAT"))

    whole = wav(six, 48_000)
    (folder / "text.wav").write_text("This is not sound.\n" * 100)
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "header only.wav").write_bytes(whole[:30])
    soundfile.write(folder / "cut.flac", six, 48_000)
    packed = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(packed[: len(packed) // 2])
    (folder / "dangling.wav").symlink_to(folder / "gone.wav")
    put("empty.wav", six[:0])
    put("ten samples.wav", six[5000:5010])
    put("zeros.wav", np.zeros(48_000, np.float32))
    put("constant.wav", np.full(48_000, 0.25, np.float32))
    put("negative constant.wav", np.full(30_000, -0.5, np.float32))
    put("silent.wav", six / np.abs(six).max() * np.float32(2e-5))
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("minus infinite", -np.inf)):
        broken = six.copy()
        broken[7000] = value
        put(f"{name}.wav", broken)
    put("good.wav", six)
    put("offset.wav", six * np.float32(0.2) + np.float32(0.7))
    (folder / "bang.wav").write_bytes(
        wav(np.clip(5 * rng.normal(size=20_000), -1, 1).astype(np.float32), 48_000)
    )
    return folder


@pytest.fixture(scope="module")
def scored_oddities(run: Run, demo_model: Path, oddities: Path) -> Outcome:
    """Score that folder."""
    return run("score", demo_model, oddities)


@pytest.fixture(scope="module")
def oddity_lines(scored_oddities: Outcome, parse: Parse) -> dict[str, Line]:
    """Parse what came of it, by the file's name."""
    return {Path(line["source"]).name: line for line in parse(scored_oddities.stdout)}


def test_every_bad_file_is_a_line_and_the_rest_is_scored(
    scored_oddities: Outcome, oddity_lines: dict[str, Line], oddities: Path
) -> None:
    """One line a file, exit 0 as something was scored, no traceback."""
    assert scored_oddities.returncode == 0
    assert set(oddity_lines) == {path.name for path in oddities.iterdir()}
    assert "Traceback" not in scored_oddities.stderr
    for line in oddity_lines.values():
        check_fields(line)


@pytest.mark.parametrize(("name", "reason"), BAD.items())
def test_a_bad_file_says_why(oddity_lines: dict[str, Line], name: str, reason: str) -> None:
    """What cannot be scored says so, with the design's word for it."""
    assert oddity_lines[name]["verdict"] == "not scored"
    assert oddity_lines[name]["reason"] == reason


@pytest.mark.parametrize("name", [name for name, why in BAD.items() if why == "unreadable"])
def test_an_unreadable_file_is_one_sentence_on_stderr(scored_oddities: Outcome, name: str) -> None:
    """Messages name each file that cannot be read, once."""
    about = [line for line in scored_oddities.stderr.splitlines() if f"/{name} " in line]
    assert len(about) == 1
    assert about[0].startswith("offkey: ")
    assert about[0].endswith(".")


def test_a_dangling_link_is_called_one(scored_oddities: Outcome) -> None:
    """The message says that the link leads nowhere."""
    assert "dangling.wav is a dangling link." in scored_oddities.stderr


def test_an_offset_larger_than_the_sound_is_scored(oddity_lines: dict[str, Line]) -> None:
    """A sound that rides on a constant is a sound."""
    assert oddity_lines["offset.wav"]["verdict"] in ("normal", "anomalous")
    assert not oddity_lines["offset.wav"]["clipped"]


def test_a_full_scale_bang_alarms(oddity_lines: dict[str, Line]) -> None:
    """Clipping is a flag and no reason not to score: the bang is clipped and anomalous."""
    bang = oddity_lines["bang.wav"]
    assert bang["clipped"]
    assert bang["verdict"] == "anomalous"
    assert not oddity_lines["good.wav"]["clipped"]


@pytest.mark.parametrize("channels", [1, 2])
def test_enormous_numbers_are_no_sound(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path], tmp_path: Path, channels: int
) -> None:
    """Finite floats near the end of their range are scored or `not finite`, without a warning."""
    huge = np.where(np.random.default_rng(0).random((8000, channels)) > 0.5, 3e38, -3e38)
    soundfile.write(tmp_path / "huge.wav", huge, 8000, subtype="FLOAT")
    done = run("score", demo_model, tmp_path / "huge.wav", demo_files[0])
    lines = {Path(line["source"]).name: line for line in parse(done.stdout)}
    assert done.returncode == 0
    assert "Warning" not in done.stderr
    assert lines["huge.wav"]["reason"] in (None, "not finite")


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_header_of_a_pipe_is_no_damage(
    run: Run, parse: Parse, demo_model: Path, six: Samples, wav: Callable[..., bytes],
    tmp_path: Path, size: int,
) -> None:  # fmt: skip
    """A WAV whose header leaves its length open, as programs write into pipes, is scored whole."""
    data = bytearray(wav(six, 48_000))
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    (tmp_path / "open.wav").write_bytes(data)
    (tmp_path / "plain.wav").write_bytes(wav(six, 48_000))
    lines = parse(run("score", demo_model, tmp_path).stdout)
    assert lines[0] | {"source": ""} == lines[1] | {"source": ""}


def test_long_files_are_cut_with_one_warning(
    run: Run, parse: Parse, demo_model: Path, excerpt: Samples, tmp_path: Path
) -> None:
    """Of long files only the first second is scored; one sentence for all of them names replay."""
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(tmp_path / name, excerpt[7000:], 8000)
    soundfile.write(tmp_path / "d.wav", excerpt[7000:15_000], 8000)
    done = run("score", demo_model, tmp_path)
    lines = parse(done.stdout)
    assert len(done.stderr.splitlines()) == 2  # the account is the second
    assert "offkey replay" in done.stderr
    assert "a.wav" in done.stderr
    assert [line["duration_s"] for line in lines] == [1.0] * 4
    for line in lines:
        assert line["reconstruction_error"] == pytest.approx(
            lines[-1]["reconstruction_error"], rel=0.02
        )


def test_continuous_mode_gives_a_line_a_window(
    run: Run, parse: Parse, machine_model: Path, make_machine: Callable[[int, float], Samples],
    tmp_path: Path,
) -> None:  # fmt: skip
    """In continuous mode a file is scored in windows every hop, and nothing is cut."""
    soundfile.write(tmp_path / "m.wav", make_machine(50, 3.1), 8000)
    done = run("score", machine_model, tmp_path / "m.wav")
    lines = parse(done.stdout)
    scored = [line["start_s"] for line in lines if line["verdict"] != "not scored"]
    assert scored == pytest.approx([0.25 * i for i in range(11)])
    assert [line["reason"] for line in lines[11:]] == ["too short"]
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("offkey: 1 recording: ")
    for line in lines:
        check_fields(line)


# --- names --------------------------------------------------------------------------------------

NAMES = [
    b"with space.wav",
    b"new\nline.wav",
    "größe 六.wav".encode(),
    b"bytes \xff\xfe.wav",
    b"-m.wav",
]
SHOWN = ["with space.wav", "new\nline.wav", "größe 六.wav", "bytes \\xff\\xfe.wav", "-m.wav"]


def test_any_name_can_be_scored_and_printed(
    run: Run, parse: Parse, demo_model: Path, six: Samples, wav: Callable[..., bytes],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Spaces, newlines, other scripts, bytes that are not UTF-8: each is one line, told apart."""
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(wav(six, 48_000))
    done = run("score", demo_model, tmp_path)
    sources = [Path(line["source"]).name for line in parse(done.stdout)]
    assert done.returncode == 0
    assert sorted(sources) == sorted(SHOWN)
    rows = list(csv.DictReader(io.StringIO(run("score", "--csv", demo_model, tmp_path).stdout)))
    assert [Path(row["source"]).name for row in rows] == sources


def test_bad_files_with_such_names_are_one_sentence_each(
    run: Run, demo_model: Path, six: Samples, wav: Callable[..., bytes], tmp_path: Path
) -> None:
    """A name with a newline does not break the message on stderr in two."""
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_text("no sound")
    (tmp_path / "good.wav").write_bytes(wav(six, 48_000))
    done = run("score", demo_model, tmp_path)
    assert done.returncode == 0
    *sentences, account = done.stderr.splitlines()
    assert len(sentences) == len(NAMES)
    assert f"{len(NAMES) + 1} recordings: " in account


# --- exit codes and ends ------------------------------------------------------------------------


def refused(done: Outcome) -> str:
    """Check that a run was refused in one sentence with exit code 2; return the sentence."""
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("offkey: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_a_missing_path_is_told(
    run: Run, parse: Parse, demo_model: Path, demo_files: list[Path], tmp_path: Path
) -> None:
    """A path that does not exist is exit code 2 by itself, and a line beside what is scored."""
    alone = run("score", demo_model, tmp_path / "gone.wav")
    assert alone.returncode == 2
    assert "gone.wav does not exist." in alone.stderr
    assert "Traceback" not in alone.stderr
    beside = run("score", demo_model, demo_files[0], tmp_path / "gone.wav")
    reasons = {Path(line["source"]).name: line["reason"] for line in parse(beside.stdout)}
    assert reasons == {demo_files[0].name: None, "gone.wav": "unreadable"}
    assert beside.returncode == 0


def test_a_folder_without_recordings_is_refused(run: Run, demo_model: Path, tmp_path: Path) -> None:
    """Neither an empty folder nor one with other files only is an archive."""
    assert "No audio files" in refused(run("score", demo_model, tmp_path))
    (tmp_path / "notes.txt").touch()
    assert "1 other or hidden files" in refused(run("score", demo_model, tmp_path))


def test_nothing_scored_is_exit_code_2(
    run: Run, parse: Parse, demo_model: Path, oddities: Path
) -> None:
    """Where no file could be scored the lines say why and the exit code is 2."""
    done = run("score", demo_model, oddities / "zeros.wav", oddities / "empty.wav")
    assert "None of the files could be scored" in refused(done)
    assert {line["reason"] for line in parse(done.stdout)} == {"digital zero", "too short"}


def test_a_rate_below_the_promise_names_the_number_that_it_takes(
    run: Run, demo_model: Path, demo_files: list[Path]
) -> None:
    """240 recordings promise 1/241; for 0.001 it takes 999, and the message says so."""
    done = run("score", demo_model, "--false-alarm-rate", "0.001", demo_files[0])
    assert "999" in refused(done)
    assert done.stdout == ""


@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(
    run: Run, demo_model: Path, demo_files: list[Path], rate: str
) -> None:
    """A false-alarm rate lies between 0 and 1."""
    refused(run("score", demo_model, f"--false-alarm-rate={rate}", demo_files[0]))


def test_zero_jobs_are_refused(run: Run, demo_model: Path, demo_files: list[Path]) -> None:
    """--jobs 0 is no number of jobs."""
    assert "--jobs" in refused(run("score", demo_model, "--jobs", "0", demo_files[0]))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_reader_that_leaves_ends_the_run(
    start: Start, demo_model: Path, demo_files: list[Path], jobs: str
) -> None:
    """After `| head -1` the exit code is 0 and stderr is empty."""
    with start("score", "--jobs", jobs, demo_model, *demo_files) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"}\n")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_stdout_closed_from_the_beginning_ends_the_run(
    command: str, demo_model: Path, demo_files: list[Path]
) -> None:
    """A stdout that was never open is a closed one: exit 0, no traceback."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", command, "score", demo_model, demo_files[0]],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert re.fullmatch(rb"offkey: 1 recording: \d anomalous, 0 not scored;.*\n", done.stderr)


def test_a_closed_stderr_changes_nothing(
    command: str, demo_model: Path, demo_files: list[Path], batch: list[str]
) -> None:
    """Where nobody can be told anything the lines are printed all the same."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&-', "sh", command, "score", demo_model, demo_files[0]],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stdout.decode()) == (0, batch[0] + "\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence(
    command: str, demo_model: Path, demo_files: list[Path]
) -> None:
    """Where the lines cannot be written the work has failed: exit 1, one sentence."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [command, "score", demo_model, demo_files[0]],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_whole_lines(
    start: Start, parse: Parse, demo_model: Path, demo_files: list[Path], number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM in the middle: exit 0, whole lines, and a word on how far it came.

    The pipe holds a few dozen lines only, so the run cannot be over before the signal.
    """
    with start("score", "--jobs", "1", demo_model, *demo_files) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest, err = process.communicate(timeout=60)
    lines = parse((first + rest).decode())
    assert 1 <= len(lines) < len(demo_files)
    assert process.returncode == 0
    assert f"{len(lines)} of {len(demo_files)} files" in err.decode()


# --- in the same process -------------------------------------------------------------------------


def test_the_command_prints_what_the_detector_says(
    batch: list[str], parse: Parse, demo_detector: Detector, demo_files: list[Path]
) -> None:
    """The plain way through the model, file by file, gives the numbers of the lines."""
    for path, line in zip(demo_files, parse("\n".join(batch) + "\n"), strict=False):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        plain = soxr.resample(samples, rate_hz, 6800, quality="HQ")[:6800]
        score = demo_detector.score(Segment(plain, 0.0, len(plain) / 6800))
        assert line["isolation_score"] == pytest.approx(score.isolation_score, abs=1e-9)
        assert line["reconstruction_error"] == pytest.approx(score.reconstruction_error, rel=1e-5)
        assert line["profile"] == pytest.approx(score.profile, rel=1e-5)
        assert (line["p"], line["verdict"], line["cluster"]) == (
            score.p,
            score.verdict,
            score.cluster,
        )
