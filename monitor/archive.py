"""`score`: many files, each as one recording, to lines; in batches, in parallel and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice, takewhile

import numpy as np

from model.audio import read_recording, sound_digest
from model.detector import ANOMALOUS, Detector
from model.errors import AudioError, as_text
from model.segment import Segment
from model.segmenter import cut_recording
from model.workers import Batch, Result, Task, in_order
from monitor.events import Heard
from monitor.sinks import csv_row, json_line
from monitor.terminal import Stop

_HERE, _AWAY = 16, 64
"""Sounds in a batch: here it lasts for a fiftieth of a second, and so does an interruption. What is
heard in windows may be hours long: a file is a batch."""


@dataclass(frozen=True)
class ScoredFile:
    """One file of the archive: its segments, and what should be said about it."""

    heard: tuple[Heard, ...]
    problem: str | None = None
    """Why it could not be read, in one sentence."""
    was_cut: bool = False
    """It is longer than the model's duration: only its beginning was scored."""
    was_learnt: bool = False
    """The model was fitted on the same recording."""


@dataclass(frozen=True)
class FileLines:
    """What is told of one file; small, since it may come from another process or machine."""

    source: str
    text: str
    """Its lines, each with its end."""
    n_scored: int
    is_anomalous: bool
    """Some of its segments are."""
    problem: str | None
    was_cut: bool
    was_learnt: bool


@dataclass(frozen=True)
class ModelOnDisk:
    """A model that workers elsewhere read for themselves, once: paths travel, arrays do not."""

    path: str
    digest: str
    false_alarm_rate: float | None

    def detector(self) -> Detector:
        """Read it. Raises ModelError where it is not there, or is another one."""
        return _read_once(self.path, self.digest, self.false_alarm_rate)


Results = Generator[FileLines, None, None]


def score_files(
    paths: Sequence[str], detector: Detector, as_csv: bool, jobs: int, stop: Stop
) -> Results:
    """Score files on `jobs` workers (-1: all cores); results come in the order of `paths`.

    A file alone and a file among many take the same path and get the same scores. Once `stop` is
    set no further batch is begun. Close the iterator where it is left before its end.
    """
    task = partial(_score_batch, detector=detector, as_csv=as_csv)
    for batch in in_order(task, list(_cut(paths, detector, _HERE)), jobs, stop):
        yield from batch


def score_on_cluster(
    paths: Iterable[str],
    detector: Detector,
    model: ModelOnDisk,
    as_csv: bool,
    stop: Stop,
    cluster: Callable[[], AbstractContextManager[None]],
) -> Results:
    """The same on a cluster whose workers find the model and the files under the same paths."""
    task = partial(_score_batch_away, model=model, as_csv=as_csv, folder=os.getcwd())
    for batch in _on_cluster(task, _cut(paths, detector, _AWAY), stop, cluster):
        yield from batch


def _on_cluster(
    task: Task[Batch, Result],
    batches: Iterable[Batch],
    stop: Stop,
    cluster: Callable[[], AbstractContextManager[None]],
) -> Generator[Result, None, None]:
    """Do `task` for every batch on a cluster, in order; what a lost worker had is done anew."""
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


def score_file(path: str, detector: Detector, folder: str = "") -> ScoredFile:
    """Score one file; what cannot be read becomes a segment with a reason.

    A path that is not absolute starts from `folder`, where that is given.
    """
    cut = detector.segmentation
    name = as_text(path)
    limit_s = cut.duration_s if cut.mode == "event" else None
    try:
        at = os.path.join(folder, path)
        recording = read_recording(at, detector.front_end.rate_hz, limit_s)
    except AudioError as error:
        return ScoredFile((_unreadable(name, detector),), str(error))
    segments = cut_recording(recording, cut)
    scores = detector.score_batch(segments)
    heard = tuple(
        Heard(name, None, segment, score, number)
        for number, (segment, score) in enumerate(zip(segments, scores, strict=True), start=1)
    )
    was_cut = cut.mode == "event" and recording.duration_s > cut.duration_s
    gallery = detector.gallery
    was_learnt = gallery is not None and gallery.has_learnt(sound_digest(recording.samples))
    return ScoredFile(heard, was_cut=was_cut, was_learnt=was_learnt)


def _unreadable(name: str, detector: Detector) -> Heard:
    segment = Segment(np.empty(0, np.float32), 0.0, 0.0, reason="unreadable")
    return Heard(name, None, segment, detector.score(segment), 1)


def _cut(paths: Iterable[str], detector: Detector, most: int) -> Iterator[list[str]]:
    size = most if detector.segmentation.mode == "event" else 1
    rest = iter(paths)
    while batch := list(islice(rest, size)):
        yield batch


def _score_batch(
    paths: list[str], detector: Detector, as_csv: bool, folder: str = ""
) -> list[FileLines]:
    to_line = csv_row if as_csv else json_line
    told = []
    for path in paths:
        scored = score_file(path, detector, folder)
        told.append(
            FileLines(
                scored.heard[0].source,
                "".join(to_line(heard) + "\n" for heard in scored.heard),
                sum(heard.score.reason is None for heard in scored.heard),
                any(heard.score.verdict == ANOMALOUS for heard in scored.heard),
                scored.problem,
                scored.was_cut,
                scored.was_learnt,
            )
        )
    return told


def _score_batch_away(
    paths: list[str], model: ModelOnDisk, as_csv: bool, folder: str
) -> list[FileLines]:
    return _score_batch(paths, model.detector(), as_csv, folder)


@lru_cache(maxsize=2)
def _read_once(path: str, digest: str, false_alarm_rate: float | None) -> Detector:
    from model.errors import ModelError, shown
    from model.storage import read_model

    detector = read_model(path)
    if detector.digest != digest:
        raise ModelError(
            f"The workers find another model than you under {shown(path)}.",
            "Give a path that means the same file everywhere.",
        )
    return detector.with_false_alarm_rate(false_alarm_rate)
