"""One recording, read: its features, or why there are none; what processes and machines do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.audio import read_recording
from model.errors import AudioError
from model.features import Features, FrontEnd
from model.segment import Segmentation
from model.segmenter import cut_recording

NO_FEATURES: Features = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class ReadFile:
    """One recording: features, or why there are none."""

    features: Features = field(default_factory=NO_FEATURES.copy)
    """Shape `(n_segments, n_features)`."""
    n_segments: int = 0
    snr_db: tuple[float, ...] = ()
    clipped: bool = False
    is_cut: bool = False
    digest: bytes = b""
    skipped: str | None = None


def read_files(
    paths: Sequence[str], front_end: FrontEnd, segmentation: Segmentation
) -> list[ReadFile]:
    """Read and cut some recordings: what is sent to a worker at once."""
    return [read_file(path, front_end, segmentation) for path in paths]


def read_file(path: str, front_end: FrontEnd, segmentation: Segmentation) -> ReadFile:
    """Read and cut one recording; never raises for a bad one."""
    limit_s = segmentation.duration_s if segmentation.mode == "event" else None
    try:
        recording = read_recording(path, front_end.rate_hz, limit_s)
        digest = _digest(path)
    except AudioError as error:
        return ReadFile(skipped=f"unreadable: {error.what}")
    segments = cut_recording(recording, segmentation)
    features, snr_db = [], []
    for segment in segments:
        row = None if segment.reason else front_end.features(segment.samples)
        if row is not None:
            features.append(row)
            snr_db += [segment.snr_db] if segment.snr_db is not None else []
    if not features:
        return ReadFile(skipped=segments[0].reason if segments else "too short")
    clipped = any(segment.clipped for segment in segments)
    is_cut = limit_s is not None and recording.duration_s > limit_s
    return ReadFile(np.array(features), len(features), tuple(snr_db), clipped, is_cut, digest)


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
