"""`score`: many files, each as one recording, in parallel and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from model.audio import read_recording
from model.detector import Detector
from model.errors import AudioError, as_text
from model.segment import Segment
from model.segmenter import cut_recording
from monitor.events import Heard
from monitor.terminal import Stop


@dataclass(frozen=True)
class ScoredFile:
    """One file of the archive: its segments, and what should be said about it."""

    heard: tuple[Heard, ...]
    problem: str | None = None
    """Why it could not be read, in one sentence."""
    was_cut: bool = False
    """It is longer than the model's duration: only its beginning was scored."""


def score_files(
    paths: Iterable[str], detector: Detector, jobs: int, stop: Stop
) -> Generator[ScoredFile, None, None]:
    """Score files on `jobs` threads (-1: all cores); results come in the order of `paths`.

    A file alone and a file among many take the same path and get the same scores. Once `stop` is
    set no further file is begun. Close the iterator where it is left before its end.
    """
    from joblib import Parallel, delayed

    # Threads: decoding, resampling and the FFT all let go of the interpreter lock.
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    ahead = takewhile(lambda _: not stop.is_set(), paths)
    results = parallel(delayed(score_file)(path, detector) for path in ahead)
    try:
        for result in results:  # noqa: UP028 ("yield from" would close the results first)
            yield result
    except GeneratorExit:
        # Threads that are still at work when the interpreter ends would take it down with them.
        stop.set()
        deque(results, maxlen=0)
        raise


def score_file(path: str, detector: Detector) -> ScoredFile:
    """Score one file; what cannot be read becomes a segment with a reason."""
    cut = detector.segmentation
    name = as_text(path)
    limit_s = cut.duration_s if cut.mode == "event" else None
    try:
        recording = read_recording(path, detector.front_end.rate_hz, limit_s)
    except AudioError as error:
        return ScoredFile((_unreadable(name, detector),), str(error))
    segments = cut_recording(recording, cut)
    scores = detector.score_batch(segments)
    heard = tuple(
        Heard(name, None, segment, score, number)
        for number, (segment, score) in enumerate(zip(segments, scores, strict=True), start=1)
    )
    was_cut = cut.mode == "event" and recording.duration_s > cut.duration_s
    return ScoredFile(heard, was_cut=was_cut)


def _unreadable(name: str, detector: Detector) -> Heard:
    segment = Segment(np.empty(0, np.float32), 0.0, 0.0, reason="unreadable")
    return Heard(name, None, segment, detector.score(segment), 1)
