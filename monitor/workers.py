"""Batches of work on several processes, threads or machines, with results in order."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from model.errors import OffkeyError
from monitor.terminal import Stop, outlive_nobody

if TYPE_CHECKING:
    from concurrent.futures import Executor

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Task = Callable[[Batch], Result]


def in_order(
    task: Task[Batch, Result], batches: Sequence[Batch], jobs: int, stop: Stop
) -> Generator[Result, None, None]:
    """Do `task` for every batch on `jobs` workers (-1: all cores); results in order.

    On Linux the workers are processes forked from this one: they have all that was imported and
    read, and no lock in common. Elsewhere they are threads: decoding, resampling and the larger
    sums let go of the interpreter lock. No more batches are under way than keep the workers busy;
    none is begun once `stop` is set. Raises OffkeyError where a worker is killed.
    """
    workers = min(len(batches), cores() if jobs == -1 else jobs)
    if workers <= 1:
        yield from map(task, takewhile(lambda _: not stop.is_set(), batches))
        return
    from concurrent.futures.process import BrokenProcessPool

    with _pool(workers, task) as pool:
        under_way: deque[Any] = deque()
        rest = iter(batches)
        try:
            while not stop.is_set():
                while len(under_way) < 3 * workers and (batch := next(rest, None)) is not None:
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


def on_cluster(
    task: Task[Batch, Result],
    batches: Iterable[Batch],
    stop: Stop,
    cluster: Callable[[], AbstractContextManager[None]],
) -> Generator[Result, None, None]:
    """The same through joblib on the cluster of a context; a worker's batches are done anew."""
    from joblib import Parallel, delayed

    ahead = takewhile(lambda _: not stop.is_set(), batches)
    with cluster():
        parallel = Parallel(n_jobs=-1, batch_size=1, return_as="generator")
        results = parallel(delayed(task)(batch) for batch in ahead)
        try:
            for result in results:  # noqa: UP028 ("yield from" would close the results first)
                yield result
        except GeneratorExit:
            stop.set()
            deque(results, maxlen=0)
            raise


def cores() -> int:
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


def _keep(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task


def _begin(task: Callable[[Any], Any], parent: int) -> None:
    _keep(task)
    outlive_nobody(parent)


def _do(batch: Any) -> Any:
    return _task(batch)
