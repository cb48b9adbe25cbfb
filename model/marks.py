"""Marks: sounds that a person called normal, kept beside the model in the folder `MODEL.marked`.

Each is a WAV at the front end's rate in 32-bit float, bit for bit what was scored, however quiet or
overloaded. Its name is a digest of the samples, so that a sound has one mark. The JSON beside it
says when it was heard, where, and how it scored. `monitor` writes marks, `calibrate` reads them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.audio import Samples
from model.errors import OffkeyError, shown

_SUFFIX = ".marked"
_NAME = re.compile(r"[0-9a-f]{16}\.wav")


@dataclass(frozen=True)
class MarkedSound:
    """One mark, with what calibration cannot see in the audio alone."""

    path: Path
    snr_db: float | None = None
    """Level over the noise floor where it was heard: the audio holds next to no background."""
    clipped: bool = False

    @property
    def name(self) -> str:
        """The digest of its samples."""
        return self.path.stem


def marked_folder(model_path: str | os.PathLike[str]) -> Path:
    """Where the marks of a model are kept; the same through a link to the model."""
    path = Path(model_path).resolve()
    return path.with_name(path.name + _SUFFIX)


def mark_name(samples: Samples) -> str:
    """The name of a sound's mark: equal sounds have one."""
    content = np.ascontiguousarray(samples, "<f4").tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def is_mark(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a mark by its name and its folder."""
    full = Path(os.path.abspath(path))
    return full.parent.name.endswith(_SUFFIX) and _NAME.fullmatch(full.name) is not None


def find_marks(model_path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The audio of all marks of a model, sorted. Other files in the folder are left alone.

    Raises OffkeyError where the folder cannot be read; one that is not there holds none.
    """
    folder = marked_folder(model_path)
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise OffkeyError(
            f"The marks in {shown(folder)} cannot be read: {error.strerror}."
        ) from error
    return tuple(folder / name for name in names if _NAME.fullmatch(name))


def read_marks(model_path: str | os.PathLike[str]) -> tuple[MarkedSound, ...]:
    """All marks of a model, sorted by name. Raises OffkeyError as `find_marks` does."""
    return tuple(_described(path) for path in find_marks(model_path))


def _described(path: Path) -> MarkedSound:
    told: Any = None
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(path.with_suffix(".json").read_text("utf-8"))
    if not isinstance(told, dict):
        return MarkedSound(path)
    clipped = told.get("clipped") is True
    snr_db = told.get("snr_db")
    if isinstance(snr_db, int | float) and abs(snr_db) < 1000:  # not so for NaN
        return MarkedSound(path, float(snr_db), clipped)
    return MarkedSound(path, None, clipped)
