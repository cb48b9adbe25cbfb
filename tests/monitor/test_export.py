"""Export: a segment kept as WAV and JSON scores as it did, under a name of its own, or is told."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.detector import Detector
from model.errors import OffkeyError
from monitor.archive import score_file
from monitor.events import Event, Heard
from monitor.export import export
from monitor.sinks import Sink, to_json
from monitor.sources import AudioFile
from monitor.stream import Stream

Samples = NDArray[np.float32]
Outcome = subprocess.CompletedProcess[str]
NUMBERS = ("isolation_score", "reconstruction_error", "cluster_distance", "p")


class Collect(Sink):
    """Keeps the segments."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def take(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, Heard):
            self.heard.append(event)


def hear(path: Path, detector: Detector) -> list[Heard]:
    """Replay a file."""
    sink = Collect()
    Stream(detector, [AudioFile(str(path))], [sink]).run()
    return sink.heard


def save(folder: Path, heard: Heard, detector: Detector) -> Path:
    """Export a segment as it was heard."""
    return export(folder, heard, heard.segment.samples, detector.front_end.rate_hz, detector)


@pytest.fixture(scope="module")
def heard(excerpt_file: Path, demo_detector: Detector) -> list[Heard]:
    """Hear the excerpt: some normal sounds, some that are not."""
    heard = hear(excerpt_file, demo_detector)
    assert len(heard) >= 4
    return heard


@pytest.mark.parametrize("gain", [1.0, 0.02, 1e-3, 30.0])
def test_an_exported_segment_scores_as_it_did(
    heard: list[Heard], demo_detector: Detector, tmp_path: Path, gain: float
) -> None:
    """Loud beyond full scale or very quiet, all scores of the file agree to a relative 1e-3."""
    for one in heard:
        segment = replace(one.segment, samples=one.segment.samples * np.float32(gain))
        score = demo_detector.score(segment)
        assert score.p is not None
        path = save(tmp_path, replace(one, segment=segment, score=score), demo_detector)
        [again] = score_file(str(path), demo_detector).heard
        for name in NUMBERS:
            assert getattr(again.score, name) == pytest.approx(getattr(score, name), rel=1e-3)
        assert again.score.verdict == score.verdict


def test_a_window_scores_as_it_did(
    machine_model: Path,
    make_machine: Callable[[int, float], Samples],
    run: Callable[..., Outcome],
    parse: Callable[[str], list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """A window of continuous mode becomes a file that `offkey score` takes for the same window."""
    from model.storage import read_model

    detector = read_model(machine_model)
    soundfile.write(tmp_path / "in.wav", make_machine(99, 3.0), 8000)
    one = hear(tmp_path / "in.wav", detector)[3]
    path = save(tmp_path / "out", one, detector)
    [line] = parse(run("score", machine_model, path).stdout)
    assert line["reconstruction_error"] == pytest.approx(one.score.reconstruction_error, rel=1e-3)
    assert line["isolation_score"] == pytest.approx(one.score.isolation_score, rel=1e-3)


@pytest.mark.parametrize(
    ("peak", "subtype"), [(0.5, "PCM_24"), (1.0, "PCM_24"), (1.001, "FLOAT"), (1e-4, "FLOAT")]
)
def test_24_bits_are_used_where_they_hold_the_sound(
    heard: list[Heard], demo_detector: Detector, tmp_path: Path, peak: float, subtype: str
) -> None:
    """From a 512th of full scale to full scale it is 24-bit WAV, else floats; nothing clips."""
    samples = heard[0].segment.samples
    samples = samples * np.float32(peak / np.abs(samples).max())
    samples[np.argmax(np.abs(samples))] = -peak
    path = export(tmp_path, heard[0], samples, 6800, demo_detector)
    with soundfile.SoundFile(path) as file:
        assert (file.format, file.subtype, file.samplerate, file.channels) == (
            "WAV",
            subtype,
            6800,
            1,
        )
        assert np.abs(file.read(dtype="float32") - samples).max() <= 2**-23


def test_the_json_tells_all_that_is_known(
    heard: list[Heard], demo_detector: Detector, tmp_path: Path
) -> None:
    """It holds the segment's line and what makes it reproducible: model, rate, number."""
    path = save(tmp_path, heard[1], demo_detector)
    told = json.loads(path.with_suffix(".json").read_text("ascii"))
    assert told.pop("export") == {
        "number": heard[1].number,
        "rate_hz": 6800,
        "samples": len(heard[1].segment.samples),
        "model_digest": demo_detector.digest,
        "false_alarm_rate": demo_detector.false_alarm_rate,
    }
    assert told == json.loads(json.dumps(to_json(heard[1])))


@pytest.mark.parametrize(
    ("time", "start_s", "name"),
    [
        ("2025-11-22T10:15:00.250+00:00", 3.0, "offkey-2025-11-22T101500Z-7.wav"),
        (None, 5560.25, "offkey-01h32m40.2s-7.wav"),
        (None, 59.96, "offkey-00h01m00.0s-7.wav"),
    ],
)
def test_the_name_tells_when_and_which(
    heard: list[Heard],
    demo_detector: Detector,
    tmp_path: Path,
    time: str | None,
    start_s: float,
    name: str,
) -> None:
    """It is made of the time of a live source, or the position in a file, and the number."""
    segment = replace(heard[0].segment, start_s=start_s)
    one = replace(heard[0], time=time, segment=segment, number=7)
    assert save(tmp_path, one, demo_detector).name == name


def test_no_name_is_used_twice(heard: list[Heard], demo_detector: Detector, tmp_path: Path) -> None:
    """However many export the same segment at once, each gets a pair of its own, whole."""
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda _: save(tmp_path, heard[0], demo_detector), range(24)))
    assert len(set(paths)) == 24
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {p.name for p in paths} | {p.with_suffix(".json").name for p in paths}
    assert len({path.read_bytes() for path in paths}) == 1


@pytest.mark.parametrize("suffix", [".wav", ".json"])
def test_what_is_there_stays(
    heard: list[Heard], demo_detector: Detector, tmp_path: Path, suffix: str
) -> None:
    """A file or a link with either name of the pair is left alone: the pair gets another name."""
    stem = save(tmp_path / "other", heard[0], demo_detector).stem
    taken = tmp_path / f"{stem}{suffix}"
    taken.symlink_to("nowhere")
    assert save(tmp_path, heard[0], demo_detector).stem == f"{stem}-2"
    assert os.readlink(taken) == "nowhere"


def test_a_folder_is_made(heard: list[Heard], demo_detector: Detector, tmp_path: Path) -> None:
    """A folder that is not there is made, with those above it."""
    assert save(tmp_path / "a" / "b", heard[0], demo_detector).exists()


def test_what_cannot_be_written_is_one_sentence(
    heard: list[Heard], demo_detector: Detector, tmp_path: Path
) -> None:
    """Where a file stands in the way of the folder, that is told."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OffkeyError, match=r"^The sound cannot be saved in .*file: .+\.$"):
        save(tmp_path / "file", heard[0], demo_detector)


@pytest.mark.parametrize(
    ("failing", "suffix"), [("write_bytes", ".wav"), ("write_bytes", ".json"), ("replace", ".wav")]
)
def test_a_failure_leaves_nothing_behind(
    heard: list[Heard],
    demo_detector: Detector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    suffix: str,
) -> None:
    """Where the disk fills up, at either file of the pair, no part of it is left."""
    real = getattr(Path, failing)

    def fail(path: Path, *arguments: Any) -> Any:
        if suffix in path.name:
            raise OSError(28, "No space left on device")
        return real(path, *arguments)

    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(OffkeyError, match="No space left on device"):
        save(tmp_path, heard[0], demo_detector)
    assert not list(tmp_path.iterdir())
