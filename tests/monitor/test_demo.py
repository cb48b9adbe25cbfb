"""`offkey demo --headless`: the whole loop without a microphone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from monitor.demo import REFERENCE, STREAM, TRUTH, outcome

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def shown(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run the demo from a folder with modules of its own that break whoever imports them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("model", "monitor", "calibrate", "offkey"):
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n")
    done = run("demo", "--headless", cwd=folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibrate.py",
        "model.py",
        "monitor.py",
        "offkey.py",
    ]
    return done


def test_the_demo_finds_what_was_planted(shown: Outcome) -> None:
    """At least 5 of 8 oddities are found with at most 2 false alarms, said in one line."""
    assert shown.returncode == 0, shown.stderr
    last = shown.stderr.splitlines()[-1]
    told = re.match(r"Found (\d+) of 8 planted oddities \(.+\); missed .+; (\d+) false alarm", last)
    assert told is not None, last
    assert int(told[1]) >= 5
    assert int(told[2]) <= 2


def test_the_line_agrees_with_the_segments_and_the_truth(shown: Outcome, parse: Parse) -> None:
    """Counted by hand from the segments and the truth, found and false alarms are the same."""
    sounds = json.loads(TRUTH.read_text())["sounds"]
    odd = [s for s in sounds if s["kind"] != "six"]
    alarms = [
        (line["start_s"], line["start_s"] + line["duration_s"])
        for line in parse(shown.stdout)
        if line["verdict"] == "anomalous"
    ]

    def meet(sound: dict[str, Any], alarm: tuple[float, float]) -> bool:
        return bool(sound["start_s"] < alarm[1] and alarm[0] < sound["end_s"])

    found = [sound for sound in odd if any(meet(sound, alarm) for alarm in alarms)]
    false = [alarm for alarm in alarms if not any(meet(sound, alarm) for sound in odd)]
    last = shown.stderr.splitlines()[-1]
    assert last.startswith(f"Found {len(found)} of {len(odd)} ")
    assert f"; {len(false)} false alarm" in last
    told = re.findall(r"\((.*?)\)", last)[0].split(", ")
    assert sorted(told) == sorted(sound["kind"] for sound in found)


def test_every_sound_of_the_stream_is_heard_once(shown: Outcome, parse: Parse) -> None:
    """Each sound of the truth meets exactly one segment, and there are no others."""
    lines = parse(shown.stdout)
    for sound in json.loads(TRUTH.read_text())["sounds"]:
        meeting = [
            line
            for line in lines
            if line["start_s"] < sound["end_s"]
            and sound["start_s"] < line["start_s"] + line["duration_s"]
        ]
        assert len(meeting) == 1, sound
    assert len(lines) == len(json.loads(TRUTH.read_text())["sounds"])


def test_what_is_shipped_is_what_was_promised() -> None:
    """Voices, takes, sixes, oddities and their kinds are as many as asked, in at most 2 MB."""
    files = sorted(REFERENCE.glob("*.flac"))
    takes: dict[str, int] = {}
    for file in files:
        _, voice, _ = file.stem.split("_")
        takes[voice] = takes.get(voice, 0) + 1
    assert len(takes) >= 28
    assert min(takes.values()) >= 6
    sounds = json.loads(TRUTH.read_text())["sounds"]
    sixes = [sound for sound in sounds if sound["kind"] == "six"]
    odd = [sound["kind"] for sound in sounds if sound["kind"] != "six"]
    assert len(sixes) >= 30
    assert not {sound["voice"] for sound in sixes} & set(takes)
    assert len(odd) == 8
    assert len({re.sub(r"digit .*", "digit", kind) for kind in odd}) >= 5
    assert sum(file.stat().st_size for file in [*files, STREAM]) <= 2_000_000


def test_a_demo_that_ends_early_counts_what_was_played() -> None:
    """Nothing that was planted after the end of the watching is missed."""
    assert outcome([], 10.0).startswith(
        "Found 0 of 1 planted oddities; missed (digit one); 0 false"
    )
    assert outcome([]).startswith("Found 0 of 8 ")
