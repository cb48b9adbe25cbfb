"""Marking as normal: what is kept scores as it was heard, and nothing else changes."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audio import read_recording
from model.conformity import Conformity
from model.detector import Detector
from model.errors import OffkeyError
from model.marks import find_marks
from model.segment import Segment
from model.segmenter import cut_recording
from model.storage import write_model
from monitor.events import Heard
from monitor.marks import Marks

Samples = NDArray[np.float32]
RATE_HZ = 6800


def hear(detector: Detector, samples: Samples, number: int = 1) -> Heard:
    """Score samples as a segment that was heard live, with 23 dB over its background."""
    segment = Segment(samples, 12.0, len(samples) / RATE_HZ, floor_dbfs=-60.0)
    segment = replace(segment, floor_dbfs=(segment.level_dbfs or 0.0) - 23)
    time = "2026-11-22T12:00:00.000Z"
    return Heard("microphone", time, segment, detector.score(segment), number)


def odd_sound(seed: int, peak: float = 0.5) -> Samples:
    """Make up half a second of hiss that no word is like."""
    noise = np.random.default_rng(seed).normal(size=3400)
    scaled: Samples = (noise * peak / np.abs(noise).max()).astype(np.float32)
    return scaled


@pytest.fixture
def detector(word_detector: Detector, tmp_path: Path) -> Detector:
    """Write the model of the words into the test's folder, as `m.offkey`."""
    return write_model(tmp_path / "m.offkey", word_detector)


@pytest.fixture
def marks(detector: Detector, tmp_path: Path) -> Marks:
    """Give the marks of that model: none yet."""
    return Marks(str(tmp_path / "m.offkey"))


def marked_files(marks: Marks) -> list[str]:
    """Names of all that lies in the folder, hidden files too."""
    return sorted(os.listdir(marks.folder)) if marks.folder.exists() else []


@pytest.mark.parametrize("peak", [3.3e-5, 1e-3, 0.5, 1.0, 40.0, 1e9])
def test_a_mark_scores_again_as_the_segment_did(
    marks: Marks, detector: Detector, peak: float
) -> None:
    """From just above silence to far over full scale, read as a file is, to a thousandth."""
    samples = odd_sound(0, peak)
    heard = hear(detector, samples)
    assert heard.score.reason is None
    marks.add(heard, samples, detector)
    (path,) = find_marks(marks.folder.with_suffix(""))
    recording = read_recording(path, RATE_HZ, detector.segmentation.duration_s)
    (segment,) = cut_recording(recording, detector.segmentation)
    again = detector.score(segment)
    assert heard.score.reconstruction_error is not None
    assert again.isolation_score == pytest.approx(heard.score.isolation_score, rel=1e-3)
    assert again.reconstruction_error == pytest.approx(heard.score.reconstruction_error, rel=1e-3)
    assert again.p == heard.score.p


def test_beside_the_audio_stands_what_is_known(marks: Marks, detector: Detector) -> None:
    """Source, time, scores, and the model by which it was judged, as strict JSON."""
    samples = odd_sound(0)
    heard = hear(detector, samples)
    marks.add(heard, samples, detector)
    (name,) = [name for name in marked_files(marks) if name.endswith(".json")]
    told = json.loads((marks.folder / name).read_text())
    assert (told["source"], told["time"], told["snr_db"]) == ("microphone", heard.time, 23)
    assert told["p"] == heard.score.p
    assert told["isolation_score"] == heard.score.isolation_score
    assert told["mark"]["model_digest"] == detector.digest != ""
    assert told["mark"]["rate_hz"] == RATE_HZ


def test_a_sound_is_marked_once(marks: Marks, detector: Detector, tmp_path: Path) -> None:
    """Marking twice, under another number or in another session, adds no file."""
    samples = odd_sound(0)
    assert marks.add(hear(detector, samples), samples, detector)
    before = marked_files(marks)
    assert not marks.add(hear(detector, samples, 9), samples.copy(), detector)
    assert not Marks(tmp_path / "m.offkey").add(hear(detector, samples), samples, detector)
    assert marked_files(marks) == before
    assert len(before) == 2
    assert marks.count == 1


def test_marks_of_earlier_sessions_count(marks: Marks, detector: Detector, tmp_path: Path) -> None:
    """A new session finds what is there, and what another one adds meanwhile."""
    for seed in range(2):
        marks.add(hear(detector, odd_sound(seed)), odd_sound(seed), detector)
    other = Marks(tmp_path / "m.offkey")
    assert marks.count == other.count == 2
    other.add(hear(detector, odd_sound(2)), odd_sound(2), detector)
    marks.add(hear(detector, odd_sound(3)), odd_sound(3), detector)
    assert marks.count == 4


def test_undo_takes_back_this_sessions_marks_from_the_last_on(
    marks: Marks, detector: Detector, tmp_path: Path
) -> None:
    """Each undo removes one mark whole; marks of earlier sessions are never taken back."""
    marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
    kept = marked_files(marks)
    session = Marks(tmp_path / "m.offkey")
    for seed in (1, 2, 0, 2):  # the last two are marked already
        session.add(hear(detector, odd_sound(seed)), odd_sound(seed), detector)
    session.remove_last()
    assert session.count == 2
    session.remove_last()
    assert marked_files(session) == kept
    with pytest.raises(OffkeyError, match="No mark of this session"):
        session.remove_last()
    assert session.count == 1


def test_when_the_last_mark_goes_the_folder_goes(marks: Marks, detector: Detector) -> None:
    """Mark and undo leave nothing beside the model; so does undo after a deletion."""
    model = marks.folder.with_suffix("")
    for delete in (False, True):
        marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
        if delete:
            for name in marked_files(marks):
                (marks.folder / name).unlink()
        marks.remove_last()
        assert marks.count == 0
        assert list(model.parent.iterdir()) == [model]


def test_what_was_not_scored_cannot_be_marked(marks: Marks, detector: Detector) -> None:
    """A segment without a score is refused, and leaves no folder."""
    silent = np.zeros(3400, np.float32)
    heard = hear(detector, silent)
    assert heard.score.reason == "digital zero"
    with pytest.raises(OffkeyError, match="not scored"):
        marks.add(heard, silent, detector)
    assert not marks.folder.exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    marks: Marks, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file does not fit, no mark counts and no part of one stays."""
    fsync, calls = os.fsync, list[int]()

    def full(number: int, fails_at: int) -> None:
        calls.append(number)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    for fails_at in (1, 2):
        calls.clear()
        monkeypatch.setattr(os, "fsync", lambda number, at=fails_at: full(number, at))
        with pytest.raises(OffkeyError, match=r"cannot be kept in .*marked: No space left") as told:
            marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
        assert "\n" not in str(told.value)
        assert len(calls) == fails_at
        assert marks.count == 0
        assert not marks.folder.exists()
    assert marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)


def test_a_folder_that_cannot_be_made_is_one_sentence(detector: Detector, tmp_path: Path) -> None:
    """A monitor starts all the same; only marking is refused."""
    (tmp_path / "m.offkey.marked").write_text("in the way")
    marks = Marks(tmp_path / "m.offkey")
    assert marks.count == 0
    with pytest.raises(OffkeyError, match=r"m.offkey.marked cannot be read"):
        marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
    gone = Marks(tmp_path / "gone" / "m.offkey")
    with pytest.raises(OffkeyError, match=r"cannot be kept in .*gone"):
        gone.add(hear(detector, odd_sound(0)), odd_sound(0), detector)


def test_thresholds_with_marks_are_those_of_a_longer_reference(
    marks: Marks, detector: Detector
) -> None:
    """They equal those of a Conformity whose held-out scores go on with the marked sounds' own."""
    detector = detector.with_false_alarm_rate(0.05)
    assert marks.thresholds_with(detector) == detector.thresholds
    scores = []
    for seed in range(4):
        heard = hear(detector, odd_sound(seed))
        marks.add(heard, odd_sound(seed), detector)
        scores.append((heard.score.isolation_score, heard.score.reconstruction_error))
    isolation, reconstruction = np.array(scores, np.float64).T
    known = detector.conformity
    by_hand = Conformity(
        np.append(known.isolation, isolation), np.append(known.reconstruction, reconstruction)
    )
    found = marks.thresholds_with(detector)
    assert found.isolation_score == pytest.approx(
        by_hand.thresholds(0.05).isolation_score, rel=1e-9
    )
    assert found.reconstruction_error == pytest.approx(
        by_hand.thresholds(0.05).reconstruction_error, rel=1e-9
    )
    assert found.reconstruction_error > detector.thresholds.reconstruction_error
    marks.remove_last()
    assert marks.thresholds_with(detector) != found


def test_thresholds_follow_the_detector_and_the_folder(marks: Marks, detector: Detector) -> None:
    """Another fit scores the marks anew; a mark that is damaged, or in the model, adds nothing."""
    marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
    first = marks.thresholds_with(detector)
    other = replace(
        detector, subspace=replace(detector.subspace, components=detector.subspace.components[:3])
    )
    assert marks.thresholds_with(other) != first
    assert marks.thresholds_with(detector) == first
    (path,) = find_marks(marks.folder.with_suffix(""))
    taken_in = replace(detector, card=replace(detector.card, marked=(path.stem,)))
    assert marks.waiting(detector) == 1
    assert marks.waiting(taken_in) == 0
    assert marks.thresholds_with(taken_in) == detector.thresholds
    path.write_bytes(b"no audio")
    fresh = Marks(marks.folder.with_suffix(""))
    assert fresh.count == 1
    assert fresh.thresholds_with(detector) == detector.thresholds


def test_marking_changes_no_verdict_and_not_the_model(
    marks: Marks, detector: Detector, tmp_path: Path, make_word: Callable[..., Samples]
) -> None:
    """The file and every score stay as they were until somebody calibrates."""
    before, word = (tmp_path / "m.offkey").read_bytes(), make_word(300, RATE_HZ)
    score = hear(detector, word).score
    marks.add(hear(detector, odd_sound(0)), odd_sound(0), detector)
    marks.thresholds_with(detector)
    assert (tmp_path / "m.offkey").read_bytes() == before
    assert hear(detector, word).score == score


def test_asking_again_for_thresholds_reads_nothing_again(
    marks: Marks, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first call only new marks are read."""
    for seed in range(3):
        marks.add(hear(detector, odd_sound(seed)), odd_sound(seed), detector)
    read = []

    def reading(path: Path, rate_hz: int) -> object:
        read.append(path)
        return read_recording(path, rate_hz)

    monkeypatch.setattr("monitor.marks.read_recording", reading)
    marks.thresholds_with(detector)
    marks.thresholds_with(replace(detector, false_alarm_rate=0.1))
    assert len(read) == 3
    marks.add(hear(detector, odd_sound(3)), odd_sound(3), detector)
    marks.thresholds_with(detector)
    assert len(read) == 4
