"""The log: every event as a JSON line in a file of limited size, with older parts beside it.

`FILE`, `FILE.1`, … `FILE.9`, the oldest last. The file is opened anew for every line: what was
moved away, deleted or on a full disk meanwhile needs no care, and all state is in the files.
"""

from __future__ import annotations

import os
import stat
from io import FileIO
from itertools import pairwise
from pathlib import Path

from model.errors import InputError, shown
from monitor.events import Event
from monitor.sinks import Sink, Warn, json_line

FILES = 10
"""How many files share the limit."""
_BEGINNING = b'{"type": "'


class LogFile(Sink):
    """Appends every event as a line; flushed line by line, rotated by size, never above the limit.

    A line that cannot be written is one warning and a counter. Raises InputError at once where the
    path cannot be a log.
    """

    def __init__(self, path: str, limit_bytes: int, warn: Warn) -> None:
        self._name = shown(path)
        self._limit_bytes = limit_bytes
        self._warn = warn
        self.failed = 0
        # A link stays what it is: the parts lie beside the file that it leads to.
        real = Path(os.path.realpath(path))
        self._parts = [real, *(real.with_name(f"{real.name}.{i}") for i in range(1, FILES))]
        try:
            self._begin(path)
        except OSError as error:
            raise InputError(
                f"The log {self._name} cannot be written: {error.strerror}."
            ) from error

    def take(self, event: Event) -> None:
        """Append one line."""
        try:
            self._append(json_line(event).encode("ascii") + b"\n")
        except OSError as error:
            if not self.failed:
                self._warn(f"The log {self._name} cannot be written: {error.strerror}.")
            self.failed += 1

    def close(self) -> None:
        """Tell how many lines are missing."""
        if self.failed:
            self._warn(f"Lines not written to the log {self._name}: {self.failed:,}.")

    @property
    def _part_bytes(self) -> int:
        return self._limit_bytes // FILES

    def _begin(self, path: str) -> None:
        if os.path.islink(path) and not os.path.exists(path):
            raise InputError(f"The log {self._name} is a dangling link.")
        for part in (Path(path), *self._parts[1:]):
            _refuse_foreign(part)
        with open(path, "ab"):
            pass
        if not os.access(self._parts[0].parent, os.W_OK):
            raise InputError(f"The log {self._name} cannot be rotated: its folder is read-only.")
        self._keep_to_limit()

    def _keep_to_limit(self) -> None:
        """An earlier run may have had a larger limit."""
        before = self._size()
        if self._parts[0].stat().st_size > self._part_bytes:
            self._rotate(0)
        self._make_room(0)
        if self._size() < before:
            gone_mb = (before - self._size()) / 1e6
            self._warn(
                f"The log {self._name} exceeded its limit: its oldest {gone_mb:,.1f} MB "
                "were removed."
            )

    def _append(self, line: bytes) -> None:
        with self._parts[0].open("ab+", buffering=0) as file:
            if _mended_size(file) + len(line) <= self._part_bytes:
                _write(file, line)
                return
        self._rotate(len(line))
        with self._parts[0].open("ab", buffering=0) as file:
            _write(file, line)

    def _rotate(self, room_bytes: int) -> None:
        """Count every file up by one; the oldest goes."""
        for newer, older in reversed([*pairwise(self._parts)]):
            if newer.exists():
                newer.replace(older)
        self._make_room(room_bytes)

    def _make_room(self, room_bytes: int) -> None:
        """Remove the oldest parts until a whole new file fits in the limit."""
        room_bytes = max(room_bytes, self._part_bytes)
        sizes = [(part, part.stat().st_size) for part in self._parts[1:] if part.exists()]
        while sizes and sum(size for _, size in sizes) > self._limit_bytes - room_bytes:
            sizes.pop()[0].unlink()

    def _size(self) -> int:
        return sum(part.stat().st_size for part in self._parts if part.exists())


def _refuse_foreign(part: Path) -> None:
    """Raise InputError for what exists and is no log: it would be renamed and removed as one."""
    try:
        mode = part.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise InputError(f"The log cannot be written: {shown(part)} is {what}.")
    with part.open("rb") as file:
        head = file.read(4096).lstrip(b"\0\n")  # zeros are what a loss of power leaves
    if not head.startswith(_BEGINNING[: len(head)]):
        raise InputError(
            f"{shown(part)} exists and is not a log of offkey.", "Name another file for the log."
        )


def _mended_size(file: FileIO) -> int:
    """Give a half-written last line its end; returns the size in bytes."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            size += file.write(b"\n")
    return size


def _write(file: FileIO, line: bytes) -> None:
    """Write all of it: a disk that gets full takes a part first, and then raises OSError."""
    while line:
        line = line[file.write(line) :]
