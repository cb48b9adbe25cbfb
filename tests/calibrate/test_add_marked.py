"""`calibrate --add-marked`: what a person marked is taken in, and disturbs nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate.fitting import Settings, calibrate
from calibrate.marked import add_marked
from calibrate.reference import Reference, read_reference
from model.card import RoomUsed
from model.detector import Detector, Score
from model.errors import InputError, OffkeyError
from model.features import Spectrum
from model.files import find_recordings
from model.marks import MarkedSound, marked_folder, read_marks
from model.segment import Segment, Segmentation
from model.storage import read_model, write_model
from model.summary import describe
from monitor.events import Heard
from monitor.marks import Marks

Samples = NDArray[np.float32]
Folds = Callable[..., list[int]]
Run = Callable[..., subprocess.CompletedProcess[str]]
RATE_HZ = 6800
EVENT = Settings(maps=False, jobs=1)
WINDOWS = Settings(Segmentation("continuous", 0.5, 0.25), maps=False, jobs=1)


def whistle(seed: int, n: int = 3400) -> Samples:
    """Make up a hiss around some frequency, half a second long, that no word is like."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / RATE_HZ
    tone = np.sin(2 * np.pi * (1500 + 20 * seed) * t + np.cumsum(rng.normal(size=n)) * 0.2)
    return (0.1 * tone).astype(np.float32)


def test_marks_are_taken_in_by_the_front_end_that_heard_them(
    offkey: Run, tmp_path: Path, make_word: Callable[..., Samples]
) -> None:
    """Marked with a spectrum model, sounds suit no finer front end: the command keeps spectrum."""
    (tmp_path / "words").mkdir()
    for i in range(100):
        soundfile.write(tmp_path / "words" / f"{i:03}.wav", make_word(i, 16000), 16000)
    model = tmp_path / "m.offkey"
    words = ("calibrate", tmp_path / "words", "-o", model, "--no-maps")
    assert offkey(*words, "--features", "spectrum").returncode == 0
    mark(model, read_model(model), *map(whistle, range(3)))
    done = offkey(*words, "--add-marked", "--replace")
    assert done.returncode == 0, done.stderr
    made = read_model(model)
    assert made.front_end.name == "spectrum"
    assert len(made.card.marked) == 3


def score(detector: Detector, samples: Samples) -> Score:
    """Score samples at the front end's rate."""
    return detector.score(Segment(samples, 0.0, len(samples) / RATE_HZ))


def mark(model: Path, detector: Detector, *sounds: Samples, over_floor_db: float = 25) -> None:
    """Mark sounds as normal that stood so far above their background."""
    marks = Marks(model)
    for samples in sounds:
        segment = Segment(samples, 0.0, len(samples) / RATE_HZ)
        floor_dbfs = (segment.level_dbfs or 0.0) - over_floor_db
        segment = replace(segment, floor_dbfs=floor_dbfs)
        assert marks.add(Heard("m", None, segment, detector.score(segment)), samples, detector)


@pytest.fixture
def model(word_detector: Detector, tmp_path: Path) -> Path:
    """Write the model of the words; three whistles are marked beside it."""
    write_model(tmp_path / "m.offkey", word_detector)
    mark(tmp_path / "m.offkey", word_detector, *map(whistle, range(3)))
    return tmp_path / "m.offkey"


@pytest.fixture(scope="module")
def taught(
    words_folder: Path, word_detector: Detector, tmp_path_factory: pytest.TempPathFactory
) -> Detector:
    """Calibrate on the words and on three marked whistles."""
    model = tmp_path_factory.mktemp("taught") / "m.offkey"
    mark(model, word_detector, *map(whistle, range(3)))
    return calibrate([str(words_folder)], EVENT, marked=read_marks(model))


class _EnoughError(Exception):
    """Ends a calibration where its folds are known."""


@pytest.fixture
def folds_of(monkeypatch: pytest.MonkeyPatch) -> Folds:
    """Begin a calibration and give the fold of each segment."""
    seen: list[list[int]] = []

    def stop(_features: object, folds: NDArray[np.int64], *_: object) -> None:
        seen.append(folds.tolist())
        raise _EnoughError

    def run(paths: list[str], settings: Settings, marked: Sequence[MarkedSound] = ()) -> list[int]:
        with monkeypatch.context() as patch, pytest.raises(_EnoughError):
            patch.setattr("calibrate.fitting.crossfit", stop)
            calibrate(paths, settings, marked=marked)
        return seen[-1]

    return run


def read(folder: Path) -> Reference:
    """Read recordings as calibration does."""
    found = find_recordings([str(folder)])
    return read_reference(found, Spectrum(), Segmentation(), 1, lambda *_: None)


# --- what becomes of the model -------------------------------------------------------------------


def test_marked_sounds_are_among_the_reference(word_detector: Detector, taught: Detector) -> None:
    """They count as recordings and have held-out scores; the card names them, for ever."""
    assert taught.card.recordings == word_detector.card.recordings + 3 == 63
    assert taught.conformity.n == 63
    assert len(taught.card.marked) == 3
    assert word_detector.card.marked == ()
    assert taught.card.reference_digest != word_detector.card.reference_digest


def test_a_marked_sound_is_less_odd_afterwards(word_detector: Detector, taught: Detector) -> None:
    """Its own p grows, and so does that of another sound of its kind."""
    for samples in (*map(whistle, range(3)), whistle(5)):
        before, after = score(word_detector, samples).p, score(taught, samples).p
        assert before is not None
        assert after is not None
        assert after > before
        assert before == pytest.approx(1 / 61)


def test_groups_of_the_others_stay(word_detector: Detector, taught: Detector) -> None:
    """Six groups by folder are still six groups by folder, and one more: `marked`."""
    before, after = word_detector.card, taught.card
    assert after.group_rule == before.group_rule == "by folder"
    assert after.group_names == (*before.group_names, "marked")
    assert after.groups == before.groups + 1 == 7
    assert after.folds == before.folds


def test_the_false_alarm_table_is_that_of_the_others(taught: Detector) -> None:
    """All rows are there, and the marked sounds, who alarm, are not the worst group."""
    assert [row.rate for row in taught.card.false_alarms] == [0.01, 0.05, 0.1]
    for row in taught.card.false_alarms:
        assert "speaker" in row.worst_group
        assert row.mean <= row.worst < 1


@pytest.mark.parametrize("names", ["6_{0}_{1}.wav", "{0}/{1}.wav", "{0}{1}.wav"])
def test_folds_of_the_others_stay(
    names: str,
    tmp_path: Path,
    word_detector: Detector,
    make_word: Callable[..., Samples],
    folds_of: Folds,
) -> None:
    """However recordings are grouped, each stays in its fold, and the marked share one."""
    for i in range(35):
        path = tmp_path / "words" / names.format(chr(ord("u") - i // 5), i)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_word(i), 8000)
    mark(tmp_path / "m.offkey", word_detector, *map(whistle, range(3)))
    marked, words = read_marks(tmp_path / "m.offkey"), [str(tmp_path / "words")]
    before = folds_of(words, EVENT)
    after = folds_of(words, EVENT, marked)
    assert after[:35] == before
    assert len(set(after[35:])) == 1


def test_few_groups_and_the_marked_ones_have_a_fold_each(
    words_folder: Path,
    word_detector: Detector,
    tmp_path: Path,
    folds_of: Folds,
) -> None:
    """With two groups the marked sounds are a third fold; they still are no independent group."""
    mark(tmp_path / "m.offkey", word_detector, whistle(0))
    two = [str(words_folder / f"speaker {i}") for i in range(2)]
    marked = read_marks(tmp_path / "m.offkey")
    assert folds_of(two, EVENT, marked) == [0] * 10 + [1] * 10 + [2]
    detector = calibrate(two, EVENT, marked=marked)
    assert detector.card.groups == 3
    assert "independence is limited" in describe(detector)


def test_a_pattern_for_groups_need_not_match_marked_sounds(
    words_folder: Path, model: Path, folds_of: Folds
) -> None:
    """`--group` is about the recordings alone."""
    settings = replace(EVENT, group=re.compile(r"speaker (\d)"))
    before = folds_of([str(words_folder)], settings)
    assert folds_of([str(words_folder)], settings, read_marks(model))[:60] == before


def test_conditions_widen_by_what_was_heard(
    words_folder: Path, word_detector: Detector, tmp_path: Path
) -> None:
    """A marked sound's level over the background is that of where it was heard."""
    mark(tmp_path / "m.offkey", word_detector, whistle(0), over_floor_db=77.5)
    reference, marked = read(words_folder), read_marks(tmp_path / "m.offkey")
    assert reference.snr_range_db is not None
    taught = add_marked(reference, marked, Spectrum(), Segmentation())
    assert taught.snr_range_db == (reference.snr_range_db[0], 77.5)


def test_twenty_recordings_it_takes_without_the_marked_ones(
    tmp_path: Path, word_detector: Detector, write_words: Callable[..., list[Path]]
) -> None:
    """Marks do not stand in for recordings."""
    write_words(tmp_path / "few", 19)
    mark(tmp_path / "m.offkey", word_detector, *map(whistle, range(3)))
    with pytest.raises(InputError, match="19 usable recordings"):
        calibrate([str(tmp_path / "few")], EVENT, marked=read_marks(tmp_path / "m.offkey"))


def test_marks_that_lie_in_a_reference_folder_are_no_recordings(
    model: Path, write_words: Callable[..., list[Path]], folds_of: Folds
) -> None:
    """Reference and model in one folder: the marks are used once, as marks, or not at all."""
    write_words(model.parent / "words", 24)
    folder = [str(model.parent)]
    alone = folds_of(folder, EVENT)
    assert len(alone) == 24
    assert folds_of(folder, EVENT, read_marks(model)) == [*alone, 4, 4, 4]


def test_a_mark_that_cannot_be_used_is_listed(words_folder: Path, model: Path) -> None:
    """A damaged one is skipped with its reason; where all are, calibration is refused."""
    reference, how = read(words_folder), (Spectrum(), Segmentation())
    first, *others = sorted(marked_folder(model).glob("*.wav"))
    first.write_bytes(b"no audio")
    taught = add_marked(reference, read_marks(model), *how)
    assert taught.marked == tuple(other.stem for other in others)
    ((name, reason),) = taught.skipped
    assert first.name in name
    assert reason.startswith("unreadable")
    for other in others:
        other.write_bytes(b"no audio")
    with pytest.raises(InputError, match="None of the 3 marked sounds can be used"):
        add_marked(reference, read_marks(model), *how)


# --- continuous mode -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three recordings of a hum of 8 s, which is 31 windows each."""
    folder = tmp_path_factory.mktemp("machines")
    t = np.arange(8000 * 8) / 8000
    for i in range(3):
        noise = np.random.default_rng(i).normal(size=len(t)) * 0.01
        hum = 0.05 * np.sin(2 * np.pi * 120 * t) + 0.03 * np.sin(2 * np.pi * 240 * t)
        soundfile.write(folder / f"{i}.wav", hum + noise, 8000)
    return folder


def test_a_marked_window_is_one_window(
    machines: Path, tmp_path: Path, word_detector: Detector, folds_of: Folds
) -> None:
    """Folds stay pieces in time, though the marked ones would be a group more."""
    mark(tmp_path / "m.offkey", word_detector, *map(whistle, range(4)))
    marked = read_marks(tmp_path / "m.offkey")
    before = folds_of([str(machines)], WINDOWS)
    after = folds_of([str(machines)], WINDOWS, marked)
    assert after[:93] == before
    assert len(set(after[93:])) == 1
    detector = calibrate([str(machines)], WINDOWS, marked=marked)
    assert detector.card.segments == 3 * 31 + 4 == len(after)
    assert detector.card.group_rule.endswith("folds in time")
    held_out = sum(fold >= 0 for fold in before)
    assert detector.conformity.n == held_out + 4
    assert detector.card.alarm_rates[0].hours == pytest.approx(held_out * 0.25 / 3600)
    assert (score(detector, whistle(0)).reconstruction_p or 0) > 0.5


def test_a_window_too_short_for_new_settings_is_told(
    machines: Path, tmp_path: Path, word_detector: Detector
) -> None:
    """Windows of half a second make none of a second."""
    mark(tmp_path / "m.offkey", word_detector, whistle(0))
    longer = replace(WINDOWS, segmentation=Segmentation("continuous", 1.0, 0.5))
    with pytest.raises(InputError, match="The first is too short"):
        calibrate([str(machines)], longer, marked=read_marks(tmp_path / "m.offkey"))


# --- the command ---------------------------------------------------------------------------------


def test_the_command_takes_marks_in_and_says_so(
    offkey: Run, model: Path, words_folder: Path
) -> None:
    """Summary and `inspect` say how many; marks and names stay; a second run is alike."""
    detector = read_model(model)
    write_model(model, replace(detector, clusters=detector.clusters.renamed(0, "hum")))
    files = sorted(marked_folder(model).iterdir())
    arguments = ("calibrate", words_folder, "-o", model, "--no-maps", "--replace", "--add-marked")
    done = offkey(*arguments)
    assert done.returncode == 0, done.stderr
    assert "63 used" in done.stdout
    assert "3 of them marked as normal by a person" in done.stdout
    assert "The marked sounds stay in" in done.stdout
    assert "3 of them marked as normal by a person" in offkey("inspect", model).stdout
    assert sorted(marked_folder(model).iterdir()) == files
    assert ("hum" in read_model(model).clusters.given) != ("without a cluster" in done.stdout)
    first = read_model(model)
    assert Marks(model).waiting(first) == 0
    assert offkey(*arguments).returncode == 0
    again = read_model(model)
    assert again.card.reference_digest == first.card.reference_digest
    np.testing.assert_array_equal(again.conformity.isolation, first.conformity.isolation)


def test_marks_heard_in_a_room_need_the_room(
    offkey: Run, model: Path, words_folder: Path, tmp_path: Path
) -> None:
    """A model with a room takes no marks in without one: beside clean words they would be odd."""
    room = RoomUsed("my room.wav", 12.0, -50.0, 20.0, "0" * 64)
    detector = read_model(model)
    write_model(model, replace(detector, card=replace(detector.card, room=room)))
    before = model.read_bytes()
    words = ("calibrate", words_folder, "-o", model, "--no-maps", "--replace", "--add-marked")
    done = offkey(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Add --room 'my room.wav' --snr 20" in done.stderr
    assert model.read_bytes() == before
    noise = 0.001 * np.random.default_rng(0).normal(size=20_000)
    soundfile.write(tmp_path / "my room.wav", noise, 8000)
    done = offkey(*words, "--room", tmp_path / "my room.wav", "--snr", "20")
    assert done.returncode == 0, done.stderr
    made = read_model(model).card
    assert made.room is not None
    assert (len(made.marked), made.recordings, made.room.missed) == (3, 63, 0)


def test_without_the_option_marks_are_left_out_and_that_is_said(
    offkey: Run, model: Path, words_folder: Path
) -> None:
    """Nothing is taken in by itself, and nothing is left out in silence."""
    done = offkey("calibrate", words_folder, "-o", model, "--no-maps", "--replace")
    assert done.returncode == 0, done.stderr
    assert "60 used" in done.stdout
    assert "3 marked sounds were not taken in" in done.stdout
    assert "marked" not in describe(read_model(model))


def test_without_marks_the_option_is_refused_before_any_work(
    offkey: Run, words_folder: Path, tmp_path: Path
) -> None:
    """One sentence with exit code 2, also where the folder is there and empty; no model is made."""
    arguments = ("calibrate", words_folder, "-o", tmp_path / "m.offkey", "--add-marked")
    for _ in range(2):
        done = offkey(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("offkey: Nothing is marked as normal")
        assert not (tmp_path / "m.offkey").exists()
        marked_folder(tmp_path / "m.offkey").mkdir(exist_ok=True)


def test_marks_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """They are not taken for none."""
    marked_folder(tmp_path / "m.offkey").write_text("in the way")
    with pytest.raises(OffkeyError, match="cannot be read"):
        read_marks(tmp_path / "m.offkey")
