"""From anomalous segments to alarms, held against naive rules; and continuous mode as a whole."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.detector import Score
from model.segment import Segment
from monitor.alarms import SoundAlarms, WindowAlarms
from monitor.events import Alarm, Heard

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]

HOP_S, SIZE_S = 0.25, 0.5


def window(i: int, p: float | None) -> Heard:
    """Make the i-th window; `p` is None where it is normal, 0 where it is not scored."""
    if p is None:
        score = Score("normal", p=0.5)
    elif p == 0:
        score = Score("not scored", "silent")
    else:
        score = Score("anomalous", p=p)
    return Heard("x", None, Segment(np.zeros(0, np.float32), i * HOP_S, SIZE_S), score, i)


def alarms_by_hand(ps: list[float | None]) -> list[tuple[int, Alarm]]:
    """Look back three windows from each: where two are odd there is an alarm, from odd to odd.

    Gives the number of the window that raises each alarm with it.
    """
    odd = [bool(p) for p in ps]
    alarming = [sum(odd[max(0, i - 2) : i + 1]) >= 2 for i in range(len(ps))]
    found = []
    for i, now in enumerate(alarming):
        if not now or (i and alarming[i - 1]):
            continue
        last = i
        while last + 1 < len(ps) and alarming[last + 1]:
            last += 1
        within = [j for j in range(max(0, i - 2), last + 1) if odd[j]]
        peak = min(p for p in (ps[j] for j in within) if p)
        end_s = within[-1] * HOP_S + SIZE_S
        found.append((i, Alarm(within[0] * HOP_S, end_s, peak, len(within))))
    return found


PS = st.lists(st.sampled_from([None, None, 0.0, 0.001, 0.004, 0.01]), max_size=40)


@given(PS)
def test_two_of_three_windows_alarm(ps: list[float | None]) -> None:
    """Alarms are those of the plain rule: raised at their window, told once when they are over."""
    alarms = WindowAlarms()
    raised, told = [], []
    for i, p in enumerate(ps):
        if alarms.judge(window(i, p)).alarm:
            raised.append(i)
        told.append(alarms.finished())
        assert alarms.finished() is None
    told.append(alarms.flush())
    expected = alarms_by_hand(ps)
    assert raised == [i for i, _ in expected]
    assert [alarm for alarm in told if alarm is not None] == [alarm for _, alarm in expected]


def test_one_odd_window_is_no_alarm() -> None:
    """Single odd windows, or two with two normal ones between them, alarm nobody."""
    alarms = WindowAlarms()
    for i, p in enumerate([0.001, None, None, 0.001, None, None, 0.001]):
        assert not alarms.judge(window(i, p)).alarm
        assert alarms.finished() is None
    assert alarms.flush() is None


def test_after_a_flush_nothing_is_remembered() -> None:
    """An odd window before the end of a stream and one after it make no alarm together."""
    alarms = WindowAlarms()
    alarms.judge(window(0, 0.001))
    alarms.flush()
    assert not alarms.judge(window(1, 0.001)).alarm


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_a_sound_alarms_once(segments: list[tuple[bool, bool]]) -> None:
    """In event mode the first anomalous segment of each sound raises the alarm, and no other."""
    alarms = SoundAlarms()
    raised = []
    for i, (odd, continues) in enumerate(segments):
        heard = window(i, 0.001 if odd else None)
        segment = replace(heard.segment, continues=continues and i > 0)
        raised.append(alarms.judge(replace(heard, segment=segment)).alarm)
        assert alarms.finished() is None
    # By hand: sound by sound.
    expected = [False] * len(segments)
    in_this_sound = False
    for i, (odd, continues) in enumerate(segments):
        if not continues or i == 0:
            in_this_sound = False
        if odd and not in_this_sound:
            expected[i] = in_this_sound = True
    assert raised == expected
    assert alarms.flush() is None


# --- continuous mode as a whole -----------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_machine(
    tmp_path_factory: pytest.TempPathFactory, make_machine: Callable[[int, float], Samples]
) -> Path:
    """Write twelve seconds of a machine that rattles from second 5 to 7 and, briefly, at 10.1."""
    samples = make_machine(99, 12.0)
    rng = np.random.default_rng(3)
    rattle = rng.normal(size=16_000) * (np.sin(2 * np.pi * 13 * np.arange(16_000) / 8000) > 0)
    samples[5 * 8000 : 7 * 8000] += (0.1 * rattle).astype(np.float32)
    path = tmp_path_factory.mktemp("odd machine") / "odd.wav"
    soundfile.write(path, samples, 8000)
    return path


@pytest.fixture(scope="module")
def odd_lines(run: Run, parse: Parse, machine_model: Path, odd_machine: Path) -> list[Any]:
    """Replay it through the model of the machine."""
    done = run("replay", machine_model, odd_machine)
    assert done.returncode == 0
    return parse(done.stdout)


def test_a_rattling_machine_is_one_alarm(odd_lines: list[Any]) -> None:
    """Windows come every hop; the rattle is one alarm from the first odd window to the last."""
    windows = [line for line in odd_lines if line["type"] == "segment"]
    [alarm] = [line for line in odd_lines if line["type"] == "alarm"]
    starts = [line["start_s"] for line in windows if line["verdict"] != "not scored"]
    assert starts == pytest.approx([HOP_S * i for i in range(47)])
    odd = [line for line in windows if line["verdict"] == "anomalous" and 4 < line["start_s"] < 8]
    assert set(alarm) == {"type", "start_s", "end_s", "peak_p", "windows"}
    assert alarm["start_s"] == odd[0]["start_s"]
    assert alarm["end_s"] == odd[-1]["start_s"] + odd[-1]["duration_s"]
    assert alarm["peak_p"] == min(line["p"] for line in odd)
    assert alarm["windows"] == len(odd) >= 7
    assert 4.5 <= alarm["start_s"] <= 5
    assert 7 <= alarm["end_s"] <= 7.5


def test_an_alarm_is_told_when_it_is_over(odd_lines: list[Any]) -> None:
    """The alarm's line follows the window that ended it: two of three are normal again."""
    at = next(i for i, line in enumerate(odd_lines) if line["type"] == "alarm")
    verdicts = [line["verdict"] for line in odd_lines[at - 3 : at]]
    assert verdicts == ["anomalous", "normal", "normal"]


def test_an_alarm_under_way_is_told_at_the_end(
    run: Run, parse: Parse, machine_model: Path, odd_machine: Path, tmp_path: Path
) -> None:
    """A file that ends in the middle of the rattle still tells its alarm, last."""
    samples, rate_hz = soundfile.read(odd_machine)
    soundfile.write(tmp_path / "short.wav", samples[: 6 * rate_hz], rate_hz)
    lines = parse(run("replay", machine_model, tmp_path / "short.wav").stdout)
    assert [line["type"] for line in lines].count("alarm") == 1
    assert lines[-1]["type"] == "alarm"


def test_the_alarm_of_a_machine_is_one_clip(
    run: Run, machine_model: Path, odd_machine: Path, tmp_path: Path
) -> None:
    """In continuous mode the window that raised the alarm is saved, and only that one."""
    done = run("replay", machine_model, odd_machine, "--save", tmp_path)
    assert len(list(tmp_path.glob("*.flac"))) == len(list(tmp_path.glob("*.json"))) == 1
    assert " 1 alarms" in done.stderr


def test_a_machine_as_it_was_alarms_nobody(
    run: Run, parse: Parse, machine_model: Path, make_machine: Callable[[int, float], Samples],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Eight more seconds of the steady machine give windows and no alarm."""
    soundfile.write(tmp_path / "steady.wav", make_machine(123, 8.0), 8000)
    lines = parse(run("replay", machine_model, tmp_path / "steady.wav").stdout)
    assert len(lines) >= 31
    assert {line["type"] for line in lines} == {"segment"}


def test_inspect_tells_the_windows(run: Run, machine_model: Path) -> None:
    """`inspect` of such a model says its mode, its windows and its recordings."""
    text = run("inspect", machine_model).stdout
    assert "continuous" in text
    assert "windows of 0.5 s every 0.25 s" in text
    assert "8 used" in text
