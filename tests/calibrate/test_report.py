"""The page as a file: whole, harmless, true to the model, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.stats import spearmanr

from calibrate.fitting import Settings, calibrate
from calibrate.report.curves import COLUMNS, moving_average
from calibrate.report.hearing import find_again, listen
from calibrate.report.page import make_page
from calibrate.report.portraits import named_in_portraits, portraits
from calibrate.report.promises import promises, rank_correlation
from calibrate.report.session import MOST, read_session
from model.detector import Detector
from model.errors import InputError
from model.explanation import explain
from model.storage import read_model, write_model

pytest.importorskip("plotly", reason="plotly is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

Run = Callable[..., subprocess.CompletedProcess[str]]
HOSTILE = "<script>window.hit=1<∕script>\"'><img src=x onerror=hit=1>&amp; {{ 7*7 }} \u2028"


class Parts(HTMLParser):
    """What a browser would make of a page: its tags, its text, what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; a script begins."""
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        """What follows is text again."""
        self._open = ""

    def handle_data(self, data: str) -> None:
        """Text, or what a script holds."""
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text += data

    def island(self, name: str) -> Any:
        """The data under a name."""
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        index = [attributes.get("id") for attributes in scripts].index(name)
        return json.loads(self.scripts[index]) if name != "curves" else self.scripts[index]


@pytest.fixture(scope="module")
def page(word_detector: Detector, words_folder: Path) -> Parts:
    """Make the page of the sixty words, with all that can be heard."""
    heard = listen(word_detector, [str(words_folder)], True, lambda *_: None)
    return Parts(make_page("words.offkey", word_detector, heard, None))


def test_the_page_is_one_file_that_fetches_nothing(page: Parts) -> None:
    """No tag names an address, and the page's own rule forbids every connection."""
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "poster", "srcset"):
            address = attributes.get(name)
            assert address is None or address.startswith("#"), (tag, address)
    rule = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert rule is not None
    assert rule.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in rule
    assert "script-src 'unsafe-inline'" not in rule


def test_scores_on_the_page_are_those_of_the_model(page: Parts, word_detector: Detector) -> None:
    """Each sound has its held-out scores and p, to four digits."""
    sounds = page.island("data")["sounds"]
    held_out = word_detector.conformity
    np.testing.assert_allclose(sounds["isolation"], held_out.isolation, rtol=1e-3)
    np.testing.assert_allclose(sounds["reconstruction"], held_out.reconstruction, rtol=1e-3)
    np.testing.assert_allclose(sounds["p"], held_out.reference_p(), rtol=1e-3)
    assert sounds["name"][13] == "speaker 1/word 013.wav"
    assert sounds["groups"][sounds["group"][13]] == "speaker 1"


def test_every_clip_can_be_played_and_is_loud_enough(page: Parts, word_detector: Detector) -> None:
    """All sixty sounds are embedded, as long as they are, at half of full scale."""
    clips, sounds = page.island("clips"), page.island("data")["sounds"]
    assert sorted(sounds["clip"]) == list(range(60))
    for clip in clips[:5]:
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(clip)))
        assert len(audio) / rate == pytest.approx(0.5, abs=0.03)
        assert np.abs(audio).max() == pytest.approx(0.5, abs=0.2)


def test_curves_are_those_that_explain_the_sound(
    page: Parts, word_detector: Detector, words_folder: Path
) -> None:
    """Spectrum, reconstruction, error and its average, as drawn, are the model's."""
    data, code = page.island("data"), page.island("curves")
    at = data["sounds"]["curves"][7]
    raw = base64.b64decode(code)[4 * COLUMNS * at : 4 * COLUMNS * (at + 1)]
    level, error = data["sounds"]["scale"][at]
    drawn = np.frombuffer(raw, np.uint8).reshape(4, COLUMNS) / 255
    from model.audio import read_recording

    path = words_folder / "speaker 0" / "word 007.wav"
    found = explain(word_detector, read_recording(str(path), 6800, 1.0).samples)
    assert found is not None
    edges = np.arange(COLUMNS) * len(found.error) // COLUMNS
    for curve, row, scale in (
        (found.features, drawn[0], level),
        (np.maximum(found.reconstruction, 0), drawn[1], level),
        (found.error, drawn[2], error),
        (moving_average(found.error), drawn[3], error),
    ):
        np.testing.assert_allclose(np.maximum.reduceat(curve, edges), row * scale, atol=scale / 200)


def test_a_moving_average_is_centred() -> None:
    """A single peak becomes a plateau around it; a constant stays one, to its ends."""
    peak = np.zeros(640)
    peak[300] = 11.0
    smooth = moving_average(peak)
    assert np.flatnonzero(smooth > 1e-9).tolist() == list(range(295, 306))
    np.testing.assert_allclose(moving_average(np.ones(100)), 1)


@pytest.fixture(scope="module")
def hostile(words_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, Path]:
    """Calibrate on recordings, folders and a label with names that are HTML."""
    folder = tmp_path_factory.mktemp("hostile")
    for i, group in enumerate(sorted(words_folder.iterdir())):
        target = folder / f"{i} {HOSTILE.replace('∕', '')}"
        target.mkdir()
        for path in group.iterdir():
            shutil.copy(path, target / f"</b>{path.stem} {HOSTILE}.wav".replace("/", "∕"))
    (target / "<i>broken.wav").write_bytes(b"no audio")
    detector = calibrate([str(folder)], Settings(maps=False))
    return replace(detector, clusters=detector.clusters.renamed(0, f"</script>{HOSTILE}")), folder


def test_no_name_becomes_markup(
    hostile: tuple[Detector, Path], page: Parts, tmp_path: Path
) -> None:
    """With names that are HTML, the page has the tags of any other page, and says the names."""
    detector, folder = hostile
    heard = listen(detector, [str(folder)], True, lambda *_: None)
    log = tmp_path / f"{HOSTILE.replace('∕', '')}.jsonl"
    event = segment_line(detector, 0, 0.0) | {"source": HOSTILE}
    log.write_text(json.dumps(event))
    content = make_page(f"{HOSTILE}.offkey", detector, heard, read_session(log, detector))
    made = Parts(content)
    assert {tag for tag, _ in made.tags} - {tag for tag, _ in page.tags} <= {
        "details",
        "summary",
        "ul",
        "li",
        "label",
    }
    assert len(made.scripts) == len(page.scripts)
    assert not [a for _, a in made.tags if any(name.startswith("on") for name in a)]
    assert "{{ 7*7 }}" in made.text
    assert "window.hit" in made.text
    data = made.island("data")
    assert data["clusters"][0].startswith("</script><script>window.hit=1")
    assert "<∕b>word 000 <script>window.hit=1" in data["sounds"]["name"][0]
    assert len(made.island("clips")) == 60
    island = next(s for s in made.scripts if '"sounds"' in s)
    assert not set("<>&\u2028") & set(island)


def test_recordings_are_found_where_they_moved_to() -> None:
    """A name is found by as much of its path as makes it the only one; never by guessing."""
    names = ["/old/six/anna/1.flac", "/old/six/anna/2.flac", "/old/six/bert/1.flac"]
    moved = ["/new/anna/1.flac", "/new/anna/2.flac", "/new/bert/1.flac", "/new/other.flac"]
    assert find_again(names, moved) == moved[:3]
    assert find_again(names, ["/new/1.flac", "/new/2.flac"]) == [None, "/new/2.flac", None]
    assert find_again(["/a/x.wav"], ["/b/x.wav", "/c/x.wav"]) == [None]


def test_other_recordings_of_the_same_names_are_not_shown(
    word_detector: Detector, words_folder: Path, tmp_path: Path
) -> None:
    """A recording that changed is counted and left out; one that is gone too."""
    folder = tmp_path / "words"
    shutil.copytree(words_folder, folder)
    audio, rate = soundfile.read(folder / "speaker 0" / "word 000.wav")
    soundfile.write(folder / "speaker 0" / "word 000.wav", audio[::-1] ** 3, rate)
    (folder / "speaker 5" / "word 055.wav").unlink()
    heard = listen(word_detector, [str(folder)], True, lambda *_: None)
    assert (heard.changed, heard.missing) == (1, 1)
    assert set(range(60)) - set(heard.curves) == {0, 55}
    with pytest.raises(InputError, match="None of the recordings"):
        listen(word_detector, [str(tmp_path / "nothing")], True, lambda *_: None)


def test_without_the_recordings_the_page_says_so(word_detector: Detector) -> None:
    """Maps, portraits and scores are there; audio and spectra are missed in words."""
    made = Parts(make_page("m.offkey", word_detector, None, None))
    assert "--reference FOLDER" in made.text
    assert "This model has no maps" in made.text
    assert made.island("clips") == []
    assert len(made.island("data")["portraits"]) == len(word_detector.clusters)


def test_a_model_without_a_gallery_still_has_a_page(word_detector: Detector) -> None:
    """What an older model cannot show is said; its card is there."""
    made = Parts(make_page("m.offkey", replace(word_detector, gallery=None), None, None))
    assert "The sounds are missing" in made.text
    assert "What it promises" in made.text


def test_portraits_show_the_members_of_their_cluster(word_detector: Detector) -> None:
    """The band holds the middle of the members, who are named from the centroid outwards."""
    gallery = word_detector.gallery
    assert gallery is not None
    profiles = gallery.profiles.astype(float)
    for one in portraits(word_detector):
        members = np.flatnonzero(gallery.cluster == one.number)
        assert one.size == len(members)
        assert set(one.typical) | set(one.oddest) <= set(members.tolist())
        assert not set(one.typical) & set(one.oddest)
        np.testing.assert_allclose(one.mean, profiles[members].mean(axis=0))
        inside = (profiles[members] >= one.low) & (profiles[members] <= one.high)
        assert 0.6 <= inside.mean() <= 1
        distance = np.linalg.norm(profiles - word_detector.clusters.centroids[one.number], axis=1)
        assert distance[one.typical[0]] == distance[members].min()
    assert set(named_in_portraits(word_detector)) <= set(range(60))


def test_a_rank_correlation_is_spearmans(word_detector: Detector) -> None:
    """The same as scipy's, ties and all."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, (2, 200)).astype(float)
    other = other + one
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0
    told = promises(word_detector)
    assert sum(told.isolation.held_out) == pytest.approx(1)
    assert sum(told.reconstruction.in_sample) == pytest.approx(1)
    assert told.isolation.threshold == word_detector.thresholds.isolation_score


# --- a session -----------------------------------------------------------------------------------


def segment_line(detector: Detector, sound: int, start_s: float, **more: Any) -> dict[str, Any]:
    """Make the line of a segment that is like a reference sound."""
    gallery = detector.gallery
    assert gallery is not None
    return {
        "type": "segment", "source": "mic", "time": None, "start_s": start_s, "duration_s": 0.5,
        "continues": False, "isolation_score": 0.0, "reconstruction_error": 1e-4, "p": 0.5,
        "verdict": "normal", "cluster": 0, "profile": gallery.profiles[sound].tolist(),
    } | more  # fmt: skip


def write_log(path: Path, *events: Any) -> Path:
    """Write events as JSON lines, strings as they are."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def mapped(word_detector: Detector) -> Detector:
    """Give the sixty words places on two maps."""
    places = np.random.default_rng(0).random((2, 60, 2)).astype(np.float32)
    assert word_detector.gallery is not None
    gallery = replace(word_detector.gallery, mapped=np.arange(60, dtype=np.int32))
    maps = {"features": places[0], "profiles": places[1]}
    return replace(word_detector, gallery=gallery, maps=maps)


def test_a_segment_is_placed_at_its_nearest_reference_sound(
    mapped: Detector, tmp_path: Path
) -> None:
    """A profile that a reference sound has, or nearly has, is found at that sound."""
    lines = [segment_line(mapped, sound, sound) for sound in range(60)]
    for line in lines:
        line["profile"] = [1.001 * value for value in line["profile"]]
    session = read_session(write_log(tmp_path / "log.jsonl", *lines), mapped)
    assert session.nearest == list(range(60))
    assert session.at == [float(i) for i in range(60)]


def test_a_log_with_anything_in_it_is_read(mapped: Detector, tmp_path: Path) -> None:
    """What is no whole segment is counted, never shown, and never an end."""
    good = segment_line(mapped, 3, 1.0, verdict="anomalous", p=0.001)
    log = write_log(
        tmp_path / "log.jsonl", "", "not json", "[1]", "NaN", '{"type": "segment"}', good,
        good | {"p": "0.5"}, good | {"p": float("nan")}, good | {"profile": [1] * 63},
        good | {"profile": [None] * 64}, good | {"cluster": 99, "start_s": 2.0},
        good | {"continues": True, "start_s": 3.0}, "[" * 100_000,
        {"type": "gap", "start_s": 9.0, "lost_s": 4.0, "cause": "device"}, {"type": "gap"},
        {"type": "alarm", "start_s": 2.0, "end_s": 3.5, "peak_p": 0.001, "windows": 2},
    )  # fmt: skip
    session = read_session(log, mapped)
    assert (session.segments, session.alarms, session.not_scored) == (3, 2, 5)
    assert session.cluster == [0, -1, 0]
    assert session.unreadable == 4
    assert session.gaps == [(9.0, 13.0)]
    assert session.alarm_spans == [(2.0, 3.5)]
    assert session.lost_s == 4.0


def test_times_of_day_are_used_where_all_segments_have_them(
    mapped: Detector, tmp_path: Path
) -> None:
    """With times the line is a clock; without them sources follow each other."""
    clock = [segment_line(mapped, 0, s, time=f"2026-01-01T00:00:0{s}+00:00") for s in range(3)]
    session = read_session(write_log(tmp_path / "clock.jsonl", *clock), mapped)
    assert session.is_clock
    assert np.diff(session.at).tolist() == [1, 1]
    files = [segment_line(mapped, 0, s, source=name) for name in "ab" for s in (0.0, 4.0)]
    session = read_session(write_log(tmp_path / "files.jsonl", *files), mapped)
    assert not session.is_clock
    assert session.at == [0.0, 4.0, 4.5, 8.5]


def test_older_parts_of_a_log_come_first(mapped: Detector, tmp_path: Path) -> None:
    """What was moved on to FILE.1 and FILE.2 is read before the rest."""
    for name, sound in (("log.jsonl", 3), ("log.jsonl.1", 2), ("log.jsonl.2", 1)):
        write_log(tmp_path / name, segment_line(mapped, sound, sound))
    assert read_session(tmp_path / "log.jsonl", mapped).nearest == [1, 2, 3]


def test_of_a_long_session_every_alarm_is_kept(mapped: Detector, tmp_path: Path) -> None:
    """Thinned to what a page can show, it has all anomalous segments and counts the others."""
    lines = [segment_line(mapped, i % 60, i) for i in range(MOST + 500)]
    for i in (7, 2001, MOST + 3):
        lines[i]["verdict"] = "anomalous"
    session = read_session(write_log(tmp_path / "log.jsonl", *lines), mapped)
    assert len(session.p) <= MOST
    assert sum(session.anomalous) == session.alarms == 3
    assert session.segments == MOST + 500


def test_a_log_without_a_segment_is_refused(mapped: Detector, tmp_path: Path) -> None:
    """A log that is not there or holds nothing scored is one sentence."""
    with pytest.raises(InputError, match="cannot be read"):
        read_session(tmp_path / "gone.jsonl", mapped)
    with pytest.raises(InputError, match="no scored segment"):
        read_session(write_log(tmp_path / "log.jsonl", "nothing"), mapped)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def model(word_detector: Detector, tmp_path: Path) -> Path:
    """Write the model of the sixty words."""
    write_model(tmp_path / "words.offkey", word_detector)
    return tmp_path / "words.offkey"


def test_the_command_writes_the_page(
    offkey: Run, model: Path, words_folder: Path, tmp_path: Path
) -> None:
    """It says what it wrote, and the page holds every sound."""
    out = tmp_path / "page.html"
    done = offkey("report", model, "-o", out, "--reference", words_folder)
    assert done.returncode == 0, done.stderr
    assert "page.html is written" in done.stdout
    assert len(Parts(out.read_text("utf-8")).island("clips")) == 60
    done = offkey("report", model, "-o", out, "--reference", words_folder, "--no-audio")
    made = Parts(out.read_text("utf-8"))
    assert made.island("clips") == []
    assert "--no-audio" in made.text
    assert len(made.island("curves")) == 60 * 4 * COLUMNS * 4 // 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-audio"], "--reference"),
        (["--reference", "nowhere"], "None of the recordings"),
        (["--log", "nowhere.jsonl"], "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    offkey: Run, model: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """Wrong usage and missing inputs end with exit code 2 and no page."""
    done = offkey("report", model, "-o", tmp_path / "page.html", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_is_one_sentence(
    offkey: Run, model: Path, tmp_path: Path
) -> None:
    """A folder that is not there ends with exit code 1, and nothing is left behind."""
    done = offkey("report", model, "-o", tmp_path / "gone" / "page.html")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert sorted(tmp_path.iterdir()) == [model]


def test_a_page_that_is_replaced_keeps_its_permissions(
    offkey: Run, model: Path, tmp_path: Path
) -> None:
    """Who could read the older page can read the new one, and nobody else."""
    page = tmp_path / "page.html"
    page.touch()
    page.chmod(0o604)
    assert offkey("report", model, "-o", page).returncode == 0
    assert page.stat().st_size
    assert page.stat().st_mode & 0o777 == 0o604
    assert {path.name for path in tmp_path.iterdir()} == {model.name, page.name}


def test_names_given_with_label_stand_on_the_page(offkey: Run, model: Path, tmp_path: Path) -> None:
    """The portrait has the name, and the suggested one beside it."""
    suggested = read_model(model).clusters.suggested[1]
    assert offkey("label", model, "1", "late hiss").returncode == 0
    out = tmp_path / "page.html"
    assert offkey("report", model, "-o", out).returncode == 0
    text = re.sub(r"\s+", " ", Parts(out.read_text("utf-8")).text)
    assert f"late hiss Choose Cluster 1 · {suggested}" in text


def test_the_page_of_continuous_sound_tells_its_windows(
    tmp_path: Path, make_word: Callable[..., Any]
) -> None:
    """Windows are sounds of a recording each, and are heard where they lie in it."""
    hum = np.concatenate([make_word(i) for i in range(24)])
    folder = tmp_path / "hum"
    folder.mkdir()
    for i in range(2):
        soundfile.write(folder / f"hum {i}.wav", np.roll(hum, 800 * i), 8000)
    from model.segment import Segmentation

    detector = calibrate(
        [str(folder)], Settings(maps=False, segmentation=Segmentation("continuous", 0.5, 0.25))
    )
    heard = listen(detector, [str(folder)], True, lambda *_: None)
    assert (heard.changed, heard.missing) == (0, 0)
    assert len(heard.curves) == detector.conformity.n
    made = Parts(make_page("hum.offkey", detector, heard, None))
    assert made.island("data")["sounds"]["name"][1].startswith("hum 0.wav · ")


def test_the_page_of_a_mel_model_shows_its_four_parts(words_folder: Path) -> None:
    """Parts stand side by side, each along frequency; values below 0 are drawn as they are."""
    detector = calibrate([str(words_folder)], Settings(features="mel", maps=False))
    heard = listen(detector, [str(words_folder)], False, lambda *_: None)
    assert (heard.changed, heard.missing) == (0, 0)
    made = Parts(make_page("mel.offkey", detector, heard, None))
    data, code = made.island("data"), made.island("curves")
    assert [part["name"] for part in data["parts"]] == ["shape", "steadiness", "order", "middle"]
    assert [part["bands"] for part in data["parts"]] == [[0, 16], [16, 32], [32, 48], [48, 64]]
    assert [part["columns"] for part in data["parts"]] == [[72 * i, 72 * i + 72] for i in range(4)]
    for name, ends in (("bands_hz", "bands"), ("columns_hz", "columns")):
        for part in data["parts"]:
            hz = np.array(data[name][slice(*part[ends])])
            assert (np.diff(hz) >= 0).all()
            assert 50 < hz[0] < 200
            assert 3000 < hz[-1] < 4000
    front_end = detector.front_end
    path = words_folder / "speaker 0" / "word 007.wav"
    from model.audio import read_recording

    found = explain(detector, read_recording(str(path), front_end.rate_hz, 1.0).samples)
    assert found is not None
    assert found.features.min() < 0
    at = data["sounds"]["curves"][7]
    raw = base64.b64decode(code)[4 * COLUMNS * at : 4 * COLUMNS * (at + 1)]
    drawn = np.frombuffer(raw, np.uint8).reshape(4, COLUMNS) / 255
    floor, level = data["sounds"]["floor"][at], data["sounds"]["scale"][at][0]
    edges = np.arange(COLUMNS) * len(found.error) // COLUMNS
    for curve, row in ((found.features, drawn[0]), (found.reconstruction, drawn[1])):
        shown = floor + row * (level - floor)
        np.testing.assert_allclose(curve[edges], shown, atol=(level - floor) / 200)
    assert "how much that changes (steadiness)" in re.sub(r"\s+", " ", made.text)


def test_the_page_of_a_spectrum_has_one_part(page: Parts) -> None:
    """It goes over all bands and columns, has no name, and nothing in it is below 0."""
    data = page.island("data")
    assert data["parts"] == [{"name": "", "bands": [0, 64], "columns": [0, COLUMNS]}]
    assert set(data["sounds"]["floor"]) == {0}
    assert "steadiness" not in page.text
