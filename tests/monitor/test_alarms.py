"""From anomalous segments to alarms; and continuous mode as a whole.

The rule itself is tested in tests/model/test_alarms.py.
"""

from __future__ import annotations

import re
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

from calibrate.crossfit import Ranked, alarm_rates
from model.alarms import Alarm, AlarmFinder, AlarmRule, Window
from model.card import AlarmRate
from model.detector import Score
from model.segment import Segment, Segmentation
from model.storage import read_model
from model.summary import describe
from monitor.alarms import SoundAlarms, WindowAlarms
from monitor.events import Heard

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


PS = st.lists(st.sampled_from([None, None, 0.0, 0.001, 0.004, 0.01]), max_size=40)
RULES = st.integers(1, 6).flatmap(lambda m: st.builds(AlarmRule, st.integers(1, m), st.just(m)))


@given(PS, RULES)
def test_windows_alarm_by_the_rule_of_the_model(ps: list[float | None], rule: AlarmRule) -> None:
    """Live, alarms are raised and told just where the finder of `model` has them."""
    alarms, finder = WindowAlarms(rule), AlarmFinder(rule)
    told: list[Alarm | None] = []
    found: list[Alarm | None] = []
    for i, p in enumerate(ps):
        start_s = i * HOP_S
        raises = finder.take(Window(start_s, start_s + SIZE_S, p or None, p != 0))
        assert alarms.judge(window(i, p)).alarm == raises
        told.append(alarms.finished())
        found.append(finder.finished())
        assert alarms.finished() is None
    told.append(alarms.flush())
    found.append(finder.flush())
    assert told == found


@given(st.lists(st.booleans(), min_size=1, max_size=60), RULES)
def test_live_alarms_are_those_that_calibration_counts(odd: list[bool], rule: AlarmRule) -> None:
    """The same windows, heard live or held out, give the same number of alarms."""
    alarms = WindowAlarms(rule)
    live = sum(
        alarms.judge(window(i, 0.004 if is_odd else None)).alarm for i, is_odd in enumerate(odd)
    )
    p = np.where(odd, 0.004, 0.5)
    cut = Segmentation("continuous", SIZE_S, HOP_S, alarm=rule)
    rates = alarm_rates(Ranked(p, 0.004), np.zeros(len(p), np.int64), 0.01, cut)
    assert rates[0].alarms == live


def test_two_of_three_windows_alarm_unless_said_otherwise() -> None:
    """Without a rule, single odd windows alarm nobody and the second of three does."""
    alarms = WindowAlarms()
    ps = [0.001, None, None, 0.001, None, 0.001]
    raised = [alarms.judge(window(i, p)).alarm for i, p in enumerate(ps)]
    assert raised == [False] * 5 + [True]


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
    assert " 1 alarm," in done.stderr


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
    """`inspect` of such a model says its mode, its windows and its recordings, and no gate."""
    text = run("inspect", machine_model).stdout
    assert "continuous" in text
    assert "windows of 0.5 s every 0.25 s" in text
    assert "8 used" in text
    assert "gate" not in text


def test_inspect_tells_the_alarms_an_hour(run: Run, machine_model: Path) -> None:
    """It says that the rate is per window, and how often each rule alarmed on held-out sound."""
    text = run("inspect", machine_model).stdout
    rates = read_model(machine_model).card.alarm_rates
    assert [(rate.k, rate.m) for rate in rates] == [(2, 3), (1, 1), (3, 5)]
    assert rates[0].hours == pytest.approx(8 * 23 * 0.25 / 3600)
    assert re.search(r"false-alarm rate per window$", text, re.M)
    assert re.search(r"^alarm +2 anomalous windows of the last 3$", text, re.M)
    assert "of held-out sound" in text
    assert re.search(r"^ +other rules: \S+ with 1 of 1, \S+ with 3 of 5$", text, re.M)


@pytest.mark.parametrize(
    ("hours", "alarms", "words"),
    [
        (2.9, (5, 58), "1.7 false alarms an hour (5 in 2.9 hours of held-out sound)"),
        (2.9, (5, 58), "other rules: 20 with 1 of 1"),
        (0.25, (2, 0), "8 false alarms an hour (2 in 15 minutes of held-out sound)"),
        (0.25, (2, 0), "other rules: none with 1 of 1"),
        (0.005, (1, 9), "200 false alarms an hour (1 in 18 seconds of held-out sound)"),
        (0.005, (1, 9), "other rules: 1,800 with 1 of 1"),
        (
            0.8,
            (0, 0),
            "none in 0.8 hours of held-out sound: below 3.8 an hour with 95 % confidence",
        ),
        (200.0, (0, 0), "in 200.0 hours of held-out sound: below 0.015 an hour"),
        (0.1, (None, None), "cannot be measured on so few windows"),
        (0.0, (), "not measured by this model"),
    ],
)
def test_alarms_an_hour_in_words(
    machine_model: Path, hours: float, alarms: tuple[int | None, ...], words: str
) -> None:
    """Rates have two digits and their counts; where no alarm was seen, there is a limit."""
    detector = read_model(machine_model)
    rules = zip(((2, 3), (1, 1)), alarms, strict=False)
    rates = tuple(AlarmRate(k, m, count, hours) for (k, m), count in rules)
    card = replace(detector.card, alarm_rates=rates)
    text = describe(replace(detector, card=card))
    assert words in " ".join(text.split())
    lines = text.partition("\nalarm ")[2].splitlines()
    assert all(len(line) <= 80 for line in lines)
