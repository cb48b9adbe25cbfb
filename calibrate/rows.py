"""Features of all recordings: in memory while they are few, else in a temporary file.

The file is read in blocks, never mapped: what a process maps counts as its memory.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from model.features import Features

IN_MEMORY_BYTES = 64 * 2**20
"""Up to there features stay in memory: 4,900 recordings of one second."""
BLOCK = 512
"""Rows that are worked on at once: 14 MB in double precision."""
Indices = NDArray[np.int64]


class Rows(Protocol):
    """Feature rows, shape `(n, n_features)`: an array, or as if it were one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and of features."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Indices, /) -> Features:
        """Some rows, in memory."""


def blocks(rows: Rows, indices: Indices) -> Iterator[tuple[Indices, Features]]:
    """The rows of `indices` in blocks, each with the indices that are in it."""
    for start in range(0, len(indices), BLOCK):
        some = indices[start : start + BLOCK]
        yield some, rows[some]


class StoredRows:
    """Rows in a temporary file that vanishes with the object. Any number of threads may read."""

    def __init__(self, n_features: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="offkey-")  # noqa: SIM115
        self._lock = threading.Lock()
        self._n_features, self._n = n_features, 0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return self._n, self._n_features

    def __len__(self) -> int:
        return self._n

    def append(self, features: Features) -> None:
        """Add rows, shape `(n, n_features)`, at the end."""
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(features, np.float32))
        self._n += len(features)

    def __getitem__(self, indices: Indices, /) -> Features:
        """Rows of ascending or any other indices, each neighbouring run read at once."""
        taken = np.empty((len(indices), self._n_features), np.float32)
        ends = np.append(np.flatnonzero(np.diff(indices) != 1) + 1, len(indices))
        start = 0
        with self._lock:
            for end in ends.tolist():
                self._file.seek(int(indices[start]) * self._n_features * 4)
                self._file.readinto(memoryview(taken[start:end]).cast("B"))  # type: ignore[attr-defined]
                start = end
        return taken


class Collector:
    """Takes rows as they come, and moves them to a temporary file once they are many."""

    def __init__(self, n_features: int) -> None:
        self._n_features = n_features
        self._parts: list[Features] = []
        self._stored: StoredRows | None = None
        self._n = 0

    def add(self, features: Features) -> None:
        """Add rows, shape `(n, n_features)`."""
        self._n += len(features)
        if self._stored is None and self._n * self._n_features * 4 > IN_MEMORY_BYTES:
            self._stored = StoredRows(self._n_features)
            for part in self._parts:
                self._stored.append(part)
            self._parts = []
        if self._stored is None:
            self._parts.append(features)
        else:
            self._stored.append(features)

    def rows(self) -> Rows:
        """All rows that were added, in their order."""
        if self._stored is not None:
            return self._stored
        return np.concatenate([np.empty((0, self._n_features), np.float32), *self._parts])
