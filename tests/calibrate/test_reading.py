"""Recordings are read for all front ends at once, at the highest rate that all of them have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from calibrate import readfile, reading
from calibrate.reading import read_for
from calibrate.reference import Reference, read_reference
from model.audio import Decoded, Samples, decode
from model.errors import InputError
from model.features import FrontEnd, make_front_end
from model.files import find_recordings
from model.segment import Segmentation

Write = Callable[[Sequence[int]], Path]


@pytest.fixture
def write(tmp_path: Path, make_word: Callable[..., Samples]) -> Write:
    """Write one word for each rate, in that order."""

    def write(rates_hz: Sequence[int]) -> Path:
        for i, rate_hz in enumerate(rates_hz):
            soundfile.write(tmp_path / f"{i:03}.wav", make_word(i, rate_hz), rate_hz)
        return tmp_path

    return write


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each file that is decoded."""
    files: list[str] = []

    def noting(path: str, limit_s: float | None = None) -> Decoded:
        files.append(path)
        return decode(path, limit_s)

    monkeypatch.setattr(readfile, "decode", noting)
    return files


def read(folder: Path, *names: str) -> dict[str, tuple[FrontEnd, Reference]]:
    """Read a folder as calibration does."""
    found = find_recordings([str(folder)])
    return read_for(names, found, Segmentation(), 1, lambda *_: None)


def test_each_file_is_decoded_once_for_both(write: Write, decoded: list[str]) -> None:
    """Two front ends hear one decoding, and each gets what it would read alone."""
    folder = write([16000] * 24)
    both = read(folder, "spectrum", "mel")
    assert len(decoded) == len(set(decoded)) == 24
    found = find_recordings([str(folder)])
    for name, (front_end, heard) in both.items():
        assert front_end == make_front_end(name, 1.0, 16000)
        alone = read_reference(found, front_end, Segmentation(), 1, lambda *_: None)
        np.testing.assert_array_equal(heard.features[:], alone.features[:])
        assert (heard.names, heard.digest) == (alone.names, alone.digest)


@pytest.mark.parametrize(("lowest_hz", "rate_hz"), [(44100, 16000), (16000, 16000), (11025, 8000)])
def test_mel_goes_as_high_as_all_recordings_do(write: Write, lowest_hz: int, rate_hz: int) -> None:
    """The one recording with the lowest rate decides, wherever it lies."""
    folder = write([44100] * 10 + [lowest_hz] + [44100] * 13)
    front_end, heard = read(folder, "mel")["mel"]
    assert front_end.rate_hz == rate_hz
    assert len(heard.names) == 24


def test_a_rate_that_was_guessed_wrongly_is_read_again(
    write: Write, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The few files looked into had 16,000 Hz, one of the others has 8,000: all are used at that.

    Only the front end that was wrong reads again.
    """
    monkeypatch.setattr(reading, "_LOOKED_INTO", 2)
    folder = write([16000] * 5 + [8000] + [16000] * 18)
    found = read(folder, "spectrum", "mel")
    assert found["mel"][0].rate_hz == 8000
    assert len(found["mel"][1].names) == len(found["spectrum"][1].names) == 24
    assert not found["mel"][1].skipped
    assert len(decoded) == 48


def test_what_one_front_end_cannot_hear_it_skips(write: Write) -> None:
    """A recording of 7,000 Hz is none for mel, and says so; the spectrum uses it."""
    folder = write([7000] + [8000] * 23)
    found = read(folder, "spectrum", "mel")
    assert len(found["spectrum"][1].names) == 24
    ((name, reason),) = found["mel"][1].skipped
    assert name.endswith("000.wav")
    assert reason == "unreadable: has a rate of 7,000 Hz; it takes at least 8,000 Hz"


def test_too_few_for_the_first_front_end_are_refused(write: Write) -> None:
    """Nineteen usable recordings are one too few; for the second one they are no error."""
    folder = write([7000] * 5 + [8000] * 19)
    assert len(read(folder, "spectrum", "mel")["mel"][1].names) == 19
    with pytest.raises(InputError, match="19 usable recordings are too few"):
        read(folder, "mel")


def test_windows_are_numbered_with_those_that_cannot_be_used(
    tmp_path: Path, make_word: Callable[..., Samples]
) -> None:
    """A silent second in the middle leaves out its windows and no other's number."""
    sound = np.concatenate([make_word(i) for i in range(16)])
    sound[24000:32000] = 0
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", sound * (1 - i / 10), 8000)
    found = find_recordings([str(tmp_path)])
    cut = Segmentation("continuous", 0.5, 0.5)
    (_, heard) = read_for(["mel"], found, cut, 1, lambda *_: None)["mel"]
    assert heard.window is not None
    assert heard.window.tolist() == [*range(6), *range(8, 16)] * 4
