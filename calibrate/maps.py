"""PaCMAP maps of the reference: pictures for a person; nothing that scores depends on them.

Wang, Huang, Rudin, Shaposhnik: Understanding how dimension reduction tools work (JMLR 2021).
They are drawn in a thread beside the rest of the work: pacmap's loops let go of the interpreter.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from calibrate.rows import Rows, blocks
from calibrate.threads import one_core_each
from model.subspace import Subspace

LARGEST = 5000
"""Sounds on a map: more are a blot to the eye, and slow."""
_COMPONENTS = 100
Places = NDArray[np.float32]
_LookUp = Callable[[NDArray[np.integer]], NDArray[np.floating]]


@dataclass(frozen=True)
class Maps:
    """Both maps over the same sounds."""

    places: dict[str, Places]
    """Coordinates by name, `features` and `profiles`, each of shape `(m, 2)`."""
    rows: NDArray[np.int32]
    """Which sounds stand there, ascending, shape `(m,)`."""
    cost_s: tuple[float, float]
    """Seconds of drawing, and how many of them were waited for."""


def can_map() -> bool:
    """Whether pacmap, from the extra `maps`, is installed."""
    return find_spec("pacmap") is not None


def leading_components(
    subspace: Subspace, rows: Rows, indices: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Coordinates of some rows along the first components, at most 100, shape `(m, 100)`.

    PaCMAP reduces to as many by a decomposition of its own; here that has been done already.
    """
    directions = subspace.components[:_COMPONENTS].astype(np.float32)
    mean = subspace.mean.astype(np.float32)
    parts = [(part - mean) @ directions.T for _, part in blocks(rows, indices.astype(np.int64))]
    return np.concatenate(parts)


def make_map(rows: NDArray[np.floating], seed: int) -> Places:
    """Coordinates, shape `(n, 2)`, of leading components or held-out error profiles.

    One thread: as fast as two, for loops as short as these, and not held up by a busy machine.
    """
    import numba
    from pacmap import PaCMAP

    # It warns that the seed is fixed, which is meant, and that there are few rows, which is told.
    logging.getLogger("pacmap").setLevel(logging.ERROR)
    numba.set_num_threads(1)  # of this thread alone
    one_core_each()  # also for what came with pacmap; it stays so, nothing else uses that
    embedding = PaCMAP(n_components=2, random_state=seed).fit_transform(rows.astype(np.float32))
    return np.asarray(embedding, np.float32)


def choose_rows(
    anomalous: NDArray[np.bool_], seed: int, largest: int | None = None
) -> NDArray[np.int32]:
    """Which sounds go on the maps, ascending: all, or a sample with every anomalous one.

    More anomalous ones than `largest`, 5,000 unless given, all stay.
    """
    n, largest = len(anomalous), LARGEST if largest is None else largest
    if n <= largest:
        return np.arange(n, dtype=np.int32)
    odd, rest = np.flatnonzero(anomalous), np.flatnonzero(~anomalous)
    room = min(len(rest), max(0, largest - len(odd)))
    drawn = np.random.default_rng(seed).choice(rest, room, replace=False)
    return np.sort(np.append(odd, drawn)).astype(np.int32)


class Draughtsman:
    """Draws both maps in a thread of its own: `begin`, `go_on`, then `result`.

    Until then linear algebra stays on one core everywhere: the last digits depend on how many take
    part, a map makes much of them, and others limit them for the whole process now and then.
    Without `ahead` it does not draw before the result is asked for.
    """

    def __init__(self, wanted: bool, seed: int, *, ahead: bool = True) -> None:
        self._wanted, self._seed, self._ahead = wanted, seed, ahead
        self._thread = ThreadPoolExecutor(1, "maps")
        self._asked: dict[str, tuple[NDArray[np.integer], _LookUp]] = {}
        self._drawn: dict[str, Future[Places]] = {}
        self._rows: NDArray[np.int32] = np.empty(0, np.int32)
        self._worked_s = 0.0
        self._components: _LookUp
        self._limits = ExitStack()

    def begin(self, subspace: Subspace, rows: Rows, kept: NDArray[np.int64]) -> None:
        """Begin with the map of the features, where all of the `kept` rows go on the maps."""
        if self._wanted and self._ahead:
            self._limits.enter_context(one_core_each())
        self._components = lambda chosen: leading_components(subspace, rows, kept[chosen])
        if len(kept) <= LARGEST:
            self._draw("features", np.arange(len(kept)), self._components)

    def go_on(self, profiles: NDArray[np.floating], anomalous: NDArray[np.bool_]) -> None:
        """Draw the rest, now that the anomalous are known. Both belong to the kept rows."""
        self._rows = choose_rows(anomalous, self._seed)
        if "features" not in self._asked:
            self._draw("features", self._rows, self._components)
        self._draw("profiles", self._rows, lambda chosen: profiles[chosen])

    def result(self) -> Maps | None:
        """Wait for both maps; None where none are wanted."""
        if not self._wanted:
            return None
        begun = time.perf_counter()
        if not self._ahead:
            self._limits.enter_context(one_core_each())
            for name, asked in self._asked.items():
                self._start(name, *asked)
        places = {name: drawn.result() for name, drawn in self._drawn.items()}
        self._thread.shutdown()
        self._limits.close()
        waited_s = time.perf_counter() - begun
        return Maps(places, self._rows, (round(self._worked_s, 1), round(waited_s, 1)))

    def _draw(self, name: str, chosen: NDArray[np.integer], look_up: _LookUp) -> None:
        self._asked[name] = chosen, look_up
        if self._wanted and self._ahead:
            self._start(name, chosen, look_up)

    def _start(self, name: str, chosen: NDArray[np.integer], look_up: _LookUp) -> None:
        self._drawn[name] = self._thread.submit(self._work, chosen, look_up)

    def _work(self, chosen: NDArray[np.integer], look_up: _LookUp) -> Places:
        begun = time.perf_counter()
        places = make_map(look_up(chosen), self._seed)
        self._worked_s += time.perf_counter() - begun
        return places
