"""`calibrate --room`: the noise of a place in the reference keeps its promise there."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate.fitting import Settings, calibrate, fit_detector
from calibrate.folds import folds_in_time
from calibrate.groups import group_recordings
from calibrate.reference import Reference, read_reference
from calibrate.report.hearing import listen
from calibrate.room import Room, check_room_options, read_room, room_of
from calibrate.roomfolds import held_out_by_group
from model.audio import Recording, level_dbfs, read_recording, resample
from model.detector import Detector, raw_scores
from model.errors import AudioError, InputError
from model.features import make_front_end
from model.files import FoundFiles
from model.segment import Segmentation
from model.segmenter import cut_recording
from model.storage import read_model, write_model
from model.summary import describe

Samples = NDArray[np.float32]
Offkey = Callable[..., "subprocess.CompletedProcess[str]"]


def pink(seed: int, seconds: float, rate_hz: int, level: float = 0.003) -> Samples:
    """Make noise whose power falls by 3 dB an octave from 20 Hz on, at an RMS level."""
    n = round(seconds * rate_hz)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    spectrum[: round(20 * seconds)] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, n)
    pink: Samples = (level * noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return pink


@pytest.fixture(scope="session")
def room_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write twelve seconds of pink noise."""
    path = tmp_path_factory.mktemp("room") / "room.wav"
    soundfile.write(path, pink(0, 12, 16000), 16000, subtype="FLOAT")
    return path


def make_room(snr_db: float | None, seconds: float = 5, seed: int = 42) -> Room:
    """Make a room of pink noise at 8,000 Hz."""
    return Room("room.wav", pink(1, seconds, 8000), 8000, "", snr_db, seed)


def test_room_lies_below_the_sound_as_asked(make_word: Callable[..., Samples]) -> None:
    """What is added is so many dB below the sound as asked; as recorded, at its own level."""
    word, room = make_word(1), make_room(20.0)
    level, own = level_dbfs(word), level_dbfs(room.samples)
    assert level is not None
    assert own is not None
    added = level_dbfs(room.around(word, "a.wav") - word)
    assert added == pytest.approx(level - 20, abs=1.5)
    added = level_dbfs(make_room(None).around(word, "a.wav") - word)
    assert added == pytest.approx(own, abs=1.5)


def test_each_recording_meets_a_piece_of_its_own(make_word: Callable[..., Samples]) -> None:
    """The piece depends on seed and file name alone, and differs between files and seeds."""
    word, room = make_word(1), make_room(20.0)
    mixed = room.around(word, "one/a.wav")
    assert np.array_equal(mixed, room.around(word, "other/a.wav"))
    assert not np.array_equal(mixed, room.around(word, "b.wav"))
    assert not np.array_equal(mixed, replace(room, seed=7).around(word, "a.wav"))


def test_each_fold_hears_a_part_of_its_own() -> None:
    """No noise that one fold hears is heard by another, however short the room is."""
    room = make_room(None, 5)
    room = replace(room, samples=np.arange(1, 40_001, dtype=np.float32))
    names = [f"{i}.wav" for i in range(50)]
    parted = room.in_parts(names, [i % 5 for i in range(50)])
    silence = np.zeros(8000, np.float32)
    heard = [set(parted.around(silence, name).tolist()) for name in names]
    folds = [set().union(*heard[fold::5]) for fold in range(5)]
    assert all(len(fold) == 8000 for fold in folds)
    assert len(set().union(*folds)) == 40_000
    short = replace(parted, samples=room.samples[:8000])
    heard = [set(short.around(silence, name).tolist()) for name in names]
    folds = [set().union(*heard[fold::5]) for fold in range(5)]
    assert all(len(fold) == 1600 for fold in folds)
    assert len(set().union(*folds)) == 8000


def test_each_piece_in_time_hears_a_part_of_its_own() -> None:
    """Where folds are pieces of one recording, each hears noise that no other does."""
    cut = Segmentation("continuous", 0.5, 0.25)
    room = replace(make_room(None, 5), samples=np.arange(1, 40_001, dtype=np.float32))
    parted = room.in_pieces(5, cut)
    silence = Recording(np.zeros(80_000, np.float32), 8000, 10.0)
    noise = parted.in_recording(silence, "a.wav").samples
    folds = folds_in_time(np.zeros(39, np.int64), 0.5, 0.25)
    heard: list[set[float]] = [set() for _ in range(5)]
    for window, fold in enumerate(folds.tolist()):
        if fold >= 0:
            heard[fold] |= set(noise[window * 2000 : window * 2000 + 4000].tolist())
    for one, other in itertools.combinations(heard, 2):
        assert not one & other


def test_a_short_room_goes_to_and_fro_without_a_jump() -> None:
    """A recording longer than the room is filled to its end, with no step that the room lacks."""
    t = np.arange(8000) / 8000
    wave = (0.1 * np.sin(2 * np.pi * 3.3 * t)).astype(np.float32)
    room = Room("room.wav", wave, 8000, "")
    piece = room.around(np.zeros(80_000, np.float32), "a.wav")
    assert len(piece) == 80_000
    assert np.abs(np.diff(piece)).max() <= np.abs(np.diff(wave)).max() + 1e-7
    assert np.abs(piece[-4000:]).max() > 0.05


@pytest.mark.parametrize(
    ("name", "snr_db"),
    [
        pytest.param("spectrum", 10, marks=pytest.mark.slow),
        pytest.param("mel", 20, marks=pytest.mark.slow),
        ("mel", 10),
    ],
)
def test_new_speakers_in_noise_alarm_as_promised(
    six_folder: Path, name: str, snr_db: float
) -> None:
    """Sixes of thirty new speakers in pink noise alarm at most 1.5 times as often as promised.

    They do so whole, as `score` hears them, and as a monitor's gate cuts them. The reference knew
    other pieces of that noise; the rate is 5 %.
    """
    front_end = make_front_end(name, 1.0)
    paths = sorted(str(p) for p in six_folder.glob("*.flac") if int(p.stem.split("_")[2]) < 10)

    def read(seed: int, rest: int) -> Reference:
        room = Room("room.wav", pink(seed, 10, 16000), 16000, "", snr_db, seed)
        mine = tuple(p for p in paths if int(Path(p).stem.split("_")[1]) % 2 == rest)
        room = held_out_by_group(room, mine, group_recordings(mine).of_recording, Segmentation())
        return read_reference(
            FoundFiles(mine, 0), front_end, Segmentation(), -1, lambda *_: None, room=room
        )

    whole, live = [], []
    for rest in (0, 1):
        known, new = read(1, rest), read(2, 1 - rest)
        detector = fit_detector(
            known, group_recordings(known.names), front_end, Settings(maps=False)
        )
        raw = raw_scores(detector.subspace, detector.forest, new.features[:])
        p = detector.conformity.p_values(raw.isolation, raw.reconstruction).joint
        first = np.diff(new.recording, prepend=-1) != 0
        alarms = np.bincount(new.recording[~first], p[~first] <= 0.05, len(new.names)) > 0
        whole.append(float(np.mean(p[first] <= 0.05)))
        live.append(float(np.mean(alarms)))
    assert np.mean(whole) <= 1.5 * 0.05
    assert np.mean(live) <= 1.5 * 0.05


@pytest.fixture(scope="module")
def in_a_room(
    offkey: Offkey, words_folder: Path, room_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """Calibrate on the words in the room, by the command: the model, and what was said."""
    model = tmp_path_factory.mktemp("in a room") / "m.offkey"
    words = ("--no-maps", "--features", "mel", "--room", room_file, "--snr", "15")
    done = offkey("calibrate", words_folder, "-o", model, *words)
    assert done.returncode == 0, done.stderr
    return model, done.stdout


def test_the_model_remembers_its_room(offkey: Offkey, in_a_room: tuple[Path, str]) -> None:
    """Summary and inspect say which room, how long, how loud, and how it was mixed."""
    model, summary = in_a_room
    for said in (summary, offkey("inspect", model).stdout):
        text = " ".join(said.split())
        assert "room.wav, 12.0 s at -50 dBFS" in text
        assert "15 dB below each recording" in text
    card = read_model(model).card
    assert card.room is not None
    assert card.room.snr_db == 15
    assert card.room.is_held_out
    short = replace(card, room=replace(card.room, is_held_out=False))
    assert "too short to be held out" in describe(replace(read_model(model), card=short))


def test_the_page_finds_the_recordings_as_they_were_heard(
    in_a_room: tuple[Path, str], words_folder: Path, room_file: Path, tmp_path: Path
) -> None:
    """With the same room every sound is known again; without it, or with another, it is refused."""
    detector = read_model(in_a_room[0])
    room = room_of(detector.card, str(room_file))
    heard = listen(detector, [str(words_folder)], False, lambda *_: None, room)
    assert (heard.missing, heard.changed, len(heard.curves)) == (0, 0, 60)
    heard = listen(detector, [str(words_folder)], False, lambda *_: None)
    assert heard.changed == 60
    with pytest.raises(InputError, match=r"in the room room\.wav"):
        room_of(detector.card, None)
    other = tmp_path / "room.wav"
    soundfile.write(other, pink(9, 12, 16000), 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="not the room"):
        room_of(detector.card, str(other))
    with pytest.raises(InputError, match="without a room"):
        room_of(replace(detector.card, room=None), str(room_file))


def test_a_recording_that_cannot_be_used_moves_no_other_to_another_part(
    words_folder: Path, room_file: Path, tmp_path: Path
) -> None:
    """Each fold hears its own part of the room, whatever was skipped before it in the order."""
    (tmp_path / "0.wav").write_text("no audio")
    paths = [str(tmp_path / "0.wav"), str(words_folder)]
    room = read_room(str(room_file), 15.0, 42)
    detector = calibrate(paths, Settings(features="mel", maps=False, room=room))
    assert len(detector.card.skipped) == 1
    heard = listen(detector, paths, False, lambda *_: None, room)
    assert (heard.missing, heard.changed, len(heard.curves)) == (0, 0, 60)


@pytest.mark.parametrize("seconds", [30.0, 1.5])
def test_windows_of_one_machine_are_held_out_with_the_room(
    make_word: Callable[..., Samples], tmp_path: Path, room_file: Path, seconds: float
) -> None:
    """Folds that are pieces in time, or recordings too short for that, hear parts of their own.

    The model says so, and the page finds every window again.
    """
    words = np.tile(np.concatenate([make_word(i) for i in range(40)]), 2)
    for i in range(2 if seconds > 10 else 12):
        soundfile.write(tmp_path / f"{i:02}.wav", words[i * 3000 :][: round(seconds * 8000)], 8000)
    room = read_room(str(room_file), None, 42)
    settings = Settings(
        Segmentation("continuous", 0.5, 0.25), features="spectrum", maps=False, room=room
    )
    detector = calibrate([str(tmp_path)], settings)
    assert detector.card.room is not None
    assert detector.card.room.is_held_out
    assert detector.card.room.in_time == (seconds > 10)
    heard = listen(detector, [str(tmp_path)], False, lambda *_: None, room)
    assert (heard.missing, heard.changed) == (0, 0)
    assert len(heard.curves) == detector.conformity.n


def test_a_machine_in_new_noise_alarms_as_promised(tmp_path: Path) -> None:
    """One recording of a machine, in a room of ten seconds: new windows in new noise keep to 5 %.

    With the same noise in all folds nearly all of them alarm.
    """
    rate_hz, rng = 16000, np.random.default_rng(0)

    def machine(seconds: int) -> Samples:
        t = np.arange(seconds * rate_hz) / rate_hz
        drift = 1 + 0.01 * np.cumsum(rng.normal(size=len(t))) / np.sqrt(len(t))
        phase = 2 * np.pi * np.cumsum(26 * drift) / rate_hz
        sound = sum(np.sin(k * phase + k) / k for k in range(1, 40))
        sound += 0.05 * rng.normal(size=len(t)) * (1 + 0.5 * np.sin(phase / 2))
        mono: Samples = (0.05 * sound).astype(np.float32)
        return mono

    soundfile.write(tmp_path / "machine.wav", machine(120), rate_hz, subtype="FLOAT")
    cut = Segmentation("continuous", 1.0, 0.5)
    room = Room("room.wav", pink(1, 10, rate_hz), rate_hz, "", 10.0)
    settings = Settings(cut, features="mel", maps=False, room=room)
    detector = calibrate([str(tmp_path)], settings)
    place = Room("place.wav", pink(2, 120, rate_hz), rate_hz, "", 10.0)
    heard = place.in_recording(Recording(machine(120), rate_hz, 120.0), "new.wav")
    p = [score.p for score in detector.score_batch(cut_recording(heard, cut))]
    assert np.mean([value <= 0.05 for value in p if value is not None]) <= 1.5 * 0.05


def test_a_room_can_come_through_a_pipe(
    in_a_room: tuple[Path, str], words_folder: Path, room_file: Path, tmp_path: Path
) -> None:
    """WAV on standard input gives the same model as the file."""
    model, _ = in_a_room
    piped = tmp_path / "piped.offkey"
    command: list[str | Path] = [Path(sys.executable).with_name("offkey"), "calibrate"]
    words = ("--no-maps", "--features", "mel", "--room", "-", "--snr", "15")
    done = subprocess.run(
        [*command, words_folder, "-o", piped, *words],
        input=room_file.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, other = read_model(model), read_model(piped)
    assert np.array_equal(one.conformity.reconstruction, other.conformity.reconstruction)
    assert one.card.room is not None
    assert other.card.room is not None
    assert one.card.room.digest == other.card.room.digest


def test_what_is_doubtful_about_a_room_is_said(
    offkey: Offkey, make_word: Callable[..., Samples], tmp_path: Path
) -> None:
    """A room that clips, that ends below what is listened to, or that has a lower rate, is told."""
    (tmp_path / "words").mkdir()
    for i in range(20):
        soundfile.write(tmp_path / "words" / f"{i:02}.wav", make_word(i, 16000), 16000)
    room = pink(0, 12, 8000)
    soundfile.write(tmp_path / "low.wav", room, 8000)
    soundfile.write(tmp_path / "narrow.wav", resample(room, 8000, 16000), 16000)
    soundfile.write(tmp_path / "loud.wav", np.clip(300 * pink(0, 12, 16000), -1, 1), 16000)
    for name, words in {
        "low": "its rate is lower than that of the recordings: so mel listens up to 4 kHz only",
        "narrow": "next to nothing above 3.8 kHz, and mel listens up to 8 kHz",
        "loud": "it clips",
    }.items():
        told = ("--no-maps", "--features", "mel", "--snr", "20", "--room", tmp_path / f"{name}.wav")
        done = offkey("calibrate", tmp_path / "words", "-o", tmp_path / f"{name}.offkey", *told)
        said = " ".join(done.stdout.split())
        assert words in said
        assert ("kHz only" in said, "next to nothing" in said, "clips" in said).count(True) == 1


def test_without_a_room_nothing_changes(word_detector: Detector, tmp_path: Path) -> None:
    """A model without a room says nothing of one, and is read back as it was."""
    write_model(tmp_path / "m.offkey", word_detector)
    assert read_model(tmp_path / "m.offkey").card.room is None


def test_hearing_is_measured_in_the_room(words_folder: Path, room_file: Path) -> None:
    """Undamaged words in the room alarm hardly more often than promised: they are tested in it."""
    room = read_room(str(room_file), 5.0, 42)
    settings = Settings(features="mel", maps=False, room=room)
    hearing = calibrate([str(words_folder)], settings).card.hearing
    assert hearing is not None
    assert hearing.undamaged <= 0.1


def test_what_cannot_be_a_room_is_refused(tmp_path: Path) -> None:
    """Too short, without a signal, no audio, an impossible ratio: a sentence each."""
    for samples, word in ((pink(0, 0.5, 8000), "at least"), (np.zeros(16000), "digital zero")):
        soundfile.write(tmp_path / "r.wav", samples, 8000, subtype="FLOAT")
        with pytest.raises(InputError, match=word):
            read_room(str(tmp_path / "r.wav"), None, 42)
    (tmp_path / "r.txt").write_text("no sound")
    with pytest.raises(AudioError):
        read_room(str(tmp_path / "r.txt"), None, 42)
    with pytest.raises(InputError, match="goes with --room"):
        check_room_options(None, 10.0)
    with pytest.raises(InputError, match="takes"):
        check_room_options("r.wav", float("nan"))
    with pytest.raises(AudioError, match="4,000 Hz"):
        Room("r.wav", pink(0, 2, 4000), 4000, "").at(6800)


def test_no_more_is_read_of_a_room_than_can_be_used(tmp_path: Path) -> None:
    """A room of hours is refused in a sentence after ten minutes of it; ten minutes are taken."""
    path = tmp_path / "r.wav"
    soundfile.write(path, pink(0, 600, 1000), 1000, subtype="FLOAT")
    assert len(read_room(str(path), None, 42).samples) == 600_000
    soundfile.write(path, np.zeros(20_000_000, np.int16), 1000, subtype="PCM_U8")
    tracemalloc.start()
    with pytest.raises(InputError, match="longer than ten minutes"):
        read_room(str(path), None, 42)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_a_room_is_what_sounds_not_where_its_zero_line_lies(tmp_path: Path) -> None:
    """An offset of the room goes into no recording; its noise and its level do."""
    noise = pink(0, 5, 8000)
    soundfile.write(tmp_path / "r.wav", noise + np.float32(0.2), 8000, subtype="FLOAT")
    room = read_room(str(tmp_path / "r.wav"), None, 42)
    assert np.abs(room.samples - (noise - noise.mean())).max() < 1e-6
    mixed = room.around(np.zeros(8000, np.float32), "a.wav")
    assert abs(mixed.mean()) < 0.002


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (None, "The room on standard input is 0.5 s long"),
        (6000, "The room on standard input is cut short"),
    ],
)
def test_a_bad_room_on_standard_input_is_told(
    words_folder: Path, kept: int | None, sentence: str, tmp_path: Path
) -> None:
    """One that is too short, or ends before its header says, is refused as a file would be."""
    soundfile.write(tmp_path / "r.wav", pink(0, 0.5 if kept is None else 5, 8000), 8000)
    command: list[str | Path] = [Path(sys.executable).with_name("offkey"), "calibrate"]
    done = subprocess.run(
        [*command, words_folder, "-o", tmp_path / "m.offkey", "--room", "-"],
        input=(tmp_path / "r.wav").read_bytes()[:kept],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_folder_is_no_room(tmp_path: Path) -> None:
    """It is told that it is a folder, without advice that is for other verbs."""
    with pytest.raises(AudioError, match=r"is a folder\.$") as refused:
        read_room(str(tmp_path), None, 42)
    assert not refused.value.hint


def test_recordings_that_cannot_be_used_stay_so(tmp_path: Path) -> None:
    """A room makes no sound of a recording that is digital zero: it is skipped as before."""
    soundfile.write(tmp_path / "zero.wav", np.zeros(8000), 8000)
    recording = read_recording(tmp_path / "zero.wav", 8000)
    assert make_room(20.0).in_recording(recording, "zero.wav").state == "digital zero"
