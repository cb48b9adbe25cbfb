"""The reference set: find and read recordings; what was skipped and why."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from calibrate.estimators import import_ahead
from calibrate.handover import Read, read_in_processes
from calibrate.readfile import NO_FEATURES, ReadFile, read_files
from calibrate.room import Room
from calibrate.roomcut import MOST_CUTS
from calibrate.rows import Collector, Rows
from model.errors import InputError, shown
from model.features import FRONT_ENDS, FrontEnd
from model.files import FoundFiles
from model.segment import Segmentation
from model.words import why_skipped

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
    """Name and reason; a copy of another recording is skipped, too: each sound counts once."""
    clipped: tuple[str, ...]
    ignored_files: int
    cut: int
    """How many recordings are longer than what is used of them."""
    digest: str
    snr_range_db: tuple[float, float] | None
    lowest_rate_hz: int | None = None
    """Of all files that could be decoded and have a rate that the front end can take at all."""
    sounds: tuple[int, ...] = ()
    """Digests of the recordings' samples, marked sounds included; empty where not known."""
    marked: tuple[str, ...] = ()
    """Names of the marked sounds, which are the last recordings."""
    offset: tuple[str, ...] = ()
    """Which recordings are off their zero line; marked sounds are not looked at."""
    window: NDArray[np.int64] | None = None
    """Which of its recording's windows each segment is, those that cannot be used counted, and 0 in
    event mode; shape `(n_unmarked,)`. None where it is not known: hearing is not tested then."""
    missed: int | None = None
    """For how many recordings the gate does not open in the room; None without one, or a gate."""

    @property
    def sound(self) -> NDArray[np.int64]:
        """Index of the sound that each segment is of, ascending, shape `(n_segments,)`.

        In event mode that is the recording: in a room it is heard in several ways.
        """
        n_marked = np.count_nonzero(self.is_marked)
        window = np.arange(len(self.recording))
        if self.window is not None:
            window = np.append(self.window, np.arange(n_marked))
        is_next = (np.diff(self.recording, prepend=-1) != 0) | (np.diff(window, prepend=-1) != 0)
        sounds: NDArray[np.int64] = np.cumsum(is_next) - 1
        return sounds

    @property
    def n_sounds(self) -> int:
        """Number of sounds: recordings in event mode, else windows."""
        return int(self.sound[-1]) + 1 if len(self.recording) else 0

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
    room: Room | None = None,
) -> Reference:
    """Read all recordings for one front end: see `read_references`.

    Raises InputError where fewer than 20 sounds are left.
    """
    reference = read_references(found, [front_end], segmentation, jobs, progress, cluster, room)[0]
    refuse_too_few(reference, found, segmentation)
    return reference


def read_references(
    found: FoundFiles,
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    jobs: int,
    progress: Progress,
    cluster: Cluster = nullcontext,
    room: Room | None = None,
) -> tuple[Reference, ...]:
    """Read all recordings, in parallel, each file once, with a room in them where one is given.

    A bad one is skipped and listed.

    Each front end has a Reference, as not all files may suit all of them. Within a `cluster()`
    joblib's tasks go where it sends them. Features come back from there, not sums: 13.6 kB a second
    of sound, a seventh of its audio. PCA's sums over five folds would be larger than the features
    of 30,000 recordings, and this way the same figures come out as here.
    """
    paths = _each_file_once(found.paths)
    size = _task_size(len(paths), segmentation)
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    rooms = [] if room is None else [room.at(front_end.rate_hz) for front_end in front_ends]
    read = partial(read_files, front_ends=front_ends, segmentation=segmentation, rooms=rooms)
    collected = [_Collected(front_end) for front_end in front_ends]
    if cluster is nullcontext:
        most = 1 if room is None else 1 + MOST_CUTS
        parts = _read_batches(read, batches, front_ends, segmentation.mode, jobs, most)
    else:
        parts = _read_by_joblib(read, batches, jobs, cluster)
    with closing(parts):
        for part in parts:
            if not collected[0].files:
                import_ahead()  # not sooner: no reader must be forked in the middle of an import
            for one, file in zip(cycle(collected), part, strict=False):
                one.add(paths[len(one.files)], file)
            progress("reading", len(collected[0].files), len(paths))
    has_gate = room is not None and segmentation.mode == "event"
    return tuple(one.reference(paths, found, has_gate) for one in collected)


class _Collected:
    """What one front end makes of the files, as they come."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._rows = Collector(front_end.n_features)
        self._lowest_hz = min(FRONT_ENDS[front_end.name].rates_hz)
        self._first: dict[int, str] = {}
        self.files: list[ReadFile] = []

    def add(self, path: str, read: ReadFile) -> None:
        """Take in one file; its features lie elsewhere then.

        A copy would be evidence twice, and held out it would be known from its original.
        """
        if read.skipped is None:
            first = self._first.setdefault(read.sound, path)
            if first != path:
                read = ReadFile(rate_hz=read.rate_hz, skipped=f"a copy of {shown(first)}")
        self._rows.add(read.features)
        self.files.append(replace(read, features=NO_FEATURES))

    def reference(self, paths: Sequence[str], found: FoundFiles, has_gate: bool) -> Reference:
        """All of them, which were `paths`; `has_gate` where a gate listened to them in a room."""
        pairs = list(zip(paths, self.files, strict=True))
        rates = [read.rate_hz for read in self.files if (read.rate_hz or 0) >= self._lowest_hz]
        lowest_hz = min(filter(None, rates), default=None)
        reference = _reference(pairs, self._rows.rows(), lowest_hz, found)
        missed = sum(read.is_missed for read in self.files)
        return replace(reference, missed=missed if has_gate else None)


def _reference(
    pairs: Sequence[tuple[str, ReadFile]], rows: Rows, lowest_hz: int | None, found: FoundFiles
) -> Reference:
    used = [(path, read) for path, read in pairs if read.skipped is None]
    skipped = tuple((shown(path), read.skipped) for path, read in pairs if read.skipped is not None)
    snr_db = [value for _, read in used for value in read.snr_db]
    digests = [read.digest for _, read in used]
    names = tuple(path for path, _ in used)
    return Reference(
        names=names,
        features=rows,
        recording=np.repeat(np.arange(len(used)), [read.n_segments for _, read in used]),
        skipped=skipped,
        clipped=tuple(shown(path) for path, read in used if read.clipped),
        offset=tuple(shown(path) for path, read in used if read.is_offset),
        ignored_files=found.ignored,
        cut=sum(read.is_cut for _, read in used),
        digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        snr_range_db=(min(snr_db), max(snr_db)) if snr_db else None,
        lowest_rate_hz=lowest_hz,
        sounds=tuple(read.sound for _, read in used),
        window=np.array([i for _, read in used for i in read.windows], np.int64),
    )


def _read_batches(
    read: Read,
    batches: Sequence[Sequence[str]],
    front_ends: Sequence[FrontEnd],
    mode: str,
    jobs: int,
    most: int,
) -> Generator[list[ReadFile], None, None]:
    """On this machine: in processes, or in threads; in event mode `most` rows of each file.

    A process that has other threads cannot be forked safely. What is heard in windows may be hours
    long: decoding that, like resampling and the larger sums, lets go of the interpreter lock.
    """
    if mode == "event" and threading.active_count() == 1:
        widths = [front_end.n_features for front_end in front_ends]
        return read_in_processes(read, batches, widths, jobs, most)
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


def _each_file_once(paths: Iterable[str]) -> list[str]:
    """Sorted; a file that is found in two ways is one recording."""
    return sorted({os.path.realpath(path): path for path in sorted(paths, reverse=True)}.values())


def refuse_too_few(reference: Reference, found: FoundFiles, segmentation: Segmentation) -> None:
    """Raise InputError for fewer than 20 sounds."""
    n, mode, skipped = reference.n_sounds, segmentation.mode, reference.skipped
    if n >= FEWEST:
        return
    what = "recording" if mode == "event" else "window"
    are = f"{what} is" if n == 1 else f"{what}s are"
    sentence = f"{n} usable {are} too few to calibrate on: it takes at least {FEWEST}."
    if not found.paths:
        sentence = "No audio files were found there."
    hint = f"{found.ignored:,} other or hidden files were passed over." if found.ignored else ""
    if skipped:
        listed = "; ".join(why_skipped(name, reason) for name, reason in skipped[:5])
        hint = f"Skipped {len(skipped):,}: {listed}{' …' if len(skipped) > 5 else ''}"
    raise InputError(sentence, hint)
