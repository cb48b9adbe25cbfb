"""Which files a search finds, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.audio import read_recording
from model.errors import AudioError
from model.files import find_recordings


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Lay out a folder with everything that a search meets."""
    for name in ("b/2.wav", "b/1.FLAC", "a.ogg", ".hidden.wav", "b/notes.txt", "c/d/e/deep.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    elsewhere = tmp_path.with_name(f"{tmp_path.name} elsewhere")
    (elsewhere / "more").mkdir(parents=True)
    (elsewhere / "real.wav").touch()
    (elsewhere / "more" / "x.wav").touch()
    (tmp_path / "link.wav").symlink_to(elsewhere / "real.wav")
    (tmp_path / "dangling.wav").symlink_to(elsewhere / "gone.wav")
    (tmp_path / "linked folder").symlink_to(elsewhere / "more")
    return tmp_path


def test_folders_are_searched_as_the_design_says(tree: Path) -> None:
    """Recursively, sorted by path, links to files followed, other and hidden files counted."""
    found = find_recordings([str(tree)])
    expected = ["a.ogg", "b/1.FLAC", "b/2.wav", "c/d/e/deep.wav", "dangling.wav", "link.wav"]
    assert found.paths == tuple(str(tree / name) for name in expected)
    assert found.ignored == 2


def test_files_are_taken_as_given(tree: Path) -> None:
    """A file that is named is a candidate whatever its name; what is named twice counts once."""
    notes, deep = str(tree / "b/notes.txt"), str(tree / "c/d/e/deep.wav")
    found = find_recordings([notes, deep, str(tree / "c"), notes])
    assert found.paths == (notes, deep)


def test_a_folder_given_twice_counts_once(tree: Path) -> None:
    """Also what is passed over in it, however it is written."""
    once = find_recordings([str(tree)])
    assert find_recordings([str(tree), str(tree)]) == once
    assert find_recordings([str(tree), str(tree / "b" / "..")]).ignored == once.ignored


def test_a_path_that_is_not_there_is_not_lost(tmp_path: Path) -> None:
    """A wrong path is kept, so that reading it can say that it does not exist."""
    gone = str(tmp_path / "gone.wav")
    assert find_recordings([str(tmp_path), gone]).paths == (gone,)
    with pytest.raises(AudioError, match="does not exist"):
        read_recording(gone, 6800)


def test_names_on_disk_survive_the_search(
    tmp_path: Path, make_word: Callable[..., NDArray[np.float32]]
) -> None:
    """Files with any bytes in their names are found and read."""
    names = {b"a  b.wav", b"new\nline.wav", "s\u00e9chs \u516d.wav".encode(), b"\xff\xfe.wav"}
    for name in names:
        soundfile.write(os.path.join(os.fsencode(tmp_path), name), make_word(1), 8000)
    found = find_recordings([str(tmp_path)])
    assert {os.fsencode(os.path.basename(path)) for path in found.paths} == names
    assert all(len(read_recording(path, 6800).samples) == 3400 for path in found.paths)
