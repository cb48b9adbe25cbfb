"""The model file: small, whole or refused, written at once or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.numpy import save_file

from model.alarms import AlarmRule
from model.card import AlarmRate
from model.detector import Detector
from model.errors import InputError, ModelError, OffkeyError
from model.storage import _digest, check_writable, read_model, write_model


@pytest.fixture(scope="module")
def content(word_detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a whole model."""
    path = tmp_path_factory.mktemp("model") / "words.offkey"
    write_model(path, word_detector)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a model that is not there yet."""
    return tmp_path / "m.offkey"


def header_length(content: bytes) -> int:
    """Give the length of a safetensors header, its own length included."""
    return 8 + int.from_bytes(content[:8], "little")


def refusal(path: Path) -> str:
    """Expect a file to be refused as a model; give its one sentence and the next step."""
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert caught.value.exit_code == 2
    assert caught.value.sentence.endswith(".")
    assert caught.value.sentence.count(". ") == 0
    assert path.name in caught.value.sentence
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_model_of_three_thousand_recordings_is_small(full_detector: Detector, path: Path) -> None:
    """Calibrated on all sixes, the file has at most 4 MB."""
    write_model(path, full_detector)
    assert path.stat().st_size <= 4_000_000


def test_what_is_read_is_what_was_written(word_detector: Detector, path: Path) -> None:
    """All that a model knows comes back, and written again it has the same digest."""
    odd_names = replace(
        word_detector.card, group_names=("a b", "n\nl", "\udcff"), skipped=(("x.wav", "silent"),)
    )
    clusters = word_detector.clusters.renamed(0, "spätes Zischen")
    maps = {"features": np.random.default_rng(0).random((60, 2)).astype(np.float32)}
    made = replace(word_detector, card=odd_names, clusters=clusters, maps=maps)
    written = write_model(path, made)
    back = read_model(path)
    assert back.digest == written.digest != ""
    assert back.card == odd_names
    assert back.clusters.name(0) == "spätes Zischen"
    for same in ("front_end", "segmentation", "false_alarm_rate", "thresholds"):
        assert getattr(back, same) == getattr(made, same)
    np.testing.assert_array_equal(back.maps["features"], maps["features"])
    np.testing.assert_array_equal(back.conformity.isolation, made.conformity.isolation)
    assert write_model(path, back).digest == written.digest


def test_a_model_cut_short_is_refused(content: bytes, path: Path) -> None:
    """Whatever its length, a part of a model is not a model."""
    header, rng = header_length(content), np.random.default_rng(0)
    lengths = {*range(0, header, header // 150), *range(12), header - 1, header, len(content) - 1}
    for length in lengths | set(rng.integers(header, len(content), 100).tolist()):
        path.write_bytes(content[:length])
        refusal(path)


@pytest.mark.parametrize("where", ["length", "header", "arrays", "end"])
def test_one_flipped_bit_is_refused(where: str, content: bytes, path: Path) -> None:
    """Any single bit of the header or of the arrays, flipped, makes the file no model."""
    header, rng = header_length(content), np.random.default_rng(1)
    first, last = {
        "length": (0, 8),
        "header": (8, header),
        "arrays": (header, len(content)),
        "end": (len(content) - 8, len(content)),
    }[where]
    for at, bit in zip(rng.integers(first, last, 150), rng.integers(0, 8, 150), strict=True):
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        refusal(path)


def test_bytes_added_at_the_end_are_refused(content: bytes, path: Path) -> None:
    """A model with something behind it was altered."""
    path.write_bytes(content + b"\0")
    refusal(path)


def with_text(content: bytes, path: Path, text: str) -> None:
    """Write a model anew with another description."""
    path.write_bytes(content)
    with safe_open(path, framework="numpy") as file:
        metadata = {**file.metadata(), "offkey": text}
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(arrays, path, metadata=metadata)


def test_a_newer_format_is_called_newer(content: bytes, path: Path) -> None:
    """A model of a later offkey is refused with the advice to update, whatever else it holds."""
    with_text(content, path, json.dumps({"format": 99}))
    sentence = refusal(path)
    assert "newer" in sentence
    assert "99" in sentence


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": "1"}', '{"format": 1}'])
def test_another_description_is_refused(text: str, content: bytes, path: Path) -> None:
    """Arrays whose description was replaced, by anything, are no model."""
    with_text(content, path, text)
    refusal(path)


def write_wav(path: Path) -> None:
    """Write audio where a model is expected."""
    soundfile.write(path, np.zeros(100), 8000, format="WAV")


def write_tensors(path: Path) -> None:
    """Write a safetensors file of another program."""
    save_file({"weights": np.zeros(3)}, path)


def write_noise(path: Path) -> None:
    """Write bytes that mean nothing."""
    path.write_bytes(np.random.default_rng(0).bytes(5000))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("not a model\n"),
        Path.touch,
        write_wav,
        write_tensors,
        write_noise,
        Path.mkdir,
        lambda path: path.symlink_to("gone"),
        lambda _: None,
    ],
    ids=["text", "empty", "wav", "other safetensors", "noise", "folder", "dangling", "missing"],
)
def test_what_is_not_a_model_is_refused(write: Callable[[Path], object], path: Path) -> None:
    """Whatever else is named as a model gives one sentence that names it."""
    write(path)
    refusal(path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("before", [None, b"older"])
def test_a_failed_write_leaves_the_folder_as_it_was(
    failing: str,
    before: bytes | None,
    word_detector: Detector,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the disk is full, an older model stays, no half one appears, nothing is left over."""
    if before is not None:
        path.write_bytes(before)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OffkeyError, match="No space left"):
        write_model(path, word_detector)
    left = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert left == ({} if before is None else {path.name: before})


def test_a_model_has_the_permissions_of_any_new_file(word_detector: Detector, path: Path) -> None:
    """A new model is as readable as the umask says; one that is replaced keeps its own mode."""
    mask = os.umask(0o027)
    try:
        write_model(path, word_detector)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    write_model(path, word_detector)
    assert path.stat().st_mode & 0o777 == 0o604


def test_a_target_that_cannot_be_written_is_refused_beforehand(path: Path) -> None:
    """An existing model, a folder, and a folder that is not there are told before the work."""
    check_writable(path, replace_existing=False)
    with pytest.raises(InputError, match="not a file"):
        check_writable(path.parent, replace_existing=True)
    with pytest.raises(InputError, match="does not exist"):
        check_writable(path.parent / "gone" / "m.offkey", replace_existing=False)
    path.touch()
    with pytest.raises(InputError, match="--replace"):
        check_writable(path, replace_existing=False)
    check_writable(path, replace_existing=True)


def test_a_link_to_a_model_stays_a_link(path: Path, small_detector: Detector) -> None:
    """Writing through a symbolic link changes the model that it leads to."""
    write_model(path, small_detector)
    link = path.with_name("link.offkey")
    link.symlink_to(path)
    renamed = replace(small_detector, clusters=small_detector.clusters.renamed(0, "late hiss"))
    write_model(link, renamed)
    assert link.is_symlink()
    assert read_model(path).clusters.name(0) == "late hiss"


def without(path: Path, *missing: str) -> None:
    """Write a model anew as one that never knew of some things, each named by its path."""
    with safe_open(path, framework="numpy") as file:
        described = json.loads(file.metadata()["offkey"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for way in missing:
        *outer, name = way.split(".")
        within = described
        for step in outer:
            within = within[step]
        del within[name]
    text = json.dumps(described)
    save_file(arrays, path, metadata={"offkey": text, "sha256": _digest(arrays, text)})


@pytest.mark.parametrize("missing", ["card", "segmentation", "forest", "card.seed"])
def test_a_whole_model_of_another_make_is_refused(
    path: Path, word_detector: Detector, missing: str
) -> None:
    """A valid file whose description lacks what is needed here is one sentence."""
    write_model(path, word_detector)
    without(path, missing)
    with pytest.raises(ModelError, match="another version"):
        read_model(path)


def test_a_model_keeps_its_alarm_rule(path: Path, word_detector: Detector) -> None:
    """The rule and what was measured of it come back as they were written."""
    rates = (AlarmRate(3, 7, 5, 2.9), AlarmRate(1, 1, None, 0.1))
    cut = replace(word_detector.segmentation, mode="continuous", alarm=AlarmRule(3, 7))
    card = replace(word_detector.card, alarm_rates=rates)
    write_model(path, replace(word_detector, segmentation=cut, card=card))
    back = read_model(path)
    assert back.segmentation == cut
    assert back.card == card


def test_a_model_from_before_alarm_rules_is_read(path: Path, word_detector: Detector) -> None:
    """A file that says nothing of alarms has the usual rule and nothing measured."""
    card = replace(word_detector.card, alarm_rates=(AlarmRate(3, 7, 5, 2.9),))
    cut = replace(word_detector.segmentation, alarm=AlarmRule(3, 7))
    write_model(path, replace(word_detector, segmentation=cut, card=card))
    without(path, "segmentation.alarm", "card.alarm_rates")
    back = read_model(path)
    assert back.segmentation == word_detector.segmentation
    assert back.segmentation.alarm == AlarmRule(2, 3)
    assert back.card == replace(card, alarm_rates=())


@pytest.mark.parametrize("may_replace", [True, False])
def test_what_came_while_a_model_was_made_stays(
    path: Path, word_detector: Detector, may_replace: bool
) -> None:
    """What is no model is never replaced, and a model only where that was asked for.

    The work is kept: the error says under which name, and that is the whole model.
    """
    taken, kept = path.with_name("m.wav"), path.with_name("m-2.wav")
    taken.write_bytes(b"something dear")
    with pytest.raises(OffkeyError, match=r"m-2\.wav"):
        write_model(taken, word_detector, may_replace)
    assert taken.read_bytes() == b"something dear"
    made = read_model(kept)
    if may_replace:
        write_model(kept, made, may_replace)
        return
    with pytest.raises(OffkeyError, match=r"m-2-2\.wav"):
        write_model(kept, made, may_replace)
