"""PortAudio as a driver: calls that hang, streams that come too late, a system that fails.

A hang is a made-up one that a test ends; limits are short, and nothing depends on how short.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import DeviceError
from monitor import clock, devices, portaudio
from monitor.devices import BLOCK_S, Device
from monitor.portaudio import LimitedCalls, PortAudio

NEVER = threading.Event()
"""A stop flag that nobody sets."""
LONG_S = 60.0
DEVICE = Device(1, "USB mic", 2, 8000, "ALSA", True)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, for a minute at most, until something holds."""
    ticks = threading.Event()
    for _ in range(6000):
        if holds():
            return
        ticks.wait(0.01)
    raise AssertionError("it never came so far")


def threads() -> int:
    """Count the threads that wait for PortAudio."""
    return sum(thread.name == "offkey-portaudio" for thread in threading.enumerate())


class Hang:
    """A call that hangs until it is released."""

    def __init__(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error
        self.begun = threading.Event()
        self.released = threading.Event()
        self.calls = 0

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Hang."""
        self.calls += 1
        self.begun.set()
        assert self.released.wait(LONG_S)
        if self.error is not None:
            raise self.error
        return self.value


@pytest.fixture
def hang() -> Iterator[Callable[..., Hang]]:
    """Make calls that hang, released at last; then no thread is left."""
    made: list[Hang] = []

    def make(value: Any = None, error: Exception | None = None) -> Hang:
        made.append(Hang(value, error))
        return made[-1]

    yield make
    for one in made:
        one.released.set()
    wait_until(lambda: threads() == 0)


# --- limited calls -------------------------------------------------------------------------------


def test_a_call_gives_its_value_or_its_error() -> None:
    """What the call returns is returned, what it raises is raised, and nothing is undone."""
    calls, undone = LimitedCalls(), list[Any]()

    def lose() -> None:
        raise KeyError("lost")

    assert calls.run(lambda: 5, LONG_S, NEVER, undone.append) == 5
    with pytest.raises(KeyError, match="lost"):
        calls.run(lose, LONG_S, NEVER, undone.append)
    assert calls.run(lambda: None, LONG_S) is None
    assert undone == []
    assert not calls.is_stuck


def test_a_call_that_hangs_is_given_up(hang: Callable[..., Hang]) -> None:
    """After its limit the caller goes on, and knows that the call is stuck."""
    calls, call = LimitedCalls(), hang()
    began_s = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        calls.run(call, 0.05)
    assert time.monotonic() - began_s < LONG_S / 2
    assert calls.is_stuck
    call.released.set()
    wait_until(lambda: not calls.is_stuck)
    assert calls.run(lambda: 6, LONG_S) == 6


def test_while_one_is_stuck_none_is_begun(hang: Callable[..., Hang]) -> None:
    """However often it is tried, one thread waits; what was asked for meanwhile never runs."""
    calls, first, other = LimitedCalls(), hang(), hang()
    with pytest.raises(TimeoutError):
        calls.run(first, 0.02)
    for _ in range(20):
        with pytest.raises(TimeoutError, match="earlier request"):
            calls.run(other, 0.005)
        assert threads() == 1
    first.released.set()
    wait_until(lambda: not calls.is_stuck)
    assert other.calls == 0


def test_what_comes_too_late_is_undone(hang: Callable[..., Hang]) -> None:
    """The value of a call that was given up goes to `undo`, once; an error does not."""
    undone: list[Any] = []
    for call in (hang(value=7), hang(error=KeyError("late"))):
        calls = LimitedCalls()
        with pytest.raises(TimeoutError):
            calls.run(call, 0.02, NEVER, undone.append)
        assert undone in ([], [7])
        call.released.set()
        wait_until(lambda calls=calls: not calls.is_stuck)  # type: ignore[misc]
        assert undone == [7]


def test_while_it_is_undone_it_is_stuck(hang: Callable[..., Hang]) -> None:
    """An undoing that hangs, too, keeps others from being begun."""
    calls, call, undo = LimitedCalls(), hang(), hang()
    with pytest.raises(TimeoutError):
        calls.run(call, 0.02, NEVER, undo)
    call.released.set()
    assert undo.begun.wait(LONG_S)
    assert calls.is_stuck
    with pytest.raises(TimeoutError, match="earlier request"):
        calls.run(lambda: None, 0.02)


def test_a_stop_flag_ends_the_waiting(hang: Callable[..., Hang]) -> None:
    """Once it is set, before or while a call hangs, its caller waits no longer; it is undone."""
    calls, stop, undone = LimitedCalls(), threading.Event(), list[Any]()
    call = hang(value=8)
    began_s = time.monotonic()

    def set_stop() -> None:
        call.begun.wait(LONG_S)
        stop.set()

    threading.Thread(target=set_stop).start()
    with pytest.raises(TimeoutError):
        calls.run(call, LONG_S, stop, undone.append)
    with pytest.raises(TimeoutError, match="earlier request"):
        calls.run(lambda: None, LONG_S, stop)
    assert time.monotonic() - began_s < LONG_S / 2
    call.released.set()
    wait_until(lambda: undone == [8])


def test_waiting_for_an_earlier_call_counts_in_the_limit(
    hang: Callable[..., Hang], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One limit holds for the whole request, where an earlier call returns just before its end."""
    calls, earlier, call = LimitedCalls(), hang(), hang()
    with pytest.raises(TimeoutError):
        calls.run(earlier, 0.02)
    now_s = 0.0

    def monotonic() -> float:
        nonlocal now_s
        now_s += 0.1
        if now_s > 8:
            earlier.released.set()
            wait_until(lambda: call.begun.is_set() or not calls.is_stuck)
        return now_s

    monkeypatch.setattr(portaudio, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(portaudio, "_LOOK_UP_S", 0.001)
    with pytest.raises(TimeoutError):
        calls.run(call, 10.0)
    assert now_s < 12


# --- the driver ----------------------------------------------------------------------------------


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeStream:
    """A stream of FakeSound."""

    def __init__(self, sound: FakeSound, asked: dict[str, Any]) -> None:
        self._sound, self.asked = sound, asked
        self.active = False
        self.done: list[str] = []

    def start(self) -> None:
        """Start."""
        self._sound.start()
        self.active = True

    def abort(self, **_: Any) -> None:
        """Stop."""
        self._sound.abort()
        self.active = False
        self.done.append("abort")

    def close(self, **_: Any) -> None:
        """Free it."""
        self.done.append("close")


class FakeSound:
    """As much of sounddevice as the driver needs; each call can be replaced."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.default = SimpleNamespace(device=(0, 0))
        self.streams: list[FakeStream] = []
        self.done: list[str] = []
        self.start: Callable[[], Any] = lambda: None
        self.abort: Callable[[], Any] = lambda: None
        self.terminate: Callable[[], Any] = lambda: None
        self.initialize: Callable[[], Any] = lambda: None

    def query_hostapis(self) -> list[dict[str, Any]]:
        """List sound systems."""
        return [{"name": "ALSA"}]

    def query_devices(self) -> list[dict[str, Any]]:
        """List devices."""
        rate_hz, inputs = DEVICE.rate_hz, DEVICE.channels
        info = {"name": DEVICE.name, "default_samplerate": rate_hz, "hostapi": 0}
        return [info | {"max_input_channels": inputs}]

    def InputStream(self, **asked: Any) -> FakeStream:  # noqa: N802
        """Open a device."""
        self.streams.append(FakeStream(self, asked))
        return self.streams[-1]

    def _terminate(self) -> None:
        self.terminate()
        self.done.append("terminate")

    def _initialize(self) -> None:
        self.initialize()
        self.done.append("initialize")

    def _exit_handler(self) -> None:
        """What sounddevice does at exit."""


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    """Put the made-up sounddevice in place, with short limits."""
    fake = FakeSound()
    monkeypatch.setattr(devices, "load_sounddevice", lambda: fake)
    monkeypatch.setattr(portaudio, "_OPEN_LIMIT_S", 0.05)
    monkeypatch.setattr(portaudio, "_REFRESH_LIMIT_S", 0.05)
    return fake


def nobody(_frames: NDArray[np.float32], _overflow: bool, _at_s: float) -> None:
    """Hear nothing."""


def fail() -> None:
    """Fail as PortAudio does."""
    raise PortAudioError("Unanticipated host error [PaErrorCode -9999]")


def test_the_callback_copies_stamps_and_hands_over(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is heard stays as it was though the buffer is used again, with its flag and time."""
    heard: list[tuple[NDArray[np.float32], bool, float]] = []
    driver = PortAudio()
    driver.open(DEVICE, 2, lambda *what: heard.append(what), NEVER)
    asked = sound.streams[0].asked
    assert asked["blocksize"] == round(BLOCK_S * DEVICE.rate_hz)
    assert (asked["samplerate"], asked["channels"], asked["dtype"]) == (8000, 2, "float32")
    buffer = np.zeros((320, 2), np.float32)
    for i, overflow in enumerate((0, 4)):
        monkeypatch.setattr(clock, "now_s", lambda i=i: 100.0 + i)
        buffer[:] = i + 1
        asked["callback"](buffer, 320, None, SimpleNamespace(input_overflow=overflow))
    assert [(float(f.max()), f.shape, o, at_s) for f, o, at_s in heard] == [
        (1.0, (320, 2), False, 100.0),
        (2.0, (320, 2), True, 101.0),
    ]


def test_a_stream_is_active_until_it_is_closed(sound: FakeSound) -> None:
    """Before it is opened and after it was closed, and when PortAudio says so, it is not."""
    driver = PortAudio()
    assert not driver.is_active
    driver.close(1.0)
    driver.open(DEVICE, 2, nobody, NEVER)
    assert driver.is_active
    sound.streams[0].active = False
    assert not driver.is_active
    driver.close(LONG_S)
    assert sound.streams[0].done == ["abort", "close"]
    assert not driver.is_active


def test_a_stream_that_opens_too_late_is_closed(
    sound: FakeSound, hang: Callable[..., Hang]
) -> None:
    """An opening that hangs is an error after its limit; what it gives at last is closed."""
    sound.start = opening = hang()
    driver = PortAudio()
    began_s = time.monotonic()
    with pytest.raises(DeviceError, match=r"'USB mic' cannot be opened: no answer.*offkey devices"):
        driver.open(DEVICE, 2, nobody, NEVER)
    assert time.monotonic() - began_s < LONG_S / 2
    assert not driver.is_active
    opening.released.set()
    wait_until(lambda: threads() == 0)
    assert sound.streams[0].done == ["abort", "close"]
    assert not driver.is_active


def test_a_stream_that_does_not_start_is_closed(sound: FakeSound) -> None:
    """A device that is opened and then fails to start is an error, and freed for the next try."""
    sound.start = fail
    with pytest.raises(DeviceError, match="cannot be opened: Unanticipated host error"):
        PortAudio().open(DEVICE, 2, nobody, NEVER)
    assert sound.streams[0].done == ["abort", "close"]


def test_a_stop_ends_opening_and_refreshing(
    sound: FakeSound, hang: Callable[..., Hang], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is asked to stop while a device is opened, or looked for, waits no longer."""
    monkeypatch.setattr(portaudio, "_OPEN_LIMIT_S", LONG_S)
    monkeypatch.setattr(portaudio, "_REFRESH_LIMIT_S", LONG_S)
    sound.start = sound.terminate = hang()
    stop = threading.Event()
    stop.set()
    began_s = time.monotonic()
    with pytest.raises(DeviceError):
        PortAudio().open(DEVICE, 2, nobody, stop)
    with pytest.raises(DeviceError, match="does not answer"):
        PortAudio().refresh(stop)
    assert time.monotonic() - began_s < LONG_S / 2


@pytest.mark.parametrize("hangs", [False, True])
def test_one_that_does_not_close_is_left_behind(
    sound: FakeSound, hang: Callable[..., Hang], monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """A closing that hangs holds nobody, nor does sounddevice at exit; no other call is begun."""
    left: list[Any] = []
    monkeypatch.setattr(atexit, "unregister", left.append)
    driver = PortAudio()
    driver.open(DEVICE, 2, nobody, NEVER)
    if hangs:
        sound.abort = hang()
    began_s = time.monotonic()
    driver.close(0.05 if hangs else LONG_S)
    assert time.monotonic() - began_s < LONG_S / 2
    assert left == ([sound._exit_handler] if hangs else [])
    if hangs:
        for _ in range(5):
            with pytest.raises(DeviceError, match="earlier request"):
                driver.refresh(NEVER)
        assert threads() == 1
    assert sound.done == []


def test_a_refresh_that_failed_once_can_succeed(sound: FakeSound) -> None:
    """Where PortAudio could not start, it cannot be ended either; it is started all the same."""
    driver = PortAudio()
    driver.refresh(NEVER)
    assert sound.done == ["terminate", "initialize"]
    sound.initialize = fail
    with pytest.raises(DeviceError, match="does not answer: Unanticipated host error"):
        driver.refresh(NEVER)
    sound.terminate, sound.initialize = fail, lambda: None
    driver.refresh(NEVER)
    assert sound.done[-1] == "initialize"


def test_a_list_that_cannot_be_had_is_one_sentence(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PortAudio's own error never comes through, whatever it was asked for."""
    monkeypatch.setattr(sound, "query_devices", fail)
    with pytest.raises(DeviceError, match="does not answer: Unanticipated host error"):
        PortAudio().find(None)
