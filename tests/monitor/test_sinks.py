"""Where results go: clips of alarms, a command, lines; none of them can stop the stream."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from model.audio import Block
from model.detector import Detector, Score
from model.segment import Segment
from monitor.clips import Clips
from monitor.events import Alarm, Event, Gap, Heard, StateChange
from monitor.sinks import OnAnomaly, Sink, json_line
from monitor.sources import Flag
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]

ALARMING = ("--false-alarm-rate", "0.999")
"""At this rate nearly every sound alarms, so that there is much to save."""


def read_clips(folder: Path) -> list[tuple[Line, Samples, int]]:
    """Read all clips of a folder in the order of their sounds: JSON, samples, rate."""
    clips = []
    for path in folder.glob("*.json"):
        samples, rate_hz = soundfile.read(path.with_suffix(".flac"), dtype="float32")
        clips.append((json.loads(path.read_text()), samples, rate_hz))
    return sorted(clips, key=lambda clip: float(clip[0]["start_s"]))


def score_again(detector: Detector, described: Line, samples: Samples, rate_hz: int) -> float:
    """Score the segment's span of a clip by the plain way: resample all, cut, score."""
    clip = described["clip"]
    plain = soxr.resample(samples, rate_hz, 6800, quality="HQ")
    first, n = (round(clip[f"segment_{name}_s"] * 6800) for name in ("offset", "duration"))
    assert first >= 0
    assert first + n <= len(plain)
    score = detector.score(Segment(plain[first : first + n], 0.0, n / 6800))
    assert score.reconstruction_error is not None
    return score.reconstruction_error


# 8,011 is a prime number: there a period of the resampling is a whole second.
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000, 22_050, 8011])
def test_the_sound_of_a_clip_scores_as_it_did_live(
    run: Run, parse: Parse, demo_model: Path, demo_detector: Detector, excerpt: Samples,
    tmp_path: Path, rate_hz: int,
) -> None:  # fmt: skip
    """Every alarm is saved, and its span in the clip gives the reconstruction error again."""
    sound = soxr.resample(excerpt, 8000, rate_hz, quality="VHQ")
    soundfile.write(tmp_path / "in.wav", sound, rate_hz, subtype="PCM_24")
    folder = tmp_path / "deep" / "clips"
    done = run("replay", *ALARMING, "--save", folder, demo_model, tmp_path / "in.wav")
    alarms = [line for line in parse(done.stdout) if line["verdict"] == "anomalous"]
    assert len(alarms) >= 4
    clips = read_clips(folder)
    assert len(list(folder.iterdir())) == 2 * len(clips)
    assert [{k: v for k, v in d.items() if k != "clip"} for d, _, _ in clips] == alarms
    for described, samples, clip_rate_hz in clips:
        assert clip_rate_hz == described["clip"]["rate_hz"] == rate_hz
        assert score_again(demo_detector, described, samples, rate_hz) == pytest.approx(
            described["reconstruction_error"], rel=1e-3
        )


@pytest.mark.parametrize("rate_hz", [8000, 22_050])
def test_a_clip_is_a_stretch_of_the_source(
    run: Run, demo_model: Path, excerpt: Samples, tmp_path: Path, rate_hz: int
) -> None:
    """A clip holds the source's own samples, from a multiple of the resampling period on.

    It reaches from half a second before the sound to half a second after it.
    """
    sound = soxr.resample(excerpt, 8000, rate_hz, quality="VHQ")
    soundfile.write(tmp_path / "in.wav", sound, rate_hz, subtype="PCM_24")
    source, _ = soundfile.read(tmp_path / "in.wav", dtype="float32")
    run("replay", *ALARMING, "--save", tmp_path / "clips", demo_model, tmp_path / "in.wav")
    period = rate_hz // math.gcd(rate_hz, 6800)
    for described, samples, _ in read_clips(tmp_path / "clips"):
        offset_s = described["clip"]["segment_offset_s"]
        first = round((described["start_s"] - offset_s) * rate_hz)
        assert first % period == 0
        np.testing.assert_array_equal(samples, source[first : first + len(samples)])
        assert 0.5 - period / rate_hz <= offset_s <= 0.5 + period / rate_hz
        after_s = len(samples) / rate_hz - offset_s - described["duration_s"]
        assert after_s == pytest.approx(0.5, abs=2 / rate_hz)


def test_a_sound_at_an_end_of_the_file_is_saved_with_what_there_is(
    run: Run, parse: Parse, demo_model: Path, demo_detector: Detector, excerpt: Samples,
    tmp_path: Path,
) -> None:  # fmt: skip
    """A sound at the very beginning and one at the very end have no margin there, and score."""
    soundfile.write(tmp_path / "in.wav", np.roll(excerpt, -7700)[: 8000 * 7], 8000)
    done = run("replay", *ALARMING, "--save", tmp_path / "c", demo_model, tmp_path / "in.wav")
    lines = [line for line in parse(done.stdout) if line["verdict"] == "anomalous"]
    clips = read_clips(tmp_path / "c")
    assert lines[0]["start_s"] < 0.1
    assert len(clips) == len(lines)
    for described, samples, rate_hz in clips:
        assert score_again(demo_detector, described, samples, rate_hz) == pytest.approx(
            described["reconstruction_error"], rel=1e-3
        )


class Given:
    """A source that gives the blocks that it was given."""

    name, is_live, length_s = "given", False, None
    state, problem, began = "live", None, None

    def __init__(self, rate_hz: int, blocks: list[Block]) -> None:
        self.rate_hz = rate_hz
        self._blocks = blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def blocks(self, _stop: Flag, _paused: Flag) -> Iterator[Block]:
        """Give them all."""
        yield from self._blocks


class Kept(Sink):
    """Keeps the segments of a stream."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def take(self, event: Event) -> None:
        """Keep a segment."""
        if isinstance(event, Heard):
            self.heard.append(event)


def in_blocks(samples: Samples, start: int, size: int, lost: int = 0) -> list[Block]:
    """Cut samples into blocks; before the first something was lost."""
    return [
        Block(samples[i : i + size], start + i, lost if i == 0 else 0, "overflow" if lost else None)
        for i in range(0, len(samples), size)
    ]


@pytest.mark.parametrize("pause", [0.25, 0.3, 0.4, 0.7])
def test_a_clip_before_a_gap_holds_its_own_sound(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path, pause: float
) -> None:
    """An alarm that ended shortly before samples were lost is saved with the sound that it was."""
    first = excerpt[: round((1.314 + pause) * 8000)]
    blocks = in_blocks(first, 0, 160)
    blocks += in_blocks(excerpt[20_000:], len(first) + 4000, 160, lost=4000)
    kept = Kept()
    warnings: list[str] = []
    clips = Clips(str(tmp_path), 6800, 1.0, warnings.append)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Given(8000, blocks)], [clips, kept]).run()
    sound = kept.heard[0]
    assert sound.alarm
    assert sound.segment.start_s < 1.0
    described, samples, rate_hz = read_clips(tmp_path)[0]
    assert described["start_s"] == pytest.approx(sound.segment.start_s)
    at = round((described["start_s"] - described["clip"]["segment_offset_s"]) * 8000)
    n = min(len(samples), len(first) - at)
    assert n > 4000
    np.testing.assert_allclose(samples[:n], first[at : at + n], atol=1e-6)
    assert score_again(demo_detector, described, samples, rate_hz) == pytest.approx(
        described["reconstruction_error"], rel=1e-2
    )


class Changing(Given):
    """A source that comes back at twice its rate."""

    def __init__(self, rate_hz: int, before: list[Block], after: list[Block]) -> None:
        super().__init__(rate_hz, before)
        self._after = after

    def blocks(self, _stop: Flag, _paused: Flag) -> Iterator[Block]:
        """Give the first ones, then the others at the new rate."""
        yield from self._blocks
        self.rate_hz *= 2
        yield from self._after


@pytest.mark.parametrize("pause", [0.22, 0.25, 0.28, 0.3, 0.6])
def test_a_clip_before_a_change_of_rate_holds_its_own_sound(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path, pause: float
) -> None:
    """An alarm just before the device came back at another rate is saved as it was, or not at all.

    Of a sound that was heard whole it is saved.
    """
    first = excerpt[: round((1.314 + pause) * 8000)]
    other = np.repeat(excerpt[20_000:], 2)
    again = in_blocks(other, 2 * (len(first) + 8000), 320, lost=16_000)
    clips = Clips(str(tmp_path), 6800, 1.0, pytest.fail)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Changing(8000, in_blocks(first, 0, 160), again)], [clips]).run()
    saved = read_clips(tmp_path)
    assert saved
    for described, samples, rate_hz in saved:
        at = round((described["start_s"] - described["clip"]["segment_offset_s"]) * rate_hz)
        early = described["start_s"] < len(first) / 8000
        source, begins = (first, 0) if early else (other, 2 * (len(first) + 8000))
        assert rate_hz == (8000 if early else 16_000)
        n = min(len(samples), len(source) - (at - begins))
        np.testing.assert_allclose(samples[:n], source[at - begins :][:n], atol=1e-6)
        assert len(samples) >= round(described["duration_s"] * rate_hz)
    if pause > 0.5:
        assert saved[0][0]["start_s"] < 1.0


def test_clips_of_a_second_run_do_not_replace_those_of_the_first(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path
) -> None:
    """Runs into one folder, also in the same second, leave the clips of all of them."""
    detector = replace(demo_detector, false_alarm_rate=0.999)
    saved = 0
    for _ in range(3):
        clips = Clips(str(tmp_path), 6800, 1.0, pytest.fail)
        Stream(detector, [Given(8000, in_blocks(excerpt, 0, 4000))], [clips]).run()
        saved += clips.saved
    assert saved == len(list(tmp_path.glob("*.flac"))) == len(list(tmp_path.glob("*.json"))) > 3


def test_a_folder_that_cannot_be_made_is_refused_at_once(
    run: Run, demo_model: Path, excerpt_file: Path, tmp_path: Path
) -> None:
    """Nobody listens for a night and finds no clips: exit 2 before anything is heard."""
    (tmp_path / "taken").touch()
    done = run("replay", *ALARMING, "--save", tmp_path / "taken", demo_model, excerpt_file)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "taken" in done.stderr


def test_clips_that_cannot_be_saved_are_counted_and_leave_nothing(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path
) -> None:
    """Where the folder goes away the stream goes on: one warning, and the number at the end."""
    detector = replace(demo_detector, false_alarm_rate=0.999)
    warnings: list[str] = []
    clips = Clips(str(tmp_path / "gone"), 6800, 1.0, warnings.append)
    last = Stream(detector, [Given(8000, in_blocks(excerpt, 0, 4000))], [clips]).run()
    assert clips.failed == last.alarms > 1
    assert len(warnings) == 2
    assert f"not saved: {clips.failed}" in warnings[1]
    assert not list(tmp_path.iterdir())


# --- the command for alarms ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def bang(wav: Callable[..., bytes]) -> bytes:
    """Make a WAV of four seconds with one burst of noise."""
    rng = np.random.default_rng(1)
    samples = 1e-4 * rng.normal(size=32_000)
    samples[16_000:19_000] += 0.1 * rng.normal(size=3000)
    return wav(samples.astype(np.float32), 8000)


def test_the_command_gets_the_line_on_its_stdin(
    run: Run, parse: Parse, demo_model: Path, bang: bytes, tmp_path: Path
) -> None:
    """The command of an alarm reads the alarm's own JSON line, and the run waits for its end."""
    copy = "import sys, time; time.sleep(.5); open(sys.argv[1], 'w').write(sys.stdin.read())"
    script = tmp_path / "a script.py"
    script.write_text(copy)
    command = f"{sys.executable} '{script}' {tmp_path}/got.json"
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", command, stdin=bang)
    [line] = [line for line in parse(done.stdout) if line["type"] == "segment"]
    assert parse((tmp_path / "got.json").read_text()) == [line]
    assert done.returncode == 0


def test_the_command_runs_without_a_shell(
    run: Run, demo_model: Path, bang: bytes, tmp_path: Path
) -> None:
    """What a shell would expand or run is handed over as plain words."""
    words = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    command = f'{sys.executable} -c "{words}" {tmp_path}/words $HOME ; touch {tmp_path}/made *'
    run("monitor", demo_model, "--input", "-", "--on-anomaly", command, stdin=bang)
    assert (tmp_path / "words").read_text() == repr(
        ["$HOME", ";", "touch", f"{tmp_path}/made", "*"]
    )
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("/no/such/command --now", "/no/such/command"),
        ("/etc/passwd", "/etc/passwd"),
        (f"{sys.executable} -c 'raise SystemExit(7)'", "7"),
    ],
)
def test_a_command_that_fails_is_one_warning(
    run: Run, parse: Parse, demo_model: Path, bang: bytes, wav: Callable[..., bytes],
    demo_stream: Samples, asked: str, says: str,
) -> None:  # fmt: skip
    """A command that is missing, not one, or fails is one warning; every line is still printed."""
    data = wav(demo_stream[43 * 8000 :], 8000)  # a noise burst and a hiss burst
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", asked, stdin=data)
    warnings = [line for line in done.stderr.splitlines() if line.startswith("offkey: ")]
    assert done.returncode == 0
    assert len(warnings) == 1
    assert says in warnings[0]
    lines = parse(done.stdout)
    assert sum(line.get("verdict") == "anomalous" for line in lines) == 2


@pytest.mark.parametrize("asked", ["it's", "'", " "])
def test_a_command_that_is_none_is_refused(
    run: Run, demo_model: Path, bang: bytes, asked: str
) -> None:
    """A command with an open quote, or of blanks, is wrong usage: exit 2, no traceback."""
    done = run("monitor", demo_model, "--input", "-", "--on-anomaly", asked, stdin=bang)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--on-anomaly" in done.stderr


def heard_alarm(number: int) -> Heard:
    """Make an alarm of this number, from a source of that name."""
    segment = Segment(np.zeros(0, np.float32), 0.0, 0.0)
    return Heard(str(number), None, segment, Score("anomalous"), number, alarm=True)


def test_while_a_command_runs_only_the_newest_alarm_waits(tmp_path: Path) -> None:
    """Of the alarms that come while the command is busy only the last is told after it."""
    log, go = tmp_path / "log", tmp_path / "go"
    program = (
        "import sys, json, time, pathlib\n"
        "log, go = map(pathlib.Path, sys.argv[1:])\n"
        "with log.open('a') as f: f.write(json.loads(sys.stdin.read())['source'] + '\\n')\n"
        "while not go.exists(): time.sleep(.01)\n"
    )
    warnings: list[str] = []
    sink = OnAnomaly([sys.executable, "-c", program, str(log), str(go)], warnings.append)
    sink.take(heard_alarm(1))
    ticks = threading.Event()
    while not log.exists() or not log.read_text():
        ticks.wait(0.01)
    for number in (2, 3, 4):
        sink.take(heard_alarm(number))
    go.touch()
    sink.close()
    assert log.read_text().split() == ["1", "4"]
    assert warnings == ["Alarms passed over while the command was busy: 2."]


def test_a_command_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command that does not end is ended at its limit, with a warning, and the next one runs."""
    monkeypatch.setattr(OnAnomaly, "limit_s", 0.5)
    warnings: list[str] = []
    told = threading.Event()

    def warn(sentence: str) -> None:
        warnings.append(sentence)
        told.set()

    sink = OnAnomaly([sys.executable, "-c", "import time; time.sleep(600)"], warn)
    sink.take(heard_alarm(1))
    assert told.wait(60)
    sink.close()
    assert len(warnings) == 1
    assert "0.5 s" in warnings[0]


def test_what_is_no_alarm_runs_no_command(tmp_path: Path) -> None:
    """Normal segments, gaps, states and what carries on an alarm do not run the command."""
    made = tmp_path / "made"
    sink = OnAnomaly(["touch", str(made)], pytest.fail)
    sink.take(replace(heard_alarm(1), alarm=False))
    sink.take(Gap(0.0, 1.0, "overflow"))
    sink.take(StateChange("now", "live"))
    sink.close()
    assert not made.exists()


# --- lines ---------------------------------------------------------------------------------------


def test_every_kind_of_line_has_the_fields_of_the_design() -> None:
    """Gap, state and alarm lines have exactly the design's fields."""
    assert json.loads(json_line(Gap(1.5, 0.25, "stall"))) == {
        "type": "gap",
        "start_s": 1.5,
        "lost_s": 0.25,
        "cause": "stall",
    }
    moment = datetime(2026, 1, 2).isoformat()
    assert json.loads(json_line(StateChange(moment, "live"))) == {
        "type": "state",
        "time": moment,
        "state": "live",
    }
    assert json.loads(json_line(Alarm(1.0, 2.5, 0.01, 4))) == {
        "type": "alarm",
        "start_s": 1.0,
        "end_s": 2.5,
        "peak_p": 0.01,
        "windows": 4,
    }


def test_lines_are_plain_ascii() -> None:
    """Whatever a source is called, its line is one line of ASCII."""
    line = json_line(replace(heard_alarm(1), source="größe\n六"))
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["source"] == "größe\n六"
