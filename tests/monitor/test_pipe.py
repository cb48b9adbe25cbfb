"""`offkey monitor --input -`: WAV or raw samples of another program, heard as a file is."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import threading
import time
import tracemalloc
import warnings
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
from model.errors import AudioError, InputError
from monitor import pipe as pipe_module
from monitor.events import Event
from monitor.pipe import Pipe, raw_format
from monitor.sinks import Sink, to_json
from monitor.stream import Stream
from monitor.wav import PcmFormat, read_wav_header

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Start = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Make a RIFF chunk, perhaps with a size that is not its own."""
    return name + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks: bytes, size: int = 0xFFFFFFFF, kind: bytes = b"RIFF") -> bytes:
    """Make a WAV of chunks, as a program writes it that does not know how much will come."""
    return kind + struct.pack("<I", size) + b"WAVE" + b"".join(chunks)


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
    without_header = heard_through(Pipe(Dribble(data, sizes), raw=PcmFormat(8000, channels, kind)))
    np.testing.assert_array_equal(without_header, heard)


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


def long_form(data: bytes, length: int | None = None) -> bytes:
    """Write RF64: the length, where it is not another, stands in a chunk of its own."""
    sizes = struct.pack("<QQQI", 0, len(data) if length is None else length, 0, 0)
    behind = chunk(b"data", data, 0xFFFFFFFF)
    return riff(chunk(b"ds64", sizes), plain_format(), behind, kind=b"RF64")


def long_form_of_no_length(data: bytes) -> bytes:
    """Write RF64 like `ffmpeg -rf64 always -f wav -`, which leaves the lengths at 0."""
    return long_form(data, 0)


def with_a_tail(data: bytes) -> bytes:
    """Write a known length, and after the samples something that would sound like noise."""
    noise = np.random.default_rng(0).bytes(9000)
    return riff(plain_format(), chunk(b"data", data), chunk(b"LIST", noise))


def with_a_long_tail(data: bytes) -> bytes:
    """Write behind the samples what editors add: marks, and a title of odd length, padded."""
    title = chunk(b"id3 ", b"odd") + b"\0"
    return long_form(data) + chunk(b"cue ", b"\0\0\0\0") + title + chunk(b"LIST", b"adtl")


HEADERS = [
    as_ffmpeg,
    as_arecord,
    as_sox,
    with_no_length,
    with_odd_chunks,
    extensible,
    long_form,
    long_form_of_no_length,
    with_a_tail,
    with_a_long_tail,
]


@pytest.mark.parametrize("write", HEADERS)
def test_headers_of_other_programs_are_understood(write: Callable[[bytes], bytes]) -> None:
    """Whoever wrote it, at once or byte by byte: the same samples, to the last and not beyond."""
    rng = np.random.default_rng(1)
    samples = rng.uniform(-0.5, 0.5, size=3001).astype(np.float32)
    for sizes in ([100_000], [1]):
        pipe = Pipe(Dribble(write(pcm(samples)), sizes))
        assert pipe.rate_hz == 8000
        np.testing.assert_allclose(heard_through(pipe), samples, atol=2**-14)
        assert pipe.problem is None


def test_extensible_headers_hold_every_kind(wav: Callable[..., bytes]) -> None:
    """The kind of samples is read from where an extensible header has it: 24 bit, and floats."""
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, size=(501, 3)).astype(np.float32)
    for subtype in ("PCM_24", "FLOAT"):
        file = io.BytesIO()
        soundfile.write(file, samples, 8000, format="WAVEX", subtype=subtype)
        heard = heard_through(Pipe(io.BytesIO(file.getvalue())))
        np.testing.assert_allclose(heard, samples.mean(axis=1), atol=2**-22)


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
    "one byte": b"R",
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
    "24 bits in 32": riff(
        chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 32_000, 4, 24)),
        chunk(b"data", b"\0" * 100),
    ),
    "absurd chunk": riff(plain_format(), chunk(b"LIST", b"\0" * 100, 0xFFFFFF00)),
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


@pytest.mark.parametrize("data", [bytes(range(256)), BAD_INPUT["another RIFF"]])
def test_who_sends_raw_samples_is_told_how(data: bytes) -> None:
    """What is not WAV may be raw samples: the error says which options those take."""
    with pytest.raises(AudioError, match=r"^The input is not WAV\. ") as caught:
        read_wav_header(io.BytesIO(data))
    assert "--format s16le --rate R --channels C" in caught.value.hint


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
    raw=st.sampled_from([None, raw_format("s16le", 8000, 3), raw_format("f32le", 8000, 1)]),
)
def test_hostile_bytes_never_raise_anything_else(
    data: bytes, cut: int, raw: PcmFormat | None
) -> None:
    """Any bytes at all are either heard, finite, in their places, or an AudioError."""
    try:
        pipe = Pipe(Dribble(data[:cut], [1, 7, 4000]), raw=raw)
    except AudioError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heard_through(pipe)


def test_a_lying_header_takes_no_memory() -> None:
    """A chunk that claims 4 GiB is refused at once, without room being made for it."""
    data = riff(chunk(b"LIST", b"x" * 100, 0xFFFFFFF0))
    tracemalloc.start()
    try:
        with pytest.raises(AudioError, match="damaged"), open_pipe(data) as stream:
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


@pytest.mark.parametrize("exit_on_loss", [False, True])
def test_a_writer_that_brings_nothing_is_a_stall(
    demo_detector: Detector,
    excerpt: Samples,
    monkeypatch: pytest.MonkeyPatch,
    exit_on_loss: bool,
) -> None:
    """Without a header there is a state all the same; a late one is heard, or it was the end."""
    monkeypatch.setattr(pipe_module, "FIRST_S", 0.05)
    data = riff(plain_format(), chunk(b"data", pcm(excerpt), 0xFFFFFFFF))
    late, collector = Waiting(b"", data), Collector()
    stream = Stream(demo_detector, [Pipe(late)], [collector], exit_on_loss=exit_on_loss)
    thread = threading.Thread(target=stream.run)
    thread.start()
    until = time.monotonic() + 60
    while stream.snapshot.state not in ("stalled", "ended") and time.monotonic() < until:
        time.sleep(0.01)
    late.go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    states = [line["state"] for line in collector.lines if line["type"] == "state"]
    assert states[0] == "stalled"
    assert len(segments(collector.lines)) == (0 if exit_on_loss else 5)
    assert (stream.snapshot.problem is not None) == exit_on_loss


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_any_sound_is_an_end(
    start: Start, demo_model: Path, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM while the writer has not begun: exit 0, one sentence."""
    with start("monitor", demo_model, "--input", "-") as process:
        time.sleep(2)
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert said == "offkey: ended before any sound came.\n"


# --- raw samples ---------------------------------------------------------------------------------


def lines_of(detector: Detector, pipe: Pipe) -> list[Line]:
    """Monitor a pipe until it ends: all lines."""
    collector = Collector()
    Stream(detector, [pipe], [collector]).run()
    return collector.lines


@pytest.mark.parametrize("name", ["s16le", "f32le"])
def test_raw_samples_give_the_segments_of_wav(
    demo_detector: Detector, excerpt: Samples, name: str
) -> None:
    """Samples of two channels without a header, and with one: the same segments."""
    kind, bits, tag = {"s16le": ("<i2", 16, 1), "f32le": ("<f4", 32, 3)}[name]
    apart = np.stack([excerpt, -excerpt / 2], axis=1)
    data = (apart * (32_767 if name == "s16le" else 1)).astype(kind).tobytes()
    header = plain_format(8000, 2, bits, tag)
    with_header = Pipe(io.BytesIO(riff(header, chunk(b"data", data, 0xFFFFFFFF))), channel=2)
    without = Pipe(Dribble(data, [801]), channel=2, raw=raw_format(name, 8000, 2))
    expected = segments(lines_of(demo_detector, with_header))
    assert len(expected) == 5
    assert segments(lines_of(demo_detector, without)) == expected
    assert without.problem is None


def test_samples_that_are_no_numbers_are_not_scored(
    demo_detector: Detector, excerpt: Samples
) -> None:
    """Raw samples of every kind of nonsense give segments `not finite`, and valid JSON."""
    sound = excerpt.copy()
    [first, *_] = segments(lines_of(demo_detector, float_pipe(sound)))
    place = round(8000 * (first["start_s"] + first["duration_s"] / 2))
    signalling = np.frombuffer(b"\x01\x00\x80\x7f", "<f4")[0]
    sound[place : place + 4] = np.nan, np.inf, -3e38, signalling
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lines = lines_of(demo_detector, float_pipe(sound))
    found = segments(lines)
    assert [line["reason"] for line in found] == ["not finite"] + [None] * 4
    assert found[0]["reconstruction_error"] is None
    json.dumps(lines, allow_nan=False)


def test_doubles_beyond_single_precision_are_not_finite() -> None:
    """A 64-bit sample too large for 32 bits is marked, not warned about."""
    samples = np.array([0.5, 1e300, -0.5]).tobytes()
    data = riff(plain_format(bits=64, tag=3), chunk(b"data", samples))
    with warnings.catch_warnings(), Pipe(io.BytesIO(data)) as pipe:
        warnings.simplefilter("error")
        [block] = pipe.blocks(threading.Event(), threading.Event())
    assert list(block.not_finite) == [1]
    assert list(block.samples) == [0.5, 0, -0.5]


def float_pipe(sound: Samples) -> Pipe:
    """Make a pipe of raw 32-bit samples."""
    return Pipe(io.BytesIO(sound.astype("<f4").tobytes()), raw=raw_format("f32le", 8000, 1))


@pytest.mark.parametrize("kind", [b"RIFF", b"RF64"])
def test_wav_is_not_heard_as_raw_samples(kind: bytes) -> None:
    """Who says raw and sends WAV is told to leave that out, with exit code 2."""
    data = riff(plain_format(), chunk(b"data", b"\1\2" * 500), kind=kind)
    with pytest.raises(AudioError, match=r"^The input is WAV.+ Leave out --format") as caught:
        Pipe(Dribble(data, [5]), raw=raw_format("s16le", 8000, 1))
    assert caught.value.exit_code == 2


def test_no_raw_samples_at_all_are_refused() -> None:
    """A writer that ends at once, as one that fails to start, is an AudioError."""
    with pytest.raises(AudioError, match=r"^The input ended before any samples came\.$"):
        Pipe(io.BytesIO(b""), raw=raw_format("s16le", 8000, 1))


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "option"),
    [
        ("s16be", 8000, 1, "--format"),
        ("s16le", 999, 1, "--rate"),
        ("s16le", 768_001, 1, "--rate"),
        ("f32le", 8000, 0, "--channels"),
        ("f32le", 8000, 65, "--channels"),
    ],
)
def test_impossible_raw_formats_are_refused(
    name: str, rate_hz: int, channels: int, option: str
) -> None:
    """Numbers that no sound has are an InputError of one sentence that names the option."""
    with pytest.raises(InputError, match=rf"^{option} takes .+\.$"):
        raw_format(name, rate_hz, channels)


def test_raw_formats_at_the_limits_are_taken() -> None:
    """The smallest and largest rate and number of channels can be heard."""
    assert raw_format("s16le", 1000, 1) == PcmFormat(1000, 1, "<i2")
    assert raw_format("f32le", 768_000, 64) == PcmFormat(768_000, 64, "<f4")


# --- how it ends ---------------------------------------------------------------------------------

SOUND = bytes(range(250)) * 4
STEREO = raw_format("s16le", 8000, 2)
BYTES_24 = plain_format(bits=24)
ENDS = {
    "raw, whole": (SOUND, STEREO, 250, None),
    "raw, cut in a frame": (SOUND[:-1], STEREO, 249, "ended in the middle of a sample"),
    "raw, a zero too many": (SOUND + b"\0", STEREO, 250, "ended in the middle of a sample"),
    "raw, less than a frame": (b"\1\2\3", STEREO, 0, "ended before any samples came"),
    "cut in a frame": (
        riff(plain_format(), chunk(b"data", SOUND[:-1], 0xFFFFFFFF)),
        None, 499, "ended in the middle of a sample",
    ),
    "odd and padded": (riff(BYTES_24, chunk(b"data", SOUND[:999] + b"\0", 0)), None, 333, None),
    "even and more": (
        riff(BYTES_24, chunk(b"data", SOUND[:996] + b"\0", 0)),
        None, 332, "ended in the middle of a sample",
    ),
    "no samples": (
        riff(plain_format(), chunk(b"data", b"", 0xFFFFFFFF)),
        None, 0, "ended before any samples came",
    ),
    "length of half a frame more": (
        riff(plain_format(), chunk(b"data", SOUND[:999]) + b"\0"), None, 499, None
    ),
    "cut": (riff(plain_format(), chunk(b"data", SOUND, 1001)), None, 500, "is cut short"),
    "cut RF64": (long_form(SOUND, 5_000_000_000), None, 500, "is cut short"),
    "a second WAV": (
        riff(plain_format(), chunk(b"data", SOUND)) + riff(plain_format(), size=28),
        None, 500, "goes on after",
    ),
    "a second WAV, padded": (
        riff(BYTES_24, chunk(b"data", SOUND[:999])) + b"\0" + riff(BYTES_24, SOUND),
        None, 333, "goes on after",
    ),
    "more sound": (
        riff(plain_format(), chunk(b"data", SOUND)) + SOUND, None, 500, "goes on after"
    ),
    "more, softly": (
        riff(plain_format(), chunk(b"data", SOUND)) + b"\xff\xff\1\0\2\0\0\0\0\0",
        None, 500, "goes on after",
    ),
    "more sound that looks like a name": (
        riff(plain_format(), chunk(b"data", SOUND)) + b"DATA" * 9, None, 500, "goes on after"
    ),
    "more samples": (
        riff(plain_format(), chunk(b"data", SOUND), chunk(b"LIST", b"12"), chunk(b"data", SOUND)),
        None, 500, "goes on after",
    ),
    "a byte more": (
        riff(plain_format(), chunk(b"data", SOUND)) + b"\0", None, 500, "goes on after"
    ),
    "padded": (riff(BYTES_24, chunk(b"data", SOUND[:999])) + b"\0", None, 333, None),
    "not padded": (
        riff(BYTES_24, chunk(b"data", SOUND[:999]), chunk(b"LIST", b"12")), None, 333, None
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "raw", "count", "problem"), ENDS.values(), ids=ENDS.keys())
def test_ends_are_told_as_they_are(
    data: bytes, raw: PcmFormat | None, count: int, problem: str | None
) -> None:
    """Whole frames are heard; of samples that are missing or unheard one sentence remains."""
    pipe = Pipe(Dribble(data, [700, 1, 3]), raw=raw)
    assert len(heard_through(pipe)) == count
    if problem is None:
        assert pipe.problem is None
    else:
        assert pipe.problem is not None
        assert pipe.problem.startswith(f"stdin {problem}")
        assert pipe.problem.endswith(".")


def test_a_cut_pipe_is_exit_code_1(
    run: Run, parse: Parse, wav: Callable[..., bytes], demo_model: Path, excerpt: Samples
) -> None:
    """What came before the cut is told, the tail flushed; then one sentence, and exit 1."""
    data = wav(excerpt, 8000)
    whole = run("monitor", demo_model, "--input", "-", stdin=data)
    cut = run("monitor", demo_model, "--input", "-", stdin=data[:-200])
    assert (whole.returncode, cut.returncode) == (0, 1)
    assert "offkey: stdin is cut short" in cut.stderr
    assert len(segments(parse(cut.stdout))) == len(segments(parse(whole.stdout)))


class Broken(Dribble):
    """An input that fails at its end, as a socket does whose other end was reset."""

    def read(self, n: int = -1, /) -> bytes:
        """Give up to `n` bytes, or fail."""
        part = super().read(n)
        if not part:
            raise ConnectionResetError(104, "Connection reset by peer")
        return part


def test_an_input_that_fails_is_a_problem() -> None:
    """When reading fails, what came is heard and the source ends with a sentence."""
    pipe = Pipe(Broken(SOUND, [100]), raw=STEREO)
    assert len(heard_through(pipe)) == 250
    assert pipe.problem == "stdin cannot be read any more (Connection reset by peer)."


# --- descriptors and the reading thread ----------------------------------------------------------


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for far longer than it may take."""
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def readers() -> list[threading.Thread]:
    """List the reading threads that there are."""
    return [thread for thread in threading.enumerate() if thread.name == "offkey-pipe"]


@pytest.fixture
def ends() -> Iterator[tuple[io.FileIO, int]]:
    """Make a real pipe: its reading end as `take_stdin` gives it, and the descriptor to write."""
    wait_until(lambda: not readers())
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stream:
        yield stream, writing
        with contextlib.suppress(OSError):
            os.close(writing)
        wait_until(lambda: not readers())


def sizes_of(pipe: Pipe) -> Iterator[int]:
    """Give the sizes of a pipe's blocks, except of the empty ones."""
    for block in pipe.blocks(threading.Event(), threading.Event()):
        if len(block.samples):
            yield len(block.samples)


def test_a_silent_writer_holds_no_thread(ends: tuple[io.FileIO, int]) -> None:
    """Closed while its writer waits, a pipe leaves no thread, no descriptor and no complaint."""
    stream, writing = ends
    os.write(writing, riff(plain_format(), chunk(b"data", SOUND, 5000)))
    with Pipe(stream) as pipe:
        assert next(sizes_of(pipe)) == 500
        assert len(readers()) == 1
    wait_until(lambda: not readers())
    assert stream.closed
    assert pipe.problem is None


def test_a_flood_holds_no_thread(ends: tuple[io.FileIO, int]) -> None:
    """Closed while its writer floods it, a pipe leaves no thread, and its writer is told."""
    stream, writing = ends
    told = threading.Event()

    def flood() -> None:
        with contextlib.suppress(BrokenPipeError):
            while True:
                os.write(writing, SOUND)
        told.set()

    threading.Thread(target=flood, daemon=True).start()
    pipe = Pipe(stream, raw=STEREO)
    with pipe:
        next(sizes_of(pipe))
        wait_until(pipe._queue.full)
    wait_until(lambda: not readers())
    wait_until(told.is_set)
    assert pipe.problem is None


def test_a_pause_of_a_non_blocking_writer_is_not_its_end(ends: tuple[io.FileIO, int]) -> None:
    """Where another program made the pipe non-blocking, nothing to read yet is not the end."""
    stream, writing = ends
    os.set_blocking(stream.fileno(), False)
    late = threading.Timer(0.1, os.write, (writing, SOUND))
    late.start()
    pipe = Pipe(stream, raw=STEREO)
    with pipe:
        sizes = sizes_of(pipe)
        count = next(sizes)
        os.write(writing, SOUND)
        while count < 500:
            count += next(sizes)
        os.close(writing)
        assert list(sizes) == []
    assert pipe.problem is None


def test_pieces_are_heard_at_once(ends: tuple[io.FileIO, int]) -> None:
    """A piece that has come is heard before the next one does, however small."""
    stream, writing = ends
    os.write(writing, riff(plain_format(rate_hz=48_000)) + b"data\xff\xff\xff\xff")
    with Pipe(stream) as pipe:
        sizes = sizes_of(pipe)
        for n in (960, 1, 4800, 17, 960):
            os.write(writing, b"\1\2" * n)
            assert next(sizes) == n


def test_tiny_pieces_are_gathered(
    ends: tuple[io.FileIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer of single samples does not make as many blocks."""
    monkeypatch.setattr(pipe_module, "GATHER_S", 0.5)
    stream, writing = ends

    def write() -> None:
        for _ in range(200):
            os.write(writing, b"\1\2")
            time.sleep(0.001)
        os.close(writing)

    os.write(writing, b"\1\2" * 6)
    pipe = Pipe(stream, raw=raw_format("s16le", 48_000, 1))
    threading.Thread(target=write, daemon=True).start()
    with pipe:
        found = list(sizes_of(pipe))
    assert sum(found) == 206
    assert len(found) < 100
