"""`offkey monitor --input -`: WAV from another program, heard as a file is."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.detector import Detector
from model.errors import AudioError
from monitor import pipe as pipe_module
from monitor.events import Event
from monitor.pipe import Pipe, read_wav_header
from monitor.sinks import Sink, to_json
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Make a RIFF chunk, perhaps with a size that is not its own."""
    return name + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks: bytes, size: int = 0xFFFFFFFF) -> bytes:
    """Make a WAV of chunks, as a program writes it that does not know how much will come."""
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + b"".join(chunks)


def plain_format(rate_hz: int = 8000, channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    """Make the format chunk of plain PCM."""
    frame = channels * bits // 8
    packed = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits)
    return chunk(b"fmt ", packed)


def pcm(samples: Samples) -> bytes:
    """Make 16-bit samples."""
    return bytes((samples * 32_767).round().astype("<i2").tobytes())


class Dribble(io.RawIOBase):
    """An input that gives as many bytes at once as it pleases."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes
        self._turn = 0

    def read(self, n: int = -1, /) -> bytes:
        """Give up to `n` bytes."""
        self._turn += 1
        size = min(n, self._sizes[self._turn % len(self._sizes)])
        part, self._data = self._data[:size], self._data[size:]
        return part


def heard_through(pipe: Pipe) -> Samples:
    """Listen to a pipe until it ends; hold its blocks against their places."""
    parts, end = [], 0
    with pipe:
        for block in pipe.blocks(threading.Event(), threading.Event()):
            assert block.start == end
            assert np.isfinite(block.samples).all()
            end = block.end
            parts.append(block.samples)
    return np.concatenate([np.empty(0, np.float32), *parts])


def segments(lines: list[Line]) -> list[Line]:
    """Keep the segments of lines, without what tells a pipe from a file."""
    found = [line for line in lines if line["type"] == "segment"]
    return [{k: v for k, v in line.items() if k not in ("source", "time")} for line in found]


# --- the same as a file --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subtype", "channels", "rate_hz"),
    [
        ("PCM_16", 1, 8000),
        ("PCM_16", 2, 16_000),
        ("PCM_24", 2, 8000),
        ("PCM_32", 1, 8000),
        ("FLOAT", 2, 8000),
        ("DOUBLE", 1, 8000),
        ("PCM_U8", 1, 8000),
    ],
)
def test_a_pipe_gives_the_segments_of_the_file(
    start: Start, run: Run, parse: Parse, wav: Callable[..., bytes], demo_model: Path,
    excerpt: Samples, tmp_path: Path, subtype: str, channels: int, rate_hz: int,
) -> None:  # fmt: skip
    """A WAV written into the pipe in pieces of any size gives exactly what replaying it gives."""
    rng = np.random.default_rng(1)
    sound = np.repeat(excerpt, rate_hz // 8000)
    hiss = 2e-4 * rng.normal(size=(len(sound), channels))
    data = wav((sound[:, None] + hiss).astype(np.float32), rate_hz, subtype)
    (tmp_path / "in.wav").write_bytes(data)
    expected = segments(parse(run("replay", demo_model, tmp_path / "in.wav").stdout))
    with start("monitor", demo_model, "--input", "-") as process:
        assert process.stdin is not None
        while data:
            size = int(rng.integers(1, 5000))
            process.stdin.write(data[:size])
            data = data[size:]
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert len(expected) >= 5
    assert segments(parse(out.decode())) == expected


def test_a_writer_is_never_dropped(
    run: Run, parse: Parse, wav: Callable[..., bytes], demo_model: Path, demo_stream: Samples
) -> None:
    """A minute written at once is heard whole: the segments of the stream, and no gap."""
    path = Path(pipe_module.__file__).parent / "demo" / "stream.flac"
    expected = segments(parse(run("replay", demo_model, path).stdout))
    done = run("monitor", demo_model, "--input", "-", stdin=wav(demo_stream, 8000))
    lines = parse(done.stdout)
    assert segments(lines) == expected
    assert not [line for line in lines if line["type"] == "gap"]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    kind=st.sampled_from(["u1", "<i2", "<i3", "<i4", "<f4", "<f8"]),
    channels=st.integers(1, 3),
)
def test_pieces_of_any_size_are_the_same_sound(sizes: list[int], kind: str, channels: int) -> None:
    """Whatever a read gives at once, the pipe is the mean of the channels of what was written."""
    rng = np.random.default_rng(1)
    samples = rng.uniform(-0.9, 0.9, size=(700, channels))
    bits = 8 * int(kind[-1])
    if kind == "u1":
        data = (samples * 128 + 128).astype(np.uint8).tobytes()
    elif kind == "<i3":
        wide = (samples * 2**31).astype("<i4")
        data = wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    elif kind.startswith("<i"):
        data = (samples * 2 ** (bits - 1)).astype(kind).tobytes()
    else:
        data = samples.astype(kind).tobytes()
    header = plain_format(8000, channels, bits, 3 if "f" in kind else 1)
    whole = riff(header, chunk(b"data", data, 0xFFFFFFFF))
    heard = heard_through(Pipe(Dribble(whole, sizes)))
    tolerance = {"u1": 2**-7, "<i2": 2**-15}.get(kind, 1e-6)
    np.testing.assert_allclose(heard, samples.mean(axis=1), atol=tolerance)


def test_a_chosen_channel_is_heard_alone(
    run: Run, parse: Parse, wav: Callable[..., bytes], demo_model: Path, excerpt: Samples
) -> None:
    """`--channel 2` hears the second channel only, `--channel 3` of two is exit 2."""
    noise = np.random.default_rng(1).normal(size=len(excerpt)).astype(np.float32) * 0.1
    apart = wav(np.stack([noise, excerpt], axis=1), 8000)
    alone = run("monitor", demo_model, "--input", "-", stdin=wav(excerpt, 8000))
    chosen = run("monitor", demo_model, "--input", "-", "--channel", "2", stdin=apart)
    assert segments(parse(chosen.stdout)) == segments(parse(alone.stdout))
    for wrong in ("0", "3"):
        done = run("monitor", demo_model, "--input", "-", "--channel", wrong, stdin=apart)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"no channel {wrong}" in done.stderr


# --- headers -------------------------------------------------------------------------------------


def as_ffmpeg(data: bytes) -> bytes:
    """Write like `ffmpeg -f wav -`: a list of facts first, and no lengths."""
    facts = chunk(b"LIST", b"INFOISFT\x0e\0\0\0Lavf59.27.100\0")
    return riff(plain_format(), facts, chunk(b"data", data, 0xFFFFFFFF))


def as_arecord(data: bytes) -> bytes:
    """Write like `arecord -t wav`: lengths of 2 GiB."""
    return riff(plain_format(), chunk(b"data", data, 0x80000000), size=0x80000024)


def as_sox(data: bytes) -> bytes:
    """Write like `sox -t wav -`: lengths just below 2 GiB."""
    return riff(plain_format(), chunk(b"data", data, 0x7FFFFFFF - 36), size=0x7FFFFFFF)


def with_no_length(data: bytes) -> bytes:
    """Write lengths of 0."""
    return riff(plain_format(), chunk(b"data", data, 0), size=0)


def with_odd_chunks(data: bytes) -> bytes:
    """Write a chunk of odd length, padded, before and behind the format."""
    odd = chunk(b"note", b"odd") + b"\0"
    return riff(odd, plain_format(), odd, chunk(b"data", data))


def extensible(data: bytes) -> bytes:
    """Write an extensible format chunk."""
    plain = plain_format()[8:]
    rest = struct.pack("<HHIH", 22, 16, 4, 1) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    return riff(chunk(b"fmt ", b"\xfe\xff" + plain[2:] + rest), chunk(b"data", data))


def with_a_tail(data: bytes) -> bytes:
    """Write a known length, and after the samples something that would sound like noise."""
    noise = np.random.default_rng(0).bytes(9000)
    return riff(plain_format(), chunk(b"data", data), chunk(b"LIST", noise))


HEADERS = [
    as_ffmpeg,
    as_arecord,
    as_sox,
    with_no_length,
    with_odd_chunks,
    extensible,
    with_a_tail,
]


@pytest.mark.parametrize("write", HEADERS)
def test_headers_of_other_programs_are_understood(write: Callable[[bytes], bytes]) -> None:
    """Whoever wrote the header, the samples are the same, to the last one and not beyond."""
    rng = np.random.default_rng(1)
    samples = rng.uniform(-0.5, 0.5, size=3001).astype(np.float32)
    pipe = Pipe(io.BytesIO(write(pcm(samples))))
    assert pipe.rate_hz == 8000
    np.testing.assert_allclose(heard_through(pipe), samples, atol=2**-14)


def test_the_command_hears_a_pipe_of_unknown_length(
    run: Run, parse: Parse, demo_model: Path, excerpt_file: Path
) -> None:
    """What ffmpeg writes into a pipe gives the segments of the same file."""
    samples, _ = soundfile.read(excerpt_file, dtype="int16")
    done = run("monitor", demo_model, "--input", "-", stdin=as_ffmpeg(samples.tobytes()))
    replayed = run("replay", demo_model, excerpt_file)
    assert segments(parse(done.stdout)) == segments(parse(replayed.stdout))


BAD_INPUT = {
    "nothing": b"",
    "text": b"This is not sound.\n" * 100,
    "RIFF only": b"RIFF",
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 1000,
    "FLAC": b"fLaC" + b"\0" * 1000,
    "another RIFF": b"RIFF\xff\0\0\0AVI " + b"LIST\x10\0\0\0" + b"\0" * 16,
    "header cut": riff(plain_format())[:20],
    "no samples": riff(plain_format()),
    "no format": riff(chunk(b"data", b"\0\0" * 100)),
    "short format": riff(chunk(b"fmt ", b"\1\0\1\0"), chunk(b"data", b"\0\0" * 100)),
    "A-law": riff(plain_format(bits=8, tag=6), chunk(b"data", b"\0" * 100)),
    "no channels": riff(plain_format(channels=0), chunk(b"data", b"\0" * 100)),
    "no rate": riff(plain_format(rate_hz=0), chunk(b"data", b"\0" * 100)),
    "12 bits": riff(plain_format(bits=12), chunk(b"data", b"\0" * 100)),
}


@pytest.mark.parametrize("data", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_headers_raise_the_one_error(data: bytes) -> None:
    """What is not WAV, or of a kind that is not read, is an AudioError of one sentence."""
    with pytest.raises(AudioError, match=r"^The input .+\."):
        read_wav_header(io.BytesIO(data))


@pytest.mark.parametrize("name", ["nothing", "text", "A-law"])
def test_bad_input_is_refused_in_one_sentence(run: Run, demo_model: Path, name: str) -> None:
    """The command refuses such input with exit 2, one sentence, and no line."""
    done = run("monitor", demo_model, "--input", "-", stdin=BAD_INPUT[name])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("offkey: The input ")
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_stdin_is_refused(command: str, demo_model: Path) -> None:
    """With no standard input at all: exit 2, one sentence, no traceback."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&-', "sh", command, "monitor", demo_model, "--input", "-"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_and_a_device_exclude_each_other(run: Run, demo_model: Path) -> None:
    """Two inputs at once are wrong usage."""
    done = run("monitor", demo_model, "--input", "-", "--device", "pulse")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--device" in done.stderr


HOSTILE = riff(plain_format(), chunk(b"LIST", b"x" * 30), chunk(b"data", bytes(range(256)) * 4))


@settings(deadline=None, max_examples=300)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=100).map(lambda tail: riff(tail)),
        st.binary(min_size=16, max_size=60).map(
            lambda form: riff(chunk(b"fmt ", form), chunk(b"data", b"\1\2\3" * 50))
        ),
        st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), min_size=1, max_size=5).map(
            lambda edits: bytes(dict(edits).get(i, b) for i, b in enumerate(HOSTILE))
        ),
    ),
    cut=st.integers(0, 1500),
)
def test_hostile_bytes_never_raise_anything_else(data: bytes, cut: int) -> None:
    """Any bytes at all are either heard, finite, in their places, or an AudioError."""
    try:
        pipe = Pipe(Dribble(data[:cut], [1, 7, 4000]))
    except AudioError:
        return
    with np.errstate(over="ignore"):
        heard_through(pipe)


def test_a_lying_header_takes_no_memory() -> None:
    """A chunk that claims 4 GiB and ends is refused without room being made for it."""
    data = riff(chunk(b"LIST", b"x" * 100, 0xFFFFFFF0))
    tracemalloc.start()
    try:
        with pytest.raises(AudioError), open_pipe(data) as stream:
            read_wav_header(stream)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def open_pipe(data: bytes) -> io.BufferedReader:
    """Make a real pipe that holds these bytes and then ends."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return os.fdopen(reading, "rb")


# --- live ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(
    run: Run, parse: Parse, wav: Callable[..., bytes], demo_model: Path, excerpt: Samples
) -> list[Line]:
    """Monitor the excerpt through a pipe: all lines."""
    return parse(run("monitor", demo_model, "--input", "-", stdin=wav(excerpt, 8000)).stdout)


def moment(text: str) -> datetime:
    """Parse a time, which must be ISO 8601 and say that it is UTC."""
    parsed = datetime.fromisoformat(text)
    assert parsed.utcoffset() == timedelta(0)
    return parsed


def test_times_are_utc_and_follow_the_sound(live: list[Line]) -> None:
    """The `time` of a live segment is ISO 8601 in UTC: when the stream began, plus its start."""
    found = [line for line in live if line["type"] == "segment"]
    first = found[0]
    assert first["source"] == "stdin"
    for line in found[1:]:
        apart_s = (moment(line["time"]) - moment(first["time"])).total_seconds()
        assert apart_s == pytest.approx(line["start_s"] - first["start_s"], abs=0.002)


class Collector(Sink):
    """Keeps every event as its line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def take(self, event: Event) -> None:
        """Keep one."""
        self.lines.append(to_json(event))


def test_states_are_told(demo_detector: Detector, excerpt: Samples) -> None:
    """A live stream tells, with the time, that it warms up and that it is live, then its sounds."""
    collector = Collector()
    data = riff(plain_format(), chunk(b"data", pcm(excerpt), 0xFFFFFFFF))
    Stream(demo_detector, [Pipe(Dribble(data, [800]))], [collector]).run()
    states, found = collector.lines[:2], collector.lines[2:]
    assert [line["state"] for line in states] == ["warming up", "live"]
    assert [set(line) for line in states] == [{"type", "time", "state"}] * 2
    assert moment(states[0]["time"]) <= moment(states[1]["time"])
    assert [line["type"] for line in found] == ["segment"] * 5


def test_lines_come_while_the_writer_goes_on(
    start: Start, wav: Callable[..., bytes], demo_model: Path, excerpt: Samples
) -> None:
    """A sound is told when it is over, not when the pipe ends; a signal then ends the run."""
    data = wav(excerpt, 8000)
    with start("monitor", demo_model, "--input", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(data[: 44 + 2 * 8000 * 3])
        while b'"segment"' not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        # The writer still holds the pipe open, silent.
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        err = process.stderr.read().decode()
    assert "Fatal" not in err
    assert "Traceback" not in err


class Waiting(io.RawIOBase):
    """An input that comes to a stop until it is told to go on."""

    def __init__(self, first: bytes, then: bytes) -> None:
        self._parts = [first, then]
        self.go_on = threading.Event()

    def read(self, n: int = -1, /) -> bytes:
        """Give what is left of the first part; then wait, once."""
        if not self._parts[0] and len(self._parts) == 2:
            assert self.go_on.wait(60)
            self._parts.pop(0)
        part, self._parts[0] = self._parts[0][:n], self._parts[0][n:]
        return part


def test_a_writer_that_stops_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing comes the pipe gives empty blocks and calls itself stalled, then live again."""
    monkeypatch.setattr(pipe_module, "IDLE_S", 0.02)
    monkeypatch.setattr(pipe_module, "STALL_S", 0.1)
    data = riff(plain_format(), chunk(b"data", b"\1\0" * 1000, 0xFFFFFFFF))
    stream = Waiting(data, b"\2\0" * 500)
    pipe = Pipe(stream)

    def states() -> Iterator[tuple[str, int]]:
        for block in pipe.blocks(threading.Event(), threading.Event()):
            yield pipe.state, len(block.samples)

    assert pipe.state == "opening"
    with pipe:
        seen = states()
        assert next(seen) == ("live", 1000)
        quiet = next(seen)
        while quiet == ("live", 0):
            quiet = next(seen)
        assert quiet == ("stalled", 0)
        stream.go_on.set()
        back = next(seen)
        while back == ("stalled", 0):
            back = next(seen)
        assert back == ("live", 500)
        assert list(seen) == []
