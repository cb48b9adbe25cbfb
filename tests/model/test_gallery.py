"""The gallery: what a model keeps of its reference sounds, and what the terminal shows of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from model.detector import Detector
from model.gallery import Agreement, Gallery
from model.portrait import agreement_lines, sparkline, worst_groups
from model.storage import _digest, read_model, write_model
from model.summary import describe


@pytest.fixture(scope="module")
def gallery(word_detector: Detector) -> Gallery:
    """Give the gallery of the sixty words."""
    assert word_detector.gallery is not None
    return word_detector.gallery


def test_a_gallery_knows_every_reference_sound(word_detector: Detector, gallery: Gallery) -> None:
    """Names, groups, clusters and profiles are there for each held-out score, and fit together."""
    n = word_detector.conformity.n
    assert len(gallery.names) == n == 60
    assert [Path(name).parent.name for name in gallery.names] == [
        str(Path(gallery.group(i) or "").name) for i in range(n)
    ]
    nearest = [
        word_detector.clusters.nearest(row.astype(float)).cluster for row in gallery.profiles
    ]
    assert np.mean(gallery.cluster == nearest) > 0.95  # half precision may turn a near tie
    assert np.bincount(gallery.cluster).tolist() == list(word_detector.clusters.sizes)
    assert (gallery.reconstruction < word_detector.conformity.reconstruction).mean() > 0.9
    assert gallery.part.tolist() == [0] * n


def test_a_gallery_comes_back_as_it_was_written(
    word_detector: Detector, gallery: Gallery, tmp_path: Path
) -> None:
    """All of it, with any name, whatever was measured."""
    agreement = Agreement(0.5, 0.25, None, ((2, 0.5), (3, 0.25)))
    names = ("n\nl", "</script>", *gallery.names[2:])
    made = replace(gallery, names=names, agreement=agreement, map_s=(2.5, 0.5))
    write_model(tmp_path / "m.offkey", replace(word_detector, gallery=made))
    back = read_model(tmp_path / "m.offkey").gallery
    assert back is not None
    for name, value in vars(made).items():
        np.testing.assert_array_equal(getattr(back, name), value)
    assert back.agreement == agreement


def test_a_model_from_before_galleries_is_read(word_detector: Detector, tmp_path: Path) -> None:
    """A file that says nothing of a gallery has none, and is described all the same."""
    path = tmp_path / "m.offkey"
    write_model(path, word_detector)
    with safe_open(path, framework="numpy") as file:
        described = json.loads(file.metadata()["offkey"])
        keys = [key for key in file.keys() if not key.startswith("gallery_")]  # noqa: SIM118
        arrays = {key: file.get_tensor(key) for key in keys}
    del described["gallery"]
    text = json.dumps(described)
    save_file(arrays, path, metadata={"offkey": text, "sha256": _digest(arrays, text)})
    old = read_model(path)
    assert old.gallery is None
    assert "groups that alarm most" not in describe(old)
    assert "recordings" in describe(old)


def test_groups_are_told_by_how_often_they_alarm(gallery: Gallery) -> None:
    """The shares are of each group's own sounds, the most first; marked sounds do not count."""
    p = np.full(60, 0.5, np.float32)
    p[10:15] = 0.01
    p[50:] = 0.01
    told = replace(gallery, p=p).alarms_by_group(0.05, n_marked=10)
    assert [(group.sounds, group.share) for group in told[:2]] == [(10, 0.5), (10, 0.0)]
    assert len(told) == 5
    assert told[0].name == gallery.groups[1]
    assert replace(gallery, groups=()).alarms_by_group(0.05) == []


def test_the_worst_groups_are_told(word_detector: Detector, gallery: Gallery) -> None:
    """A group whose sounds all alarm stands first; where none does, nothing is said."""
    p = np.where(np.arange(60) // 10 == 3, 0.01, 0.5).astype(np.float32)
    made = replace(word_detector, gallery=replace(gallery, p=p), false_alarm_rate=0.05)
    lines = worst_groups(made)
    assert "5 never do" in lines[1]
    assert "100.0% of 10" in lines[2]
    assert "speaker 3" in lines[2]
    quiet = replace(gallery, p=np.full(60, 0.5, np.float32))
    assert worst_groups(replace(made, gallery=quiet)) == []


def test_a_sparkline_keeps_every_peak() -> None:
    """Each column shows its largest value, from the lowest block to the full one."""
    curve = np.zeros(64)
    curve[37] = 1.0
    assert sparkline(curve, 1.0) == "▁▁▁▁▁▁▁▁▁█▁▁▁▁▁▁"
    assert sparkline(np.linspace(0, 1, 64), 1.0, 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.zeros(64), 0.0, 4) == "▁▁▁▁"


def test_what_was_measured_of_the_clusters_is_told(gallery: Gallery) -> None:
    """The agreement over seeds, halves and the plane; how the number was chosen."""
    told = replace(gallery, agreement=Agreement(0.5, 0.25, 0.125, ((2, 0.75), (3, 0.625))))
    text = " ".join(" ".join(agreement_lines(told)).split())
    for words in ("0.50 over seeds", "0.25 over halves", "0.12 with clusters", "2: 0.75, 3: 0.62"):
        assert words in text
    assert agreement_lines(replace(gallery, agreement=None)) == []


def test_inspect_shows_clusters_as_sparklines(word_detector: Detector) -> None:
    """Every cluster has a row of blocks before its name."""
    text = describe(word_detector)
    for i in range(len(word_detector.clusters)):
        line = next(line for line in text.splitlines() if line.startswith(f"  {i:>2}  "))
        assert set(line.split()[1]) <= set("▁▂▃▄▅▆▇█")
        assert len(line.split()[1]) == 16
