"""The rehearsal: a file as if it were the microphone, with everything that goes wrong with one.

Through it the whole path from driver to lines is shown to be exact: live equals file, and every
sample has one fate. All runs are at speed max, where the rehearsal's own clock stands for time.
"""

from __future__ import annotations

import math
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.detector import Detector
from model.errors import AudioError, DeviceError, InputError
from model.storage import read_model
from monitor.devices import BLOCK_S
from monitor.events import Event
from monitor.ledger import Account
from monitor.microphone import Microphone
from monitor.rehearsal import FAULTS, RehearsedDevice, parse_fault
from monitor.sinks import Sink, to_json
from monitor.snapshot import Snapshot
from monitor.sources import AudioFile, Source
from monitor.stream import Stream

Samples = NDArray[np.float32]
Line = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]
Parse = Callable[[str], list[Line]]

GRID_HZ = 6800
"""Segments lie on the places of the front end's rate."""


# --- a run, and what there is to know of it ------------------------------------------------------


class Collector(Sink):
    """Keeps all lines."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def take(self, event: Event) -> None:
        """Keep one."""
        self.lines.append(to_json(event))


@dataclass(frozen=True)
class Outcome:
    """How a run went."""

    lines: list[Line]
    last: Snapshot
    said: list[str]
    clock_s: float
    """Where the rehearsal's clock was at the end."""

    def of(self, kind: str) -> list[Line]:
        """The lines of a type."""
        return [line for line in self.lines if line["type"] == kind]

    @property
    def states(self) -> list[str]:
        """The states that were told, in their order."""
        return [line["state"] for line in self.of("state")]


def watch(detector: Detector, source: Source, *, exit_on_loss: bool = False) -> Outcome:
    """Run a stream of one source to its end."""
    collector, said = Collector(), list[str]()
    stream = Stream(detector, [source], [collector], said.append, exit_on_loss=exit_on_loss)
    last = stream.run()
    driver = getattr(source, "_driver", None)
    return Outcome(collector.lines, last, said, driver.now_s() if driver is not None else 0.0)


def rehearse(
    detector: Detector,
    path: Path,
    *faults: str,
    channel: int | None = None,
    exit_on_loss: bool = False,
) -> Outcome:
    """Rehearse a file as the command does, as fast as it goes."""
    device = RehearsedDevice(str(path), math.inf, [parse_fault(text) for text in faults])
    return watch(detector, Microphone(None, channel, device), exit_on_loss=exit_on_loss)


def replay(detector: Detector, path: Path) -> Outcome:
    """Replay a file as the command does."""
    return watch(detector, AudioFile(str(path)))


def without(lines: Sequence[Line], *names: str) -> list[Line]:
    """Lines without some of their fields."""
    return [{k: v for k, v in line.items() if k not in names} for line in lines]


def parts(account: Account) -> dict[str, float]:
    """The parts that make the total."""
    return {
        "scored": account.scored_s,
        "not scored": account.not_scored_s,
        "silent": account.silent_s,
        "lost": account.lost_s,
        "paused": account.paused_s,
    }


def assert_adds_up(account: Account, rate_hz: int | None = None) -> None:
    """Hold total against parts; at a single rate each is a whole number of samples."""
    if rate_hz is None:
        assert sum(parts(account).values()) == pytest.approx(account.total_s, abs=1e-9)
        return
    counts = [value * rate_hz for value in (account.total_s, *parts(account).values())]
    whole = [round(count) for count in counts]
    assert counts == pytest.approx(whole, abs=1e-6)
    assert whole[0] == sum(whole[1:])


def labels_of(
    lines: Sequence[Line], n: int, rate_hz: int, continuous: bool = False
) -> Counter[str]:
    """Label each of `n` samples by the lines alone; none twice but where windows overlap."""
    labels = np.full(n, "silent", dtype="U10")
    for line in lines:
        if line["type"] == "gap":
            start, end = (
                round(x * rate_hz) for x in (line["start_s"], line["start_s"] + line["lost_s"])
            )
            assert 0 <= start < end <= n
            assert set(labels[start:end]) == {"silent"}
            labels[start:end] = "lost"
    slack = 1 + rate_hz // GRID_HZ  # a place of the front end's rate is some of the device's
    for line in lines:
        if line["type"] == "segment":
            # As the segmenter has it, before the line's digits.
            start_s, duration_s = (
                round(line[name] * GRID_HZ) / GRID_HZ for name in ("start_s", "duration_s")
            )
            start, end = round(start_s * rate_hz), round((start_s + duration_s) * rate_hz)
            here = labels[start:end]
            assert np.count_nonzero(here == "lost") <= slack, line
            taken = np.count_nonzero((here == "scored") | (here == "not scored"))
            assert continuous or taken == 0, line
            scored = "not scored" if line["verdict"] == "not scored" else "scored"
            here[here == "silent"] = scored
    return Counter(labels.tolist())


def assert_labels(outcome: Outcome, rate_hz: int, continuous: bool = False) -> None:
    """Hold the account against the lines, to the sample."""
    account = outcome.last.account
    assert_adds_up(account, rate_hz)
    labels = labels_of(outcome.lines, round(account.total_s * rate_hz), rate_hz, continuous)
    told = {name: round(value * rate_hz) for name, value in parts(account).items() if value}
    assert told == dict(labels)
    by_clock = [line["lost_s"] for line in outcome.of("gap") if line["cause"] == "clock"]
    assert account.lost_by_clock_s == pytest.approx(sum(by_clock), abs=1e-9)


def assert_in_order(outcome: Outcome) -> None:
    """What was before a gap is told before it, `stalled`, `reconnecting`, gap, then what follows.

    No time of a state goes back, none is told twice in a row, no scored segment touches a gap.
    """
    times = [datetime.fromisoformat(line["time"]) for line in outcome.of("state")]
    assert times == sorted(times)
    assert all(one != other for one, other in pairwise(outcome.states))
    for at, gap in enumerate(outcome.lines):
        if gap["type"] != "gap":
            continue
        end_s = gap["start_s"] + gap["lost_s"]
        for line in outcome.lines[:at]:
            if line["type"] == "segment":
                assert line["start_s"] + line["duration_s"] <= gap["start_s"] + 2 / GRID_HZ
        for line in outcome.lines[at:]:
            if line["type"] == "segment":
                assert line["start_s"] >= end_s - 2 / GRID_HZ
        before = [line["state"] for line in outcome.lines[:at] if line["type"] == "state"]
        after = [line["state"] for line in outcome.lines[at:] if line["type"] == "state"]
        if gap["cause"] in ("device", "stall"):
            assert before[-2:] == ["stalled", "reconnecting"]
            assert not after or after[0] in ("live", "warming up")
        else:
            assert "reconnecting" not in before[-1:]


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory, demo_stream: Samples) -> Path:
    """Write ten seconds of the demo's stream, at 8,000 Hz."""
    path = tmp_path_factory.mktemp("rehearsal") / "ten.wav"
    soundfile.write(path, demo_stream[6 * 8000 : 16 * 8000], 8000)
    return path


@pytest.fixture(scope="session")
def machine_detector(machine_model: Path) -> Detector:
    """Read the model of continuous mode."""
    return read_model(machine_model)


@pytest.fixture(scope="session")
def machine_file(
    tmp_path_factory: pytest.TempPathFactory, make_machine: Callable[[int, float], Samples]
) -> Path:
    """Write ten seconds of a machine, its bearing gone after five."""
    sound = make_machine(100, 10.0)
    sound[40_000:60_000] += 0.05 * np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    path = tmp_path_factory.mktemp("machine file") / "machine.wav"
    soundfile.write(path, sound, 8000)
    return path


# --- live equals file ----------------------------------------------------------------------------


def test_the_command_rehearses_what_it_replays(
    run: Run, parse: Parse, root: Path, demo_model: Path
) -> None:
    """The demo's stream gives the same segments live, with a time of day; states come beside."""
    file = root / "monitor" / "demo" / "stream.flac"
    live = run("monitor", demo_model, "--rehearse", file, "--speed", "max")
    replayed = run("replay", demo_model, file)
    assert (live.returncode, replayed.returncode) == (0, 0)
    assert live.stderr == replayed.stderr
    lines = parse(live.stdout)
    segments = [line for line in lines if line["type"] == "segment"]
    assert without(segments, "time") == without(parse(replayed.stdout), "time")
    assert len(segments) > 30
    assert [line["state"] for line in lines if line["type"] == "state"] == ["warming up", "live"]
    began = {
        round(datetime.fromisoformat(line["time"]).timestamp() - line["start_s"], 2)
        for line in segments
    }
    assert max(began) - min(began) < 0.05


@pytest.fixture(scope="session", params=[44_100, 48_000])
def stereo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, demo_stream: Samples
) -> tuple[Path, Path, int]:
    """Write the demo's stream in stereo at a common rate, and its second channel alone."""
    rate_hz: int = request.param
    folder = tmp_path_factory.mktemp("stereo")
    first = soxr.resample(demo_stream[: 30 * 8000], 8000, rate_hz)
    second = 0.5 * np.roll(first, rate_hz // 3)[::-1]
    both, alone = folder / "both.wav", folder / "second.wav"
    soundfile.write(both, np.stack([first, second], axis=1), rate_hz, subtype="FLOAT")
    soundfile.write(alone, second, rate_hz, subtype="FLOAT")
    return both, alone, rate_hz


def test_a_stereo_file_live_equals_itself(
    demo_detector: Detector, stereo: tuple[Path, Path, int]
) -> None:
    """At the rates of sound cards, both channels or one of them: the lines of the replayed file."""
    both, alone, rate_hz = stereo
    for live, file in (
        (rehearse(demo_detector, both), replay(demo_detector, both)),
        (rehearse(demo_detector, both, channel=2), replay(demo_detector, alone)),
    ):
        segments = without(live.of("segment"), "time", "source")
        assert segments == without(file.lines, "time", "source")
        assert len(segments) > 5
        assert live.last.account == file.last.account
        for outcome in (live, file):
            assert_labels(outcome, rate_hz)


@pytest.mark.parametrize("channel", [None, 1, 4])
def test_many_channels_live_equal_themselves(
    demo_detector: Detector, demo_stream: Samples, tmp_path: Path, channel: int | None
) -> None:
    """Of four channels all are mixed, or the one is heard that was asked for, as in a replay."""
    file = tmp_path / "four.wav"
    first = demo_stream[6 * 8000 : 16 * 8000]
    channels = np.stack([first, 0.1 * first[::-1], 0.2 * np.roll(first, 999), -0.5 * first], axis=1)
    soundfile.write(file, channels, 8000, subtype="FLOAT")
    live = rehearse(demo_detector, file, channel=channel)
    if channel is not None:
        soundfile.write(file, channels[:, channel - 1], 8000, subtype="FLOAT")
    replayed = replay(demo_detector, file)
    assert without(live.of("segment"), "time") == without(replayed.lines, "time")
    assert len(replayed.lines) >= 5


def test_real_recordings_live_equal_themselves(
    demo_detector: Detector, six_folder: Path, tmp_path: Path
) -> None:
    """Recordings of sixes one after the other, in their own noise: the same lines live."""
    rng = np.random.default_rng(0)
    pieces: list[Samples] = []
    for path in sorted(six_folder.glob("*.flac"))[::200]:
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == 48_000
        noise = rng.normal(size=48_000) * np.std(samples[:480])
        pieces += [samples, noise.astype(np.float32)]
    file = tmp_path / "sixes.wav"
    soundfile.write(file, np.concatenate(pieces), 48_000)
    live, replayed = rehearse(demo_detector, file), replay(demo_detector, file)
    assert without(live.of("segment"), "time") == without(replayed.lines, "time")
    assert len(replayed.lines) >= 10
    assert_labels(live, 48_000)
    assert live.last.account == replayed.last.account


def test_windows_live_equal_themselves(machine_detector: Detector, machine_file: Path) -> None:
    """Continuous mode: the same windows and alarms, overlapping samples counted once."""
    live, replayed = (f(machine_detector, machine_file) for f in (rehearse, replay))
    told = [line for line in live.lines if line["type"] != "state"]
    assert without(told, "time") == without(replayed.lines, "time")
    assert replayed.of("alarm")
    for outcome in (live, replayed):
        assert_labels(outcome, 8000, continuous=True)
        assert outcome.last.account.total_s == 10.0


def test_odd_rates_keep_time(demo_detector: Detector, demo_stream: Samples, tmp_path: Path) -> None:
    """At a rate of which no whole number of samples makes a block, the clock still fits."""
    file = tmp_path / "odd.wav"
    samples = soxr.resample(demo_stream[6 * 8000 : 16 * 8000], 8000, 11_111)
    soundfile.write(file, samples, 11_111, subtype="FLOAT")
    live = rehearse(demo_detector, file)
    assert live.clock_s == pytest.approx(len(samples) / 11_111, abs=2 * BLOCK_S)
    assert without(live.of("segment"), "time") == without(replay(demo_detector, file).lines, "time")
    lost = rehearse(demo_detector, file, "unplug@3:2")
    assert round(lost.last.account.total_s * 11_111) == pytest.approx(len(samples), abs=2)


# --- every fault ---------------------------------------------------------------------------------


FILE_S = 10.0
WHOLE = [
    ("unplug@5:0.01",),
    ("unplug@5.123:0.1",),
    ("unplug@4.9:3",),
    ("overflow@5.3:0.5",),
    ("overflow@5.3:0.01",),
    ("overflow@2:3",),
    ("freeze@3.3:0.2",),
    ("freeze@3.3:1.5",),
    ("freeze@3:3",),
    ("zeros@2:4",),
    ("unplug@2:1", "overflow@3.5:0.3", "freeze@5:1", "zeros@7:2.5"),
    ("overflow@2:0.4", "overflow@2.6:0.4", "unplug@2.8:0.1"),
    ("unplug@0:1",),
    ("freeze@3:1", "unplug@4.3:1"),
]


@pytest.mark.parametrize("faults", WHOLE, ids=" ".join)
def test_every_sample_of_the_file_has_one_fate(
    demo_detector: Detector, ten: Path, faults: tuple[str, ...]
) -> None:
    """Whatever went wrong on the way: as many samples as the file has, each by its lines."""
    outcome = rehearse(demo_detector, ten, *faults)
    assert_in_order(outcome)
    assert_labels(outcome, 8000)
    assert round(outcome.last.account.total_s * 8000) == 80_000
    assert outcome.last.problem is None


@pytest.mark.parametrize("faults", WHOLE, ids=" ".join)
def test_every_sample_of_windows_has_one_fate(
    machine_detector: Detector, machine_file: Path, faults: tuple[str, ...]
) -> None:
    """The same in continuous mode, where windows overlap."""
    outcome = rehearse(machine_detector, machine_file, *faults)
    assert_in_order(outcome)
    assert_labels(outcome, 8000, continuous=True)


@pytest.mark.parametrize(("lasts_s", "gone_s"), [(0.01, 0.25), (0.1, 0.25), (3.0, 3.25)])
def test_an_unplugged_device(
    demo_detector: Detector, ten: Path, lasts_s: float, gone_s: float
) -> None:
    """Told at once, however short; back as soon as it is looked for, with a gap as long."""
    outcome = rehearse(demo_detector, ten, f"unplug@5:{lasts_s}")
    [gap] = outcome.of("gap")
    assert gap["cause"] == "device"
    assert gap["start_s"] == pytest.approx(5.0, abs=BLOCK_S)
    assert gap["lost_s"] == pytest.approx(gone_s, abs=2 * BLOCK_S)
    assert outcome.states == ["warming up", "live", "stalled", "reconnecting", "live"]
    assert outcome.last.account.lost_by_clock_s == 0


def test_a_device_that_stays_away(demo_detector: Detector, ten: Path) -> None:
    """The gap reaches to the end of the file, and the input was lost."""
    outcome = rehearse(demo_detector, ten, "unplug@5.1:100")
    assert_in_order(outcome)
    assert_labels(outcome, 8000)
    [gap] = outcome.of("gap")
    assert outcome.lines[-1] == gap
    assert gap["start_s"] + gap["lost_s"] == pytest.approx(FILE_S, abs=1e-6)
    assert outcome.states[-2:] == ["stalled", "reconnecting"]
    assert outcome.said == [outcome.last.problem]
    assert "was lost and has not come back" in outcome.said[0]


def test_a_device_that_never_brings_anything(demo_detector: Detector, ten: Path) -> None:
    """One that is gone from the beginning is lost, too: all is a gap."""
    outcome = rehearse(demo_detector, ten, "unplug@0:100")
    assert outcome.states == ["stalled", "reconnecting"]
    assert outcome.of("gap") == [
        {"type": "gap", "start_s": 0.0, "lost_s": pytest.approx(FILE_S), "cause": "device"}
    ]
    assert outcome.of("segment") == []
    assert outcome.last.problem is not None
    assert outcome.last.account == Account(total_s=FILE_S, lost_s=FILE_S)


@pytest.mark.parametrize("lasts_s", [0.1, 0.5, 1.0, 1.8])
def test_a_short_freeze(demo_detector: Detector, ten: Path, lasts_s: float) -> None:
    """Below two seconds nobody says anything: the clock finds it, where it was."""
    outcome = rehearse(demo_detector, ten, f"freeze@3:{lasts_s}")
    [gap] = outcome.of("gap")
    assert gap["cause"] == "clock"
    assert gap["lost_s"] == pytest.approx(lasts_s, abs=BLOCK_S + 0.001)
    assert gap["start_s"] == pytest.approx(3.0, abs=BLOCK_S)
    assert outcome.states == ["warming up", "live"]
    assert outcome.last.account.lost_by_clock_s == gap["lost_s"]


@pytest.mark.parametrize("lasts_s", [0.1, 0.5, 1.8])
def test_no_sound_is_scored_across_what_only_the_clock_tells(
    demo_detector: Detector, ten: Path, lasts_s: float
) -> None:
    """Wherever in a sound it is: the sound before the loss is a gap, nothing has the splice in it.

    What is scored is what `replay` scores there, or is the rest of a sound after the loss.
    """
    whole = replay(demo_detector, ten).of("segment")
    for line in whole:
        at_s = line["start_s"] + line["duration_s"] / 2
        if at_s + lasts_s > FILE_S - 1:
            continue
        outcome = rehearse(demo_detector, ten, f"freeze@{at_s}:{lasts_s}")
        [gap] = outcome.of("gap")
        assert gap["start_s"] == pytest.approx(at_s, abs=BLOCK_S)
        assert gap["start_s"] + gap["lost_s"] == pytest.approx(at_s + lasts_s, abs=BLOCK_S)
        assert_labels(outcome, 8000)
        before = [s for s in outcome.of("segment") if s["start_s"] < gap["start_s"] - 0.1]
        assert before[-1]["reason"] == "gap"
        sure = [s for s in before[:-1] if s["verdict"] != "not scored"]
        n = len([s for s in whole if s["start_s"] < line["start_s"]])
        assert without(sure, "time") == without(whole[:n], "time")


@pytest.mark.parametrize("lasts_s", [2.5, 4.0])
def test_a_long_freeze(demo_detector: Detector, ten: Path, lasts_s: float) -> None:
    """Beyond two seconds it is a stall, told within three, and the device is opened again."""
    outcome = rehearse(demo_detector, ten, f"freeze@2:{lasts_s}")
    stalled = next(line for line in outcome.lines if line.get("state") == "stalled")
    began = datetime.fromisoformat(outcome.lines[0]["time"])
    assert 4.0 <= (datetime.fromisoformat(stalled["time"]) - began).total_seconds() <= 5.0
    [gap] = outcome.of("gap")
    assert gap["cause"] == "stall"
    assert gap["start_s"] == pytest.approx(2.0, abs=BLOCK_S)
    assert gap["lost_s"] >= lasts_s - BLOCK_S
    assert outcome.last.account.total_s >= FILE_S - 1e-9


def test_an_overflow(demo_detector: Detector, ten: Path) -> None:
    """It is told where it was and how long, and that is all that happens."""
    outcome = rehearse(demo_detector, ten, "overflow@5:0.5")
    [gap] = outcome.of("gap")
    assert gap["cause"] == "overflow"
    assert gap["start_s"] == pytest.approx(5.0, abs=BLOCK_S)
    assert gap["lost_s"] == pytest.approx(0.5, abs=2 * BLOCK_S)
    assert outcome.states == ["warming up", "live"]


def test_digital_zeros(demo_detector: Detector, ten: Path) -> None:
    """A cable that is out for four seconds: `digital zero` after two of them, live with sound."""
    outcome = rehearse(demo_detector, ten, "zeros@2:4")
    assert outcome.states == ["warming up", "live", "digital zero", "live"]
    began, _, zero, live = (
        datetime.fromisoformat(line["time"]).timestamp() for line in outcome.of("state")
    )
    assert zero - began == pytest.approx(4.0, abs=0.2)
    assert live - began == pytest.approx(6.0, abs=0.2)
    assert outcome.of("gap") == []


@pytest.mark.parametrize("ppm", [-300, 300])
def test_drift_loses_nothing(demo_detector: Detector, ten: Path, ppm: int) -> None:
    """A device whose clock is slow, or fast, gives the same segments, and no gap."""
    outcome = rehearse(demo_detector, ten, f"drift@1:{ppm}")
    assert outcome.of("gap") == []
    still = rehearse(demo_detector, ten)
    assert without(outcome.of("segment"), "time") == without(still.of("segment"), "time")
    assert outcome.clock_s - still.clock_s == pytest.approx(9e-6 * ppm, abs=1e-4)


@pytest.mark.parametrize(
    ("before_hz", "after_hz"),
    [(44_100, 48_000), (48_000, 44_100), (48_000, 16_000), (8000, 44_101), (16_000, 8000)],
)
def test_another_rate(
    demo_detector: Detector, demo_stream: Samples, tmp_path: Path, before_hz: int, after_hz: int
) -> None:
    """A device that comes back at another rate: sounds after it score as those of the file."""
    file = tmp_path / "file.wav"
    sound = soxr.resample(demo_stream[6 * 8000 : 22 * 8000], 8000, before_hz)
    soundfile.write(file, sound, before_hz, subtype="FLOAT")
    outcome, whole = (
        rehearse(demo_detector, file, f"rate@3:{after_hz}"),
        replay(demo_detector, file),
    )
    assert_in_order(outcome)
    assert_adds_up(outcome.last.account)
    assert outcome.last.account.total_s == pytest.approx(16.0, abs=0.001)
    [gap] = outcome.of("gap")
    assert (gap["cause"], outcome.last.rate_hz) == ("device", before_hz)
    end_s = gap["start_s"] + gap["lost_s"]
    after = [line for line in outcome.of("segment") if line["start_s"] > end_s + 0.1]
    expected = [line for line in whole.lines if line["start_s"] > end_s + 0.1]
    assert len(after) == len(expected) >= 5
    for line, same in zip(after, expected, strict=True):
        assert line["start_s"] == pytest.approx(same["start_s"], abs=0.02)
        assert line["duration_s"] == pytest.approx(same["duration_s"], abs=0.02)
        if line["duration_s"] == same["duration_s"]:
            error = same["reconstruction_error"]
            assert line["reconstruction_error"] == pytest.approx(error, rel=0.05)
            assert line["isolation_score"] == pytest.approx(same["isolation_score"], abs=0.005)


def test_a_rate_that_changes_unseen(demo_detector: Detector, ten: Path) -> None:
    """A device that changes its rate while it is unplugged comes back at the new one, twice too."""
    for faults in (["unplug@2:3", "rate@3:44100"], ["rate@2:48000", "rate@3.5:44100"]):
        device = RehearsedDevice(str(ten), math.inf, [parse_fault(text) for text in faults])
        source = Microphone(None, None, device)
        outcome = watch(demo_detector, source)
        assert source.rate_hz == 44_100
        assert outcome.last.account.total_s == pytest.approx(FILE_S, abs=0.001)
        assert outcome.lines[-1]["type"] == "segment"


fault_lists = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["unplug", "freeze", "overflow", "zeros"]), st.floats(0.06, 6)),
        st.tuples(st.just("rate"), st.sampled_from([7000, 8000, 16_000, 44_100])),
        st.tuples(st.just("drift"), st.floats(-300, 300)),
    ).flatmap(
        lambda fault: st.floats(0.05, 11).map(lambda at: f"{fault[0]}@{at:.3f}:{fault[1]:.3f}")
    ),
    min_size=1,
    max_size=4,
)


def test_any_faults_are_accounted(demo_detector: Detector, ten: Path) -> None:
    """Up to four at once: no crash, all in order, every second has one fate, the end is told."""

    @settings(deadline=None, max_examples=60)
    @given(fault_lists)
    def hold(faults: list[str]) -> None:
        outcome = rehearse(demo_detector, ten, *faults)
        assert_in_order(outcome)
        account = outcome.last.account
        if any("rate" in fault for fault in faults):
            assert_adds_up(account)
        else:
            assert_labels(outcome, 8000)
        is_lost = outcome.states[-1:] in (["stalled"], ["reconnecting"])
        assert (outcome.last.problem is not None) == is_lost
        assert outcome.said == ([outcome.last.problem] if is_lost else [])
        if is_lost and account.total_s:
            assert outcome.lines[-1]["type"] == "gap"
            assert outcome.lines[-1]["cause"] in ("device", "stall")
            assert account.total_s == pytest.approx(outcome.clock_s, abs=0.06)
        # What froze, or was dropped, just before the end of the file was no loss yet.
        assert outcome.clock_s - 2.5 < account.total_s < outcome.clock_s + 0.06

    hold()


def test_any_faults_are_accounted_in_windows(
    machine_detector: Detector, machine_file: Path
) -> None:
    """The same in continuous mode."""

    @settings(deadline=None, max_examples=25)
    @given(fault_lists)
    def hold(faults: list[str]) -> None:
        outcome = rehearse(machine_detector, machine_file, *faults)
        assert_in_order(outcome)
        if any("rate" in fault for fault in faults):
            assert_adds_up(outcome.last.account)
        else:
            assert_labels(outcome, 8000, continuous=True)

    hold()


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "cause"), [("unplug@5:3", "device"), ("freeze@5:3", "stall")])
def test_exit_on_loss(demo_detector: Detector, ten: Path, fault: str, cause: str) -> None:
    """The first loss ends the run: all before it is given, the gap told, one sentence said."""
    outcome = rehearse(demo_detector, ten, fault, exit_on_loss=True)
    assert_in_order(outcome)
    assert_labels(outcome, 8000)
    assert outcome.lines[-1]["type"] == "gap"
    assert outcome.lines[-1]["cause"] == cause
    assert outcome.said == [outcome.last.problem]
    assert "--exit-on-loss" in outcome.said[0]
    whole = rehearse(demo_detector, ten).of("segment")
    early = [line for line in whole if line["start_s"] + line["duration_s"] < 5.0]
    assert without(outcome.of("segment"), "time") == without(early, "time")
    assert len(early) >= 3


def test_exit_on_loss_bears_what_is_none(demo_detector: Detector, ten: Path) -> None:
    """Overflows, zeros, drift and what the clock finds are no reason to end."""
    faults = ["overflow@2:0.5", "zeros@3:2.5", "drift@0:100", "freeze@6:1"]
    outcome = rehearse(demo_detector, ten, *faults, exit_on_loss=True)
    assert outcome.last.account.total_s == pytest.approx(FILE_S, abs=0.01)
    assert outcome.last.problem is None


def test_a_file_that_is_cut_short(demo_detector: Detector, ten: Path, tmp_path: Path) -> None:
    """All that is there is heard as in a replay, and the same is said, also after a loss."""
    cut = tmp_path / "cut.wav"
    cut.write_bytes(ten.read_bytes()[:100_000])
    live, replayed = rehearse(demo_detector, cut), replay(demo_detector, cut)
    assert without(live.of("segment"), "time") == without(replayed.lines, "time")
    assert live.last.account == replayed.last.account
    assert live.said == replayed.said
    assert "cut short" in live.said[0]
    assert rehearse(demo_detector, cut, "unplug@2:1").said == replayed.said


def test_a_file_that_is_damaged(
    demo_detector: Detector, demo_stream: Samples, tmp_path: Path
) -> None:
    """Where decoding fails, in the middle or while the device is away, that is said."""
    whole, half = tmp_path / "whole.flac", tmp_path / "half.flac"
    soundfile.write(whole, demo_stream[: 16 * 8000], 8000)
    data = whole.read_bytes()
    half.write_bytes(data[: len(data) // 2])
    for faults in ([], ["unplug@2:5"]):
        outcome = rehearse(demo_detector, half, *faults)
        assert "is damaged: decoding fails in it" in outcome.said[0]
        assert outcome.last.problem is not None


def test_nothing_is_left_over(
    demo_detector: Detector, demo_stream: Samples, tmp_path: Path
) -> None:
    """After fifty rehearsals in one process there is no thread and no descriptor of theirs."""
    file = tmp_path / "two.wav"
    soundfile.write(file, demo_stream[: 2 * 8000], 8000)
    descriptors = Path("/proc/self/fd")
    before = len(os.listdir(descriptors)) if descriptors.exists() else 0
    for i in range(50):
        rehearse(demo_detector, file, "unplug@1:0.2", f"rate@1.2:{8000 + i}", channel=1)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("offkey")]
    if descriptors.exists():
        assert len(os.listdir(descriptors)) <= before


# --- the device, and pace ------------------------------------------------------------------------


def test_pace(ten: Path) -> None:
    """At a finite speed time passes, and a slow one keeps nobody who wants to leave."""
    device = RehearsedDevice(str(ten), 50.0)
    source = Microphone(None, None, device)
    began_s = _real_s()
    with source:
        n = sum(len(block.samples) for block in source.blocks(threading.Event(), threading.Event()))
    assert n == 80_000
    assert _real_s() - began_s >= 0.19
    slow = Microphone(None, None, RehearsedDevice(str(ten), 1e-3))
    with slow:
        blocks = slow.blocks(threading.Event(), threading.Event())
        began_s = _real_s()
        assert all(len(next(blocks).samples) == 0 for _ in range(2))
        assert _real_s() - began_s < 20
        assert slow.state == "opening"


def _real_s() -> float:
    return os.times().elapsed


def test_a_stop_during_an_opening_that_hangs(ten: Path) -> None:
    """Who is asked to stop while a frozen device is opened waits no longer, nor does the clock."""
    device = RehearsedDevice(str(ten), 1e-3, [parse_fault("freeze@0:100")])
    device._now_s = 1.0
    stop = threading.Event()
    stop.set()
    began_s = _real_s()
    with pytest.raises(DeviceError, match="cannot be opened"):
        device.open(device.find(None), 1, lambda *_: None, stop)
    assert _real_s() - began_s < 60
    assert device.now_s() == 1.0


def test_a_channel_that_is_not_there(ten: Path) -> None:
    """The rehearsed device has as many channels as the file."""
    with pytest.raises(InputError, match="no channel 2"):
        Microphone(None, 2, RehearsedDevice(str(ten)))


# --- wrong usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unplug",
        "unplug@",
        "unplug@1",
        "unplug@1:",
        "unplug@:1",
        "unplug@1:2:3",
        "unplug@a:b",
        "unplug@-1:2",
        "unplug@1:-2",
        "unplug@1:0",
        "unplug@nan:1",
        "unplug@1:nan",
        "unplug@inf:1",
        "unplug@1:inf",
        "unplug@1e400:1",
        "rate@1:0",
        "rate@1:999",
        "rate@1:1e9",
        "drift@1:nan",
        "drift@1:1e6",
        "drift@1:-inf",
        "explode@1:2",
        "Unplug@1:2",
        "@1:2",
    ],
)
def test_a_fault_that_is_none_is_one_sentence(text: str) -> None:
    """An unknown kind lists the known ones; numbers without sense are shown, with an example."""
    with pytest.raises(InputError, match="For example --inject unplug@12:3") as caught:
        parse_fault(text)
    sentence = str(caught.value)
    assert repr(text) in sentence or all(kind in sentence for kind in FAULTS)
    assert "\n" not in sentence
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["unplug@0:0.01", "drift@3:-300", "drift@0:0", "rate@1.5:44100"])
def test_a_fault_is_read(text: str) -> None:
    """What is asked for is what happens."""
    fault = parse_fault(text)
    assert text == f"{fault.kind}@{fault.at_s:g}:{fault.value:g}"


def test_wrong_usage_is_one_sentence(run: Run, demo_model: Path, ten: Path, tmp_path: Path) -> None:
    """Each wrong command line has its exit code and one sentence, and prints no line."""
    text, empty, cut = tmp_path / "text.wav", tmp_path / "empty.wav", tmp_path / "cut.wav"
    text.write_text("not a sound")
    soundfile.write(empty, np.empty(0, np.float32), 8000)
    cut.write_bytes(ten.read_bytes()[:60_000])
    fast = ("--speed", "max")
    cases: list[tuple[int, str, list[Any]]] = [
        (2, "There is no fault 'explode'", ["--rehearse", ten, "--inject", "explode@1:2"]),
        (2, "out of range", ["--rehearse", ten, "--inject", "unplug@nan:2"]),
        (2, "go with --rehearse", ["--inject", "unplug@1:2"]),
        (2, "go with --rehearse", ["--speed", "max"]),
        (2, "goes with --log.", ["--rehearse", ten, "--log-limit", "5MB"]),
        (2, "goes with --save.", ["--rehearse", ten, "--save-limit", "5MB"]),
        (2, "exclude each other", ["--rehearse", ten, "--device", "usb"]),
        (2, "exclude each other", ["--rehearse", ten, "--input", "-"]),
        (2, "no channel 3", ["--rehearse", ten, "--channel", "3"]),
        (2, "--speed", ["--rehearse", ten, "--speed", "nan"]),
        (2, "does not exist", ["--rehearse", tmp_path / "nothing.wav"]),
        (2, "not an audio file", ["--rehearse", text]),
        (2, "is a folder", ["--rehearse", tmp_path]),
        (0, "0 segments", ["--rehearse", empty, *fast]),
        (1, "cut.wav is cut short", ["--rehearse", cut, *fast]),
        (1, "was lost", ["--rehearse", ten, "--inject", "unplug@5:100", *fast]),
        (
            1,
            "--exit-on-loss",
            ["--rehearse", ten, "--inject", "unplug@5:1", "--exit-on-loss", *fast],
        ),
    ]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda case: run("monitor", demo_model, *case[2]), cases))
    for (code, sentence, arguments), outcome in zip(cases, done, strict=True):
        assert outcome.returncode == code, arguments
        assert sentence in outcome.stderr, arguments
        assert "Traceback" not in outcome.stderr, arguments
        said = [line for line in outcome.stderr.splitlines() if line.startswith("offkey: ")]
        usage = outcome.stderr.startswith("Usage: ")
        assert len(said) == (0 if usage or code == 0 else 1), outcome.stderr
        assert code == 1 or outcome.stdout == "", arguments


def test_a_damaged_file_is_told_before_anything_begins(tmp_path: Path) -> None:
    """A file that is none is refused when the device is made, not when it is opened."""
    path = tmp_path / "none.wav"
    with pytest.raises(AudioError, match="does not exist"):
        RehearsedDevice(str(path))
