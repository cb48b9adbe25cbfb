"""One recording, read: its features, or why there are none; what processes and machines do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibrate.room import Room
from calibrate.roomcut import cut_in_room
from model.audio import OFFSET, Decoded, decode, sound_digest
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
    windows: tuple[int, ...] = ()
    """Which of the recording's windows these are, the others cannot be used; 0 in event mode."""
    snr_db: tuple[float, ...] = ()
    clipped: bool = False
    is_offset: bool = False
    """It is off its zero line by so much that scores change."""
    is_cut: bool = False
    is_missed: bool = False
    """The gate does not open for it in the room."""
    digest: bytes = b""
    """SHA-256 of the file."""
    sound: int = 0
    """Digest of its samples as the front end gets them, before any room is mixed in."""
    rate_hz: int | None = None
    """The file's own; None where it could not be decoded."""
    skipped: str | None = None

    @property
    def n_segments(self) -> int:
        """How many can be used."""
        return len(self.windows)


def read_files(
    paths: Sequence[str],
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    rooms: Sequence[Room] = (),
) -> list[ReadFile]:
    """Read and cut some recordings: what is sent to a worker at once.

    For each of them one after the other what each front end makes of it.
    """
    return [read for path in paths for read in read_file(path, front_ends, segmentation, rooms)]


def read_file(
    path: str,
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    rooms: Sequence[Room] = (),
) -> list[ReadFile]:
    """Decode one recording, and cut it for each front end; never raises for a bad one.

    With `rooms`, one at the rate of each front end, it is mixed into the recording.
    """
    limit_s = segmentation.duration_s if segmentation.mode == "event" else None
    try:
        decoded = decode(path, limit_s)
        digest = _digest(path)
    except AudioError as error:
        return [ReadFile(skipped=f"unreadable: {error.what}") for _ in front_ends]
    read = [
        _heard_by(front_end, decoded, segmentation, rooms[i] if rooms else None)
        for i, front_end in enumerate(front_ends)
    ]
    return [replace(one, digest=digest, rate_hz=decoded.rate_hz) for one in read]


def _heard_by(
    front_end: FrontEnd, decoded: Decoded, segmentation: Segmentation, room: Room | None
) -> ReadFile:
    try:
        recording = decoded.at(front_end.rate_hz)
    except AudioError as error:
        return ReadFile(skipped=f"unreadable: {error.what}")
    sound = sound_digest(recording.samples)
    is_offset = bool(abs(recording.samples.mean()) > OFFSET) if len(recording.samples) else False
    if room is None:
        segments = cut_recording(recording, segmentation)
    else:
        segments = cut_in_room(recording, os.fspath(decoded.path), segmentation, room)
    # The gate takes no sound that is so short for one.
    is_event = segmentation.mode == "event"
    if is_event and recording.duration_s < segmentation.gate.shortest_s:
        return ReadFile(skipped="too short")
    features, windows, snr_db = [], [], []
    for i, segment in enumerate(segments):
        row = None if segment.reason else front_end.features(segment.samples)
        if row is not None:
            features.append(row)
            windows.append(0 if is_event else i)
            snr_db += [segment.snr_db] if segment.snr_db is not None else []
    if not features:
        return ReadFile(skipped=segments[0].reason if segments else "too short")
    clipped = any(segment.clipped for segment in segments)
    is_cut = decoded.limit_s is not None and recording.duration_s > decoded.limit_s
    return ReadFile(
        np.array(features),
        tuple(windows),
        tuple(snr_db),
        clipped,
        is_offset,
        is_cut,
        is_missed=is_event and room is not None and len(segments) == 1,
        sound=sound,
    )


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
