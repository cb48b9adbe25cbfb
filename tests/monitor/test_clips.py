"""Clips of alarms: the sound that was scored, with what is known of it; losses are told."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from model.audio import Block, Resampler
from model.detector import Detector
from model.segment import Segment
from monitor.clips import Clips
from monitor.events import Event, Gap, Heard
from monitor.sinks import Sink, json_line
from monitor.sources import Flag
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]
Line = dict[str, Any]

ROOMY = 10**9
"""A limit that no test reaches."""
ALARMING = ("--false-alarm-rate", "0.999")
"""At this rate nearly every sound alarms, so that there is much to save."""


def read_clips(folder: Path) -> list[tuple[Line, Samples, int]]:
    """Read all clips of a folder in the order of their sounds: JSON, samples, rate."""
    clips = []
    for path in folder.glob("*.json"):
        samples, rate_hz = soundfile.read(path.with_suffix(".flac"), dtype="float32")
        clips.append((json.loads(path.read_text()), samples, rate_hz))
    return sorted(clips, key=lambda clip: float(clip[0]["start_s"]))


def assert_scores_again(
    detector: Detector, described: Line, samples: Samples, rate_hz: int
) -> None:
    """Score the segment's span of a clip by the plain way: resample all, cut, score."""
    clip, heard_hz = described["clip"], detector.front_end.rate_hz
    plain = soxr.resample(samples, rate_hz, heard_hz, quality="HQ")
    first, n = (round(clip[f"segment_{name}_s"] * heard_hz) for name in ("offset", "duration"))
    assert first >= 0
    assert first + n <= len(plain)
    score = detector.score(Segment(plain[first : first + n], 0.0, n / heard_hz))
    for name in ("reconstruction_error", "isolation_score"):
        assert getattr(score, name) == pytest.approx(described[name], rel=1e-3)


# 8,011 is a prime number: there a period of the resampling is a whole second.
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000, 22_050, 8011])
def test_the_sound_of_a_clip_scores_as_it_did_live(
    run: Run, parse: Parse, demo_model: Path, demo_detector: Detector, excerpt: Samples,
    tmp_path: Path, rate_hz: int,
) -> None:  # fmt: skip
    """Every alarm is saved, and its span in the clip gives both scores again."""
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
        assert_scores_again(demo_detector, described, samples, rate_hz)


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
def test_the_sound_of_a_clip_scores_as_it_did_live_with_mel(
    run: Run, parse: Parse, mel_model: Path, mel_detector: Detector, excerpt: Samples,
    tmp_path: Path, rate_hz: int,
) -> None:  # fmt: skip
    """The same at the rate of the other front end."""
    sound = soxr.resample(excerpt, 8000, rate_hz, quality="VHQ")
    soundfile.write(tmp_path / "in.wav", sound, rate_hz, subtype="PCM_24")
    folder = tmp_path / "clips"
    done = run("replay", *ALARMING, "--save", folder, mel_model, tmp_path / "in.wav")
    alarms = [line for line in parse(done.stdout) if line["verdict"] == "anomalous"]
    clips = read_clips(folder)
    assert len(clips) == len(alarms) >= 1
    for described, samples, _ in clips:
        assert_scores_again(mel_detector, described, samples, rate_hz)


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
        first = round(described["clip"]["start_s"] * rate_hz)
        assert first == round((described["start_s"] - offset_s) * rate_hz)
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
        assert_scores_again(demo_detector, described, samples, rate_hz)


class Given:
    """A source that gives the blocks that it was given."""

    name, is_live, length_s = "given", False, None
    state, detail, problem, began = "live", "", None, None
    now = datetime(2026, 1, 2, tzinfo=UTC)

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
    clips = Clips(str(tmp_path), demo_detector, ROOMY, warnings.append)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Given(8000, blocks)], [clips, kept]).run()
    sound = kept.heard[0]
    assert sound.alarm
    assert sound.segment.start_s < 1.0
    described, samples, rate_hz = read_clips(tmp_path)[0]
    assert described["start_s"] == pytest.approx(sound.segment.start_s)
    at = round(described["clip"]["start_s"] * 8000)
    n = min(len(samples), len(first) - at)
    assert n > 4000
    np.testing.assert_allclose(samples[:n], first[at : at + n], atol=1e-6)
    assert_scores_again(demo_detector, described, samples, rate_hz)


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
    clips = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Changing(8000, in_blocks(first, 0, 160), again)], [clips]).run()
    saved = read_clips(tmp_path)
    assert saved
    for described, samples, rate_hz in saved:
        at = round(described["clip"]["start_s"] * rate_hz)
        early = described["start_s"] < len(first) / 8000
        source, begins = (first, 0) if early else (other, 2 * (len(first) + 8000))
        assert rate_hz == (8000 if early else 16_000)
        n = min(len(samples), len(source) - (at - begins))
        np.testing.assert_allclose(samples[:n], source[at - begins :][:n], atol=1e-6)
        assert_scores_again(demo_detector, described, samples, rate_hz)
    if pause > 0.5:
        assert saved[0][0]["start_s"] < 1.0


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
@pytest.mark.parametrize("more", [0, 3, 10])
def test_clips_around_a_loss_say_so_and_score_as_they_did_live(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path, rate_hz: int, more: int
) -> None:
    """On both sides of a loss of any length clips score again, and say what the loss took."""
    sound = soxr.resample(excerpt, 8000, rate_hz, quality="VHQ").astype(np.float32)
    sound = sound[: round(7.6 * rate_hz)]  # which takes some of the last clip, and is no loss
    # The third sound ends at 4.35 s and the fourth begins at 5.2 s: each loses some margin.
    lost = [round(4.62 * rate_hz), round(4.901 * rate_hz) + more]
    blocks = in_blocks(sound[: lost[0]], 0, 509)
    blocks += in_blocks(sound[lost[1] :], lost[1], 509, lost=lost[1] - lost[0])
    clips = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Given(rate_hz, blocks)], [clips]).run()
    saved = read_clips(tmp_path)
    for described, samples, _ in saved:
        first = round(described["clip"]["start_s"] * rate_hz)
        np.testing.assert_allclose(samples, sound[first : first + len(samples)], atol=1e-6)
        assert_scores_again(demo_detector, described, samples, rate_hz)
        before, after = first < lost[0], first + len(samples) <= lost[0]
        assert before == after
        near = first + len(samples) == lost[0] or first == lost[1]
        assert described["clip"]["cut_by_loss"] == near
        lost_s = described["clip"]["lost_s"]
        assert lost_s == (0 if before and not near else round((lost[1] - lost[0]) / rate_hz, 6))
    assert sum(described["clip"]["cut_by_loss"] for described, _, _ in saved) == 2
    assert len(saved) >= 4


@pytest.mark.parametrize("lost", [0, 4000])
def test_a_clip_blames_a_loss_only_where_there_was_one(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path, lost: int
) -> None:
    """A clip that the beginning or the end of the stream shortens was cut by a loss, or was not.

    It was where samples are missing before the first, or after the last.
    """
    samples = np.roll(excerpt, -7700)[: round(8000 * 6.9)]
    blocks = in_blocks(samples, lost, 509, lost=lost)
    if lost:
        blocks.append(Block(samples[:0], blocks[-1].end + lost, lost, "device"))
    clips = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail)
    detector = replace(demo_detector, false_alarm_rate=0.999)
    Stream(detector, [Given(8000, blocks)], [clips]).run()
    first, *between, last = [described["clip"] for described, _, _ in read_clips(tmp_path)]
    assert first["segment_offset_s"] < 0.4
    assert first["cut_by_loss"] == last["cut_by_loss"] == (lost > 0)
    assert not any(clip["cut_by_loss"] for clip in between)


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
@pytest.mark.parametrize("peak", [1e4, 4.0, 3.0, 1.0, 0.3, 2e-3, 2**-10, 1e-4, 3e-5])
def test_a_clip_of_any_level_scores_as_it_did_live(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path, rate_hz: int, peak: float
) -> None:
    """Far beyond full scale, and down to −90 dBFS, a clip's gain keeps its scores.

    The gain is a power of two and 1 at ordinary levels; what is stored never overloads.
    """
    sound = soxr.resample(excerpt, 8000, rate_hz, quality="VHQ").astype(np.float32)
    sound = sound / np.abs(sound).max() * np.float32(peak)
    [block] = Resampler(rate_hz, 6800).push(Block(sound, 0))
    for at in (0.9, 2.6):
        segment = Segment(
            block.samples[round(at * 6800) :][:5000], round(at * 6800) / 6800, 5000 / 6800
        )
        heard = Heard("given", None, segment, demo_detector.score(segment), round(at), alarm=True)
        clips = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail)
        clips.hear(Block(sound, 0), rate_hz)
        clips.take(heard)
        clips.close()
    for described, samples, _ in read_clips(tmp_path):
        gain = described["clip"]["gain"]
        first = round(described["clip"]["start_s"] * rate_hz)
        truth = sound[first : first + len(samples)]
        ordinary = 2**-9 <= np.abs(truth).max() <= 1
        assert math.frexp(gain)[0] == 0.5
        assert (gain == 1) == ordinary
        assert ordinary or 0.5 < np.abs(samples).max() <= 1
        np.testing.assert_allclose(samples / gain, truth, atol=np.abs(truth).max() * 2**-14)
        assert_scores_again(demo_detector, described, samples, rate_hz)


def test_the_json_tells_everything_of_the_alarm(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path
) -> None:
    """The JSON is the alarm's own line, and tells of the clip, the model, the device and losses."""
    clips, kept = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail), Kept()
    detector = replace(demo_detector, false_alarm_rate=0.999)
    clips.take(Gap(0.0, 1.25, "device"))
    Stream(detector, [Given(8000, in_blocks(excerpt, 0, 509))], [clips, kept]).run()
    described = read_clips(tmp_path)[1][0]
    clip = described.pop("clip")
    assert described == json.loads(json_line(kept.heard[1]))
    assert clip == {
        "rate_hz": 8000,
        "start_s": clip["start_s"],
        "segment_offset_s": clip["segment_offset_s"],
        "segment_duration_s": described["duration_s"],
        "gain": 1.0,
        "cut_by_loss": False,
        "lost_s": 1.25,
        "device": "given",
        "model_digest": demo_detector.digest,
    }
    assert len(clip["model_digest"]) == 64


def test_clips_of_a_second_run_do_not_replace_those_of_the_first(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path
) -> None:
    """Runs into one folder, also in the same second, leave the clips of all of them."""
    detector = replace(demo_detector, false_alarm_rate=0.999)
    saved = 0
    for _ in range(3):
        clips = Clips(str(tmp_path), demo_detector, ROOMY, pytest.fail)
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
    clips = Clips(str(tmp_path / "gone"), demo_detector, ROOMY, warnings.append)
    last = Stream(detector, [Given(8000, in_blocks(excerpt, 0, 4000))], [clips]).run()
    assert clips.failed == last.alarms > 1
    assert len(warnings) == 2
    assert f"not saved: {clips.failed}" in warnings[1]
    assert not list(tmp_path.iterdir())


def test_what_the_limit_takes_is_told_at_the_end(
    demo_detector: Detector, excerpt: Samples, tmp_path: Path
) -> None:
    """With room for some clips only the oddest are left, and the number of the others is told."""
    detector = replace(demo_detector, false_alarm_rate=0.999)
    warnings: list[str] = []
    clips, kept = Clips(str(tmp_path), detector, 60_000, warnings.append), Kept()
    Stream(detector, [Given(8000, in_blocks(excerpt, 0, 4000))], [clips, kept]).run()
    left = {described["p"] for described, _, _ in read_clips(tmp_path)}
    everything = sorted(heard.score.p for heard in kept.heard if heard.score.p is not None)
    assert 0 < len(left) < len(everything)
    assert left == set(everything[: len(left)])
    assert clips.dropped == len(everything) - len(left)
    assert warnings == [
        f"Clips saved: {clips.saved}; "
        f"dropped for --save-limit, the least odd first: {clips.dropped}."
    ]
