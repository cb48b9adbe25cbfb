"""What the reference set is: which files are used, how they are grouped, what is told."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate.fitting import Settings, calibrate
from calibrate.groups import check_group_pattern, group_recordings
from calibrate.reference import Reference, read_reference
from calibrate.room import Room
from model.errors import InputError
from model.features import Spectrum
from model.files import find_recordings
from model.segment import Segmentation

CONTINUOUS = Segmentation("continuous", 1.0, 0.5)


def read(
    folder: Path, cut: Segmentation | None = None, jobs: int = 1, room: Room | None = None
) -> Reference:
    """Read a folder as calibration does."""
    found, cut = find_recordings([str(folder)]), cut or Segmentation()
    return read_reference(found, Spectrum(), cut, jobs, lambda *_: None, room=room)


def test_sixes_are_grouped_by_speaker(sixes: Reference) -> None:
    """The names of the real recordings say their 60 speakers by themselves."""
    groups = group_recordings(sixes.names)
    assert groups.names == tuple(f"{i:02}" for i in range(1, 61))
    assert "second field" in groups.rule


@pytest.mark.parametrize(
    ("names", "groups", "rule"),
    [
        ([f"x/6_{i % 5}_{i}.wav" for i in range(20)], [str(i % 5) for i in range(20)], "field"),
        ([f"d{i % 2}/6_{i % 4}_{i}.wav" for i in range(20)], [f"d{i % 2}" for i in range(20)], ""),
        ([f"d{i % 2}/6_{i}_x.wav" for i in range(20)], [f"d{i % 2}" for i in range(20)], "folder"),
        (
            [f"d{i % 2}/6_{i % 5}.wav" for i in range(20)],
            [f"d{i % 2}" for i in range(20)],
            "folder",
        ),
        ([f"d{i % 2}/6_{i % 5}__{i}.wav" for i in range(20)], [f"d{i % 2}" for i in range(20)], ""),
        ([f"d{i % 2}/_{i % 5}_{i}.wav" for i in range(20)], [f"d{i % 2}" for i in range(20)], ""),
        ([f"d/{i}.wav" for i in range(20)], [f"d/{i}.wav" for i in range(20)], "by itself"),
    ],
    ids=["field", "4 values", "too many values", "2 fields", "4 fields", "empty field", "alone"],
)
def test_groups_follow_the_design(names: list[str], groups: list[str], rule: str) -> None:
    """Second field of three, where it has 5 to n / 2 values; else folders; else each by itself."""
    found = group_recordings(names)
    assert list(found.of_recording) == groups
    assert rule in found.rule


def test_a_pattern_of_the_user_goes_first() -> None:
    """The capture of `--group` is the group; where it makes one only, each stands by itself."""
    names = [f"d{i % 2}/6_{i % 5}_{i % 3}x{i}.wav" for i in range(20)]
    assert group_recordings(names, re.compile(r"_(\d)x")).names == ("0", "1", "2")
    assert group_recordings(names, re.compile(r"(6)_")).of_recording == tuple(names)
    with pytest.raises(InputError, match="19 of 20"):
        group_recordings(names, re.compile(r"(x19)"))


@pytest.mark.parametrize("pattern", ["(", "speaker", "(a)(b)", "*"])
def test_a_pattern_without_exactly_one_capture_is_refused(pattern: str) -> None:
    """What cannot name a group is told before anything is read."""
    assert check_group_pattern(None) is None
    with pytest.raises(InputError, match="--group"):
        check_group_pattern(pattern)


def test_a_bad_recording_is_listed_and_the_rest_is_used(
    tmp_path: Path,
    write_words: Callable[..., list[Path]],
    make_word: Callable[..., NDArray[np.float32]],
) -> None:
    """Every kind of bad file has its reason; clipped ones are used and told."""
    good = write_words(tmp_path, 22)
    word = make_word(99)
    (tmp_path / "text.wav").write_text("six")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "cut.wav").write_bytes(good[0].read_bytes()[:4000])
    soundfile.write(tmp_path / "cut.flac", word, 8000)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    for name, samples in {
        "none": word[:0],
        "scrap": word[:400],
        "zeros": 0 * word,
        "constant": 0 * word + 0.3,
        "silent": word * 1e-5,
        "nan": np.where(np.arange(len(word)) == 100, np.nan, word),
        "clipped": np.clip(100 * word, -1, 1),
    }.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000, subtype="FLOAT")
    (tmp_path / "copy.wav").write_bytes(good[0].read_bytes())
    (tmp_path / "dangling.wav").symlink_to("gone")
    (tmp_path / "notes.txt").touch()
    reference = read(tmp_path)
    reasons = {Path(name).name: reason for name, reason in reference.skipped}
    assert reasons.pop("text.wav").startswith("unreadable")
    assert "dangling" in reasons.pop("dangling.wav")
    for name in ("empty.wav", "cut.wav", "cut.flac"):
        assert reasons.pop(name).startswith("unreadable")
    assert reasons == {
        "none.wav": "too short",
        "scrap.wav": "too short",
        "zeros.wav": "digital zero",
        "constant.wav": "digital zero",
        "silent.wav": "silent",
        "nan.wav": "not finite",
        good[0].name: f"a copy of {tmp_path / 'copy.wav'}",
    }
    assert [Path(name).name for name in reference.clipped] == ["clipped.wav"]
    assert len(reference.names) == len(reference.features) == 23
    assert reference.ignored_files == 1
    assert np.isfinite(reference.features[:]).all()


def test_names_that_are_not_text_are_used_and_shown(
    tmp_path: Path,
    write_words: Callable[..., list[Path]],
) -> None:
    """Recordings keep their names' bytes; names of skipped ones can be printed."""
    for i, path in enumerate(write_words(tmp_path, 20)):
        os.rename(path, os.path.join(os.fsencode(tmp_path), b"\xff\xfe\n%d.wav" % i))
    with open(os.path.join(os.fsencode(tmp_path), b"\xff bad.wav"), "w") as file:
        file.write("no audio")
    reference = read(tmp_path)
    assert len(reference.names) == 20
    ((name, _),) = reference.skipped
    assert name.isprintable()
    name.encode()


def test_jobs_and_order_of_paths_change_nothing(
    tmp_path: Path, write_words: Callable[..., list[Path]]
) -> None:
    """One thread or several, paths in any order: the detector is the same."""
    paths = [str(path) for path in write_words(tmp_path, 24)]
    one = calibrate(paths, Settings(maps=False, jobs=1))
    other = calibrate(paths[::-1], Settings(maps=False, jobs=2))
    np.testing.assert_array_equal(one.conformity.isolation, other.conformity.isolation)
    np.testing.assert_array_equal(one.conformity.reconstruction, other.conformity.reconstruction)
    assert one.card.reference_digest == other.card.reference_digest


def test_the_digest_tells_reference_sets_apart(
    tmp_path: Path, write_words: Callable[..., list[Path]]
) -> None:
    """One other recording, and the set has another digest; other names for the same do not."""
    paths = write_words(tmp_path / "a", 20)
    first = read(tmp_path / "a").digest
    (tmp_path / "a").rename(tmp_path / "b")
    assert read(tmp_path / "b").digest == first
    soundfile.write(tmp_path / "b" / paths[7].name, np.random.default_rng(0).random(4000), 8000)
    assert read(tmp_path / "b").digest != first


def test_twenty_recordings_are_enough_and_nineteen_are_not(
    tmp_path: Path, write_words: Callable[..., list[Path]]
) -> None:
    """The error says how many are usable, how many it takes, and what was skipped."""
    paths = write_words(tmp_path, 20)
    assert len(read(tmp_path).names) == 20
    paths[3].write_text("no audio")
    with pytest.raises(InputError, match=r"19 .*20.* Skipped 1: .*word 003"):
        read(tmp_path)


def test_windows_of_a_long_recording_count_for_themselves(tmp_path: Path) -> None:
    """In continuous mode one recording of 20 windows is enough, and each knows its recording."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.normal(size=8000 * 9) * 0.1, 8000)
    soundfile.write(tmp_path / "b.wav", rng.normal(size=8000 * 3) * 0.1, 8000)
    reference = read(tmp_path, CONTINUOUS)
    assert np.bincount(reference.recording).tolist() == [17, 5]
    with pytest.raises(InputError, match="windows"):
        read(tmp_path, Segmentation("continuous", 2.0, 1.0))


def test_the_conditions_of_the_reference_are_known(
    tmp_path: Path, write_words: Callable[..., list[Path]]
) -> None:
    """The range of signal-to-noise ratios spans those of the recordings."""
    write_words(tmp_path, 20)
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "steady.wav", rng.normal(size=8000) * 0.1, 8000)
    known = read(tmp_path).snr_range_db
    assert known is not None
    assert known[0] == pytest.approx(0, abs=1.5)
    assert known[1] > 20


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_the_same_samples_count_once_in_whatever_file(
    tmp_path: Path, write_words: Callable[..., list[Path]], suffix: str
) -> None:
    """A copy elsewhere, be it in another format, is no further recording, also in a room."""
    paths = write_words(tmp_path, 24)
    copy = tmp_path / "zz" / f"copy{suffix}"
    copy.parent.mkdir()
    samples, rate_hz = soundfile.read(paths[3], dtype="int16")
    soundfile.write(copy, np.column_stack([samples, samples]), rate_hz)
    noise = np.random.default_rng(0).normal(size=8 * rate_hz).astype(np.float32)
    for room in (None, Room("room", 0.01 * noise, rate_hz, "")):
        reference = read(tmp_path, room=room)
        assert reference.names == tuple(map(str, paths))
        assert reference.skipped == ((str(copy), f"a copy of {paths[3]}"),)
        assert reference.n_sounds == len(reference.names) == 24
        assert len(reference.features) == (24 if room is None else 48)
