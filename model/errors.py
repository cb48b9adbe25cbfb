"""Every error that offkey reports on purpose: one sentence, the next step, an exit code."""

from __future__ import annotations

import os
import shlex
from typing import ClassVar


class OffkeyError(Exception):
    """The work failed. `str()` gives the sentence and, where there is one, the next step."""

    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".strip()


class InputError(OffkeyError):
    """Wrong usage, or an input that cannot be used."""

    exit_code = 2


class ModelError(InputError):
    """A file that is not a whole, unaltered model of a version known here."""


class AudioError(InputError):
    """Audio that cannot be read. `what` says why, without the name of the file."""

    def __init__(self, name: str, what: str, hint: str = "") -> None:
        super().__init__(f"{name} {what}.", hint)
        self.what = what


class DeviceError(OffkeyError):
    """A sound device that cannot be opened, or was lost."""


def as_text(path: str | os.PathLike[str]) -> str:
    """A path as valid Unicode whatever the file system holds: bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: str | os.PathLike[str]) -> str:
    """A path as one printable line: as text, control characters escaped too."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in as_text(path)
    )


def as_word(path: str | os.PathLike[str]) -> str:
    """A path as one word of a command to be typed: quoted, and never taken for an option."""
    text = shown(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
