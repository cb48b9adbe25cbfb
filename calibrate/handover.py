"""Features from processes that read recordings: handed over in memory that they share.

Through a pipe they would be copied three times, and a reader that is killed in the middle of them
would be waited for.
"""

from __future__ import annotations

import math
import mmap
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from calibrate.readfile import NO_FEATURES, ReadFile
from model.workers import in_order, most_under_way

Read = Callable[[Sequence[str]], list[ReadFile]]
Places = NDArray[np.float32]
"""Shape `(n_places, n_files, n_rows, n_features)`: a place for each batch that is under way."""


def read_in_processes(
    read: Read,
    batches: Sequence[Sequence[str]],
    n_features: int | Sequence[int],
    jobs: int,
    most: int = 1,
) -> Generator[list[ReadFile], None, None]:
    """What `read` makes of every batch, in order; at most `most` rows of features in each of it.

    Where `n_features` are several, it makes as many of each recording, one after the other. Raises
    OffkeyError where a reader is killed.
    """
    if not batches:
        return
    widths = (n_features,) if isinstance(n_features, int) else tuple(n_features)
    n_rows = len(widths) * max(map(len, batches))
    shape = most_under_way(jobs, len(batches)), n_rows, most, max(widths)
    places = np.frombuffer(mmap.mmap(-1, 4 * math.prod(shape)), np.float32).reshape(shape)
    numbered = [(number % len(places), batch) for number, batch in enumerate(batches)]
    results = in_order(partial(_put, read, places), numbered, jobs, threading.Event())
    with closing(results):
        for (place, _), part in zip(numbered, results, strict=True):
            # The next batch in this place begins when this one has been taken away.
            kept = zip(places[place][: len(part)], part, cycle(widths), strict=False)
            yield [
                replace(file, features=rows[: file.n_segments, :width].copy())
                for rows, file, width in kept
            ]


def _put(read: Read, places: Places, batch: tuple[int, Sequence[str]]) -> list[ReadFile]:
    place, paths = batch
    part = read(paths)
    for rows, file in zip(places[place], part, strict=False):
        if file.n_segments:
            rows[: file.n_segments, : file.features.shape[1]] = file.features
    return [replace(file, features=NO_FEATURES) for file in part]
