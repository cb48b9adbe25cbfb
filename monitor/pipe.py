"""WAV on standard input: what ffmpeg, arecord or sox bring from anywhere."""

from __future__ import annotations

import os
import queue
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from model.audio import CUT_SHORT, Block, Mixdown
from model.errors import AudioError
from monitor.sources import IDLE_S, STALL_S, Flag, check_channel

_UNKNOWN_BYTES = 1 << 62


class RawInput(Protocol):
    """Bytes of another program, as they come."""

    def read(self, n: int, /) -> bytes | None:
        """Up to `n` bytes, none at the end."""


@dataclass(frozen=True)
class WavFormat:
    """What the header of a WAV stream says."""

    rate_hz: int
    channels: int
    dtype: str
    """`u1`, `<i2`, `<i3` (24 bit), `<i4`, `<f4` or `<f8`."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * int(self.dtype[-1])

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Bytes of whole frames to shape `(n, channels)`, full scale 1."""
        if self.dtype == "<i3":
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = padded.view("<i4")[:, 0] / 2**31
        else:
            raw = np.frombuffer(data, self.dtype)
            scale = {"u1": 2.0**7, "<i2": 2.0**15, "<i4": 2.0**31}.get(self.dtype, 1.0)
            values = (raw - 128.0 if self.dtype == "u1" else raw) / scale
        return values.astype(np.float32).reshape(-1, self.channels)


class Pipe:
    """WAV from another program's output; its writer waits, nothing is dropped.

    `stream` is unbuffered: a read gives what is there, so that sound is heard at once, and a thread
    that still waits in it holds no lock when the process ends.
    """

    is_live = True
    length_s = None

    def __init__(self, stream: RawInput, name: str = "stdin", channel: int | None = None) -> None:
        self.name = name
        self.problem: str | None = None
        self.state = "opening"
        self.began: datetime | None = None
        self._stream = stream
        self._format, self._left = read_wav_header(stream)
        self._mixdown = Mixdown(check_channel(channel, self._format.channels))
        self.rate_hz = self._format.rate_hz
        self._queue: queue.Queue[bytes] = queue.Queue(maxsize=4)

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, name="offkey-pipe", daemon=True).start()
        self.began = datetime.now(UTC)
        return self

    def __exit__(self, *exc: object) -> None:
        """The reading thread ends with its writer, or with the process."""

    def _read(self) -> None:
        left = self._left
        while left > 0:
            data = self._stream.read(min(left, 1 << 16))
            if not data:
                break
            left -= len(data)
            self._queue.put(data)
        if 0 < left < _UNKNOWN_BYTES // 2:
            self.problem = f"{self.name} {CUT_SHORT}."
        self._queue.put(b"")

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:  # noqa: ARG002
        """Blocks as the writer brings them; a pause of two seconds is a stall."""
        start, rest = 0, b""
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
            data = rest + data
            whole = len(data) - len(data) % self._format.frame_bytes
            rest = data[whole:]
            block = self._mixdown.push(self._format.decode(data[:whole]), start)
            start = block.end
            yield block


def read_wav_header(stream: RawInput) -> tuple[WavFormat, int]:
    """Read a RIFF header up to its samples; returns the format and the number of bytes to come.

    Raises AudioError for anything else. A length near 2 or 4 GiB, or 0, means "until it ends".
    """
    if _read_exactly(stream, 12)[:4] not in (b"RIFF", b"RF64"):
        raise AudioError(
            "The input",
            "is not WAV",
            "For example: ffmpeg -i URL -f wav - | offkey monitor MODEL --input -",
        )
    wav_format = None
    while True:
        header = _read_exactly(stream, 8)
        if len(header) < 8:
            raise AudioError("The input", "ended before any samples came")
        name, size = header[:4], struct.unpack("<I", header[4:])[0]
        if name == b"data":
            if wav_format is None:
                raise AudioError("The input", "is not WAV: its format is missing")
            return wav_format, size if 0 < size < 0x7FFF0000 else _UNKNOWN_BYTES
        chunk = _read_exactly(stream, size + size % 2)
        if name == b"fmt ":
            wav_format = _parse_format(chunk)


def _read_exactly(stream: RawInput, n: int) -> bytes:
    """Read `n` bytes, fewer only where the stream ends."""
    parts = []
    while n > 0 and (part := stream.read(min(n, 1 << 16))):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _parse_format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise AudioError("The input", "is not WAV: its format is cut short")
    tag, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == 0xFFFE and len(chunk) >= 26:  # extensible: the tag stands further on
        tag = struct.unpack("<H", chunk[24:26])[0]
    dtypes = {(1, 8): "u1", (1, 16): "<i2", (1, 24): "<i3", (1, 32): "<i4"}
    dtypes |= {(3, 32): "<f4", (3, 64): "<f8"}
    if (tag, bits) not in dtypes or not channels or not rate_hz:
        raise AudioError("The input", "is WAV of a kind not read here", "Send 16-bit PCM.")
    return WavFormat(rate_hz, channels, dtypes[tag, bits])


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
