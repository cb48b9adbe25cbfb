"""An explanation in words names what was done to a sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from calibrate.fitting import Settings, calibrate
from model.audio import Samples
from model.detector import Detector
from model.explanation import explain


@pytest.fixture(scope="module")
def mel_detector(
    tmp_path_factory: pytest.TempPathFactory, make_word: Callable[..., Samples]
) -> Detector:
    """Calibrate mel on a hundred words of 16,000 Hz."""
    folder = tmp_path_factory.mktemp("words16")
    for i in range(100):
        soundfile.write(folder / f"word {i:03}.wav", make_word(i, 16000), 16000)
    return calibrate([str(folder)], Settings(features="mel", maps=False))


@pytest.mark.parametrize("hz", [900, 1900, 5000])
def test_a_tone_is_too_much_at_its_frequency(
    mel_detector: Detector, make_word: Callable[..., Samples], hz: float
) -> None:
    """The first thing said of a word with a tone in it is where the tone is."""
    word = make_word(1000, 16000)
    tone = 0.05 * np.sin(2 * np.pi * hz * np.arange(len(word)) / 16000)
    found = explain(mel_detector, (word + tone).astype(np.float32))
    assert found is not None
    words, number, unit = found.findings[0].rsplit(" ", 2)
    assert words == "too much at"
    assert float(number) * (1000 if unit == "kHz" else 1) == pytest.approx(hz, rel=0.08)


def test_a_missing_top_is_too_little_above(
    mel_detector: Detector, make_word: Callable[..., Samples]
) -> None:
    """A word without anything above 5 kHz has too little above about that."""
    spectrum = np.fft.rfft(make_word(1000, 16000))
    spectrum[len(spectrum) * 5 // 8 :] = 0
    found = explain(mel_detector, np.fft.irfft(spectrum).astype(np.float32))
    assert found is not None
    assert any(text.startswith("too little above") for text in found.findings)


def test_of_a_normal_sound_nothing_is_told_as_a_fault(
    mel_detector: Detector, make_word: Callable[..., Samples]
) -> None:
    """Each finding has a twin at the same place that compares, and says `too` of nothing."""
    pairs = {
        "too much": "more",
        "too little": "less",
        "too unsteady": "less steady",
        "too steady": "steadier",
        "too early": "earlier",
        "too late": "later",
        "too weak in the middle": "weaker in the middle",
        "too strong in the middle": "stronger in the middle",
    }
    for seed in range(1000, 1012):
        found = explain(mel_detector, make_word(seed, 16000))
        assert found is not None
        for fault, difference in zip(found.findings, found.differences, strict=True):
            said = next(said for said in pairs if fault.startswith(said))
            assert difference == fault.replace(said, pairs[said])


def test_clusters_say_which_part_is_meant(mel_detector: Detector) -> None:
    """Names of clusters begin with the part of the features that stands out."""
    starts = ("shape ", "steadiness ", "order ", "middle ", "below average")
    assert all(name.startswith(starts) for name in mel_detector.clusters.suggested)


def test_the_spectrum_speaks_too(
    word_detector: Detector, make_word: Callable[..., Samples]
) -> None:
    """With the reference method there is one part, of which too much or too little is said."""
    found = explain(word_detector, make_word(1000, 6800))
    assert found is not None
    assert len(found.findings) == 1
    assert found.findings[0].startswith(("too much", "too little"))
