"""`score`: many files, each as one recording, in parallel and in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from model.audio import read_recording
from model.detector import Detector
from model.errors import AudioError, shown
from model.segmenter import Segment, cut_recording
from monitor.events import Heard


@dataclass(frozen=True)
class ScoredFile:
    """One file of the archive: its segments, and what should be said about it."""

    heard: tuple[Heard, ...]
    problem: str | None = None
    """Why it could not be read, in one sentence."""
    was_cut: bool = False
    """It is longer than the model's duration: only its beginning was scored."""


def score_files(paths: Iterable[str], detector: Detector, jobs: int) -> Iterator[ScoredFile]:
    """Score files on `jobs` threads (-1: all cores); results come in the order of `paths`.

    A file alone and a file among many take the same path and get the same scores.
    """
    if jobs == 1:
        yield from (score_file(path, detector) for path in paths)
        return
    from joblib import Parallel, delayed

    # Threads: decoding, resampling and the FFT all let go of the interpreter lock.
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    yield from parallel(delayed(score_file)(path, detector) for path in paths)


def score_file(path: str, detector: Detector) -> ScoredFile:
    """Score one file; what cannot be read becomes a segment with a reason."""
    cut = detector.segmentation
    name = shown(path)
    limit_s = cut.duration_s if cut.mode == "event" else None
    try:
        recording = read_recording(path, detector.front_end.rate_hz, limit_s)
    except AudioError as error:
        return ScoredFile((unreadable(name, detector, error),), str(error))
    segments = cut_recording(recording, cut)
    scores = detector.score_batch(segments)
    heard = tuple(
        Heard(name, None, segment, score, number)
        for number, (segment, score) in enumerate(zip(segments, scores, strict=True), start=1)
    )
    was_cut = cut.mode == "event" and recording.duration_s > cut.duration_s
    return ScoredFile(heard, was_cut=was_cut)


def unreadable(name: str, detector: Detector, error: AudioError) -> Heard:
    """A line for a file of which nothing can be scored."""
    segment = Segment(np.empty(0, np.float32), 0.0, 0.0, reason=error.reason)
    return Heard(name, None, segment, detector.score(segment), 1)
