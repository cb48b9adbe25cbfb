"""How well a stream is cut into sounds: 500 sixes in noise of several kinds and levels.

Run from the project's root: `python tests/bench/stream.py`. The sixes of the speakers whose number
is divisible by 6, each at the same RMS with 10 ms fades, 0.6 to 2 s apart, at 48 kHz; the model
knows the other 50 speakers. Once with each front end. Rank correlations are of the reconstruction
error with that of the clean whole recording: as the stream was cut, and as it would be with the
true boundaries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt
from scipy.stats import spearmanr

from calibrate.fitting import Settings, calibrate
from model.audio import Block, Resampler, read_recording, resample
from model.detector import Detector
from model.features import FRONT_ENDS
from model.segment import Segment
from model.segmenter import cut_recording, make_segmenter

ROOT = Path(__file__).parents[2]
SIX = ROOT.parent / "shared" / "data" / "six"
DIGITS = ROOT.parent / "shared" / "data" / "digits"
RATE_HZ = 48_000
RMS = 0.05
Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A stream of sounds without noise, and where they are."""

    samples: Sound
    spans: NDArray[np.int64]
    """First sample of each sound and the one after its last, shape `(n, 2)`."""
    clean_errors: NDArray[np.float64]
    """Reconstruction error of each clean whole recording, shape `(n,)`."""


def main() -> int:
    """Measure and print; say where there is nothing to measure on."""
    if not SIX.is_dir():
        print(f"No recordings in {SIX}: nothing to measure on.", file=sys.stderr)
        return 2
    paths = sorted(SIX.glob("*.flac"))
    new = [path for path in paths if int(path.stem.split("_")[1]) % 6 == 0]
    known = [str(path) for path in paths if path not in set(new)]
    print(f"{len(new)} sounds of speakers that the model does not know")
    for features in FRONT_ENDS:
        detector = calibrate(known, Settings(maps=False, features=features))
        rng = np.random.default_rng(0)
        scene = make_scene(new, detector, rng)
        head = (features, "dB", "found", "split", "extra", "rank", "true", "alarms")
        print(f"\n{head[0]:<22}" + "".join(f"{word:>8}" for word in head[1:]))
        for name, snr_db, noise in noises(len(scene.samples), rng):
            row = measure(scene, noise * RMS * 10 ** (-snr_db / 20), detector)
            print(f"{name:<22}{snr_db:>8}" + "".join(f"{value:>8.3f}" for value in row), flush=True)
    return 0


def make_scene(paths: list[Path], detector: Detector, rng: np.random.Generator) -> Scene:
    """One sound after the other, 0.6 to 2 s apart."""
    parts, spans, errors = [np.zeros(2 * RATE_HZ, np.float32)], [], []
    at = len(parts[0])
    fade = np.linspace(0, 1, RATE_HZ // 100, dtype=np.float32)
    for path in paths:
        sound, _ = soundfile.read(path, dtype="float32")
        sound *= RMS / np.sqrt(np.mean(sound**2))
        sound[: len(fade)] *= fade
        sound[-len(fade) :] *= fade[::-1]
        gap = np.zeros(int(rng.uniform(0.6, 2.0) * RATE_HZ), np.float32)
        spans.append((at, at + len(sound)))
        parts += [sound, gap]
        at += len(sound) + len(gap)
        whole = cut_recording(
            read_recording(path, detector.front_end.rate_hz), detector.segmentation
        )[0]
        errors.append(detector.score(whole).reconstruction_error or 0.0)
    return Scene(np.concatenate(parts), np.array(spans), np.array(errors))


def noises(n: int, rng: np.random.Generator) -> Iterator[tuple[str, int, Sound]]:
    """Kinds of noise with the level below the sounds, each of RMS 1, shape `(n,)`."""
    pink = _pink(n, rng)
    for snr_db in (60, 30, 20, 10):
        yield "pink", snr_db, pink
    seconds = np.arange(n) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * 50 * k * seconds + k) / k for k in range(1, 9))
    band = sosfilt(butter(4, (300, 2500), "bandpass", fs=RATE_HZ, output="sos"), _white(n, rng))
    slow = 10 ** (6 * np.sin(2 * np.pi * seconds / 20) / 20)
    others = {"mains hum": hum, "band, ±6 dB in 20 s": band * slow}
    if DIGITS.is_dir():
        others["babble of digits"] = _babble(n, rng)
    for name, noise in others.items():
        for snr_db in (30, 20):
            yield name, snr_db, _unit(noise)
    # A bang is as loud as the sounds, whatever lies under it: its quiet level is that of the pink.
    for snr_db in (30,):
        yield "pink, bang every 10 s", snr_db, pink + _bangs(n, rng) * 10 ** (snr_db / 20)


def measure(scene: Scene, noise: Sound, detector: Detector) -> tuple[float, ...]:
    """Shares found, split, extra; rank correlation as cut and with true boundaries; alarms."""
    heard = (scene.samples + noise).astype(np.float32)
    segments = cut_stream(heard, detector)
    spans = scene.spans / RATE_HZ
    starts = np.array([s.start_s for s in segments])
    ends = starts + [s.duration_s for s in segments]
    overlap = np.minimum(ends, spans[:, 1:]) - np.maximum(starts, spans[:, :1])
    hits = overlap > 0.02
    found = hits.any(axis=1)
    best = overlap.argmax(axis=1)
    scores = [detector.score(segments[best[i]]) for i in np.flatnonzero(found)]
    as_cut = [score.reconstruction_error for score in scores]
    true = [_true_error(heard, span, detector) for span in scene.spans[found]]
    clean = scene.clean_errors[found]
    return (
        float(found.mean()),
        float((hits.sum(axis=1) > 1).mean()),
        float((~hits.any(axis=0)).sum() / len(spans)),
        float(spearmanr(as_cut, clean).statistic),
        float(spearmanr(true, clean).statistic),
        float(np.mean([score.verdict == "anomalous" for score in scores])),
    )


def cut_stream(samples: Sound, detector: Detector) -> list[Segment]:
    """All segments of a stream at 48 kHz."""
    rate_hz = detector.front_end.rate_hz
    resampler, segmenter = (
        Resampler(RATE_HZ, rate_hz),
        make_segmenter(detector.segmentation, rate_hz),
    )
    segments: list[Segment] = []
    for start in range(0, len(samples), RATE_HZ):
        for block in resampler.push(Block(samples[start : start + RATE_HZ], start)):
            segments += segmenter.push(block)
    rest = resampler.flush()
    if rest is not None:
        segments += segmenter.push(rest)
    return [*segments, *segmenter.flush()]


def _true_error(heard: Sound, span: NDArray[np.int64], detector: Detector) -> float:
    samples = resample(heard[span[0] : span[1]], RATE_HZ, detector.front_end.rate_hz)
    score = detector.score(Segment(samples, 0.0, len(samples) / detector.front_end.rate_hz))
    return score.reconstruction_error or 0.0


def _unit(noise: NDArray[np.floating]) -> Sound:
    scaled: Sound = (noise / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)
    return scaled


def _white(n: int, rng: np.random.Generator) -> Sound:
    return rng.standard_normal(n).astype(np.float32)


def _pink(n: int, rng: np.random.Generator) -> Sound:
    spectrum = np.fft.rfft(_white(n, rng))
    return _unit(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n))


def _babble(n: int, rng: np.random.Generator) -> Sound:
    """Six voices that say digits without a pause."""
    paths = sorted(DIGITS.glob("*.wav"))
    total = np.zeros(n, np.float32)
    for _ in range(6):
        at = 0
        while at < n:
            sound, rate_hz = soundfile.read(paths[rng.integers(len(paths))], dtype="float32")
            sound = _unit(resample(sound, rate_hz, RATE_HZ))[: n - at]
            total[at : at + len(sound)] += sound
            at += len(sound)
    return total


def _bangs(n: int, rng: np.random.Generator) -> Sound:
    """A burst of noise that dies away within a quarter of a second, every ten seconds."""
    length = RATE_HZ // 4
    decay = np.exp(-np.arange(length) / (0.05 * RATE_HZ)).astype(np.float32)
    total = np.zeros(n, np.float32)
    for start in range(5 * RATE_HZ, n - length, 10 * RATE_HZ):
        total[start : start + length] = 3 * decay * _white(length, rng)
    return total


if __name__ == "__main__":
    sys.exit(main())
