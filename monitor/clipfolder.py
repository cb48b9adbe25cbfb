"""The folder of clips: pairs of FLAC and JSON under a cap that drops the least odd first.

What is ours is known by its name and by what its JSON holds; nothing else is ever removed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from model.errors import InputError, shown

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}_\d{6,}(_\d+)?\.(flac|json)", re.ASCII)
_LONGEST_JSON = 1_000_000


def prepare_folder(folder: str) -> None:
    """Make the folder now rather than at the first alarm. Raises InputError where that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"Clips cannot be saved in {shown(folder)}: {error.strerror}.") from error


@dataclass(frozen=True, order=True)
class _Pair:
    """A clip in the folder. The least odd comes first; of equally odd ones, the oldest."""

    minus_p: float
    reconstruction_error: float
    stem: str
    """Name without suffix; begins with the time."""
    size_bytes: int = field(compare=False)


class ClipFolder:
    """Adds clips to a folder, and keeps all clips in it, also of earlier runs, within a limit."""

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self.path = Path(folder)
        self._limit_bytes = limit_bytes
        self._pairs: list[_Pair] = []
        # Files of earlier runs are read only when room gets scarce: there may be many.
        self._unread = _sizes(self.path)
        self.dropped = 0
        if self._over(limit_bytes // 2) > 0:
            with contextlib.suppress(OSError):  # what cannot be removed now is told at an alarm
                self._settle()

    def add(self, stem: str, described: dict[str, Any], audio: bytes) -> bool:
        """Save a clip; False where it is itself among the least odd. Raises OSError."""
        text = json.dumps(described, allow_nan=False, indent=1).encode("ascii") + b"\n"
        p, error = described["p"], described["reconstruction_error"]
        new = _Pair(-p, error, self._unused(stem), len(audio) + len(text))
        if self._over(new.size_bytes) > 0:
            self._settle()
        less_odd = self._pairs[: bisect_left(self._pairs, new)]
        going = _least_odd(self._over(new.size_bytes), less_odd)
        if going is None:
            self.dropped += 1
            return False
        self._write(new, going, text, audio)
        return True

    def _over(self, more_bytes: int = 0) -> int:
        """By how many bytes all clips, and so many more, exceed the limit."""
        known = sum(pair.size_bytes for pair in self._pairs) + sum(self._unread.values())
        return known + more_bytes - self._limit_bytes

    def _settle(self) -> None:
        """See what is there: earlier clips too, not those that somebody took away; cut to limit."""
        names = set(os.listdir(self.path))
        pairs = [*self._pairs, *_read_pairs(self.path, self._unread)]
        self._pairs = sorted(pair for pair in pairs if f"{pair.stem}.json" in names)
        self._unread = {}
        self._drop(_least_odd(self._over(), self._pairs) or ())

    def _write(self, new: _Pair, going: Iterable[_Pair], text: bytes, audio: bytes) -> None:
        """Write under hidden names first; drop what has to go only when the new clip is there.

        The JSON is named first: without its audio it is still known as ours.
        """
        files = list(zip(self._files(new), (text, audio), strict=True))
        try:
            for file, content in files:
                _hidden(file).write_bytes(content)
            self._drop(going)
            for file, _ in files:
                _hidden(file).replace(file)
        except OSError:
            for file, _ in files:
                with contextlib.suppress(OSError):
                    _hidden(file).unlink(missing_ok=True)
                    file.unlink(missing_ok=True)
            raise
        insort(self._pairs, new)

    def _drop(self, pairs: Iterable[_Pair]) -> None:
        for pair in pairs:
            described, audio = self._files(pair)
            audio.unlink(missing_ok=True)
            described.unlink(missing_ok=True)
            self._pairs.remove(pair)
            self.dropped += 1

    def _files(self, pair: _Pair) -> tuple[Path, Path]:
        return self.path / f"{pair.stem}.json", self.path / f"{pair.stem}.flac"

    def _unused(self, stem: str) -> str:
        """A name that no clip of an earlier run has."""
        names = chain([stem], (f"{stem}_{i}" for i in count(2)))
        return next(name for name in names if not self._is_used(name))

    def _is_used(self, stem: str) -> bool:
        return any((self.path / f"{stem}{suffix}").exists() for suffix in (".flac", ".json"))


def _least_odd(bytes_to_free: int, pairs: Iterable[_Pair]) -> list[_Pair] | None:
    """The first of `pairs` that make up so many bytes; None where all of them do not."""
    going = []
    for pair in pairs:
        if bytes_to_free <= 0:
            break
        going.append(pair)
        bytes_to_free -= pair.size_bytes
    return going if bytes_to_free <= 0 else None


def _hidden(file: Path) -> Path:
    """Where a file is written before it gets its name."""
    return file.with_name(f".{file.name}.part")


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of all plain files in a folder that are named like clips."""
    sizes = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    sizes[entry.name] = status.st_size
    return sizes


def _read_pairs(folder: Path, sizes: dict[str, int]) -> Iterator[_Pair]:
    """The clips among files."""
    for name, size_bytes in sizes.items():
        stem, _, suffix = name.rpartition(".")
        if suffix == "json" and size_bytes <= _LONGEST_JSON:
            found = _read(folder / name)
            if found is not None:
                yield _Pair(-found[0], found[1], stem, size_bytes + sizes.get(f"{stem}.flac", 0))


def _read(path: Path) -> tuple[float, float] | None:
    """The p and the reconstruction error of a clip's JSON; None where it is none of ours."""
    try:
        described = json.loads(path.read_bytes())
        if described["type"] != "segment" or "segment_offset_s" not in described["clip"]:
            return None
        p, error = float(described["p"]), float(described["reconstruction_error"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (p, error) if 0 <= p <= 1 and error >= 0 else None
