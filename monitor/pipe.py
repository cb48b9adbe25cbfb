"""Sound on standard input: WAV or raw samples, what ffmpeg, arecord or sox bring from anywhere.

What the bytes mean is in wav.py. Latency: a read gives what is there; pieces below 40 ms are
gathered for 40 ms. It is long for the many ways in which another program can begin and end.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import select
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol, Self

import numpy as np

from model.audio import CUT_SHORT, Block, Mixdown
from model.errors import AudioError, InputError, OffkeyError
from monitor.clock import SampleClock, now_s
from monitor.sources import IDLE_S, STALL_S, Flag, check_channel
from monitor.wav import ENDED, Bytes, PcmFormat, goes_on, is_wav, read_exactly, read_wav_header

GATHER_S = 0.04
FIRST_S = 5.0
_MOST_BYTES = 1 << 16
_AHEAD_S = 0.5
"""What comes so much sooner than its own clock says, and a thousandth, is no live sound."""
RAW_DTYPES = {"s16le": "<i2", "f32le": "<f4"}


class RawInput(Bytes, Protocol):
    """Bytes of another program, as they come."""

    def close(self) -> None:
        """Give it back."""


def raw_format(name: str, rate_hz: int, channels: int) -> PcmFormat:
    """The format of raw samples, `s16le` or `f32le`. Raises InputError for impossible numbers."""
    if name not in RAW_DTYPES:
        raise InputError(f"--format takes {' or '.join(RAW_DTYPES)}, not {name}.")
    if not 1000 <= rate_hz <= 768_000:
        raise InputError(f"--rate takes 1,000 to 768,000 Hz, not {rate_hz:,}.")
    if not 1 <= channels <= 64:
        raise InputError(f"--channels takes 1 to 64, not {channels:,}.")
    return PcmFormat(rate_hz, channels, RAW_DTYPES[name])


class _Input:
    """A stream whose reads end once it is `closed`, where it has a descriptor to wait for."""

    def __init__(self, stream: RawInput) -> None:
        self.closed = threading.Event()
        self._stream = stream
        self._poll: select.poll | None = None
        # Not so on Windows, nor of a stream with a buffer: it can have more than its descriptor.
        if isinstance(stream, io.FileIO) and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(stream, select.POLLIN)

    def read(self, n: int) -> bytes:
        """Up to `n` bytes, as soon as there are any; none at the end and once closed."""
        while not self.closed.is_set():
            if self._poll is None:
                return self._stream.read(n) or b""
            # A descriptor that others made non-blocking may still have nothing: None.
            if self._poll.poll(IDLE_S * 1000) and (data := self._stream.read(n)) is not None:
                return data
        return b""

    def read_gathered(self, n: int, enough: int) -> bytes:
        """The same, but where it is less than `enough` bytes, with what comes within 40 ms."""
        data = self.read(n)
        if self._poll is not None and 0 < len(data) < min(n, enough):
            self.closed.wait(GATHER_S)
            if self._poll.poll(0):
                data += self.read(n - len(data))
        return data

    def close(self) -> None:
        """Close the stream; only where nobody reads it."""
        self._stream.close()


class Pipe:
    """Sound from another program's output; its writer waits, nothing is dropped.

    `stream` is unbuffered: a read gives what is there, so that sound is heard at once, and a thread
    that still waits in it holds no lock when the process ends. It is closed with the pipe. Without
    `raw` it has to be WAV.
    """

    is_live = True
    length_s = None
    detail = ""

    def __init__(
        self,
        stream: RawInput,
        name: str = "stdin",
        channel: int | None = None,
        raw: PcmFormat | None = None,
    ) -> None:
        self.name = name
        self.problem: str | None = None
        self.state = "opening"
        self._clock = SampleClock()
        self._began: datetime | None = None
        self._heard_s = 0.0
        self._input = _Input(stream)
        self._first = b""
        self._length: int | None = None  # in bytes, where it is known
        self._raw, self._channel = raw, channel
        self._error: OffkeyError | None = None
        self._begun = threading.Event()
        self._queue: queue.Queue[bytes] = queue.Queue(maxsize=4)
        # Until the header says otherwise: no block comes before it.
        self._format = raw or PcmFormat(48_000, 1, "<i2")
        self.rate_hz = self._format.rate_hz
        threading.Thread(target=self._read, name="offkey-pipe", daemon=True).start()
        # What is no sound at all is refused at once; a writer that brings nothing is a stall.
        try:
            if self._begun.wait(FIRST_S):
                self._begin()
        except OffkeyError:
            self._input.closed.set()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """The reading thread ends by itself, where it can wait for bytes: within `IDLE_S`."""
        self._input.closed.set()

    @property
    def began(self) -> datetime | None:
        """UTC of index 0, by when samples came of late; of what is no live sound, by the first."""
        if self._began is None:
            return None
        by_clock = self._clock.utc_of_origin(self.now, now_s())
        ahead_s = (self._began - by_clock).total_seconds()
        return self._began if ahead_s > _AHEAD_S + self._heard_s / 1000 else by_clock

    @property
    def now(self) -> datetime:
        """UTC time of day."""
        return datetime.now(UTC)

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:  # noqa: ARG002
        """Blocks as the writer brings them; a pause of two seconds is a stall."""
        start = 0
        while not self._begun.wait(IDLE_S) and not stop.is_set():
            self.state = "stalled"
            yield Block(np.empty(0, np.float32), start)
        if not stop.is_set():
            self._begin()
        heard = time.monotonic()
        while not stop.is_set():
            try:
                data = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                if time.monotonic() - heard > STALL_S:
                    self.state = "stalled"
                yield Block(np.empty(0, np.float32), start)
                continue
            if not data:
                return
            heard, self.state = time.monotonic(), "live"
            block = self._mixdown.push(self._format.decode(data), start)
            start = block.end
            self._compare_clock(start / self.rate_hz)
            yield block

    def _compare_clock(self, end_s: float) -> None:
        """A writer that paused is late from then on: nothing is lost, but the time is another."""
        self._heard_s = end_s
        if self._clock.hear(end_s, now_s()):
            self._clock.restart()
            self._clock.hear(end_s, now_s())
        if self._began is None:
            self._began = self._clock.utc_of_origin(self.now, now_s())

    def _begin(self) -> None:
        """The header has come. Raises OffkeyError where it is none, or has no such channel."""
        if self._error is not None:
            raise self._error
        self.rate_hz = self._format.rate_hz
        self._mixdown = Mixdown(check_channel(self._channel, self._format.channels))

    def _read_start(self) -> None:
        try:
            if self._raw is None:
                self._format, self._length = read_wav_header(self._input)
            else:
                self._first = _read_raw_start(self._input)
        except OffkeyError as error:
            self._error = error
        except OSError as error:
            self._error = AudioError("The input", f"cannot be read ({error.strerror})")
        self._begun.set()

    def _read(self) -> None:
        """The reading thread: all there is, up to an empty piece."""
        self._read_start()
        if self._error is not None or self._input.closed.is_set():
            self._input.close()
            return
        try:
            problem = self._read_samples()
        except OSError as error:
            problem = f"cannot be read any more ({error.strerror})"
        if problem is not None:
            self.problem = f"{self.name} {problem}."
        self._hand_over(b"")
        self._input.close()

    def _read_samples(self) -> str | None:
        """Hand over whole frames until they end; says what is wrong with that end."""
        rest, count = b"", 0
        for piece in self._pieces():
            data = rest + piece
            whole = len(data) - len(data) % self._format.frame_bytes
            rest = data[whole:]
            count += whole
            if whole:
                self._hand_over(data[:whole])
        return None if self._input.closed.is_set() else self._wrong_end(count, rest)

    def _pieces(self) -> Iterator[bytes]:
        """The bytes of the samples, as they come."""
        if self._first:
            yield self._first
        left = self._length
        enough = round(self.rate_hz * GATHER_S) * self._format.frame_bytes
        while left != 0:
            most = _MOST_BYTES if left is None else min(left, _MOST_BYTES)
            data = self._input.read_gathered(most, enough)
            if not data:
                return
            if left is not None:
                left -= len(data)
            yield data

    def _wrong_end(self, count: int, rest: bytes) -> str | None:
        """What is wrong where `count` bytes of whole frames came, and `rest` of one more."""
        if not count:
            return ENDED
        if self._length is not None:
            if count + len(rest) < self._length:
                return CUT_SHORT
            if goes_on(self._input, was_odd=self._length % 2 == 1):
                return "goes on after the length in its header: the rest was not heard"
            return None
        is_padding = rest == b"\0" and count % 2 == 1  # of WAV alone: raw frames are even
        return "ended in the middle of a sample" if rest and not is_padding else None

    def _hand_over(self, data: bytes) -> None:
        """Wait until there is room, so that the writer waits too, or until nobody listens."""
        while not self._input.closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(data, timeout=IDLE_S)
                return


def _read_raw_start(stream: Bytes) -> bytes:
    """The first 12 bytes: a header would be heard as noise. Raises AudioError."""
    start = read_exactly(stream, 12)
    if not start:
        raise AudioError("The input", ENDED)
    if is_wav(start):
        raise AudioError(
            "The input", "is WAV, not raw samples", "Leave out --format, --rate and --channels."
        )
    return start


def take_stdin() -> RawInput:
    """The pipe on standard input, leaving the terminal in its place for the keys of the screen."""
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return pipe
    os.dup2(terminal, 0)
    os.close(terminal)
    return pipe
