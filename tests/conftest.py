"""What the tests share: the real recordings read once, made-up words, detectors, the command.

Slow things are made once a session. Real recordings lie beside the repository; without them the
tests that need them are skipped.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # loaded before it is limited
import soundfile
from numpy.typing import NDArray

from calibrate.fitting import Settings, calibrate, fit_detector
from calibrate.groups import group_recordings
from calibrate.reference import Reference, read_reference
from calibrate.threads import one_core_each
from model.detector import Detector
from model.features import Spectrum
from model.files import find_recordings
from model.segment import Segmentation

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """Keep linear algebra here on one core: processes of tests share the cores, and threads spin.

    What is run in a process of its own has as many as anybody's.
    """
    with one_core_each():
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the repository."""
    return ROOT


@pytest.fixture(scope="session")
def six_folder() -> Path:
    """Find the 3,000 recordings of the digit six."""
    folder = SHARED / "data" / "six"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    """Read what the reference method published, its scores per name under `scores`."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip(f"the published figures are not there: {folder}")
    facts: dict[str, Any] = json.loads((folder / "notebook.json").read_text())
    with (folder / "notebook_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    facts["scores"] = {
        row["name"]: (float(row["isolation_score"]), float(row["reconstruction_error"]))
        for row in rows
    }
    return facts


@pytest.fixture(scope="session")
def sixes(six_folder: Path) -> Reference:
    """All 3,000 sixes, read once, in sorted order of their names."""
    found = find_recordings([str(six_folder)])
    return read_reference(found, Spectrum(), Segmentation(), -1, lambda *_: None)


@pytest.fixture(scope="session")
def speakers(sixes: Reference) -> NDArray[np.int64]:
    """Give the number of each six's speaker, 1 to 60."""
    return np.array([int(Path(name).stem.split("_")[1]) for name in sixes.names])


@pytest.fixture(scope="session")
def calibrated_on(sixes: Reference) -> Callable[[NDArray[np.bool_]], Detector]:
    """Calibrate on the sixes of a mask, without reading them again."""

    def fit(mask: NDArray[np.bool_]) -> Detector:
        chosen = np.flatnonzero(mask)
        part = replace(
            sixes,
            names=tuple(sixes.names[i] for i in chosen),
            features=sixes.features[chosen],
            recording=np.arange(len(chosen)),
            window=np.zeros(len(chosen), np.int64),
        )
        groups = group_recordings(part.names)
        return fit_detector(part, groups, Spectrum(), Settings(maps=False))

    return fit


@pytest.fixture(scope="session")
def full_detector(
    sixes: Reference, calibrated_on: Callable[[NDArray[np.bool_]], Detector]
) -> Detector:
    """Calibrate on all 3,000 sixes."""
    return calibrated_on(np.ones(len(sixes.names), bool))


@pytest.fixture(scope="session")
def small_detector(
    speakers: NDArray[np.int64], calibrated_on: Callable[[NDArray[np.bool_]], Detector]
) -> Detector:
    """Calibrate on the 600 sixes of the first 12 speakers."""
    return calibrated_on(speakers <= 12)


def _make_word(seed: int, rate_hz: int = 8000) -> NDArray[np.float32]:
    """Make up a word shaped like "six": hiss, hum, a closure of 60 ms, hiss; 0.5 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(rate_hz // 2) / rate_hz
    hiss = np.diff(rng.normal(size=len(t) + 1)) * rng.uniform(0.05, 0.15)
    pitch_hz = rng.uniform(100, 250)
    strengths = rng.uniform(0.2, 1, size=8)
    hum = sum(a * np.sin(2 * np.pi * pitch_hz * k * t) for k, a in enumerate(strengths, 1))
    word = np.where((t < 0.15) | (t > 0.36), hiss, 0) + np.where((t >= 0.15) & (t < 0.3), hum, 0)
    word = word * rng.uniform(0.05, 0.1) + rng.normal(size=len(t)) * 1e-4
    return word.astype(np.float32)


@pytest.fixture(scope="session")
def make_word() -> Callable[..., NDArray[np.float32]]:
    """Make a word of a seed, and of a rate that is 8,000 Hz unless asked otherwise."""
    return _make_word


@pytest.fixture(scope="session")
def write_words() -> Callable[..., list[Path]]:
    """Write `n` words into a folder: names that say no groups, seeds from `first`."""

    def write(folder: Path, n: int, first: int = 0) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"word {first + i:03}.wav" for i in range(n)]
        for i, path in enumerate(paths):
            soundfile.write(path, _make_word(first + i), 8000)
        return paths

    return write


@pytest.fixture(scope="session")
def words_folder(
    tmp_path_factory: pytest.TempPathFactory, write_words: Callable[..., list[Path]]
) -> Path:
    """Sixty words in six folders of ten: six groups. Nobody writes there."""
    folder = tmp_path_factory.mktemp("words")
    for i in range(6):
        write_words(folder / f"speaker {i}", 10, 10 * i)
    return folder


@pytest.fixture(scope="session")
def word_detector(words_folder: Path) -> Detector:
    """Calibrate on the sixty words."""
    return calibrate([str(words_folder)], Settings(maps=False))


@pytest.fixture(scope="session")
def offkey() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed command `offkey` in a process of its own."""
    command = Path(sys.executable).with_name("offkey")
    if not command.exists():
        pytest.skip(f"offkey is not installed beside {sys.executable}")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
            check=False,
        )

    return run
