"""What the benchmarks are run on, made from the sixes: many more of them, and an hour of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from calibrate.reference import Reference
from model.features import Features

RATE_HZ = 48_000


def make_many(paths: Sequence[Path], folder: Path, times: int = 10) -> Path:
    """Write each recording `times` over, each with a slight change of level and speed.

    Level within ±3 dB, speed within ±3 %, by the rate in the header. Speakers keep their names.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def write(number: int) -> None:
        rng = np.random.default_rng(number)
        samples, rate_hz = soundfile.read(paths[number], dtype="float32")
        digit, speaker, take = paths[number].stem.split("_")
        for again in range(times):
            gain = 10 ** (rng.uniform(-3, 3) / 20)
            speed = rng.uniform(0.97, 1.03)
            path = folder / f"{digit}_{speaker}_{take}-{again}.flac"
            soundfile.write(path, samples * gain, round(rate_hz * speed), subtype="PCM_16")

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(len(paths))))
    return folder


def make_hour(paths: Sequence[Path], path: Path, sounds: int = 1500) -> Path:
    """Write an hour of `sounds` recordings at even distances, over a little noise; 48 kHz WAV."""
    n = 3600 * RATE_HZ
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        for number in range(sounds):
            stretch = rng.normal(size=n // sounds).astype(np.float32) * np.float32(1e-5)
            samples, _ = soundfile.read(paths[number % len(paths)], dtype="float32")
            stretch[: len(samples)] += samples[: len(stretch)]
            file.write(stretch)
    return path


def reference_of(
    names: Sequence[str], features: Features, recording: NDArray[np.int64] | None = None
) -> Reference:
    """Recordings that were read already, features of shape `(n, n_features)`, as a reference.

    `recording` is the index of each row's name, shape `(n,)`, where a recording has several.
    """
    rows = np.arange(len(names)) if recording is None else recording
    return Reference(
        names=tuple(names),
        features=features,
        recording=rows,
        window=np.zeros(len(rows), np.int64),
        skipped=(),
        clipped=(),
        ignored_files=0,
        cut=0,
        digest="",
        snr_range_db=None,
    )
