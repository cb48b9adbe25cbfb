"""Levels of all inputs: at once, in turns, one that fails, one that hangs, a system that does.

What measures is tested against a made-up PortAudio on this process; whoever asks it, against
processes that do what a test says.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitor import devices, helper, levelprobe
from monitor.levelprobe import Probe
from monitor.levels import InputLevel, Levels, LevelWatch

LIMIT_S = 60.0
NAMES = ("Kitchen", "Cellar", "Attic")


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, for a minute at most, until something holds."""
    until = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.01)


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeStream:
    """An input that brings a constant, once a while, as long as it is open."""

    def __init__(self, audio: FakePortAudio, **asked: Any) -> None:
        self.audio, self.asked = audio, asked
        self._over = threading.Event()

    def start(self) -> None:
        """Start."""
        index = self.asked["device"]
        audio = self.audio
        if index in audio.hanging:
            audio.released.wait(LIMIT_S)
        if index in audio.broken or (audio.most_at_once <= len(audio.open)):
            raise PortAudioError(
                "Error opening InputStream: Device unavailable [PaErrorCode -9985]"
            )
        audio.open.add(index)
        audio.opened.append(index)
        if audio.peaks[index] is not None:
            threading.Thread(target=self._bring, daemon=True).start()

    def _bring(self) -> None:
        data = np.zeros((100, 2), np.float32)
        while not (self._over.wait(0.005) or self.audio.is_over):
            data[50, 1] = -self.audio.peaks[self.asked["device"]]
            self.asked["callback"](data, 100, None, SimpleNamespace())

    def abort(self, **_: Any) -> None:
        """Stop at once."""
        self._over.set()
        self.audio.open.discard(self.asked["device"])

    def close(self, **_: Any) -> None:
        """Free it."""


class FakePortAudio:
    """As much of sounddevice as the probe needs."""

    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.names = list(NAMES)
        self.peaks: list[float | None] = [0.1, 0.0, 0.5]
        self.default = SimpleNamespace(device=(1, 0))
        self.open: set[int] = set()
        self.opened: list[int] = []
        self.broken: set[int] = set()
        self.hanging: set[int] = set()
        self.released = threading.Event()
        self.most_at_once = 100
        self.is_over = False

    def query_devices(self) -> list[dict[str, Any]]:
        """List devices."""
        common = {"max_input_channels": 2, "default_samplerate": 48_000.0, "hostapi": 0}
        return [{"name": name} | common for name in self.names]

    def query_hostapis(self) -> list[dict[str, Any]]:
        """List sound systems."""
        return [{"name": "ALSA"}]

    def InputStream(self, **asked: Any) -> FakeStream:  # noqa: N802
        """Make an input."""
        return FakeStream(self, **asked)


class TestOverError(Exception):
    """Ends the turns of a probe, which have no end."""

    __test__ = False


@pytest.fixture
def audio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePortAudio]:
    """Put the made-up PortAudio in place; little patience, and short turns."""
    fake = FakePortAudio()
    monkeypatch.setattr(devices, "load_sounddevice", lambda: fake)
    monkeypatch.setattr(levelprobe, "PATIENCE_S", 0.3)
    monkeypatch.setattr(levelprobe, "TURN_S", 0.05)
    yield fake
    fake.is_over = True  # as streams end with the process of a probe
    fake.released.set()


@pytest.fixture
def start() -> Iterator[Callable[..., Probe]]:
    """Start a probe that works on a thread of its own."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def pause(time_s: float) -> None:
        if over.wait(time_s):
            raise TestOverError

    def work(probe: Probe) -> None:
        with contextlib.suppress(TestOverError):
            probe.work()

    def start(*hung: str) -> Probe:
        probe = Probe(hung, pause)
        threads.append(threading.Thread(target=work, args=(probe,), daemon=True))
        threads[-1].start()
        return probe

    yield start
    over.set()
    for thread in threads:
        thread.join(LIMIT_S)


Start = Callable[..., Probe]


def rows(probe: Probe) -> dict[str, InputLevel]:
    """The inputs by name."""
    return {one.name: one for one in probe.levels().inputs or ()}


def states(probe: Probe) -> list[str]:
    """The states in order."""
    return [one.state for one in rows(probe).values()]


# --- what is measured ----------------------------------------------------------------------------


def test_all_inputs_are_heard_at_once(audio: FakePortAudio, start: Start) -> None:
    """Each has its own peak, digital zero has none; names, rates and the default are told."""
    probe = start()
    wait_until(lambda: states(probe) == ["heard"] * 3)
    assert audio.open == {0, 1, 2}
    assert rows(probe) == {
        "Kitchen": InputLevel("Kitchen", 2, 48_000, False, "heard", -20.0),
        "Cellar": InputLevel("Cellar", 2, 48_000, True, "heard", None),
        "Attic": InputLevel("Attic", 2, 48_000, False, "heard", -6.0),
    }


def test_a_level_follows_the_sound(audio: FakePortAudio, start: Start) -> None:
    """A louder sound is seen, and so is that it has ended."""
    probe = start()
    for peak, level in [(0.5, -6.0), (0.01, -40.0), (0.0, None), (np.nan, None), (2.0, 6.0)]:
        audio.peaks[0] = peak
        wait_until(lambda level=level: rows(probe)["Kitchen"].peak_dbfs == level)  # type: ignore[misc]


def test_one_that_cannot_be_opened_says_why(audio: FakePortAudio, start: Start) -> None:
    """Without codes and names of functions; the others are heard all at once."""
    audio.broken = {1}
    probe = start()
    wait_until(lambda: states(probe) == ["heard", "failed", "heard"])
    assert rows(probe)["Cellar"].problem == "Device unavailable"
    wait_until(lambda: audio.open == {0, 2})


def test_one_that_brings_nothing_is_told(audio: FakePortAudio, start: Start) -> None:
    """An open input from which no sound arrives is `mute`, until sound arrives."""
    audio.peaks[2] = None
    probe = start()
    wait_until(lambda: states(probe) == ["heard", "heard", "mute"])


def test_where_only_one_can_be_open_they_take_turns(audio: FakePortAudio, start: Start) -> None:
    """Every input is opened again and again, one at a time, and all have their levels."""
    audio.most_at_once = 1
    probe = start()
    wait_until(lambda: states(probe) == ["heard"] * 3)
    assert [one.peak_dbfs for one in rows(probe).values()] == [-20.0, None, -6.0]
    audio.peaks[0] = 0.01
    wait_until(lambda: rows(probe)["Kitchen"].peak_dbfs == -40.0)
    assert min(audio.opened.count(i) for i in range(3)) >= 2


def test_very_many_take_turns(audio: FakePortAudio, start: Start) -> None:
    """More inputs than are opened at once are still all heard."""
    audio.names = [f"mic {i}" for i in range(levelprobe.MOST_AT_ONCE + 1)]
    audio.peaks = [0.1] * len(audio.names)
    probe = start()
    wait_until(lambda: states(probe) == ["heard"] * len(audio.names))
    assert len(audio.open) <= 1


def test_one_that_hangs_is_told_and_left_out_the_next_time(
    audio: FakePortAudio, start: Start
) -> None:
    """It is `hung`, so that all begins again; then it is not touched, and the others are heard."""
    audio.hanging = {1}
    stuck = start()
    assert not stuck.is_stuck
    wait_until(lambda: stuck.is_stuck)
    assert rows(stuck)["Cellar"].state == "hung"
    audio.opened.clear()
    again = start("Cellar")
    wait_until(lambda: states(again) == ["heard", "hung", "heard"])
    assert rows(again)["Cellar"].problem == "it does not answer"
    assert not again.is_stuck


def test_of_several_with_one_name_only_the_first_is_listed(
    audio: FakePortAudio, start: Start
) -> None:
    """A name opens the first device that has it, so it is the one that is measured."""
    audio.names = ["Mic", "Mic", "Other"]
    probe = start()
    wait_until(lambda: states(probe) == ["heard", "heard"])
    assert [one.peak_dbfs for one in rows(probe).values()] == [-20.0, -6.0]


def test_a_system_that_does_not_answer_is_told(
    audio: FakePortAudio, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is looked for there is nothing; where that takes too long, one sentence."""
    monkeypatch.setattr(audio, "query_devices", lambda: audio.released.wait(LIMIT_S) and [])
    monkeypatch.setattr(levelprobe, "PATIENCE_S", 1.0)
    probe = start()
    assert probe.levels() == Levels()
    wait_until(lambda: probe.levels().problem == "The sound system does not answer.")
    audio.released.set()
    wait_until(lambda: probe.levels().inputs == ())


# --- the process that measures -------------------------------------------------------------------


@pytest.fixture
def process_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[list[str]]]:
    """Let a program take the place of what measures; gives what it was started with."""

    def use(program: str) -> list[list[str]]:
        asked: list[list[str]] = []

        def begin(_module: str, *arguments: str) -> subprocess.Popen[bytes]:
            asked.append(list(arguments))
            return subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )

        monkeypatch.setattr(helper, "start", begin)
        return asked

    return use


ROW = (
    '{{"name": "Mic", "channels": 1, "rate_hz": 8000, "is_default": true, "state": "{}", '
    '"peak_dbfs": -20.5, "problem": null}}'
)
LINE = (
    f'print(\'{{"inputs": [{ROW.format("heard")}], "problem": null, "hint": ""}}\', flush=True)\n'
)


def test_what_the_process_says_is_read_until_it_is_closed(
    process_of: Callable[[str], list[list[str]]],
) -> None:
    """Lines become levels, what is no such line is passed over, and closing ends the process."""
    process_of(f"print('ALSA says hello')\nprint('{{}}')\n{LINE}import time; time.sleep(600)")
    watch = LevelWatch()
    assert watch.newest == Levels()
    watch.start()
    wait_until(lambda: watch.newest.inputs is not None)
    assert watch.newest == Levels((InputLevel("Mic", 1, 8000, True, "heard", -20.5),))
    process = watch._process
    assert process is not None
    watch.close()
    wait_until(lambda: process.poll() is not None)
    watch.close()


def test_after_a_hang_it_is_begun_again_without_that_device(
    process_of: Callable[[str], list[list[str]]],
) -> None:
    """The next process is told which device to leave alone; what was known stays meanwhile."""
    hung = LINE.replace('"heard"', '"hung"')
    asked = process_of(
        "import sys, time\n"
        f"if sys.argv[1] == '[]':\n    {hung}    sys.exit(4)\n"
        'print(\'{"inputs": null, "problem": null, "hint": ""}\', flush=True)\n'
        "time.sleep(600)"
    )
    watch = LevelWatch()
    watch.start()
    wait_until(lambda: len(asked) == 2)
    assert asked == [["[]"], ['["Mic"]']]
    assert [one.state for one in watch.newest.inputs or ()] == ["hung"]
    watch.close()


@pytest.mark.parametrize("program", ["raise SystemExit(0)", "import os; os.abort()", LINE])
def test_a_process_that_ends_is_told(
    process_of: Callable[[str], list[list[str]]], program: str
) -> None:
    """However it ended, one sentence says that nothing is measured any more."""
    asked = process_of(program)
    watch = LevelWatch()
    watch.start()
    wait_until(lambda: watch.newest.problem is not None)
    assert watch.newest.inputs is None
    assert len(asked) == 1
    watch.close()


def test_a_process_that_says_nothing_is_told(
    process_of: Callable[[str], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no line comes for too long the sound system does not answer."""
    monkeypatch.setattr("monitor.levels._SILENCE_S", 0.2)
    process_of("import time; time.sleep(600)")
    watch = LevelWatch()
    watch.start()
    wait_until(lambda: watch.newest.problem == "The sound system does not answer.")
    watch.close()


def test_the_process_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Where its stdin is closed, as at the death of its parent, it ends by itself."""
    process = helper.start("monitor.levelprobe")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdin.close()
    assert process.wait(LIMIT_S) == 0
    process.stdout.close()


def test_reasons_are_told_without_codes() -> None:
    """What PortAudio says loses its codes and its call, and a reason of the host stands alone."""
    said = {
        "Error opening InputStream: Device unavailable [PaErrorCode -9985]": "Device unavailable",
        "Error starting stream: Wait timed out [PaErrorCode -9987]": "Wait timed out",
        "Error opening InputStream: Unanticipated host error [PaErrorCode -9999]: 'No such device' "
        "[ALSA error -19]": "No such device",
        "Error opening InputStream: Unanticipated host error [PaErrorCode -9999]: '' "
        "[ALSA error -5]": "no reason is given",
    }
    assert {text: helper.reason(PortAudioError(text)) for text in said} == said
