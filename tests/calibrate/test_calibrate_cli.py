"""The command `offkey calibrate`, run as a person runs it: what it says, and what it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import offkey as front_door
from model.alarms import AlarmRule
from model.storage import read_model, write_model

Words = Callable[..., list[Path]]
Run = Callable[..., subprocess.CompletedProcess[str]]
Spoken = Callable[..., NDArray[np.float32]]

KILLING = """
import os, signal, sys
import offkey
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
os.{doomed} = die
offkey.main()
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Name a model that is not there yet, in a folder of its own."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "m.offkey"


@pytest.fixture
def calibrated(offkey: Run, model: Path) -> Run:
    """Run `calibrate` as fast as it goes; there is no traceback and no warning, come what may."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        quick = ("--no-maps", "--features", "spectrum")
        done = offkey("calibrate", *quick, *arguments, "-o", model)
        assert done.returncode in (0, 1, 2)
        for bad in ("Traceback", "Warning", "Exception"):
            assert bad not in done.stderr
        return done

    return run


@pytest.fixture
def refused(calibrated: Run, model: Path) -> Callable[..., str]:
    """Run `calibrate`, expect exit code 2, one sentence and no model; give the sentence."""

    def run(*arguments: str | Path) -> str:
        done = calibrated(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert list(model.parent.iterdir()) == []
        (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("offkey: ")]
        return sentence

    return run


@pytest.fixture
def write_machines() -> Callable[[Path], None]:
    """Write five recordings of 15 s of a humming machine."""

    def write(folder: Path) -> None:
        folder.mkdir()
        t = np.arange(8000 * 15) / 8000
        for i in range(5):
            noise = np.random.default_rng(i).normal(size=len(t))
            soundfile.write(
                folder / f"{i}.wav", 0.05 * np.sin(314 * t * (1 + i / 500)) + 0.01 * noise, 8000
            )

    return write


def test_a_calibration_ends_with_a_summary(
    calibrated: Run, model: Path, words_folder: Path
) -> None:
    """Recordings, groups, components, clusters, false alarms and smallest p stand on stdout."""
    done = calibrated(words_folder)
    assert done.returncode == 0
    for said in ("60 used, 0 skipped", "6, by folder", "components explain 99 %", "clusters of"):
        assert said in done.stdout
    for said in ("false alarms", "worst group", "1 in 61", str(model)):
        assert said in done.stdout
    assert "reading" in done.stderr
    assert "reading" not in done.stdout
    assert read_model(model).card.recordings == 60


def test_a_missing_path_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """A path that is not there is named."""
    sentence = refused(tmp_path / "gone")
    assert f"{tmp_path / 'gone'} does not exist" in sentence
    assert "unreadable" not in sentence


def test_an_empty_folder_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """A folder without audio says so, and that something else was there."""
    (tmp_path / "empty").mkdir()
    assert "No audio files" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").touch()
    assert "1 other" in refused(tmp_path / "empty")


def test_nineteen_recordings_are_refused(
    refused: Callable[..., str], tmp_path: Path, write_words: Words
) -> None:
    """The sentence says how many there are and how many it takes."""
    write_words(tmp_path / "few", 19)
    sentence = refused(tmp_path / "few")
    assert "19 " in sentence
    assert "20" in sentence


def test_a_rate_beyond_the_reference_is_refused(
    refused: Callable[..., str], words_folder: Path
) -> None:
    """A false-alarm rate that 60 recordings cannot promise names the number that it takes."""
    assert "999 recordings" in refused(words_folder, "--false-alarm-rate", "0.001")


@pytest.mark.parametrize("asked", ["7", "99999999999999999999999"])
def test_fewer_clusters_than_asked_for_are_told(
    calibrated: Run, words_folder: Path, asked: str
) -> None:
    """Sixty sounds give six clusters at most: whoever asked for more is told, nobody else."""
    told = f"clusters: 6 of {int(asked):,} asked for"
    assert told in calibrated(words_folder, "--clusters", asked).stdout


def test_the_usual_number_of_clusters_is_nobodys_wish(calibrated: Run, words_folder: Path) -> None:
    """Without --clusters nothing is said of how many there could be."""
    assert "asked for" not in calibrated(words_folder).stdout


def test_a_number_of_clusters_that_cannot_be_read_is_refused(
    calibrated: Run, words_folder: Path
) -> None:
    """Thousands of digits are no number of clusters: exit code 2 and a sentence."""
    done = calibrated(words_folder, "--clusters", "9" * 5000)
    assert done.returncode == 2
    assert "--clusters takes auto" in done.stderr
    assert "Traceback" not in done.stderr


def test_recordings_off_their_zero_line_are_listed(
    calibrated: Run, model: Path, tmp_path: Path, write_words: Words
) -> None:
    """Each is named with what mends it, now and in the model; others are not."""
    paths = write_words(tmp_path / "words", 22)
    for path in paths[:2]:
        samples, rate_hz = soundfile.read(path)
        soundfile.write(path, samples + 0.02, rate_hz)
    done = calibrated(tmp_path / "words")
    listed = done.stdout.partition("offset, kept (2)")[2]
    assert [line.strip() for line in listed.splitlines()[1:3]] == [str(path) for path in paths[:2]]
    assert "a high-pass filter" in listed
    assert read_model(model).card.offset == tuple(str(path) for path in paths[:2])
    assert str(paths[2]) not in listed


def test_two_identical_recordings_are_told(
    calibrated: Run, tmp_path: Path, write_words: Words
) -> None:
    """A copy counts once, and the summary says which file is one."""
    paths = write_words(tmp_path / "words", 20)
    (tmp_path / "words" / "copy.wav").write_bytes(paths[0].read_bytes())
    done = calibrated(tmp_path / "words")
    assert done.returncode == 0
    assert "20 used, 1 skipped" in done.stdout
    assert f"{paths[0]}: a copy of {tmp_path / 'words' / 'copy.wav'}" in done.stdout
    assert "1 in 21)" in done.stdout


def test_a_folder_and_its_copy_are_told_as_copies(
    calibrated: Run, tmp_path: Path, write_words: Words
) -> None:
    """A folder given with its copy is learnt from: two folders, but not two groups."""
    write_words(tmp_path / "a", 20)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    done = calibrated(tmp_path / "a", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert "20 used, 20 skipped" in done.stdout
    assert "20, each recording by itself" in done.stdout


def test_copies_do_not_make_a_reference_large_enough(
    refused: Callable[..., str], tmp_path: Path, write_words: Words
) -> None:
    """Twenty files of nineteen recordings, and thirty of one, are refused with what they are."""
    paths = write_words(tmp_path / "words", 19)
    shutil.copy(paths[0], tmp_path / "words" / "copy.wav")
    assert "19 usable recordings are too few" in (said := refused(tmp_path / "words"))
    assert "a copy of" in said
    (tmp_path / "one").mkdir()
    for i in range(30):
        shutil.copy(paths[0], tmp_path / "one" / f"{i}.wav")
    assert "1 usable recording is too few" in (said := refused(tmp_path / "one"))
    assert "Skipped 29" in said


def test_only_a_model_is_ever_replaced(
    offkey: Run, words_folder: Path, tmp_path: Path, write_words: Words
) -> None:
    """`--replace` refuses a recording and a named pipe, and leaves them as they were."""
    recording = write_words(tmp_path, 1)[0]
    before = recording.read_bytes()
    os.mkfifo(tmp_path / "pipe")
    for target in (recording, tmp_path / "pipe"):
        done = offkey("calibrate", words_folder, "-o", target, "--no-maps", "--replace")
        assert done.returncode == 2
        assert "not a model" in done.stderr
    assert recording.read_bytes() == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_found_twice_is_one_recording(calibrated: Run, words_folder: Path) -> None:
    """A folder given in two ways, and a link to a recording, count once."""
    twice = words_folder.parent / "." / words_folder.name / ".." / words_folder.name
    assert "60 used" in calibrated(words_folder, str(twice)).stdout


def test_a_gate_of_short_sounds_scores_what_it_cuts(
    offkey: Run, calibrated: Run, model: Path, words_folder: Path
) -> None:
    """With a duration below the usual shortest sound, what the gate cuts is not all too short."""
    assert calibrated(words_folder, "--duration", "0.05").returncode == 0
    done = offkey("replay", model, next(iter(sorted(words_folder.rglob("*.wav")))), "--headless")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(line["verdict"] != "not scored" for line in lines if line["type"] == "segment") >= 1


def test_long_recordings_are_told(calibrated: Run, tmp_path: Path, write_words: Words) -> None:
    """Where only the beginning of recordings is used, the summary says of how many."""
    write_words(tmp_path / "words", 20)
    assert "longer than 0.1 s: 20" in calibrated(tmp_path / "words", "--duration", "0.1").stdout


def test_fewer_groups_than_folds_are_told(
    calibrated: Run, tmp_path: Path, write_words: Words
) -> None:
    """Two groups make two folds, and the summary says that independence is limited."""
    write_words(tmp_path / "words" / "ann", 12)
    write_words(tmp_path / "words" / "bob", 12, 50)
    done = calibrated(tmp_path / "words")
    assert done.returncode == 0
    assert "2, by folder; held out in 2 folds" in done.stdout
    assert "independence is limited" in done.stdout


def test_bad_recordings_are_skipped_and_listed(
    calibrated: Run, tmp_path: Path, write_words: Words, make_word: Spoken
) -> None:
    """Bad files, also with names that are not text, are listed with reasons and harm nobody."""
    folder = tmp_path / "words"
    paths = write_words(folder, 22)
    strange = os.path.join(
        os.fsencode(folder), "s\u00e9chs \u516d\n\xff".encode("latin-1", "replace")
    )
    os.rename(paths[0], strange + b".wav")
    (folder / "text.wav").write_text("no audio")
    (folder / "cut.wav").write_bytes(paths[1].read_bytes()[:3000])
    (folder / "dangling.wav").symlink_to("gone")
    soundfile.write(folder / "zeros.wav", np.zeros(8000), 8000)
    soundfile.write(folder / "loud.wav", np.clip(100 * make_word(1), -1, 1), 8000)
    with open(strange + b" bad.wav", "w") as file:
        file.write("no audio")
    done = calibrated(folder)
    assert done.returncode == 0
    assert "23 used, 5 skipped" in done.stdout
    skipped = done.stdout.split("skipped (5)")[1]
    for name in ("text.wav", "cut.wav", "dangling.wav", "zeros.wav: digital zero", "xff"):
        assert name in skipped
    assert "loud.wav" in done.stdout.split("clipped")[1]
    done.stdout.encode()


def test_any_name_will_do_for_a_model(offkey: Run, model: Path, words_folder: Path) -> None:
    """A model's name may hold spaces, newlines and bytes that are not UTF-8."""
    name = os.path.join(model.parent, os.fsdecode(b"my \xff\nmodel.offkey"))
    done = offkey("calibrate", words_folder, "-o", name, "--no-maps")
    assert done.returncode == 0, done.stderr
    assert read_model(name).card.recordings == 60


def test_an_existing_model_is_not_overwritten(
    calibrated: Run, model: Path, words_folder: Path
) -> None:
    """Without `--replace` nothing is read, the old file stays, and the way on is named."""
    model.write_bytes(b"precious")
    done = calibrated(words_folder)
    assert done.returncode == 2
    assert "--replace" in done.stderr
    assert "reading" not in done.stderr
    assert model.read_bytes() == b"precious"


def test_replacing_moves_the_names_of_clusters(
    calibrated: Run, model: Path, words_folder: Path, tmp_path: Path
) -> None:
    """The same recordings keep all names; a name that fits no new cluster is listed."""
    assert calibrated(words_folder).returncode == 0
    named = read_model(model)
    clusters = named.clusters.renamed(0, "late hiss").renamed(1, "hum")
    write_model(model, named.__class__(**{**vars(named), "clusters": clusters}))
    done = calibrated(words_folder, "--replace")
    assert done.returncode == 0
    assert read_model(model).clusters.given == clusters.given
    assert "late hiss" in done.stdout
    (tmp_path / "tones").mkdir()
    t, rng = np.arange(8000) / 8000, np.random.default_rng(0)
    for i in range(24):
        tone = np.sin(2 * np.pi * rng.uniform(200, 3000) * t) + 0.001 * rng.normal(size=8000)
        soundfile.write(tmp_path / "tones" / f"{i:02}.wav", tone / 2, 8000)
    done = calibrated(tmp_path / "tones", "--replace")
    assert done.returncode == 0
    kept = {name for name in read_model(model).clusters.given if name}
    lost = done.stdout.rpartition("names without a cluster now: ")[2].splitlines()[0]
    assert kept | set(lost.split(", ")) >= {"late hiss", "hum"}
    assert not kept & set(lost.split(", "))
    assert lost


def test_a_damaged_model_can_be_replaced(calibrated: Run, model: Path, words_folder: Path) -> None:
    """With `--replace` a file that cannot be read gives way, and it is said that no names moved."""
    model.write_bytes(b"damaged")
    done = calibrated(words_folder, "--replace")
    assert done.returncode == 0
    assert "No names" in done.stderr
    assert read_model(model).card.recordings == 60


def test_short_recordings_of_few_groups_work_in_continuous_mode(
    calibrated: Run, tmp_path: Path
) -> None:
    """Three machines with twelve recordings of one window each can be calibrated on."""
    rng = np.random.default_rng(0)
    for i in range(36):
        path = tmp_path / "hum" / f"machine {i % 3}" / f"{i:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(size=8000) * 0.1, 8000)
    done = calibrated(tmp_path / "hum", "--mode", "continuous")
    assert done.returncode == 0, done.stderr


def test_an_alarm_rule_is_kept_and_measured(
    calibrated: Run, model: Path, write_machines: Callable[[Path], None], tmp_path: Path
) -> None:
    """The rule that was asked for is in the model, and its alarms an hour end the summary."""
    write_machines(tmp_path / "machine")
    done = calibrated(tmp_path / "machine", "--mode", "continuous", "--alarm-after", "2/4")
    assert done.returncode == 0
    made = read_model(model)
    assert made.segmentation.alarm == AlarmRule(2, 4)
    rates = made.card.alarm_rates
    assert [(rate.k, rate.m) for rate in rates] == [(2, 4), (1, 1), (2, 3), (3, 5)]
    said = " ".join(done.stdout.partition("\nalarm ")[2].split())
    assert "2 anomalous windows of the last 4" in said
    assert "of held-out sound" in said
    for rate in rates[1:]:
        assert f" with {rate.k} of {rate.m}" in said


def test_the_usual_rule_is_two_of_three(
    calibrated: Run, model: Path, write_machines: Callable[[Path], None], tmp_path: Path
) -> None:
    """Continuous mode without `--alarm-after` alarms after 2 anomalous windows of 3."""
    write_machines(tmp_path / "machine")
    assert calibrated(tmp_path / "machine", "--mode", "continuous").returncode == 0
    assert read_model(model).segmentation.alarm == AlarmRule(2, 3)


@pytest.mark.parametrize("moment", ["start", "reading", "fitting", "fsync", "replace"])
@pytest.mark.parametrize("older", [False, True])
def test_a_calibration_killed_half_way_changes_nothing(
    moment: str, older: bool, model: Path, words_folder: Path
) -> None:
    """Killed at any moment, it leaves no file under the target's name, or the older one."""
    if older:
        model.write_bytes(b"older")
    line = ["calibrate", str(words_folder), "-o", str(model), "--replace", "--no-maps"]
    line += ["--features", "spectrum"]
    doomed = moment if moment in ("fsync", "replace") else "nothing"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLING.format(doomed=doomed), *line],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    if moment in ("reading", "fitting"):
        assert any(moment in line for line in process.stderr)
    if doomed == "nothing":
        process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    if older:
        assert model.read_bytes() == b"older"
    else:
        assert not model.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_calibration_says_so(
    model: Path, words_folder: Path, number: signal.Signals
) -> None:
    """A signal in the middle: exit code 1, one line, no traceback, no model, no left-over file."""
    command = Path(sys.executable).with_name("offkey")
    process = subprocess.Popen(
        [command, "calibrate", words_folder, "-o", model, "--no-maps"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("fitting" in line for line in process.stderr)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert "Traceback" not in stderr
    assert "interrupted" in stderr
    assert list(model.parent.iterdir()) == []


@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
def test_a_reader_that_has_gone_harms_nothing(gone: str, model: Path, words_folder: Path) -> None:
    """Where nobody reads what it says, as before `head`, exit code 0 still means a whole model."""
    command = Path(sys.executable).with_name("offkey")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [command, "calibrate", words_folder, "-o", model, "--no-maps"],
        stdout=subprocess.DEVNULL if gone == "stderr" else writer,
        stderr=subprocess.PIPE if gone == "stdout" else writer,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in (done.stderr or "")
    assert "BrokenPipe" not in (done.stderr or "")
    assert done.returncode == 0
    assert read_model(model).card.recordings == 60


@pytest.mark.parametrize(
    "options",
    [
        "--group (",
        "--group speaker",
        "--group (x)(y)",
        "--components 0",
        "--components 1",
        "--components nan",
        "--clusters 0",
        "--jobs 0",
        "--seed -1",
        "--hop 0.5",
        "--mode continuous --hop 0",
        "--mode continuous --hop -1",
        "--mode continuous --hop 2",
        "--mode sometimes",
        "--alarm-after 2/3",
        "--mode continuous --alarm-after 4/3",
        "--mode continuous --alarm-after 0/3",
        "--mode continuous --alarm-after 2/101",
        "--mode continuous --alarm-after 2",
        "--mode continuous --alarm-after often",
        "--duration 0",
        "--duration nan",
        "--duration 60",
        "--false-alarm-rate 0",
        "--false-alarm-rate 1",
        "--false-alarm-rate nan",
        "--false-alarm-rate few",
        "--unknown",
    ],
)
def test_a_senseless_option_is_refused_before_the_work(
    options: str,
    words_folder: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, a sentence that names the option or its meaning, nothing read, no model."""
    line = ["offkey", "calibrate", str(words_folder), "-o", str(model), "--no-maps"]
    monkeypatch.setattr(sys, "argv", [*line, *options.split()])
    with pytest.raises(SystemExit) as end:
        front_door.main()
    said = capfd.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    assert "reading" not in said.err
    word = options.split()[-2 if len(options.split()) > 1 else -1]
    assert word in said.err or word.strip("-").split("-")[-1] in said.err
    assert list(model.parent.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["calibrate", "calibrate x", "calibrate -o m.offkey", "calibrat x"]
)
def test_an_incomplete_command_is_refused(
    line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without recordings, without a target, or misspelt, it exits with 2 and tells its usage."""
    monkeypatch.setattr(sys, "argv", ["offkey", *line.split()])
    with pytest.raises(SystemExit) as end:
        front_door.main()
    assert end.value.code == 2
    assert "Usage: offkey" in capfd.readouterr().err
