"""The microphone against a made-up PortAudio: losses, stalls, names, and no sound at all.

The clock is made up too, so that nothing here depends on how fast the machine is. Long, because
every row of the table of what devices do is one test here, beside what goes wrong on the way back.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audio import Block
from model.detector import Detector
from model.errors import DeviceError, InputError, OffkeyError
from monitor import clock as clock_module
from monitor import devices
from monitor import microphone as microphone_module
from monitor import portaudio as portaudio_module
from monitor.clock import DECIDED_S
from monitor.devices import BLOCK_S, find_device, list_devices
from monitor.events import Event
from monitor.microphone import HAND_OVER_S, Microphone
from monitor.sinks import Sink, to_json
from monitor.snapshot import Snapshot
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Line = dict[str, Any]
RATE_HZ = 8000
N = round(BLOCK_S * RATE_HZ)
"""A block of the device."""


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Give seconds."""
        return self.now


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeStream:
    """An input stream whose callback the test calls."""

    def __init__(self, audio: FakePortAudio, **asked: Any) -> None:
        self.audio = audio
        self.asked = asked
        self.active = False
        self.closed = False
        self._rng = np.random.default_rng(0)
        self._buffer = np.zeros((0, 0), np.float32)

    def start(self) -> None:
        """Start."""
        self.active = True

    def abort(self, **_: Any) -> None:
        """Stop at once."""
        self.active = False

    def close(self, **_: Any) -> None:
        """Free it."""
        self.closed = True

    def feed(self, *channels: float, n: int = N, overflow: bool = False) -> None:
        """Hand a block over, a constant a channel; the buffer is used again, as PortAudio does."""
        self.audio.clock.now += n / RATE_HZ
        self._buffer.resize((n, len(channels)), refcheck=False)
        self._buffer[:] = channels
        self._hand_over(n, overflow)

    def play(self, samples: Samples, overflow: bool = False) -> None:
        """Hand sound over, the same on both channels, in whole blocks; the flag is the first's."""
        for i in range(0, len(samples) - N + 1, N):
            self.audio.clock.now += N / RATE_HZ
            self._buffer = np.repeat(samples[i : i + N, None], 2, axis=1)
            self._hand_over(N, overflow and i == 0)

    def hum(self, seconds: float, overflow: bool = False) -> None:
        """Hand quiet noise over, in which no sound stands out."""
        noise = 1e-4 * self._rng.normal(size=round(seconds * RATE_HZ))
        self.play(noise.astype(np.float32), overflow)

    def _hand_over(self, n: int, overflow: bool) -> None:
        self.asked["callback"](self._buffer, n, None, SimpleNamespace(input_overflow=overflow))


class FakePortAudio:
    """As much of sounddevice as a microphone needs."""

    PortAudioError = PortAudioError

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.names = ["Loudspeaker", "USB mic: Audio (hw:1,0)", "Webcam mic"]
        self.inputs = [0, 2, 1]
        self.rates = [48_000.0, float(RATE_HZ), float(RATE_HZ)]
        self.default = SimpleNamespace(device=(1, 0))
        self.streams: list[FakeStream] = []
        self.refreshed = 0
        self.broken = False
        self._listed = self._list()

    def _list(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "max_input_channels": inputs,
                "default_samplerate": rate_hz,
                "hostapi": 0,
            }
            for name, inputs, rate_hz in zip(self.names, self.inputs, self.rates, strict=True)
        ]

    def query_devices(self) -> list[dict[str, Any]]:
        """List devices as they were when PortAudio started."""
        return self._listed

    def query_hostapis(self) -> list[dict[str, Any]]:
        """List sound systems."""
        return [{"name": "ALSA"}]

    def InputStream(self, **asked: Any) -> FakeStream:  # noqa: N802
        """Open a device."""
        if self.broken or asked["device"] >= len(self._listed):
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        stream = FakeStream(self, **asked)
        self.streams.append(stream)
        return stream

    def _terminate(self) -> None:
        self.refreshed += 1

    def _initialize(self) -> None:
        self._listed = self._list()

    def _exit_handler(self) -> None:
        raise AssertionError("it would wait for a sound server that hangs")


@pytest.fixture
def audio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    """Put the made-up PortAudio and clock in place."""
    clock = Clock()
    fake = FakePortAudio(clock)
    monkeypatch.setattr(devices, "load_sounddevice", lambda: fake)
    monkeypatch.setattr(clock_module, "now_s", clock.monotonic)
    monkeypatch.setattr(microphone_module, "IDLE_S", 0.001)
    return fake


@pytest.fixture
def listening(audio: FakePortAudio) -> Iterator[tuple[Microphone, Iterator[Block]]]:
    """Open the default microphone: it and its blocks."""
    source = Microphone()
    with source:
        yield source, source.blocks(threading.Event(), threading.Event())


Listening = tuple[Microphone, Iterator[Block]]


def next_sound(blocks: Iterator[Block]) -> Block:
    """Skip blocks that hold nothing."""
    for _ in range(1000):
        block = next(blocks)
        if len(block.samples):
            return block
    raise AssertionError("nothing comes")


# --- what comes ----------------------------------------------------------------------------------


def test_blocks_are_the_mean_of_the_channels_in_order(
    audio: FakePortAudio, listening: Listening
) -> None:
    """What the device gives comes out mono, whole and in its places; then the source is live."""
    source, blocks = listening
    assert (source.state, source.is_live, source.began) == ("opening", True, None)
    assert len(next(blocks).samples) == 0
    [stream] = audio.streams
    before = datetime.now(UTC)
    for i in range(5):
        stream.feed(0.1 * i, 0.2)
    for i in range(5):
        block = next(blocks)
        assert (block.start, len(block.samples), block.lost) == (i * N, N, 0)
        np.testing.assert_allclose(block.samples, 0.05 * i + 0.1, atol=1e-6)
    assert source.state == "live"
    assert source.began is not None
    assert abs((source.began - before).total_seconds()) < 60
    assert (source.name, source.rate_hz) == ("USB mic: Audio (hw:1,0)", RATE_HZ)


def test_the_device_is_asked_for_its_own_rate_and_short_blocks(audio: FakePortAudio) -> None:
    """The stream is opened at the device's rate, as floats, in blocks of 50 ms at most."""
    with Microphone():
        asked = audio.streams[0].asked
    assert BLOCK_S <= 0.05
    assert (asked["samplerate"], asked["dtype"], asked["blocksize"]) == (RATE_HZ, "float32", N)
    assert asked["device"] == 1


def test_leaving_closes_the_device(audio: FakePortAudio) -> None:
    """After the microphone is left its stream is closed."""
    with Microphone():
        assert audio.streams[0].active
    assert audio.streams[0].closed


def test_one_channel_can_be_chosen(audio: FakePortAudio) -> None:
    """Channel 2 is the second; there is no third."""
    with Microphone(channel=2) as source:
        audio.streams[0].feed(0.5, 0.25)
        block = next_sound(source.blocks(threading.Event(), threading.Event()))
        np.testing.assert_array_equal(block.samples, np.full(N, 0.25, np.float32))
    with pytest.raises(InputError, match="no channel 3"):
        Microphone(channel=3)


# --- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost_s", [0.0, 0.05, 0.73])
def test_an_overflow_is_a_loss_as_long_as_the_clock_says(
    audio: FakePortAudio, listening: Listening, lost_s: float
) -> None:
    """After an overflow flag the block says how much is missing before it: at least something."""
    _, blocks = listening
    [stream] = audio.streams
    for _ in range(3):
        stream.feed(0.1, 0.1)
    audio.clock.now += lost_s
    stream.feed(0.2, 0.2, overflow=True)
    for _ in range(round(DECIDED_S / BLOCK_S)):
        stream.feed(0.3, 0.3)
    heard = [next_sound(blocks) for _ in range(5)]
    missing = max(1, round(lost_s * RATE_HZ))
    assert [block.lost for block in heard] == [0, 0, 0, missing, 0]
    assert heard[3].cause == "overflow"
    assert [block.start for block in heard] == [
        0, N, 2 * N, 3 * N + missing, 4 * N + missing
    ]  # fmt: skip


def test_two_overflows_are_two_losses(audio: FakePortAudio, listening: Listening) -> None:
    """What one overflow lost is not counted again at the next one."""
    _, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    for lost_s in (0.5, 0.25):
        audio.clock.now += lost_s
        stream.feed(0.1, 0.1, overflow=True)
    for _ in range(round(DECIDED_S / BLOCK_S)):
        stream.feed(0.1, 0.1)
    heard = [next_sound(blocks) for _ in range(3)]
    assert [block.lost for block in heard] == [0, RATE_HZ // 2, RATE_HZ // 4]


def test_a_full_hand_over_drops_the_oldest_and_counts_it(
    audio: FakePortAudio, listening: Listening
) -> None:
    """What waits longer than ten seconds is dropped, oldest first, and is a loss."""
    _, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    next_sound(blocks)
    room = round(HAND_OVER_S / BLOCK_S)
    for i in range(room + 100):
        stream.feed(i / 1000, i / 1000)
    block = next(blocks)
    assert (block.lost, block.cause, block.start) == (100 * N, "overflow", 101 * N)
    assert block.samples[0] == pytest.approx(0.1)
    rest = [next(blocks) for _ in range(room - 1)]
    assert {b.lost for b in rest} == {0}
    assert rest[-1].end == (room + 101) * N
    assert len(next(blocks).samples) == 0


@pytest.mark.parametrize("lost_s", [0.08, 0.3, 1.7])
def test_what_nobody_reports_is_found_by_the_clock(
    audio: FakePortAudio, listening: Listening, lost_s: float
) -> None:
    """Blocks that are late all at once, and stay so, tell of a loss, where it was and how long."""
    source, blocks = listening
    [stream] = audio.streams
    stream.hum(3.0)
    audio.clock.now += lost_s
    stream.hum(3.0)
    heard = [next_sound(blocks) for _ in range(2 * round(3.0 / BLOCK_S))]
    [gap] = [block for block in heard if block.lost]
    assert gap.cause == "clock"
    assert gap.lost == pytest.approx(lost_s * RATE_HZ, abs=1)
    assert gap.start - gap.lost == 3 * RATE_HZ
    assert all(after.start - after.lost == before.end for before, after in pairwise(heard))
    assert source.state == "live"


def test_callbacks_that_were_held_up_are_no_loss(
    audio: FakePortAudio, listening: Listening
) -> None:
    """Callbacks that come 1.5 s late, but all of them, are heard as if they had been in time."""
    source, blocks = listening
    [stream] = audio.streams
    stream.hum(3.0)
    at_s = audio.clock.now + 1.5
    for _ in range(round(1.5 / BLOCK_S)):
        audio.clock.now = at_s
        stream._hand_over(N, overflow=False)
    stream.hum(3.0)
    heard = [next_sound(blocks) for _ in range(round(6.0 / BLOCK_S) + round(1.5 / BLOCK_S))]
    assert {block.lost for block in heard} == {0}
    assert source.state == "live"


# --- stalls --------------------------------------------------------------------------------------


def states_until_open(
    audio: FakePortAudio, source: Microphone, blocks: Iterator[Block]
) -> list[str]:
    """Move the clock until another stream is opened: the states on the way."""
    opened = len(audio.streams)
    states: list[str] = []
    for _ in range(1000):
        block = next(blocks)
        assert len(block.samples) == 0
        if not states or source.state != states[-1]:
            states.append(source.state)
        if len(audio.streams) > opened:
            return states
        audio.clock.now += 0.1
    raise AssertionError(f"never opened again: {states}")


def test_a_device_that_stalls_is_opened_again_by_name(
    audio: FakePortAudio, listening: Listening
) -> None:
    """Two seconds without a block are a stall; the device is found anew, under another number."""
    source, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    first = next_sound(blocks)
    audio.clock.now += 1.9
    next(blocks)
    assert source.state == "live"
    audio.names.insert(0, "New device")
    audio.inputs.insert(0, 2)
    audio.rates.insert(0, 44_100.0)
    states = states_until_open(audio, source, blocks)
    assert states[-2:] == ["stalled", "reconnecting"]
    assert stream.closed
    assert audio.refreshed >= 1
    assert audio.streams[-1].asked["device"] == 2
    before = audio.clock.now
    audio.streams[-1].feed(0.2, 0.2)
    block = next_sound(blocks)
    assert source.state == "live"
    assert block.cause == "stall"
    # The first block ended a block after 1000 on the clock; this one began at `before`.
    assert block.lost == pytest.approx((before - 1000.0) * RATE_HZ - N, abs=1)
    assert block.start == first.end + block.lost


def test_a_device_that_goes_away_is_told_at_once(
    audio: FakePortAudio, listening: Listening
) -> None:
    """Where PortAudio ends the stream nobody waits two seconds; the loss is the device's."""
    source, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    next_sound(blocks)
    stream.active = False
    next(blocks)
    next(blocks)
    assert source.state == "stalled"
    states_until_open(audio, source, blocks)
    audio.clock.now += 3.0
    audio.streams[-1].feed(0.1, 0.1)
    block = next_sound(blocks)
    assert block.cause == "device"
    assert block.lost >= 3 * RATE_HZ


def test_a_device_that_never_begins_is_a_stall(audio: FakePortAudio, listening: Listening) -> None:
    """The first block may take five seconds, and no more."""
    source, blocks = listening
    audio.clock.now += 4.9
    next(blocks)
    next(blocks)
    assert source.state == "opening"
    audio.clock.now += 0.2
    seen = [source.state for _ in range(4) if not len(next(blocks).samples)]
    assert "stalled" in seen


def test_a_device_that_comes_back_under_another_number_is_found(
    audio: FakePortAudio, demo_detector: Detector
) -> None:
    """Names hold the number of a card: what was asked for finds it where its name has changed."""
    collector = Collector()
    stream = Stream(demo_detector, [Microphone("usb mic")], [collector])
    thread = threading.Thread(target=stream.run)
    thread.start()
    opened(audio, 1).feed(0.001, 0.001)
    collector.wait_for(type="state", state="warming up")
    audio.names[1] = "USB mic: Audio (hw:2,0)"
    audio.streams[0].active = False
    collector.wait_for(type="state", state="reconnecting")
    opened(audio, 2).feed(0.001, 0.001)
    assert collector.wait_for(type="gap")["cause"] == "device"
    stream.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_it_is_tried_again_until_the_device_is_back(
    audio: FakePortAudio, listening: Listening
) -> None:
    """While the device is missing, or cannot be opened, it is tried with growing pauses."""
    source, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    next_sound(blocks)
    stream.active = False
    whole = audio.names.copy(), audio.inputs.copy(), audio.rates.copy()
    audio.names, audio.inputs, audio.rates = [], [], []
    tries: list[float] = []
    for _ in range(300):
        before = audio.refreshed
        next(blocks)
        if audio.refreshed > before:
            tries.append(audio.clock.now)
        audio.clock.now += 0.1
    pauses = np.diff(tries)
    assert len(pauses) >= 3
    assert all(after >= before - 0.2 for before, after in pairwise(pauses))
    assert pauses[0] >= 0.9
    assert source.state == "reconnecting"
    audio.names, audio.inputs, audio.rates = whole
    audio.broken = True
    for _ in range(300):
        next(blocks)
        audio.clock.now += 0.1
    assert len(audio.streams) == 1
    audio.broken = False
    states_until_open(audio, source, blocks)
    audio.streams[-1].feed(0.1, 0.1)
    assert next_sound(blocks).cause == "device"
    assert source.state == "live"


def test_it_may_come_back_at_another_rate(audio: FakePortAudio, listening: Listening) -> None:
    """Places then count at the new rate; the time line goes on where the clock is."""
    source, blocks = listening
    [stream] = audio.streams
    for _ in range(round(1 / BLOCK_S)):
        stream.feed(0.1, 0.1)
        next_sound(blocks)
    stream.active = False
    audio.rates[1] = 2.0 * RATE_HZ
    states_until_open(audio, source, blocks)
    assert source.rate_hz == 2 * RATE_HZ
    audio.clock.now = 1000.0 + 5.0 - N / RATE_HZ
    audio.streams[-1].feed(0.1, 0.1, n=N)
    block = next_sound(blocks)
    assert block.end / source.rate_hz == pytest.approx(5.0, abs=0.05)
    assert block.lost / source.rate_hz == pytest.approx(4.0, abs=0.05)


def test_blocks_of_an_abandoned_device_are_nobodys(
    audio: FakePortAudio, listening: Listening
) -> None:
    """What a device brings after it was given up gets neither heard nor counted."""
    source, blocks = listening
    [old] = audio.streams
    old.feed(0.1, 0.1)
    next_sound(blocks)
    audio.clock.now += 2.1
    states_until_open(audio, source, blocks)
    new = audio.streams[-1]
    old.feed(0.9, 0.9)
    new.feed(0.2, 0.2)
    old.feed(0.9, 0.9)
    new.feed(0.3, 0.3)
    first, second = next_sound(blocks), next_sound(blocks)
    assert first.samples[0] == pytest.approx(0.2)
    assert second.samples[0] == pytest.approx(0.3)
    assert (second.lost, second.start) == (0, first.end)


@pytest.mark.parametrize("stays_active", [True, False])
def test_a_device_that_opens_and_brings_nothing_is_not_back(
    audio: FakePortAudio,
    listening: Listening,
    monkeypatch: pytest.MonkeyPatch,
    stays_active: bool,
) -> None:
    """It is opened again with growing pauses, told as lost once, and lost until sound comes."""
    source, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    next_sound(blocks)
    opened_s: list[float] = []

    def start(self: FakeStream) -> None:
        self.active = stays_active
        opened_s.append(audio.clock.now)

    with_sound = FakeStream.start
    monkeypatch.setattr(FakeStream, "start", start)
    stream.active = False
    states = ["live"]
    for _ in range(600):
        next(blocks)
        if source.state != states[-1]:
            states.append(source.state)
        audio.clock.now += 0.5
    assert states == ["live", "stalled", "reconnecting"]
    pauses = np.diff(opened_s)
    assert len(pauses) >= 5
    assert all(after >= before - 1.1 for before, after in pairwise(pauses))
    assert pauses[-1] >= 29
    monkeypatch.setattr(FakeStream, "start", with_sound)
    states_until_open(audio, source, blocks)
    assert source.problem is not None
    audio.streams[-1].feed(0.1, 0.1)
    block = next_sound(blocks)
    assert block.lost >= 300 * RATE_HZ
    assert block.cause == "device"  # for which it was lost at first
    problem = source.problem
    assert problem is None
    assert source.state == "live"


def test_another_device_is_not_taken_for_the_lost_one(
    audio: FakePortAudio, listening: Listening
) -> None:
    """While a device is away, one whose longer name contains its name stays untouched."""
    source, blocks = listening
    audio.streams[0].feed(0.1, 0.1)
    next_sound(blocks)
    audio.streams[0].active = False
    audio.names[1] = f"2nd {source.name}"
    for _ in range(300):
        next(blocks)
        audio.clock.now += 0.1
    assert (len(audio.streams), source.state) == (1, "reconnecting")
    audio.names[1] = source.name
    states_until_open(audio, source, blocks)


def test_an_opening_that_takes_long_leaves_the_first_block_its_time(
    audio: FakePortAudio, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first block has five seconds from when the device is open, not from when it was asked."""
    source, blocks = listening
    [stream] = audio.streams
    stream.feed(0.1, 0.1)
    next_sound(blocks)

    def start(self: FakeStream) -> None:
        self.active = True
        audio.clock.now += 4.5

    monkeypatch.setattr(FakeStream, "start", start)
    stream.active = False
    states_until_open(audio, source, blocks)
    audio.clock.now += 3.0
    for _ in range(3):
        next(blocks)
    assert len(audio.streams) == 2
    audio.streams[-1].feed(0.1, 0.1)
    assert next_sound(blocks).lost > 7 * RATE_HZ


def test_a_stop_ends_the_waiting(audio: FakePortAudio) -> None:
    """A source that waits for its device ends when it is asked to."""
    stop = threading.Event()
    with Microphone() as source:
        blocks = source.blocks(stop, threading.Event())
        audio.streams[0].active = False
        audio.broken = True
        for _ in range(10):
            next(blocks)
        stop.set()
        assert all(len(block.samples) == 0 for block in blocks)


def test_a_call_that_hangs_is_left_behind(
    audio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose opening hangs is an error after a while; one whose closing hangs is left."""
    monkeypatch.setattr(portaudio_module, "_OPEN_LIMIT_S", 0.05)
    monkeypatch.setattr(microphone_module, "_CLOSE_LIMIT_S", 0.05)
    forever = threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        forever.wait(60)

    monkeypatch.setattr(FakeStream, "abort", hang)
    began_s = time.monotonic()
    with Microphone():
        pass
    monkeypatch.setattr(FakeStream, "start", hang)
    with pytest.raises(DeviceError, match="cannot be opened"), Microphone():
        pass
    assert time.monotonic() - began_s < 30
    forever.set()


# --- in a stream ---------------------------------------------------------------------------------


class Collector(Sink):
    """Keeps lines, and lets a test wait for one."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._more = threading.Condition()

    def take(self, event: Event) -> None:
        """Keep one."""
        with self._more:
            self.lines.append(to_json(event))
            self._more.notify_all()

    def wait_for(self, after: int = 0, **fields: Any) -> Line:
        """Wait until there is a line with these fields, the first `after` lines aside."""

        def found() -> Line | None:
            lines = self.lines[after:]
            return next((line for line in lines if fields.items() <= line.items()), None)

        with self._more:
            assert self._more.wait_for(found, timeout=60), f"no line with {fields}: {self.lines}"
            line = found()
        assert line is not None
        return line


@pytest.fixture
def running(
    audio: FakePortAudio, demo_detector: Detector
) -> Iterator[tuple[Stream, Collector, threading.Thread]]:
    """Run a stream of the default microphone in a thread."""
    collector = Collector()
    stream = Stream(demo_detector, [Microphone()], [collector])
    thread = threading.Thread(target=stream.run)
    thread.start()
    yield stream, collector, thread
    stream.stop()
    thread.join(60)
    assert not thread.is_alive()


Running = tuple[Stream, Collector, threading.Thread]


def opened(audio: FakePortAudio, number: int) -> FakeStream:
    """Wait until the device has been opened this often."""
    ticks = threading.Event()
    for _ in range(6000):
        if len(audio.streams) >= number and audio.streams[number - 1].active:
            return audio.streams[number - 1]
        ticks.wait(0.01)
    raise AssertionError("never opened")


def test_an_overflow_is_a_gap_line(audio: FakePortAudio, running: Running) -> None:
    """The lines tell the gap: where it began, how long it was, why."""
    stream, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    audio.clock.now += 0.5
    device.hum(1.0, overflow=True)
    gap = collector.wait_for(type="gap")
    assert gap == {"type": "gap", "start_s": 2.0, "lost_s": 0.5, "cause": "overflow"}
    assert stream.snapshot.account.lost_s == 0.5
    assert stream.snapshot.account.lost_by_clock_s == 0.0
    assert collector.wait_for(type="state", state="live")


@pytest.mark.parametrize("is_told", [True, False])
def test_a_sound_across_a_gap_is_not_scored(
    audio: FakePortAudio, running: Running, excerpt: Samples, is_told: bool
) -> None:
    """A sound that lost a part of itself is a segment with the reason `gap`, told or found."""
    _, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    device.play(excerpt[7640:9600])
    audio.clock.now += 0.3
    device.play(excerpt[9600:12_000], overflow=is_told)
    device.hum(2.0)
    segment = collector.wait_for(type="segment")
    assert (segment["verdict"], segment["reason"]) == ("not scored", "gap")
    assert segment["p"] is None
    assert collector.wait_for(type="gap")["cause"] == ("overflow" if is_told else "clock")


def test_states_of_a_stall_are_lines(audio: FakePortAudio, running: Running) -> None:
    """`stalled`, `reconnecting` and, after the gap, `live` again are told in this order."""
    _, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    device.active = False
    collector.wait_for(type="state", state="reconnecting")
    again = opened(audio, 2)
    audio.clock.now += 4.0
    again.hum(2.0)
    gap = collector.wait_for(type="gap")
    assert gap["cause"] == "device"
    assert gap["lost_s"] >= 4.0
    states = [line["state"] for line in collector.lines if line["type"] == "state"]
    told = [state for state in states if state not in ("opening", "warming up")]
    assert told[:3] == ["live", "stalled", "reconnecting"]
    at = collector.lines.index(gap)
    collector.wait_for(after=at, type="state", state="live")


def test_input_that_is_lost_at_the_end_is_a_problem(audio: FakePortAudio, running: Running) -> None:
    """A stream that is stopped while its device is away ends with a problem, for exit code 1."""
    stream, collector, thread = running
    device = opened(audio, 1)
    device.feed(0.001, 0.001)
    audio.broken = True
    device.active = False
    collector.wait_for(type="state", state="reconnecting")
    stream.stop()
    thread.join(60)
    assert stream.snapshot.finished
    assert stream.snapshot.problem is not None


def waiting(threads: Sequence[threading.Thread]) -> list[threading.Thread]:
    """Those that wait for PortAudio, the ones that were there before aside."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name == "offkey-portaudio" and thread not in threads
    ]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, for a minute at most, until something holds."""
    ticks = threading.Event()
    for _ in range(6000):
        if holds():
            return
        ticks.wait(0.01)
    raise AssertionError("it never came so far")


@pytest.mark.parametrize("hung", ["abort", "start", "_terminate"])
def test_leaving_takes_no_longer_while_calls_hang(
    audio: FakePortAudio, running: Running, monkeypatch: pytest.MonkeyPatch, hung: str
) -> None:
    """Asked to end while a call into the sound server hangs, the stream ends all the same."""
    stream, collector, thread = running
    monkeypatch.setattr(portaudio_module, "_OPEN_LIMIT_S", 60.0)
    monkeypatch.setattr(portaudio_module, "_REFRESH_LIMIT_S", 60.0)
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    thawed, reached = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        reached.set()
        thawed.wait(60)

    owner = FakePortAudio if hung == "_terminate" else FakeStream
    monkeypatch.setattr(owner, hung, hang)
    began_s = time.monotonic()
    if hung != "abort":
        device.active = False
        assert reached.wait(60)
    stream.stop()
    thread.join(60)
    assert time.monotonic() - began_s < 20
    assert not thread.is_alive()
    thawed.set()


def test_sounds_before_a_loss_keep_their_time_of_day(
    audio: FakePortAudio, running: Running, excerpt: Samples
) -> None:
    """A sound that ends with its device, which stays away, has the time of day at which it was."""
    stream, collector, thread = running
    device = opened(audio, 1)
    before = datetime.now(UTC)
    device.hum(2.0)
    device.play(excerpt[7640:9600])
    audio.broken = True
    device.active = False
    wait_until(lambda: audio.refreshed > 0)
    collector.wait_for(type="state", state="reconnecting")
    wait_until(lambda: not waiting([]))
    audio.clock.now += 0.5
    stream.stop()
    thread.join(60)
    segment = collector.wait_for(type="segment")
    assert segment["reason"] == "gap"
    # The made-up clock runs ahead of the time of day by the seconds that were fed at once.
    assert abs((datetime.fromisoformat(segment["time"]) - before).total_seconds()) < 60


def test_a_pause_while_the_device_changes_its_rate_is_accounted(
    audio: FakePortAudio, running: Running
) -> None:
    """Paused while a device fails to open at another rate: every sample is counted, none twice."""
    stream, collector, thread = running
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    audio.rates[1] = 3.0 * RATE_HZ
    audio.broken = True
    device.active = False
    collector.wait_for(type="state", state="reconnecting")
    wait_until(lambda: audio.refreshed > 0 and not waiting([]))
    stream.pause(True)
    at = len(collector.lines)
    collector.wait_for(after=at - 1, type="state", state="paused")
    stream.stop()
    thread.join(60)
    account = stream.snapshot.account
    assert account.total_s == pytest.approx(
        account.scored_s
        + account.not_scored_s
        + account.silent_s
        + account.lost_s
        + account.paused_s,
        abs=1e-9,
    )
    assert account.silent_s == pytest.approx(2.0)


@pytest.mark.parametrize("freezes", [False, True])
def test_exit_on_loss_ends_the_run(
    audio: FakePortAudio, demo_detector: Detector, excerpt: Samples, freezes: bool
) -> None:
    """Instead of a second try: all is flushed, the loss is a gap, one sentence says why."""
    collector, said = Collector(), list[str]()
    stream = Stream(demo_detector, [Microphone()], [collector], said.append, exit_on_loss=True)
    last: list[Snapshot] = []
    thread = threading.Thread(target=lambda: last.append(stream.run()))
    thread.start()
    device = opened(audio, 1)
    device.hum(2.0)
    device.play(excerpt[7000:])
    if freezes:
        audio.clock.now += 2.5
    else:
        device.active = False
    thread.join(60)
    ended_by_itself = not thread.is_alive()
    stream.stop()
    assert ended_by_itself
    assert len(audio.streams) == 1
    assert device.closed
    assert last[0].problem is not None
    assert said == [last[0].problem]
    assert "--exit-on-loss" in said[0]
    segments = [line for line in collector.lines if line["type"] == "segment"]
    assert any(line["verdict"] != "not scored" for line in segments)
    gaps = [line for line in collector.lines if line["type"] == "gap"]
    assert [gap["cause"] for gap in gaps] == (["stall"] if freezes else [])
    account = last[0].account
    blocks = (len(excerpt) - 7000) // N + round(2.0 / BLOCK_S)
    assert account.silent_s + account.scored_s + account.not_scored_s == pytest.approx(
        blocks * BLOCK_S
    )


# --- what happens when the device goes away: a test for every row of the table -------------------


def test_daemon_killed_or_its_only_sink_unloaded(audio: FakePortAudio, running: Running) -> None:
    """Callbacks stop, the stream is not active: told at once; heard again when there is a list."""
    stream, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    whole = audio.names.copy(), audio.inputs.copy(), audio.rates.copy()
    audio.names, audio.inputs, audio.rates = [], [], []
    before_s = audio.clock.now
    device.active = False
    collector.wait_for(type="state", state="stalled")
    assert audio.clock.now == before_s
    # Only then does the pause count from the time that stands still here.
    wait_until(lambda: "attempt 1 failed" in stream.snapshot.detail)
    assert (audio.refreshed, stream.snapshot.state) == (1, "reconnecting")
    assert len(audio.streams) == 1
    audio.names, audio.inputs, audio.rates = whole
    audio.clock.now += 1.5
    opened(audio, 2).hum(2.0)
    gap = collector.wait_for(type="gap")
    assert (gap["start_s"], gap["cause"]) == (2.0, "device")
    assert gap["lost_s"] == pytest.approx(1.5)
    collector.wait_for(after=collector.lines.index(gap), type="state", state="live")


def test_another_source_exists(audio: FakePortAudio, running: Running) -> None:
    """Callbacks go on, from the other source: nobody can tell, nothing is lost, it stays live."""
    stream, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    device._rng = np.random.default_rng(1)
    device.hum(3.0)
    wait_until(lambda: stream.snapshot.position_s >= 5.0)
    assert stream.snapshot.state == "live"
    assert (len(audio.streams), stream.snapshot.account.lost_s) == (1, 0.0)


def test_source_suspended(audio: FakePortAudio, running: Running) -> None:
    """Callbacks stop, the stream stays active: a stall within 3 s; opened again it is heard."""
    _, collector, _ = running
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    audio.clock.now += 3.0
    collector.wait_for(type="state", state="stalled")
    assert device.active or device.closed
    opened(audio, 2).hum(2.0)
    gap = collector.wait_for(type="gap")
    assert (gap["start_s"], gap["lost_s"], gap["cause"]) == (2.0, pytest.approx(3.0), "stall")
    collector.wait_for(after=collector.lines.index(gap), type="state", state="live")


def test_daemon_frozen(
    audio: FakePortAudio, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call hangs: a stall within 3 s, one thread waits however long, heard after the thaw."""
    stream, collector, _ = running
    monkeypatch.setattr(microphone_module, "_CLOSE_LIMIT_S", 0.01)
    monkeypatch.setattr(portaudio_module, "_REFRESH_LIMIT_S", 0.01)
    device = opened(audio, 1)
    device.hum(2.0)
    collector.wait_for(type="state", state="live")
    others, thawed = waiting([]), threading.Event()
    for owner, name in (
        (FakeStream, "abort"),
        (FakeStream, "close"),
        (FakePortAudio, "_terminate"),
    ):
        monkeypatch.setattr(owner, name, lambda *_, **__: thawed.wait(60))
    audio.clock.now += 3.0
    collector.wait_for(type="state", state="stalled")
    collector.wait_for(type="state", state="reconnecting")
    for _ in range(20):
        audio.clock.now += 31.0
        time.sleep(0.02)
        assert len(waiting(others)) == 1
    assert stream.snapshot.state == "reconnecting"
    assert len(audio.streams) == 1
    thawed.set()
    wait_until(lambda: not waiting(others))
    audio.clock.now += 31.0
    opened(audio, 2).hum(2.0)
    gap = collector.wait_for(type="gap")
    assert (gap["start_s"], gap["cause"]) == (2.0, "stall")
    assert gap["lost_s"] > 600
    collector.wait_for(after=collector.lines.index(gap), type="state", state="live")


# --- names ---------------------------------------------------------------------------------------


def test_devices_with_inputs_are_listed(audio: FakePortAudio) -> None:
    """Only what can be listened to is listed, with its rate, channels and system."""
    listed = list_devices()
    assert [(d.index, d.channels, d.rate_hz, d.host, d.is_default) for d in listed] == [
        (1, 2, RATE_HZ, "ALSA", True),
        (2, 1, RATE_HZ, "ALSA", False),
    ]


@pytest.mark.parametrize("wanted", ["webcam mic", "Webcam", "WEB", "cam m"])
def test_a_part_of_the_name_finds_the_device(audio: FakePortAudio, wanted: str) -> None:
    """A device is found by any part of its name, in any case."""
    assert find_device(wanted, list_devices()).name == "Webcam mic"


def test_without_a_name_the_default_is_taken(audio: FakePortAudio) -> None:
    """No name is the system's default input; where there is none the choices are listed."""
    assert find_device(None, list_devices()).index == 1
    audio.default.device = (-1, 0)
    with pytest.raises(InputError, match=r"USB mic.*Webcam mic"):
        find_device(None, list_devices())


def test_an_unknown_name_lists_the_choices(audio: FakePortAudio) -> None:
    """The error for a wrong name gives the right ones, and no loudspeaker."""
    with pytest.raises(InputError, match=r"'gramophone'.*USB mic.*Webcam mic") as caught:
        find_device("gramophone", list_devices())
    assert "Loudspeaker" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_ambiguous_name_lists_what_it_fits(audio: FakePortAudio) -> None:
    """A part that several names share is refused with these names; a whole name never is."""
    with pytest.raises(InputError, match=r"several.*USB mic.*Webcam mic"):
        find_device("mic", list_devices())
    audio.names[1] = "Webcam mic 2"
    audio._initialize()
    assert find_device("webcam MIC", list_devices()).index == 2


def test_without_any_device_there_is_one_sentence(audio: FakePortAudio) -> None:
    """No device at all is an error of its own kind, whatever name was asked for."""
    audio.names, audio.inputs, audio.rates = [], [], []
    audio._initialize()
    for wanted in (None, "mic"):
        with pytest.raises(OffkeyError, match="no sound device"):
            Microphone(wanted)


def test_a_device_that_cannot_be_opened_is_one_sentence(audio: FakePortAudio) -> None:
    """PortAudio's own error is told with the device's name and the next step."""
    audio.broken = True
    with (
        pytest.raises(DeviceError, match=r"USB mic.*cannot be opened.*offkey devices"),
        Microphone(),
    ):
        pass


# --- no PortAudio at all -------------------------------------------------------------------------


@pytest.fixture
def without_portaudio(tmp_path: Path) -> dict[str, str]:
    """Shadow sounddevice by one that cannot find its library."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("verb", ["devices", "monitor"])
def test_a_missing_library_is_one_sentence(
    run: Run, demo_model: Path, without_portaudio: dict[str, str], verb: str
) -> None:
    """Where PortAudio is missing the verbs that need it say what to install."""
    model = [demo_model] if verb == "monitor" else []
    done = run(verb, *model, env=without_portaudio)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("offkey: ")
    assert "libportaudio2" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_else_needs_the_library(
    run: Run, demo_model: Path, excerpt_file: Path, without_portaudio: dict[str, str]
) -> None:
    """Files, pipes and models are used without PortAudio."""
    env = without_portaudio
    for arguments in (
        ["score", demo_model, excerpt_file],
        ["replay", demo_model, excerpt_file],
        ["inspect", demo_model],
    ):
        assert run(*arguments, env=env).returncode == 0
    data = excerpt_file.read_bytes()
    done = run("monitor", demo_model, "--input", "-", stdin=data, env=env)
    assert done.returncode == 0
    assert '"segment"' in done.stdout
