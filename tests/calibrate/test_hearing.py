"""What a model can hear: measured on sounds that the judge did not hear, and told as measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate import hearing
from calibrate.choosing import Kept, what_is_asked
from calibrate.damages import DAMAGES, Damage
from calibrate.fitted import Fitted
from calibrate.fitting import Settings, calibrate
from calibrate.hearing import Heard, hears_more
from calibrate.heldsounds import HeldOutSound, read_sound
from model.audio import AudioReader, Samples, read_recording
from model.card import DamageHeard, Hearing
from model.detector import Detector
from model.errors import InputError
from model.hearing import describe_hearing
from model.segment import Segmentation
from model.segmenter import cut_recording
from model.storage import read_model, write_model

VERSIONS = sum(len(damage.strengths) for damage in DAMAGES)


def leave(samples: Samples, _rate_hz: int, _strength: float, _chance: object) -> Samples:
    """No damage at all."""
    return samples


def noise(samples: Samples, _rate_hz: int, _strength: float, chance: object) -> Samples:
    """Nothing left but noise."""
    assert isinstance(chance, np.random.Generator)
    return chance.normal(size=len(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_word: Callable[..., Samples]) -> Path:
    """Two hundred words of 10 groups at 16,000 Hz."""
    folder = tmp_path_factory.mktemp("voices")
    for i in range(200):
        (folder / f"v{i % 10}").mkdir(exist_ok=True)
        soundfile.write(folder / f"v{i % 10}" / f"{i:03}.wav", make_word(i, 16000), 16000)
    return folder


@pytest.mark.parametrize("features", ["spectrum", "mel"])
@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_what_alarms_undamaged_is_not_found(
    voices: Path, features: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No damage is never found, at whatever rate; only noise always, but where all alarms anyway.

    So a front end that alarms often does not seem to hear more.
    """
    both = (Damage("none", "", (1,), leave), Damage("all", "", (1, 2), noise))
    monkeypatch.setattr(hearing, "damages_in", lambda _mode: both)
    settings = Settings(features=features, false_alarm_rate=rate, maps=False)
    found = calibrate([str(voices)], settings).card.hearing
    assert found is not None
    none, everything = found.damages
    assert none.found == (0,)
    assert found.undamaged <= 0.1 if rate == 0.01 else found.undamaged > 0
    assert everything.found == pytest.approx((1 - found.undamaged,) * 2)
    assert found.sounds == 20


def test_the_same_seed_hears_the_same(words_folder: Path) -> None:
    """Measured twice, on one thread and on two, the table is the same."""
    one, other = (
        calibrate([str(words_folder)], Settings(maps=False, jobs=jobs)).card.hearing
        for jobs in (1, 2)
    )
    assert one == other
    assert one is not None
    assert [row.name for row in one.damages] == [damage.name for damage in DAMAGES]


def test_windows_are_damaged_too(voices: Path) -> None:
    """In continuous mode a sound is one window of its recording."""
    settings = Settings(Segmentation("continuous", 0.25, 0.125), features="mel", maps=False)
    found = calibrate([str(voices)], settings).card.hearing
    assert found is not None
    assert found.sounds == hearing.MOST_SOUNDS
    assert found.undamaged <= 0.1
    assert max(found.damages[0].found) > found.undamaged
    names = {row.name for row in found.damages}
    assert not names & {"cut short", "reversed", "faster"}, (
        "a window has no end, and is never short"
    )


@pytest.mark.parametrize(("recorded_hz", "rate_hz"), [(44100, 16000), (8000, 8000), (48000, 6800)])
@pytest.mark.parametrize("window", [0, 1, 13, 30])
def test_a_window_is_read_alone_as_it_was_cut(
    tmp_path: Path, make_word: Callable[..., Samples], recorded_hz: int, rate_hz: int, window: int
) -> None:
    """Its samples are those of the whole recording's window, but for single precision."""
    sound = np.concatenate([make_word(i, recorded_hz) for i in range(16)])
    soundfile.write(tmp_path / "long.wav", sound, recorded_hz, "FLOAT")
    cut = Segmentation("continuous", 0.5, 0.25)
    path = str(tmp_path / "long.wav")
    whole = cut_recording(read_recording(path, rate_hz), cut)[window].samples
    alone = read_sound(HeldOutSound(path, window, 0), rate_hz, cut)
    assert alone is not None
    np.testing.assert_allclose(alone, whole, atol=1e-6)


def test_only_what_a_window_depends_on_is_read(
    tmp_path: Path, make_word: Callable[..., Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long recording little more than two seconds are decoded; a lost one has no window."""
    soundfile.write(tmp_path / "long.wav", np.tile(make_word(0), 400), 8000)
    frames = []
    read_frames = AudioReader.read_frames

    def noting(reader: AudioReader, n: int) -> NDArray[np.float32]:
        frames.append(n)
        return read_frames(reader, n)

    monkeypatch.setattr(AudioReader, "read_frames", noting)
    cut = Segmentation("continuous", 0.5, 0.25)
    assert read_sound(HeldOutSound(str(tmp_path / "long.wav"), 600, 0), 8000, cut) is not None
    assert sum(frames) <= 2.5 * 8000
    assert read_sound(HeldOutSound(str(tmp_path / "long.wav"), 10**6, 0), 8000, cut) is None
    assert read_sound(HeldOutSound(str(tmp_path / "gone.wav"), 0, 0), 8000, cut) is None


def test_a_model_keeps_what_it_hears(word_detector: Detector, tmp_path: Path) -> None:
    """Saved and read, the card says the same; a model without the table reads as having none."""
    assert word_detector.card.hearing is not None
    saved = write_model(tmp_path / "m.offkey", word_detector)
    assert read_model(tmp_path / "m.offkey").card == saved.card == word_detector.card
    bare = replace(word_detector, card=replace(word_detector.card, hearing=None))
    write_model(tmp_path / "m.offkey", bare)
    assert read_model(tmp_path / "m.offkey").card.hearing is None


def test_the_table_tells_all_of_it(word_detector: Detector) -> None:
    """A line for each damage, with each share, within 80 columns."""
    lines = describe_hearing(word_detector.card)
    assert max(map(len, lines)) <= 80
    assert word_detector.card.hearing is not None
    for row in word_detector.card.hearing.damages:
        line = next(line for line in lines if line.startswith(f"  {row.name}"))
        for share in row.found:
            assert f"{100 * share:.0f} %" in line
    assert describe_hearing(replace(word_detector.card, hearing=None)) == []


@pytest.mark.parametrize(
    ("found", "half_from"),
    [
        ((0.1, 0.5, 0.9), 2),
        ((0.6, 0.7, 0.9), 1),
        ((0.9, 0.2, 0.6), 3),
        ((0.9, 0.9, 0.4), None),
    ],
)
def test_half_from_is_where_half_are_found_from_there_on(
    found: tuple[float, ...], half_from: float | None
) -> None:
    """The weakest strength from which on no stronger one is found less than half of the time."""
    assert DamageHeard("hum", "dB", (1, 2, 3), found).half_from == half_from


def heard(found: NDArray[np.bool_]) -> Heard:
    """What is heard, with shares to match."""
    shares = tuple(DamageHeard(d.name, d.unit, d.strengths, (0.5,)) for d in DAMAGES)
    return Heard(Hearing(len(found), 0.01, 0.0, shares), found)


def test_a_difference_that_chance_makes_is_none() -> None:
    """Of two that find by chance neither hears more; one that finds a fifth more does."""
    rng = np.random.default_rng(0)
    shape = (60, VERSIONS)
    sure = 0
    for _ in range(40):
        one, other = heard(rng.random(shape) < 0.3), heard(rng.random(shape) < 0.3)
        assert not hears_more(one, one)
        sure += hears_more(one, other)
        assert hears_more(heard(one.found | (rng.random(shape) < 0.2)), one)
    assert sure <= 4


def test_auto_keeps_what_hears_more(voices: Path) -> None:
    """Both are fitted, the table of the kept one is on the card, and a sentence says why."""
    auto = calibrate([str(voices)], Settings(maps=False))
    alone = calibrate([str(voices)], Settings(features=auto.front_end.name, maps=False))
    assert auto.card.hearing == alone.card.hearing or auto.front_end.name == "spectrum"
    assert auto.card.choice.startswith(f"{auto.front_end.name}: ")
    assert "damaged sounds against" in auto.card.choice
    assert alone.card.choice == ""


def test_auto_takes_the_reference_method_where_it_cannot_tell(words_folder: Path) -> None:
    """Sixty recordings are too few to choose by; that is said."""
    found = calibrate([str(words_folder)], Settings(maps=False))
    assert found.front_end.name == "spectrum"
    assert found.card.choice == (
        "spectrum: 60 sounds are too few to tell what hears more: it takes 99"
    )


def test_auto_takes_the_reference_method_for_low_rates(
    tmp_path: Path, make_word: Callable[..., Samples]
) -> None:
    """Recordings of 7,000 Hz cannot be heard by mel: said, and no error."""
    for i in range(100):
        soundfile.write(tmp_path / f"{i:03}.wav", make_word(i, 7000), 7000)
    found = calibrate([str(tmp_path)], Settings(maps=False))
    assert found.front_end.name == "spectrum"
    assert "mel takes recordings of 8,000 Hz or more" in found.card.choice
    with pytest.raises(InputError, match="has a rate of 7,000 Hz; it takes at least 8,000 Hz"):
        calibrate([str(tmp_path)], Settings(features="mel", maps=False))


def choose(heard_by: dict[str, Heard]) -> Kept:
    """Choose between two stubs that hear this."""
    read = {"spectrum": _Names(), "mel": _Names()}
    asked: list[str] = []

    def fit(name: str) -> Fitted:
        asked.append(name)
        return _Stub()  # type: ignore[return-value]

    kept = what_is_asked(
        "auto",
        read,  # type: ignore[arg-type]
        fit,
        lambda _models: list(heard_by.values()),
    )
    assert asked == ["spectrum", "mel"]
    return kept


def test_equal_ears_keep_the_reference_method() -> None:
    """Where both find the same, spectrum stays."""
    same = heard(np.ones((60, VERSIONS), bool))
    kept = choose({"spectrum": same, "mel": same})
    assert kept.why.startswith("spectrum: mel is not sure to hear more")


def test_what_hears_more_is_kept() -> None:
    """Where mel finds all and spectrum nothing, mel stays."""
    none, all_of_them = (heard(np.full((60, VERSIONS), found)) for found in (False, True))
    assert choose({"spectrum": none, "mel": all_of_them}).heard is all_of_them


class _Names:
    names = tuple(map(str, range(200)))
    n_sounds = 200


class _Stub:
    reference = _Names()
    rate = 0.01
