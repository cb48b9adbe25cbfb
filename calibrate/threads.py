"""Two threads at most for what takes memory by the matrix; linear algebra on one core in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_AT_ONCE = 2


def one_core_each() -> AbstractContextManager[object]:
    """Linear algebra on one core a thread: threads that share cores wait for each other."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


def at_once(jobs: int, tasks: Iterable[Task]) -> Iterable[Any]:
    """Results of joblib's delayed `tasks`, in order, each worked on by one of two threads."""
    from joblib import Parallel, effective_n_jobs

    n_jobs = min(_AT_ONCE, effective_n_jobs(jobs))
    results: Iterable[Any] = Parallel(n_jobs, backend="threading", return_as="generator")(tasks)
    return results


def drain(results: Iterable[Any]) -> None:
    """Wait for tasks that have no result."""
    deque(results, maxlen=0)
