"""Print how well each front end tells a six from other digits: areas under the ROC curve.

Run from the project's root: `python tests/bench/hearing.py`. The fair test of `../shared/data`:
calibrate on the sixes of five speakers, test on the sixth speaker's sixes against the sixth
speaker's other digits, average over the six speakers. The recordings have 8,000 Hz.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile
from material import reference_of
from numpy.typing import NDArray

from calibrate.fitting import Settings, fit_detector
from calibrate.groups import Groups
from model.audio import level_dbfs, resample
from model.detector import raw_scores
from model.features import FRONT_ENDS, FrontEnd, make_front_end

ROOT = Path(__file__).parents[2]
DIGITS = ROOT.parent / "shared" / "data" / "digits"
GOALS = {"reconstruction error": 0.90, "isolation score": 0.84, "joint oddness": 0.91}
"""Of mel."""
Rows = dict[str, NDArray[np.float64]]


def main() -> int:
    """Measure, print, and say whether mel keeps its goals."""
    if not DIGITS.is_dir():
        print(f"No recordings in {DIGITS}: nothing to measure on.", file=sys.stderr)
        return 2
    areas = {name: measure(make_front_end(name, 1.0, 8000)) for name in FRONT_ENDS}
    print(f"{'area under the ROC curve, mean of six speakers':<48}{'worst':>8}")
    for name, rows in areas.items():
        for what, values in rows.items():
            print(f"{name + ', ' + what:<40}{values.mean():>8.3f}{values.min():>8.3f}")
    kept = all(areas["mel"][what].mean() >= goal for what, goal in GOALS.items())
    print("\nmel keeps its goals" if kept else "\nmel misses a goal")
    return 0 if kept else 1


def measure(front_end: FrontEnd) -> Rows:
    """Areas of each score by speaker, shape `(6,)`."""
    names, features, loudness = _read(front_end)
    digit, speaker = (np.array([name.split("_")[i] for name in names]) for i in (0, 1))
    rows: dict[str, list[float]] = {}
    for one in np.unique(speaker):
        known = np.flatnonzero((digit == "6") & (speaker != one))
        detector = fit_detector(
            reference_of([names[i] for i in known], features[known]),
            Groups(tuple(speaker[known].tolist()), "by speaker"),
            front_end,
            Settings(maps=False),
        )
        tested = np.flatnonzero(speaker == one)
        raw = raw_scores(detector.subspace, detector.forest, features[tested])
        scores = {
            "reconstruction error": raw.reconstruction,
            "isolation score": raw.isolation,
            "joint oddness": detector.conformity.oddness(raw.isolation, raw.reconstruction),
            "loudness alone": np.abs(loudness[tested] - np.median(loudness[known])),
        }
        for what, values in scores.items():
            other = digit[tested] != "6"
            rows.setdefault(what, []).append(area(values[~other], values[other]))
    return {what: np.array(values) for what, values in rows.items()}


def area(normal: NDArray[np.float64], odd: NDArray[np.float64]) -> float:
    """Share of pairs of which the odd one has the larger score; a tie counts half."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, odd, "left") + np.searchsorted(ordered, odd, "right")
    return float(below.mean() / 2 / len(normal))


def _read(front_end: FrontEnd) -> tuple[list[str], NDArray[np.float32], NDArray[np.float64]]:
    names, rows, loudness = [], [], []
    for path in sorted(DIGITS.glob("*.wav")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        row = front_end.features(resample(samples, rate_hz, front_end.rate_hz))
        if row is not None:
            names.append(path.stem)
            rows.append(row)
            loudness.append(level_dbfs(samples) or -200.0)
    return names, np.array(rows), np.array(loudness)


if __name__ == "__main__":
    sys.exit(main())
