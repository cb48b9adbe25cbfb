"""Any audio file to mono float32 blocks, and the one resampler that files and live sources share.

What lives here: reading, resampling; exceptions of soundfile are translated. What does not: mixing
down, levels, states of the input (blocks.py), cutting into segments (segmenter.py).
Longer than most, so that one file of this room alone knows soundfile and soxr.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from model.blocks import (
    FULL_SCALE,
    NONE,
    OFFSET,
    Block,
    Indices,
    Mixdown,
    Samples,
    input_state,
    level_dbfs,
)
from model.errors import AudioError, shown
from model.resampler import Resampler, resample

__all__ = [  # of blocks.py and resampler.py, too
    "FULL_SCALE",
    "NONE",
    "OFFSET",
    "Block",
    "Indices",
    "Mixdown",
    "Resampler",
    "Samples",
    "input_state",
    "level_dbfs",
    "resample",
]

BLOCK_S = 0.5
_ONE_GO_S = 2.0
CUT_SHORT = "is cut short: it holds less than its header says"


@dataclass(frozen=True)
class Recording:
    """A file, read, mixed down and resampled."""

    samples: Samples
    """Mono, shape `(n,)`, at `rate_hz`."""
    rate_hz: int
    duration_s: float
    """Length of the whole file, also where only its beginning was read."""
    overloads: Indices = field(default_factory=NONE.copy)
    not_finite: Indices = field(default_factory=NONE.copy)
    state: str | None = None
    """`digital zero`, `silent`, `too short` (no samples), or None where there is sound."""


class AudioReader:
    """An open audio file as an iterator of blocks; a context manager.

    Raises AudioError on opening what cannot be read, and in the middle where decoding fails.
    `cut_short` says after the last block whether the file ended before its header's promise.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._file = _open(path)
        self.rate_hz: int = self._file.samplerate
        self.frames: int = self._file.frames
        self.channels: int = self._file.channels
        self.duration_s = self.frames / self.rate_hz
        self.cut_short = _is_cut_short(self._file.extra_info)

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def blocks(
        self,
        block_s: float = BLOCK_S,
        limit_s: float | None = None,
        start: int = 0,
        longest_s: float = 0.0,
    ) -> Iterator[Block]:
        """Mono blocks of `block_s` seconds from a frame on, up to `limit_s` where that is given.

        Each is twice as long as the one before until they have `longest_s`.
        """
        size = max(1, round(block_s * self.rate_hz))
        longest = max(size, round(longest_s * self.rate_hz))
        stop = self.frames
        if limit_s is not None:
            stop = min(stop, math.ceil(limit_s * self.rate_hz))
        mixdown = Mixdown()
        if start:
            start = self.seek(start)
        while start < stop:
            frames = self.read_frames(min(size, stop - start))
            if not len(frames):
                self.cut_short = self.cut_short or start < self.frames
                return
            yield mixdown.push(frames, start)
            start += len(frames)
            size = min(2 * size, longest)

    def read_frames(self, n: int) -> NDArray[np.float32]:
        """The next `n` frames of all channels, shape `(n, channels)`; fewer at the end."""
        try:
            frames: NDArray[np.float32] = self._file.read(n, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(shown(self.path), "is damaged: decoding fails in it") from error
        return frames

    def seek(self, frame: int) -> int:
        """Go to a frame, or to the end; gives where it is. Raises AudioError."""
        try:
            place: int = self._file.seek(min(frame, self.frames))
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(shown(self.path), "is damaged: decoding fails in it") from error
        return place


@dataclass(frozen=True)
class Decoded:
    """A file, read and mixed down, at its own rate: any number of front ends may hear it."""

    path: str | os.PathLike[str]
    rate_hz: int
    heard: Block
    duration_s: float
    limit_s: float | None

    def at(self, rate_hz: int) -> Recording:
        """The recording at a rate. Raises AudioError where its own rate is lower."""
        if self.rate_hz < rate_hz:
            raise AudioError(shown(self.path), too_low(self.rate_hz, rate_hz))
        resampled = resample(self.heard.samples, self.rate_hz, rate_hz)
        last = len(resampled) - 1
        if self.limit_s is not None:
            resampled = resampled[: math.ceil(self.limit_s * rate_hz)]
        return Recording(
            resampled,
            rate_hz,
            self.duration_s,
            self._resampled(self.heard.overloads, rate_hz, last),
            self._resampled(self.heard.not_finite, rate_hz, last),
            input_state(self.heard.samples),
        )

    def _resampled(self, marks: Indices, rate_hz: int, last: int) -> Indices:
        """Where marked samples are at a rate. Rounding puts none of them behind the last sample."""
        return np.minimum(marks * rate_hz // self.rate_hz, last)


def decode(
    path: str | os.PathLike[str], limit_s: float | None = None, lowest_hz: int = 0
) -> Decoded:
    """Read a file as mono; with `limit_s`, only what its beginning depends on.

    Raises AudioError for a file that is not audio, is damaged or cut short, or has too low a rate.
    """
    with AudioReader(path) as reader:
        if reader.rate_hz < lowest_hz:
            raise AudioError(shown(path), too_low(reader.rate_hz, lowest_hz))
        # Half a second beyond the limit is far more than the resampling filter reaches.
        heard = _whole(reader, None if limit_s is None else limit_s + BLOCK_S)
        if reader.cut_short:
            raise AudioError(shown(path), CUT_SHORT)
        return Decoded(path, reader.rate_hz, heard, reader.duration_s, limit_s)


def read_recording(
    path: str | os.PathLike[str], rate_hz: int, limit_s: float | None = None
) -> Recording:
    """A file as mono at `rate_hz`. Raises AudioError as `decode` does."""
    return decode(path, limit_s, rate_hz).at(rate_hz)


def _whole(reader: AudioReader, limit_s: float | None) -> Block:
    """What a file holds, up to a limit, as one block; a short file in one go."""
    block_s = BLOCK_S if reader.duration_s > _ONE_GO_S else _ONE_GO_S
    blocks = list(reader.blocks(block_s, limit_s))
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([np.empty(0, np.float32), *(b.samples for b in blocks)]),
        0,
        overloads=np.concatenate([NONE, *(b.overloads for b in blocks)]),
        not_finite=np.concatenate([NONE, *(b.not_finite for b in blocks)]),
    )


def sound_digest(samples: Samples) -> int:
    """64 bits that equal samples, shape `(n,)`, have in common and others hardly ever."""
    content = np.ascontiguousarray(samples, "<f4").data
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")


def too_low(rate_hz: int, needed_hz: int) -> str:
    """What to say of audio that lacks the upper part of what a front end looks at."""
    return f"has a rate of {rate_hz:,} Hz; it takes at least {needed_hz:,} Hz"


def _open(path: str | os.PathLike[str]) -> Any:
    # libsndfile's own message for a missing or forbidden file is vague: ask the system.
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            if os.path.isdir(path):
                raise AudioError(shown(path), "is a folder")
            raise AudioError(shown(path), "is not a file")
    except OSError as error:
        what = "is a dangling link" if os.path.islink(path) else _strerror(error)
        raise AudioError(shown(path), what) from error
    name = os.fspath(path) if os.name == "nt" else os.fsencode(path)
    try:
        return soundfile.SoundFile(name)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise AudioError(shown(path), _why_not(path)) from error


def _why_not(path: str | os.PathLike[str]) -> str:
    """Why libsndfile would not open a file that is there."""
    try:
        with open(path, "rb"):
            return "is not an audio file that can be read"
    except OSError as error:
        return _strerror(error)


def _strerror(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    return f"cannot be opened ({error.strerror})"


def _is_cut_short(log: str) -> bool:
    """Whether libsndfile's log of a WAV header says that the data chunk is not all there.

    Sizes near 2 or 4 GiB are what programs write that do not know the length yet: a pipe's header.
    """
    match = re.search(r"^\s*data\s*:\s*(\d+)\s*\(should be\s*(\d+)\)", log, re.MULTILINE)
    return match is not None and int(match[2]) < int(match[1]) < 0x7FFF0000
