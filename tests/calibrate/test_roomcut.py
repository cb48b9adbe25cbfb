"""In a room recordings are learnt whole and as the monitor's gate cuts them there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate.crossfit import HeldOut
from calibrate.fitting import Settings, calibrate
from calibrate.handover import read_in_processes
from calibrate.readfile import read_files
from calibrate.reference import read_reference
from calibrate.room import Room
from calibrate.roomcut import MOST_CUTS, cut_by_gate, cut_in_room
from model.audio import Block, read_recording
from model.conformity import Conformity
from model.detector import RawScores
from model.features import make_front_end
from model.files import FoundFiles, find_recordings
from model.segment import Segmentation
from model.segmenter import make_segmenter
from model.storage import read_model, write_model
from model.summary import describe

Samples = NDArray[np.float32]


def white_room(snr_db: float) -> Room:
    """White noise at 16,000 Hz, so many dB below each recording."""
    noise = np.random.default_rng(0).normal(size=160_000).astype(np.float32)
    return Room("room.wav", 0.01 * noise, 16000, "", snr_db)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, make_word: Callable[..., Samples]) -> Path:
    """A hundred words at 16,000 Hz."""
    folder = tmp_path_factory.mktemp("words")
    for i in range(100):
        soundfile.write(folder / f"{i:03}.wav", make_word(i, 16000), 16000)
    return folder


def test_in_a_quiet_room_the_gate_hears_all(words: Path) -> None:
    """At 40 dB nothing is missed; a recording heard twice is one sound, and no advice is given."""
    detector = calibrate([str(words)], Settings(features="mel", maps=False, room=white_room(40)))
    assert detector.card.room is not None
    assert detector.card.room.missed == 0
    assert detector.card.segments == 200
    assert detector.conformity.n == 100
    assert detector.gallery is not None
    assert detector.gallery.recording.tolist() == list(range(100))
    said = " ".join(describe(detector).split())
    assert "as the gate cuts it there; it opens for 100 of 100" in said
    assert "nearer" not in said


def test_what_is_lost_in_a_loud_room_is_told(
    make_word: Callable[..., Samples], tmp_path: Path
) -> None:
    """Where half the words lie in the noise, that is said, with what helps, and kept."""
    (tmp_path / "words").mkdir()
    for i in range(40):
        word = make_word(i, 16000) * (0.003 if i % 2 else 1)
        soundfile.write(tmp_path / "words" / f"{i:03}.wav", word, 16000, subtype="FLOAT")
    room = replace(white_room(0), snr_db=None)
    settings = Settings(features="spectrum", maps=False, room=room)
    detector = calibrate([str(tmp_path / "words")], settings)
    assert detector.card.room is not None
    assert detector.card.room.missed == 20
    assert detector.card.segments == 60
    said = " ".join(describe(detector).split())
    assert "it opens for 20 of 40" in said
    assert "would miss many: bring the microphone nearer" in said
    far = replace(detector.card.room, missed=40, snr_db=3.0)
    detector = replace(detector, card=replace(detector.card, room=far))
    said = " ".join(describe(detector).split())
    assert "would miss all: 3 dB above it are too few" in said
    write_model(tmp_path / "m.offkey", detector)
    assert read_model(tmp_path / "m.offkey").card == detector.card


def test_windows_are_not_cut_by_a_gate(words: Path) -> None:
    """Continuous mode has no gate: each window is learnt once, and nothing is said of a gate."""
    cut = Segmentation("continuous", 0.25, 0.125)
    detector = calibrate(
        [str(words)], Settings(cut, features="mel", maps=False, room=white_room(20))
    )
    assert detector.card.room is not None
    assert detector.card.room.missed is None
    assert detector.card.segments == detector.conformity.n
    assert "gate" not in describe(detector)


def test_what_is_learnt_is_what_a_monitor_cuts(make_word: Callable[..., Samples]) -> None:
    """The gate's pieces are those of the same stream in blocks of 20 ms, without the room's own."""
    word, room, cut = make_word(4, 16000), white_room(15), Segmentation()
    (heard,) = cut_by_gate(word, "a.wav", cut, room)
    stream = room.around(np.pad(word, (32_000, 16_000)), "a.wav", word)
    segmenter = make_segmenter(cut, 16000)
    live = [
        segment
        for start in range(0, len(stream), 320)
        for segment in segmenter.push(Block(stream[start : start + 320], start))
    ]
    (expected,) = [segment for segment in live if segment.start_s + segment.duration_s > 2]
    assert np.array_equal(heard.samples, expected.samples)
    assert 0 < len(heard.samples) < len(word)


def test_of_many_pieces_the_first_are_learnt(tmp_path: Path) -> None:
    """Five short tones far apart are the whole and three pieces, in processes as alone."""
    t = np.arange(40_000) / 16000
    tones = (0.3 * np.sin(2 * np.pi * 440 * t) * (t % 0.5 < 0.15)).astype(np.float32)
    cut = Segmentation(duration_s=2.5)
    for i in range(20):
        soundfile.write(tmp_path / f"{i:02}.wav", tones, 16000, subtype="FLOAT")
    path = str(tmp_path / "07.wav")
    front_end, room = make_front_end("mel", 2.5), white_room(30)
    segments = cut_in_room(read_recording(path, 16000), path, cut, room)
    assert len(segments) == 1 + MOST_CUTS
    expected = np.array([front_end.features(segment.samples) for segment in segments])
    found = FoundFiles(tuple(str(p) for p in sorted(tmp_path.iterdir())), 0)

    def read(paths: list[str]) -> list[object]:
        return read_files(paths, [front_end], cut, [room])  # type: ignore[return-value]

    batches = [[path], list(found.paths[:3])]
    (alone,), _ = read_in_processes(read, batches, front_end.n_features, 2, 1 + MOST_CUTS)  # type: ignore[arg-type]
    assert np.array_equal(alone.features, expected)
    assert alone.windows == (0,) * 4


def test_the_same_in_threads_and_for_each_front_end(words: Path) -> None:
    """Read for one front end, or by joblib's threads, it is the same reference."""
    found, front_end = find_recordings([str(words)]), make_front_end("mel", 1.0)
    args = (found, front_end, Segmentation(), 2, lambda *_: None)
    here = read_reference(*args, room=white_room(20))
    there = read_reference(*args, cluster=lambda: nullcontext(), room=white_room(20))
    assert np.array_equal(here.features[:], there.features[:])
    assert np.array_equal(here.sound, there.sound)
    assert (here.n_sounds, here.missed) == (100, there.missed)


def test_of_each_sound_the_oddest_segment_is_held_out() -> None:
    """Each sound stays once, and none of its segments is odder than the one that stays."""
    rng = np.random.default_rng(3)
    sound = np.sort(rng.integers(0, 60, 200))
    scores = RawScores(rng.normal(size=200), rng.random(200), rng.random((200, 16)))
    held_out = HeldOut(np.arange(200), scores, rng.random(200)).oddest_of_each(sound)
    assert sound[held_out.kept].tolist() == sorted(set(sound.tolist()))
    assert np.array_equal(held_out.scores.isolation, scores.isolation[held_out.kept])
    oddness = Conformity(scores.isolation, scores.reconstruction).oddness(
        scores.isolation, scores.reconstruction
    )
    for kept in held_out.kept.tolist():
        assert oddness[kept] == oddness[sound == sound[kept]].max()


def test_marked_sounds_are_sounds_of_their_own(words: Path) -> None:
    """Behind recordings that are heard twice, two marked sounds are two more."""
    found, front_end = find_recordings([str(words)]), make_front_end("mel", 1.0)
    args = (found, front_end, Segmentation(), 2, lambda *_: None)
    reference = read_reference(*args, room=white_room(20))
    more = replace(
        reference,
        names=(*reference.names, "a", "b"),
        recording=np.append(reference.recording, [100, 101]),
        marked=("a", "b"),
    )
    assert more.n_sounds == 102
    assert more.sound[-3:].tolist() == [99, 100, 101]
