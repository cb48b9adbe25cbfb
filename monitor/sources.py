"""Where sound comes from: files here, others in microphone.py and pipe.py.

A source is a context manager that gives mono blocks at its own rate; it knows nothing of what
becomes of them. Latency: the microphone's blocks are 40 ms, those of a file at speed 1 are 50 ms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol, Self

import numpy as np

from model.audio import CUT_SHORT, AudioReader, Block
from model.errors import InputError, as_text, shown

IDLE_S = 0.25
"""A live source that has nothing gives an empty block this often: its reader looks up."""
STALL_S = 2.0


class Flag(Protocol):
    """A yes or no that other threads may set."""

    def is_set(self) -> bool:
        """Whether it is set."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most; says whether it is."""


class FileControl(Protocol):
    """What can be done to a file while it plays."""

    speed: float
    """Times real time; infinite for as fast as it goes."""

    def jump(self, by_s: float, /) -> None:
        """Go on so many seconds further on, or back."""


class Source(Protocol):
    """What a stream needs of a source."""

    @property
    def name(self) -> str:
        """The file as given, or the device."""

    @property
    def rate_hz(self) -> int:
        """Rate of its blocks; another one only from the first on, or with one that tells a loss."""

    @property
    def is_live(self) -> bool:
        """Whether it happens now, at its own pace."""

    @property
    def length_s(self) -> float | None:
        """Length where it is known."""

    @property
    def state(self) -> str:
        """`live` while sound comes; else `opening`, `stalled` or `reconnecting`."""

    @property
    def detail(self) -> str:
        """A few words more about the state, or none."""

    @property
    def problem(self) -> str | None:
        """One sentence where the source ended before its time."""

    @property
    def began(self) -> datetime | None:
        """UTC time of index 0 of a live source."""

    @property
    def now(self) -> datetime:
        """UTC time of day on the source's clock."""

    def __enter__(self) -> Self:
        """Open it."""

    def __exit__(self, *exc: object) -> None:
        """Close it."""

    def blocks(self, stop: Flag, paused: Flag, /) -> Iterator[Block]:
        """Blocks until the source ends or, soon after, `stop` is set."""


class AudioFile:
    """A file, as fast as it goes or paced like the real thing.

    `speed`, in times real time, and the place can be changed while it plays, from any thread.
    """

    is_live = False
    began = None
    state = "live"
    detail = ""

    def __init__(self, path: str, speed: float = math.inf) -> None:
        self.name = as_text(path)
        self.problem: str | None = None
        self.speed = speed
        self._path = path
        self._block_s, self._longest_s = (0.05, 0.0) if math.isfinite(speed) else (0.5, 2.0)
        self._jump_to: int | None = None
        self._at = 0
        # Looked at now, so that a file that cannot be read is told before anything begins; open
        # only while it plays, however many there are.
        with AudioReader(path) as reader:
            self.rate_hz = reader.rate_hz
            self.length_s: float | None = reader.duration_s

    def __enter__(self) -> Self:
        self._reader = AudioReader(self._path)
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.__exit__(*exc)

    @property
    def now(self) -> datetime:
        """UTC time of day."""
        return datetime.now(UTC)

    def jump(self, by_s: float) -> None:
        """Go on so many seconds further on, or back; not beyond the ends."""
        self._jump_to = max(0, self._at + round(by_s * self.rate_hz))

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:
        """All blocks of the file; while paused, an empty one now and then."""
        blocks, clock = self._blocks(0), time.monotonic()
        while True:
            if self._jump_to is not None:
                start, self._jump_to = self._jump_to, None
                blocks, clock = self._blocks(start), time.monotonic()
            block = next(blocks, None)
            if block is None or stop.is_set():
                break
            while paused.is_set() and not stop.is_set() and self._jump_to is None:
                yield Block(np.empty(0, np.float32), block.start)
                stop.wait(0.05)
                clock = time.monotonic()
            clock = self._pace(clock, len(block.samples), stop)
            if stop.is_set():
                return
            if self._jump_to is None:
                self._at = block.end
                yield block
        if self._reader.cut_short and not stop.is_set():
            self.problem = f"{shown(self.name)} {CUT_SHORT}."

    def _blocks(self, start: int) -> Iterator[Block]:
        return self._reader.blocks(self._block_s, start=start, longest_s=self._longest_s)

    def _pace(self, clock: float, n: int, stop: Flag) -> float:
        """Wait until `n` samples after `clock` would have been heard; returns that time."""
        if not math.isfinite(self.speed):
            return time.monotonic()
        clock += n / self.rate_hz / self.speed
        stop.wait(max(0.0, clock - time.monotonic()))
        return clock


def check_channel(channel: int | None, channels: int) -> int | None:
    """Channel numbers count from 1 outside, from 0 inside. Raises InputError otherwise."""
    if channel is None:
        return None
    if not 1 <= channel <= channels:
        raise InputError(f"There is no channel {channel}: the input has {channels}.")
    return channel - 1
