"""Which files are meant: folders searched for recordings, the same for calibrate and score."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# fmt: off
AUDIO_SUFFIXES = frozenset([
    ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64",
    ".snd", ".w64", ".wav", ".wave",
])
# fmt: on


@dataclass(frozen=True)
class FoundFiles:
    """Candidates in a stable order, and how many other or hidden files were passed over."""

    paths: tuple[str, ...]
    ignored: int


def find_recordings(given: Iterable[str]) -> FoundFiles:
    """Files as given, each once, and what known audio files the folders hold.

    In the order given, a folder's files sorted by path. Symbolic links to files are followed, to
    folders not. What is given and missing is told when it is read.
    """
    paths: list[str] = []
    ignored: set[str] = set()  # a folder may be given twice
    for path in given:
        if os.path.isdir(path):
            inside: list[str] = []
            for folder, subfolders, files in os.walk(path):
                subfolders[:] = [name for name in subfolders if not name.startswith(".")]
                names = [name for name in files if _is_candidate(folder, name)]
                real = os.path.realpath(folder)
                ignored.update(os.path.join(real, name) for name in set(files).difference(names))
                inside += [os.path.join(folder, name) for name in names]
            paths += sorted(inside)
        else:
            paths.append(path)
    return FoundFiles(tuple(dict.fromkeys(paths)), len(ignored))


def _is_candidate(folder: str, name: str) -> bool:
    if name.startswith(".") or Path(name).suffix.lower() not in AUDIO_SUFFIXES:
        return False
    path = os.path.join(folder, name)
    # A dangling link is told when it is read; a pipe or a socket would be waited for without end.
    return os.path.isfile(path) or not os.path.exists(path)
