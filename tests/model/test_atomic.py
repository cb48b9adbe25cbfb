"""Files that are written whole or not at all, whatever ends the writing."""

from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path

import pytest

from model.atomic import write_atomically, write_new, write_whole
from model.errors import OffkeyError


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_a_signal_leaves_the_older_file_and_nothing_beside_it(
    end: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised while the bytes go to the disk removes the half file and goes on."""
    path = tmp_path / "m.offkey"
    path.write_bytes(b"older")

    def interrupted(_: int) -> None:
        raise end(signal.SIGTERM)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(end):
        write_atomically(path, b"newer")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"older"]


def test_what_is_private_is_private_from_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hidden file is never more readable than the file that it replaces."""
    path, modes = tmp_path / "m.offkey", list[int]()
    path.touch()
    path.chmod(0o600)
    monkeypatch.setattr(os, "fsync", lambda n: modes.append(stat.S_IMODE(os.fstat(n).st_mode)))
    write_atomically(path, b"newer")
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("has_links", [True, False])
def test_what_must_be_new_replaces_nothing(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is taken keeps its file, and the error says where the work is; else it is there.

    So too on a file system without hard links.
    """

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "room.flac"
    write_new(path, b"first")
    for i in (2, 3):
        with pytest.raises(OffkeyError, match=f"room-{i}.flac"):
            write_new(path, b"later %d" % i)
    written = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    later = {"room-2.flac": b"later 2", "room-3.flac": b"later 3"}
    assert written == {"room.flac": b"first"} | later


@pytest.mark.parametrize("name", ["gone/page.html", ".", "/"])
def test_what_cannot_be_written_is_one_sentence(name: str, tmp_path: Path) -> None:
    """A folder that is not there, and one in the place of the file, are told by their names."""
    with pytest.raises(OffkeyError, match="cannot be written: "):
        write_whole(tmp_path / name, b"newer")
    assert list(tmp_path.iterdir()) == []
