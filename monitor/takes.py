"""Where takes lie: `DIR/<who or when>/0001.flac`, so that calibrate finds a group in each folder.

A number that is in use is never given again, and nothing that lies there is ever overwritten.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path, PurePath

import soundfile

from model.audio import AudioReader, Samples
from model.errors import InputError, OffkeyError, shown
from model.files import find_recordings

_NUMBERED = re.compile(r"(\d{4,9})\.flac", re.ASCII)
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Gathered:
    """All recordings below a folder, of earlier sessions too."""

    recordings: int
    groups: int
    """Folders that hold some of them: calibrate's groups, where there are several."""


def gathered(root: str) -> Gathered:
    """Count what calibrate would find."""
    paths = find_recordings([root]).paths if os.path.isdir(root) else ()
    return Gathered(len(paths), len({PurePath(path).parent for path in paths}))


def check_name(name: str | None) -> str:
    """The name of a session's folder; date and time for None. Raises InputError."""
    if name is None:
        return f"{datetime.now().astimezone():%Y-%m-%d_%H%M%S}"
    name = name.strip()
    if not name or not name.isprintable() or set(name) & set('/\\:*?"<>|'):
        raise InputError(
            f"--name cannot be {shown(name)!r}: it names a folder.", "For example --name anna."
        )
    if name.startswith("."):
        raise InputError("--name cannot begin with a dot: hidden folders are passed over.")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise InputError(f"--name is longer than {_LONGEST_NAME} bytes.")
    return name


class TakeFolder:
    """The folder of one session, or of one speaker over several sessions."""

    def __init__(self, root: str, name: str) -> None:
        """Make the folder now rather than at the first take. Raises InputError."""
        self.root = root
        self.path = Path(root) / name
        self._made_root = not os.path.lexists(root)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass  # it can be written to
            names = os.listdir(self.path)
        except FileExistsError as error:
            sentence = f"Takes cannot be kept in {shown(self.path)}: a file has that name."
            raise InputError(sentence) from error
        except OSError as error:
            self.close()
            raise InputError(f"Takes cannot be kept in {shown(root)}: {error.strerror}.") from error
        used = (int(match[1]) for match in map(_NUMBERED.fullmatch, names) if match)
        self._last = max(used, default=0)

    def add(self, samples: Samples, rate_hz: int) -> Path:
        """Keep mono samples, shape `(n,)`, as 24-bit FLAC. Raises OffkeyError."""
        file = io.BytesIO()
        try:
            soundfile.write(file, samples, rate_hz, format="FLAC", subtype="PCM_24")
            return self._write(file.getbuffer())
        except (OSError, soundfile.SoundFileError) as error:
            why = getattr(error, "strerror", None) or "it cannot be encoded"
            raise OffkeyError(
                f"A take cannot be saved in {shown(self.path)}: {why}.",
                "The takes before it are there.",
            ) from error

    def _write(self, content: memoryview) -> Path:
        for number in count(self._last + 1):
            path = self.path / f"{number:04}.flac"
            try:
                file = path.open("xb")
            except FileExistsError:  # another session has the same name
                continue
            self._last = number
            try:
                with file:
                    file.write(content)
            except OSError:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
            return path
        raise AssertionError  # never: `count` has no end

    def remove(self, path: Path) -> None:
        """Throw a take away; one that is gone already is no matter. Raises OffkeyError."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OffkeyError(f"{shown(path)} cannot be thrown away: {error.strerror}.") from error

    def close(self) -> None:
        """Leave no empty folder behind."""
        with contextlib.suppress(OSError):
            self.path.rmdir()
            if self._made_root:
                self.path.parent.rmdir()


def read_take(path: Path) -> tuple[Samples, int]:
    """The samples of a take, shape `(n,)`, and their rate in Hz. Raises AudioError."""
    with AudioReader(path) as reader:
        return reader.read_frames(reader.frames)[:, 0], reader.rate_hz
