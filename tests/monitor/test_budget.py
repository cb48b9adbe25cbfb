"""`--alarms-per-hour`: a budget follows the sounds that come, and says what it does."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.detector import Detector
from model.errors import InputError
from monitor.budget import AlarmBudget

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]


def test_the_rate_follows_the_sounds(demo_detector: Detector) -> None:
    """With 60 sounds an hour, 3 alarms an hour come to 1 in 20; a few steps on the way are told."""
    told: list[str] = []
    budget = AlarmBudget(demo_detector, 3, told.append)
    assert budget.rate == pytest.approx(3 / 600)
    for minute in range(1, 601):
        budget.update(demo_detector, minute, 60.0 * minute)
    assert budget.rate == pytest.approx(3 / 60, rel=0.25)
    assert 5 <= len(told) <= 8
    assert "from now on" in told[-1]
    assert "60 sounds" in budget.text or "61 sounds" in budget.text


def test_a_budget_is_kept_where_many_sounds_come(demo_detector: Detector) -> None:
    """Forty sounds a minute: once they are counted, the rate is not above the budget by 1 in 20."""
    budget = AlarmBudget(demo_detector, 100, lambda _: None)
    for minute in range(1, 61):
        rate = budget.update(demo_detector, 40 * minute, 60.0 * minute)
    assert 0.8 * 100 / 2400 < rate < 1.06 * 100 / 2400


def test_more_sounds_than_supposed_are_told_at_the_smallest_rate(demo_detector: Detector) -> None:
    """The rate cannot go lower, but what is to be expected grows, and is told again."""
    told: list[str] = []
    budget = AlarmBudget(demo_detector, 0.1, told.append)
    for minute in range(1, 61):
        budget.update(demo_detector, 40 * minute, 60.0 * minute)
    expected = [float(found) for text in told for found in re.findall(r"expect ([0-9.]+)", text)]
    assert expected == sorted(expected)
    assert expected[-1] == pytest.approx(2400 * demo_detector.conformity.smallest_p, rel=0.25)


def test_what_the_reference_cannot_promise_is_said(demo_detector: Detector) -> None:
    """Where 1 / (n + 1) is more than the budget, it says what to expect and what it takes."""
    told: list[str] = []
    budget = AlarmBudget(demo_detector, 0.1, told.append)
    assert budget.rate == demo_detector.conformity.smallest_p
    assert "about 6,000 recordings" in told[0]
    assert "expect 2.5" in told[0]


@pytest.mark.parametrize("asked", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused(demo_detector: Detector, asked: float) -> None:
    """Nothing, less than nothing and no number are no budgets."""
    with pytest.raises(InputError):
        AlarmBudget(demo_detector, asked, lambda _: None)


@pytest.fixture(scope="session")
def stream_file(root: Path) -> Path:
    """Find the demo's stream."""
    return next((root / "monitor" / "demo").glob("stream*.flac"))


def test_replay_keeps_a_budget(
    run: Callable[..., Outcome],
    parse: Callable[[str], list[dict[str, Any]]],
    demo_model: Path,
    stream_file: Path,
) -> None:
    """A verdict follows the rate that was in force then, never one that was told later."""
    done = run("replay", demo_model, stream_file, "--headless", "--alarms-per-hour", "30")
    assert done.returncode == 0, done.stderr
    rates = [float(found) for found in re.findall(r"p ≤ ([0-9.]+)", done.stderr)]
    scored = [line for line in parse(done.stdout) if line.get("p") is not None]
    assert scored
    odd = [line["p"] for line in scored if line["verdict"] == "anomalous"]
    normal = [line["p"] for line in scored if line["verdict"] == "normal"]
    assert max(odd) <= 1.05 * max(rates)
    assert min(normal) > 0.95 * min(rates)


def test_windows_keep_a_budget(
    run: Callable[..., Outcome],
    machine_model: Path,
    make_machine: Callable[[int, float], Samples],
    tmp_path: Path,
) -> None:
    """In continuous mode the rate stands from the start; a small reference says what is missing."""
    soundfile.write(tmp_path / "now.wav", make_machine(99, 10.0), 8000)
    done = run(
        "replay", machine_model, tmp_path / "now.wav", "--headless", "--alarms-per-hour", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "held-out windows" in done.stderr
    assert "windows are too few to promise 1 alarm an hour" in done.stderr
    told = run("inspect", machine_model).stdout
    assert "--alarms-per-hour from" in told


def test_a_budget_and_a_rate_exclude_each_other(
    run: Callable[..., Outcome], demo_model: Path, stream_file: Path
) -> None:
    """One sentence, exit code 2."""
    both = ["--alarms-per-hour", "1", "--false-alarm-rate", "0.05"]
    for words, sentence in ((both, "exclude each other"), (["--alarms-per-hour", "0"], "above 0")):
        done = run("replay", demo_model, stream_file, "--headless", *words)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_the_screen_shows_the_budget(demo_detector: Detector, stream_file: Path) -> None:
    """The line under the table holds the rate in force and the budget; the keys leave it alone."""
    from monitor.app.app import MonitorApp
    from monitor.app.session import Session
    from monitor.sources import AudioFile

    budget = AlarmBudget(demo_detector, 30, lambda _: None)
    detector = replace(demo_detector, false_alarm_rate=budget.rate)
    session = Session.of(detector, [AudioFile(str(stream_file))], title="six", budget=budget)
    app = MonitorApp(session)

    async def watch() -> str:
        async with app.run_test(size=(120, 40)) as pilot:
            while not app.engine.is_done:
                await pilot.pause(0.05)
            await pilot.pause(0.2)
            before = app.stream.detector.false_alarm_rate
            await pilot.press("plus")
            assert app.stream.detector.false_alarm_rate == before
            return str(app.table.border_subtitle)

    shown = asyncio.run(watch())
    assert "30 an hour of about" in shown
    assert app.stream.detector.false_alarm_rate == budget.rate
