"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from model.errors import OffkeyError, shown


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write atomically, through a symbolic link too. Raises OffkeyError where that cannot be."""
    try:
        write_atomically(Path(path).resolve(), content)
    except OSError as error:
        raise OffkeyError(f"{shown(path)} cannot be written: {error.strerror}.") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a hidden file in the same folder, flushed, then renamed; whatever ends it removes it.

    It has the permissions of the file that it replaces, else those of any new file. Raises OSError.
    """
    hidden = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    # From its first byte on no more readable than what it replaces.
    asked = 0o666 if mode is None else mode
    try:
        with open(hidden, "xb", opener=lambda name, flags: os.open(name, flags, asked)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            hidden.chmod(mode)
        os.replace(hidden, path)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise
