"""Batches of work on several processes of this machine, with results in order.

Calibration reads its recordings this way, and `score` an archive.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from model.errors import OffkeyError

if TYPE_CHECKING:
    from concurrent.futures import Executor

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Task = Callable[[Batch], Result]
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stop(Protocol):
    """What asks the work to end: a `threading.Event`, or one that a signal handler may set."""

    def is_set(self) -> bool:
        """Whether no more may begin."""

    def wait(self, timeout: float) -> bool:
        """Wait for that, so many seconds at most; says whether it came."""


def in_order(
    task: Task[Batch, Result], batches: Sequence[Batch], jobs: int, stop: Stop
) -> Generator[Result, None, None]:
    """Do `task` for every batch on `jobs` workers (-1: all cores); results in order.

    On Linux the workers are processes forked from this one: they have all that was imported and
    read, and no lock in common. Elsewhere they are threads: decoding, resampling and the larger
    sums let go of the interpreter lock. No more than `most_under_way` have begun and are not yet
    given; none is begun once `stop` is set. Results should be small: for a worker that is killed
    while it hands over more than a pipe holds, all would wait. Raises OffkeyError where one is
    killed.
    """
    workers = _workers(jobs, len(batches))
    if workers <= 1:
        yield from map(task, takewhile(lambda _: not stop.is_set(), batches))
        return
    from concurrent.futures.process import BrokenProcessPool

    most = most_under_way(jobs, len(batches))
    with _pool(workers, task) as pool:
        under_way: deque[Any] = deque()
        rest = iter(batches)
        try:
            while not stop.is_set():
                while len(under_way) < most and (batch := next(rest, None)) is not None:
                    with _signals_held():
                        under_way.append(pool.submit(_do, batch))
                if not under_way:
                    return
                yield under_way.popleft().result()
            while under_way and not under_way[0].cancel():
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            if stop.wait(0.2):  # the same signal ended the workers
                return
            raise OffkeyError(
                "A worker process was killed.", "--jobs 1 does without; memory may be short."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def most_under_way(jobs: int, n_batches: int) -> int:
    """How many batches keep the workers busy while the results of others are looked at."""
    return 3 * _workers(jobs, n_batches)


def _workers(jobs: int, n_batches: int) -> int:
    return min(n_batches, _cores() if jobs == -1 else jobs)


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_task: Callable[[Any], Any]


def _pool(workers: int, task: Callable[[Any], Any]) -> Executor:
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    if sys.platform != "linux":
        return ThreadPoolExecutor(workers, initializer=_keep, initargs=(task,))
    import multiprocessing

    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, fork, _begin, (task, os.getpid()))


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back the signals that end a command while workers are forked.

    A worker inherits the command's handlers. Were it to meet a signal by these, it would outlive
    it; so it takes none before it has set its own.
    """
    if sys.platform != "linux":
        yield
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _keep(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task


def _begin(task: Callable[[Any], Any], parent: int) -> None:
    _keep(task)
    _outlive_nobody(parent)


def _do(batch: Any) -> Any:
    return _task(batch)


def _outlive_nobody(parent: int) -> None:
    """The parent decides when this worker ends; when that is killed, so is this one. Linux only.

    Ctrl-C reaches all processes of a terminal: the work that is under way is finished all the same.
    """
    import ctypes

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it was too late to be told
        os._exit(1)
