"""Any audio file to mono float32 blocks, and the one resampler that files and live sources share.

What lives here: reading, resampling, levels, states of the input; exceptions of soundfile are
translated here. What does not: mixing down (blocks.py), cutting into segments (segmenter.py).
Longer than most files, so that one file of this room alone knows soundfile and soxr.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from model.blocks import FULL_SCALE, NONE, Block, Indices, Mixdown, Samples
from model.errors import AudioError, shown

__all__ = ["FULL_SCALE", "NONE", "Block", "Indices", "Mixdown", "Samples"]  # of blocks.py, too

SILENT_PEAK = 10 ** (-90 / 20)
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


class Resampler:
    """Blocks at one rate to blocks at another; equals one-shot resampling to the last bit.

    soxr, quality HQ. After a loss the stream starts anew at the block's own place.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self.rate_in_hz = rate_in_hz
        self.rate_out_hz = rate_out_hz
        self.reset()

    def reset(self) -> None:
        """Start anew with the next block."""
        self._stream = soxr.ResampleStream(
            self.rate_in_hz, self.rate_out_hz, 1, dtype="float32", quality="HQ"
        )
        self._next: int | None = None

    def push(self, block: Block) -> Iterator[Block]:
        """Resample one block; before a loss, what the filter still holds comes first."""
        if block.lost and self._next is not None:
            yield self._out(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
            self.reset()
        lost = 0
        if self._next is None:
            self._next = self._index(block.start)
            lost = self._index(block.lost)
        yield self._out(self._stream.resample_chunk(block.samples), lost, block)

    def flush(self) -> Block | None:
        """The end of the stream: what the filter still holds."""
        if self._next is None:
            return None
        block = self._out(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        self.reset()
        return block

    def _index(self, index: int) -> int:
        return -(-index * self.rate_out_hz // self.rate_in_hz)

    def _out(self, samples: Samples, lost: int = 0, source: Block | None = None) -> Block:
        assert self._next is not None
        start, self._next = self._next, self._next + len(samples)
        if source is None:
            return Block(samples, start, lost)
        scale = self.rate_out_hz / self.rate_in_hz
        overloads, not_finite = (
            (marks * scale).astype(np.int64) for marks in (source.overloads, source.not_finite)
        )
        return Block(samples, start, lost, source.cause, overloads, not_finite)


def resample(samples: Samples, rate_in_hz: int, rate_out_hz: int) -> Samples:
    """One-shot soxr HQ resampling of mono `samples`, shape `(n,)`."""
    if not len(samples):
        return samples
    resampled: Samples = soxr.resample(samples, rate_in_hz, rate_out_hz, quality="HQ")
    return resampled


def level_dbfs(samples: Samples) -> float | None:
    """RMS level; a full-scale sine is −3.01 dBFS. None where there is nothing to measure."""
    if not len(samples):
        return None
    wide = samples.astype(np.float64)
    power = float(np.add.reduce(np.square(wide, out=wide))) / len(wide)
    return 10 * math.log10(power) if power > 0 else None


def input_state(samples: Samples) -> str | None:
    """`digital zero` where all samples are equal, `silent` below a peak of −90 dBFS, else None.

    Equal to within single precision of the resampler, which lets a constant ripple by that much.
    """
    if not len(samples):
        return "too short"
    low, high = float(samples.min()), float(samples.max())
    peak = max(-low, high)
    if high - low <= 1e-6 * peak:
        return "digital zero"
    return "silent" if peak < SILENT_PEAK else None


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


def read_recording(
    path: str | os.PathLike[str], rate_hz: int, limit_s: float | None = None
) -> Recording:
    """Read a file as mono at `rate_hz`; with `limit_s`, only what its beginning depends on.

    Raises AudioError for a file that is not audio, is damaged or cut short, or has too low a rate.
    """
    with AudioReader(path) as reader:
        if reader.rate_hz < rate_hz:
            raise AudioError(shown(path), too_low(reader.rate_hz, rate_hz))
        # Half a second beyond the limit is far more than the resampling filter reaches.
        heard = _whole(reader, None if limit_s is None else limit_s + BLOCK_S)
        if reader.cut_short:
            raise AudioError(shown(path), CUT_SHORT)
        resampled = resample(heard.samples, reader.rate_hz, rate_hz)
        if limit_s is not None:
            resampled = resampled[: math.ceil(limit_s * rate_hz)]
        return Recording(
            resampled,
            rate_hz,
            reader.duration_s,
            heard.overloads * rate_hz // reader.rate_hz,
            heard.not_finite * rate_hz // reader.rate_hz,
            input_state(heard.samples),
        )


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


def too_low(rate_hz: int, needed_hz: int) -> str:
    """What to say of audio that lacks the upper part of what a front end looks at."""
    return f"has a rate of {rate_hz:,} Hz; it takes at least {needed_hz:,} Hz"


def _open(path: str | os.PathLike[str]) -> Any:
    # libsndfile's own message for a missing or forbidden file is vague: ask the system.
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            if os.path.isdir(path):
                raise AudioError(shown(path), "is a folder", "offkey score takes folders.")
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
