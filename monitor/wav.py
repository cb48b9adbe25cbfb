"""What bytes mean: the formats of samples, the header of a WAV stream, and what may follow it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import AudioError

ENDED = "ended before any samples came"
_MOST_CHUNK_BYTES = 1 << 24  # of what is not samples: names, pictures; beyond, it is no chunk
_LONGEST_PLAIN_BYTES = 0x7FFF0000  # from here on a length is what programs write that know none
_LONGEST_BYTES = 1 << 62
_SCALES = {"u1": 2.0**-7, "<i2": 2.0**-15, "<i3": 2.0**-31, "<i4": 2.0**-31}


class Bytes(Protocol):
    """Something to read bytes from."""

    def read(self, n: int, /) -> bytes | None:
        """Up to `n` bytes, none at the end."""


@dataclass(frozen=True)
class PcmFormat:
    """What has to be known of samples to read them."""

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
            raw = padded.view("<i4")[:, 0]
        else:
            raw = np.frombuffer(data, self.dtype)
        with np.errstate(over="ignore"):  # what is beyond single precision is told as not finite
            values = raw.astype(np.float32)
        if self.dtype == "u1":
            values -= 128
        if self.dtype in _SCALES:
            values *= _SCALES[self.dtype]
        return values.reshape(-1, self.channels)


def is_wav(start: bytes) -> bool:
    """Whether these first 12 bytes begin a WAV."""
    return start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE"


def read_wav_header(stream: Bytes) -> tuple[PcmFormat, int | None]:
    """Read a RIFF header up to its samples; returns the format and the number of bytes to come.

    None stands for "until it ends": a length of 0 or near 2 or 4 GiB. That of RF64 stands in its
    ds64 chunk. Raises AudioError for anything else.
    """
    start = read_exactly(stream, 12)
    if len(start) < 12:
        raise AudioError("The input", ENDED)
    if not is_wav(start):
        raise AudioError(
            "The input",
            "is not WAV",
            "For example: ffmpeg -i URL -f wav - | offkey monitor MODEL --input -; "
            "raw samples take --format s16le --rate R --channels C.",
        )
    pcm, long_bytes = None, 0
    while True:
        header = read_exactly(stream, 8)
        if len(header) < 8:
            raise AudioError("The input", ENDED)
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            if pcm is None:
                raise AudioError("The input", "is not WAV: its format is missing")
            return pcm, _known_length(size, long_bytes)
        if size > _MOST_CHUNK_BYTES:
            raise AudioError("The input", "is not WAV: its header is damaged")
        content = read_exactly(stream, min(size, 64))
        _skip(stream, size + size % 2 - len(content))
        if name == b"fmt ":
            pcm = _parse_format(content)
        elif name == b"ds64" and len(content) >= 16:
            long_bytes = struct.unpack("<Q", content[8:16])[0]


def goes_on(stream: Bytes, was_odd: bool) -> bool:
    """Read what follows samples of a known length; whether it is anything but a WAV's own chunks.

    `was_odd`: the number of bytes before was, so that one more may pad them.
    """
    header = read_exactly(stream, 8)
    if was_odd and header[:1] == b"\0":
        header = header[1:] + read_exactly(stream, 1)
    while len(header) == 8:
        name, size = struct.unpack("<4sI", header)
        if name in (b"RIFF", b"RF64", b"data") or not all(32 <= c < 127 for c in name):
            return True
        if size > _MOST_CHUNK_BYTES:
            return True
        _skip(stream, size + size % 2)
        header = read_exactly(stream, 8)
    return len(header) > 0


def read_exactly(stream: Bytes, n: int) -> bytes:
    """Read `n` bytes, fewer only where the stream ends."""
    parts = []
    while n > 0 and (part := stream.read(n)):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _skip(stream: Bytes, n: int) -> None:
    while n > 0 and (part := stream.read(min(n, 1 << 16))):
        n -= len(part)


def _known_length(size: int, long_bytes: int) -> int | None:
    if size == 0xFFFFFFFF:
        return long_bytes if 0 < long_bytes < _LONGEST_BYTES else None
    return size if 0 < size < _LONGEST_PLAIN_BYTES else None


def _parse_format(chunk: bytes) -> PcmFormat:
    if len(chunk) < 16:
        raise AudioError("The input", "is not WAV: its format is cut short")
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == 0xFFFE and len(chunk) >= 26:  # extensible: the tag stands further on
        tag = struct.unpack("<H", chunk[24:26])[0]
    dtypes = {(1, 8): "u1", (1, 16): "<i2", (1, 24): "<i3", (1, 32): "<i4"}
    dtypes |= {(3, 32): "<f4", (3, 64): "<f8"}
    # Heard by frames of a wrong size, as of 24 bits in 4 bytes, everything would be noise.
    has_size = 0 < frame_bytes * 8 == channels * bits
    if (tag, bits) not in dtypes or not rate_hz or not has_size:
        raise AudioError("The input", "is WAV of a kind not read here", "Send 16-bit PCM.")
    return PcmFormat(rate_hz, channels, dtypes[tag, bits])
