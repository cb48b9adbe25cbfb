"""The reference set: find and read recordings; what was skipped and why."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from operator import ne

import numpy as np
from numpy.typing import NDArray

from calibrate.estimators import import_ahead
from calibrate.handover import Read, read_in_processes
from calibrate.readfile import NO_FEATURES, ReadFile, read_files
from calibrate.rows import Collector, Rows
from model.errors import InputError, shown
from model.features import FrontEnd
from model.files import FoundFiles
from model.segment import Segmentation

Progress = Callable[[str, int, int], None]
"""Called with a word for the step, how much is done, and of how much."""

Cluster = Callable[[], AbstractContextManager[None]]
"""Within what it gives, joblib's tasks go elsewhere: to other machines."""

FEWEST = 20
_MOST_IN_A_TASK = 32


@dataclass(frozen=True)
class Reference:
    """What was learnt from the recordings, in sorted order of their paths; marked sounds last."""

    names: tuple[str, ...]
    """Paths of the recordings in use."""
    features: Rows
    """Shape `(n_segments, n_features)`."""
    recording: NDArray[np.int64]
    """Index into `names` of each segment's recording, shape `(n_segments,)`."""
    skipped: tuple[tuple[str, str], ...]
    clipped: tuple[str, ...]
    ignored_files: int
    original: tuple[str, ...]
    """Of each recording the first one whose file is the same byte by byte, mostly itself."""
    cut: int
    """How many recordings are longer than what is used of them."""
    digest: str
    snr_range_db: tuple[float, float] | None
    marked: tuple[str, ...] = ()
    """Names of the marked sounds, which are the last recordings."""

    @property
    def is_marked(self) -> NDArray[np.bool_]:
        """Which segments are of marked sounds, shape `(n_segments,)`."""
        return self.recording >= len(self.names) - len(self.marked)


def read_reference(
    found: FoundFiles,
    front_end: FrontEnd,
    segmentation: Segmentation,
    jobs: int,
    progress: Progress,
    cluster: Cluster = nullcontext,
) -> Reference:
    """Read all recordings, in parallel. A bad one is skipped and listed.

    Within a `cluster()` joblib's tasks go where it sends them. Features come back from there, not
    sums: 13.6 kB a second of sound, a seventh of its audio. PCA's sums over five folds would be
    larger than the features of 30,000 recordings, and this way the same figures come out as here.
    Raises InputError where fewer than 20 sounds are left; copies are used, but do not count there.
    """
    paths = _each_file_once(found.paths)
    size = _task_size(len(paths), segmentation)
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    read = partial(read_files, front_end=front_end, segmentation=segmentation)
    features, results = Collector(front_end.n_features), list[ReadFile]()
    if cluster is nullcontext:
        parts = _read_batches(read, batches, front_end, segmentation.mode, jobs)
    else:
        parts = _read_by_joblib(read, batches, jobs, cluster)
    with closing(parts):
        for part in parts:
            if not results:
                import_ahead()  # not sooner: no reader must be forked in the middle of an import
            for file in part:
                features.add(file.features)
                results.append(replace(file, features=NO_FEATURES))
            progress("reading", len(results), len(paths))
    pairs = list(zip(paths, results, strict=True))
    used = [(path, read) for path, read in pairs if read.skipped is None]
    skipped = tuple((shown(path), read.skipped) for path, read in pairs if read.skipped is not None)
    snr_db = [value for _, read in used for value in read.snr_db]
    digests = [read.digest for _, read in used]
    names = tuple(path for path, _ in used)
    original = _first_alike(names, digests)
    is_copy = list(map(ne, names, original))
    n = sum(read.n_segments for (_, read), copy in zip(used, is_copy, strict=True) if not copy)
    _refuse_too_few(n, sum(is_copy), segmentation.mode, found, skipped)
    return Reference(
        names=names,
        features=features.rows(),
        recording=np.repeat(np.arange(len(used)), [read.n_segments for _, read in used]),
        skipped=skipped,
        clipped=tuple(shown(path) for path, read in used if read.clipped),
        ignored_files=found.ignored,
        original=original,
        cut=sum(read.is_cut for _, read in used),
        digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        snr_range_db=(min(snr_db), max(snr_db)) if snr_db else None,
    )


def _read_batches(
    read: Read, batches: Sequence[Sequence[str]], front_end: FrontEnd, mode: str, jobs: int
) -> Generator[list[ReadFile], None, None]:
    """On this machine: in processes, or in threads.

    A process that has other threads cannot be forked safely. What is heard in windows may be hours
    long: decoding that, like resampling and the larger sums, lets go of the interpreter lock.
    """
    if mode == "event" and threading.active_count() == 1:
        return read_in_processes(read, batches, front_end.n_features, jobs)
    return _read_by_joblib(read, batches, jobs, nullcontext)


def _read_by_joblib(
    read: Read, batches: Sequence[Sequence[str]], jobs: int, cluster: Cluster
) -> Generator[list[ReadFile], None, None]:
    from joblib import Parallel, delayed

    with cluster():
        parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
        yield from parallel(delayed(read)(batch) for batch in batches)


def _task_size(n: int, segmentation: Segmentation) -> int:
    """Files a task: few enough to keep many workers busy; one where each may be hours long."""
    return 1 if segmentation.mode == "continuous" else max(1, min(_MOST_IN_A_TASK, n // 16))


def _first_alike(names: Sequence[str], digests: Sequence[bytes]) -> tuple[str, ...]:
    """Of each recording the first one whose file is the same."""
    first: dict[bytes, str] = {}
    return tuple(
        first.setdefault(digest, name) for name, digest in zip(names, digests, strict=True)
    )


def _each_file_once(paths: Iterable[str]) -> list[str]:
    """Sorted; a file that is found in two ways is one recording."""
    return sorted({os.path.realpath(path): path for path in sorted(paths, reverse=True)}.values())


def _refuse_too_few(
    n: int, copies: int, mode: str, found: FoundFiles, skipped: Sequence[tuple[str, str]]
) -> None:
    """Raise InputError for fewer than 20 sounds; `n` of them are not copies of others."""
    if n >= FEWEST:
        return
    what = "recordings" if mode == "event" else "windows"
    sentence = f"{n} usable {what} are too few to calibrate on: it takes at least {FEWEST}."
    if not found.paths:
        sentence = "No audio files were found there."
    hint = f"{found.ignored:,} other or hidden files were passed over." if found.ignored else ""
    if skipped:
        listed = "; ".join(f"{name}: {reason}" for name, reason in skipped[:5])
        hint = f"Skipped {len(skipped):,}: {listed}{' …' if len(skipped) > 5 else ''}"
    if copies:
        alike = f"{copies:,} more {'is a copy' if copies == 1 else 'are copies'} of these."
        hint = f"{alike} {hint}".strip()
    raise InputError(sentence, hint)
