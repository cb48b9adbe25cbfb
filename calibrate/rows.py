"""Features of all recordings: in memory while they are few, else in a temporary file.

The file is read in blocks, never mapped: what a process maps counts as its memory.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import OffkeyError
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

    def __getitem__(self, indices: Any, /) -> Features:
        """Some rows, in memory: by a slice, a mask or indices."""


def blocks(rows: Rows, indices: Indices) -> Iterator[tuple[Indices, Features]]:
    """The rows of `indices` in blocks, each with the indices that are in it."""
    for start in range(0, len(indices), BLOCK):
        some = indices[start : start + BLOCK]
        yield some, rows[some]


class StoredRows:
    """Rows in a temporary file that vanishes with the object. Any number of threads may read."""

    def __init__(self, n_features: int) -> None:
        self._file = _Scratch()
        self._n_features, self._n = n_features, 0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return self._n, self._n_features

    def __len__(self) -> int:
        return self._n

    def append(self, features: Features) -> None:
        """Add rows, shape `(n, n_features)`, at the end."""
        self._file.write(self._n * self._n_features * 4, features.astype(np.float32, copy=False))
        self._n += len(features)

    def __getitem__(self, indices: Any, /) -> Features:
        """Rows as an array's, along the first axis; each run of neighbours is read at once."""
        wanted: Indices = np.atleast_1d(np.arange(self._n)[indices])
        taken = np.empty((len(wanted), self._n_features), np.float32)
        ends = np.append(np.flatnonzero(np.diff(wanted) != 1) + 1, len(wanted))
        start = 0
        for end in ends.tolist() if len(wanted) else ():
            self._file.read(int(wanted[start]) * self._n_features * 4, taken[start:end])
            start = end
        return taken[0] if np.ndim(indices) == 0 and not isinstance(indices, slice) else taken


class SquareFile:
    """Square matrices of double precision in a temporary file."""

    def __init__(self, size: int) -> None:
        self._file = _Scratch()
        self._lock = threading.Lock()
        self._size, self._n = size, 0

    def add(self, matrix: NDArray[np.float64]) -> int:
        """Keep a matrix, shape `(size, size)`; gives the number that it is read by."""
        with self._lock:
            number, self._n = self._n, self._n + 1
        self._file.write(number * matrix.nbytes, matrix)
        return number

    def read(self, number: int) -> NDArray[np.float64]:
        """The matrix of that number."""
        matrix = np.empty((self._size, self._size))
        self._file.read(number * matrix.nbytes, matrix)
        return matrix


class _Scratch:
    """Arrays by their place in a temporary file; one thread at a time moves in it."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="offkey-")  # noqa: SIM115
        self._lock = threading.Lock()

    def write(self, place: int, array: NDArray[Any]) -> None:
        try:
            with self._lock:
                self._file.seek(place)
                self._file.write(_bytes_of(np.ascontiguousarray(array)))
        except OSError as error:
            raise OffkeyError(
                f"{tempfile.gettempdir()} cannot hold {array.nbytes / 1e6:.0f} MB more: "
                f"{error.strerror}.",
                "The environment variable TMPDIR names another folder for temporary files.",
            ) from error

    def read(self, place: int, into: NDArray[Any]) -> None:
        with self._lock:
            self._file.seek(place)
            self._file.readinto(_bytes_of(into))  # type: ignore[attr-defined]


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return memoryview(array).cast("B")  # type: ignore[arg-type]


def joined(rows: Rows, more: Features) -> Rows:
    """Rows with more after them; a file of rows grows, an array does not."""
    if isinstance(rows, StoredRows):
        rows.append(more)
        return rows
    return np.concatenate([rows[:], more])


class Collector:
    """Takes rows as they come, and moves them to a temporary file once they are many."""

    def __init__(self, n_features: int) -> None:
        self._n_features = n_features
        self._parts: list[Features] = []
        self._stored: StoredRows | None = None
        self._n = 0

    def add(self, features: Features) -> None:
        """Add rows, shape `(n, n_features)`; perhaps none."""
        if not len(features):
            return
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
