"""In a room the summary says what the monitor's gate will make of the sounds there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from calibrate.fitting import Settings, calibrate
from calibrate.room import Room
from model.card import LiveCut
from model.detector import Detector
from model.segment import Segmentation
from model.storage import read_model, write_model
from model.summary import describe

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, make_word: Callable[..., Samples]) -> Path:
    """A hundred words at 16,000 Hz."""
    folder = tmp_path_factory.mktemp("words")
    for i in range(100):
        soundfile.write(folder / f"{i:03}.wav", make_word(i, 16000), 16000)
    return folder


@pytest.fixture(scope="module")
def in_room(words: Path) -> Callable[[float], tuple[Detector, LiveCut]]:
    """Calibrate on the words in white noise so many dB below each of them."""

    def fit(snr_db: float) -> tuple[Detector, LiveCut]:
        noise = np.random.default_rng(0).normal(size=160_000).astype(np.float32)
        room = Room("room.wav", 0.01 * noise, 16000, "", snr_db)
        detector = calibrate([str(words)], Settings(features="mel", maps=False, room=room))
        assert detector.card.room is not None
        assert detector.card.room.live is not None
        return detector, detector.card.room.live

    return fit


def test_in_a_quiet_room_the_gate_hears_all(
    in_room: Callable[[float], tuple[Detector, LiveCut]],
) -> None:
    """At 40 dB nothing is missed, what is cut is as normal as the whole, and no advice is given."""
    detector, live = in_room(40)
    assert (live.sounds, live.missed) == (100, 0)
    assert not live.is_odder(detector.false_alarm_rate)
    said = " ".join(describe(detector).split())
    assert f"of 100 that were held out {live.alarms} alarm, and for 0 the gate" in said
    assert "nearer" not in said


def test_in_a_loud_room_what_is_lost_is_told(
    in_room: Callable[[float], tuple[Detector, LiveCut]], tmp_path: Path
) -> None:
    """At 3 dB the gate opens for few sounds; that is said, with what helps, and kept."""
    detector, live = in_room(3)
    assert live.missed > 50
    assert live.is_missed
    assert "bring the microphone nearer" in " ".join(describe(detector).split())
    write_model(tmp_path / "m.offkey", detector)
    assert read_model(tmp_path / "m.offkey").card == detector.card


def test_chance_is_not_taken_for_oddness() -> None:
    """A few more alarms than whole sounds give are chance; a quarter of all is not."""
    assert not LiveCut(100, 0, 5, 4).is_odder(0.01)
    assert LiveCut(100, 0, 25, 24).is_odder(0.01)
    assert not LiveCut(20, 0, 1, 1).is_odder(0.05)
    assert not LiveCut(100, 4, 0, 0).is_missed
    assert LiveCut(100, 10, 0, 0).is_missed


def test_windows_are_not_cut_by_a_gate(words: Path) -> None:
    """Continuous mode has no gate: nothing is tried, and nothing said."""
    noise = np.random.default_rng(0).normal(size=160_000).astype(np.float32)
    room = Room("room.wav", 0.01 * noise, 16000, "", 20.0)
    cut = Segmentation("continuous", 0.25, 0.125)
    card = calibrate([str(words)], Settings(cut, features="mel", maps=False, room=room)).card
    assert card.room is not None
    assert card.room.live is None
