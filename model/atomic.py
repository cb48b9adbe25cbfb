"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
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


def write_new(path: str | os.PathLike[str], content: bytes) -> None:
    """Write atomically where nothing is. What came there meanwhile stays, and the work is kept.

    Raises OffkeyError where it cannot be written, and where something is there by now: then it
    lies beside that, and the error says under which name.
    """
    given = Path(path)
    names = (given.with_name(f"{given.stem}-{i}{given.suffix}") for i in itertools.count(2))
    for place in itertools.chain([given], names):
        try:
            write_atomically(place.resolve(), content, must_be_new=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OffkeyError(f"{shown(place)} cannot be written: {error.strerror}.") from error
        break
    if place != given:
        raise OffkeyError(
            f"{shown(path)} was made meanwhile by somebody else and is not replaced.",
            f"The work is kept: it is in {shown(place)}.",
        )


def write_atomically(path: Path, content: bytes, must_be_new: bool = False) -> None:
    """Write a hidden file in the same folder, flushed, then renamed; whatever ends it removes it.

    It has the permissions of the file that it replaces, else those of any new file. Raises OSError,
    FileExistsError where it must be new and something is there.
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
        if must_be_new:
            _put_new(hidden, path)
        else:
            os.replace(hidden, path)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise


def _put_new(hidden: Path, path: Path) -> None:
    """Give a file its name in one step that fails with FileExistsError where that is taken."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: for a moment an empty file lies there
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(hidden, path)
    else:
        hidden.unlink()
