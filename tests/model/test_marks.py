"""Which files are marks, where they are kept, and what their JSON tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.errors import OffkeyError
from model.marks import find_marks, is_mark, mark_name, marked_folder, read_marks

NAME = "0123456789abcdef"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Name a model whose folder of marks holds one mark and files of other kinds."""
    model = tmp_path / "six.offkey"
    folder = marked_folder(model)
    folder.mkdir()
    for name in (f"{NAME}.wav", "notes.txt", "mine.wav", f".{NAME}.wav.part", f"{NAME}.flac"):
        (folder / name).touch()
    return model


def test_marks_lie_beside_the_model_also_through_a_link(tmp_path: Path) -> None:
    """The folder is the model's name with `.marked`; a link to the model leads to the same one."""
    model = tmp_path / "six.offkey"
    model.touch()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.offkey"
    link.symlink_to(model)
    assert marked_folder(model) == tmp_path.resolve() / "six.offkey.marked"
    assert marked_folder(link) == marked_folder(model)


def test_only_what_is_named_like_a_mark_is_one(model: Path) -> None:
    """Other files in the folder are no marks, nor are files named like marks elsewhere."""
    folder = marked_folder(model)
    assert find_marks(model) == (folder / f"{NAME}.wav",)
    assert [path.name for path in folder.iterdir() if is_mark(path)] == [f"{NAME}.wav"]
    assert not is_mark(model.with_name(f"{NAME}.wav"))


def test_a_folder_that_is_not_there_holds_no_marks(tmp_path: Path) -> None:
    """Nothing marked is no error."""
    assert find_marks(tmp_path / "six.offkey") == ()
    assert read_marks(tmp_path / "six.offkey") == ()


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It is never taken for one without marks."""
    (tmp_path / "six.offkey.marked").write_text("not a folder")
    with pytest.raises(OffkeyError, match=r"six\.offkey\.marked cannot be read"):
        find_marks(tmp_path / "six.offkey")


def test_a_name_is_of_the_samples_alone() -> None:
    """Equal samples have one name whatever array holds them; other or fewer ones another."""
    samples = np.random.default_rng(0).normal(size=100).astype(np.float32)
    other = samples.copy()
    other[50] = np.nextafter(other[50], np.float32(9))
    spaced = np.zeros(200, np.float32)
    spaced[::2] = samples
    assert mark_name(samples) == mark_name(samples.copy()) == mark_name(spaced[::2])
    assert len({mark_name(x) for x in (samples, other, samples[:-1])}) == 3


@pytest.mark.parametrize(
    ("told", "snr_db", "clipped"),
    [
        ({"snr_db": 12.5, "clipped": True}, 12.5, True),
        ({"snr_db": None, "clipped": False}, None, False),
        ({"snr_db": float("nan"), "clipped": "yes"}, None, False),
        ({"snr_db": "12"}, None, False),
        ([], None, False),
        (None, None, False),
    ],
)
def test_what_the_json_tells_is_believed_where_it_can_be(
    model: Path, told: object, snr_db: float | None, clipped: bool
) -> None:
    """A level and a flag are read; what is missing, damaged or no number is not known."""
    if told is not None:
        (marked_folder(model) / f"{NAME}.json").write_text(json.dumps(told))
    (sound,) = read_marks(model)
    assert (sound.name, sound.snr_db, sound.clipped) == (NAME, snr_db, clipped)


def test_a_json_that_is_none_says_nothing(model: Path) -> None:
    """Bytes that are no JSON, or no text, leave the mark as it is."""
    for content in (b"{", b"\xff\xfe", b""):
        (marked_folder(model) / f"{NAME}.json").write_bytes(content)
        (sound,) = read_marks(model)
        assert sound.snr_db is None
