"""Held-out scores come from detectors that have not heard the sound's own group."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from calibrate.crossfit import HeldOut, false_alarm_table, folds_by_group, folds_in_time
from calibrate.fitting import Settings, calibrate
from calibrate.reference import read_reference
from model.detector import Detector, RawScores
from model.features import Spectrum
from model.files import find_recordings
from model.segment import Segmentation

Floats = NDArray[np.float64]


@pytest.mark.parametrize("n_groups", [2, 3, 4, 5, 6, 12, 60])
def test_no_group_is_in_two_folds(n_groups: int) -> None:
    """Groups in sorted order go to fold `i mod min(5, groups)`, whatever order they come in."""
    names = [f"g{i:02}" for i in range(n_groups)]
    groups = np.random.default_rng(0).permutation(np.repeat(names, 7))
    folds = folds_by_group(list(groups))
    for i, name in enumerate(names):
        assert set(folds[groups == name]) == {i % min(5, n_groups)}


@pytest.mark.parametrize("n_windows", [5, 6, 7, 10, 23, 100])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 8])
def test_folds_in_time_share_no_sample(n_windows: int, parts: int) -> None:
    """With a hop of a part of the duration, windows of different folds never overlap."""
    recording = np.repeat([0, 1, 2], n_windows)
    folds = folds_in_time(recording, 1.0, 1.0 / parts)
    assert set(folds) <= {-1, 0, 1, 2, 3, 4}
    for index in range(3):
        own = folds[recording == index]
        kept = [(i, fold) for i, fold in enumerate(own) if fold >= 0]
        for (i, a), (j, b) in itertools.combinations(kept, 2):
            assert a == b or j - i >= parts
        assert [fold for _, fold in kept] == sorted(fold for _, fold in kept)


def test_one_window_is_left_out_at_each_border() -> None:
    """A hundred half-overlapping windows make five pieces with four windows dropped."""
    folds = folds_in_time(np.zeros(100, np.int64), 1.0, 0.5)
    assert np.flatnonzero(folds < 0).tolist() == [20, 40, 60, 80]
    assert np.bincount(folds[folds >= 0]).tolist() == [20, 19, 19, 19, 19]


def plain_held_out(
    features: NDArray[np.float32], folds: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Compute held-out scores with scikit-learn's own objects, one fold after the other."""
    rows = features.astype(np.float64)

    def forest(part: NDArray[np.float32]) -> IsolationForest:
        return IsolationForest(contamination=0.1, random_state=42).fit(part)

    isolation, reconstruction = np.full((2, len(rows)), np.nan)
    offset = forest(features).offset_
    for fold in sorted(set(folds[folds >= 0])):
        inside, others = folds == fold, (folds >= 0) & (folds != fold)
        pca = PCA(0.99, svd_solver="full").fit(rows[others])
        rest = rows[inside] - pca.inverse_transform(pca.transform(rows[inside]))
        reconstruction[inside] = np.mean(rest**2, axis=1)
        isolation[inside] = offset - forest(features[others]).score_samples(features[inside])
    return isolation[folds >= 0], reconstruction[folds >= 0]


def test_held_out_scores_are_those_of_plain_refits(
    word_detector: Detector, words_folder: Path
) -> None:
    """Each word's held-out scores equal those of scikit-learn fitted without the word's fold."""
    found = find_recordings([str(words_folder)])
    features = read_reference(found, Spectrum(), Segmentation(), 1, lambda *_: None).features
    folds = np.repeat(np.arange(6) % 5, 10)
    isolation, reconstruction = plain_held_out(features, folds)
    np.testing.assert_allclose(word_detector.conformity.isolation, isolation, rtol=0, atol=1e-12)
    np.testing.assert_allclose(word_detector.conformity.reconstruction, reconstruction, rtol=1e-4)


def test_few_long_recordings_are_held_out_in_time(tmp_path: Path) -> None:
    """Of two machines heard for long, each window is scored by a fit on other pieces of time."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(size=8000 * 16) * 0.1, 8000)
    cut = Segmentation("continuous", 1.0, 0.5)
    detector = calibrate([str(tmp_path)], Settings(segmentation=cut, maps=False, jobs=1))
    found = find_recordings([str(tmp_path)])
    features = read_reference(found, Spectrum(), cut, 1, lambda *_: None).features
    assert len(features) == 62
    piece = np.arange(31) * 5 // 31
    piece[np.flatnonzero(np.diff(piece)) + 1] = -1
    isolation, reconstruction = plain_held_out(features, np.tile(piece, 2))
    np.testing.assert_allclose(detector.conformity.isolation, isolation, rtol=0, atol=1e-12)
    np.testing.assert_allclose(detector.conformity.reconstruction, reconstruction, rtol=1e-4)
    assert "in time" in detector.card.group_rule
    assert detector.card.folds == 5


def plain_joint(reference: Floats, new: Floats) -> float:
    """Rank one new sound's two scores among reference scores of shape `(2, n)`."""
    n = len(reference[0])
    m = [
        min(sum(column >= own) / n for column, own in zip(reference, sound, strict=True))
        for sound in reference.T
    ]
    own = min((1 + sum(c >= s)) / (n + 1) for c, s in zip(reference, new, strict=True))
    return (1 + int(np.sum(np.array(m) <= own))) / (n + 1)


def test_the_false_alarm_table_ranks_each_fold_among_the_others() -> None:
    """Mean, worst group and what cannot be measured equal plain counting."""
    rng = np.random.default_rng(0)
    folds = np.arange(60) % 3
    groups = np.array([f"g{i % 6}" for i in range(60)])
    both = rng.normal(size=(2, 60)) + 2 * (groups == "g4")
    in_sample = rng.random(60) / 5
    held_out = HeldOut(np.arange(60), RawScores(both[0], both[1], np.zeros((60, 64))), in_sample)
    p = np.array([plain_joint(both[:, folds != folds[i]], both[:, i]) for i in range(60)])
    for row in false_alarm_table(held_out, folds, groups):
        shares = {group: np.mean(p[groups == group] <= row.rate) for group in set(groups)}
        assert row.mean == pytest.approx(np.mean(p <= row.rate))
        assert row.worst == pytest.approx(max(shares.values()))
        assert shares[row.worst_group] == pytest.approx(row.worst)
        assert row.in_sample == pytest.approx(np.mean(in_sample <= row.rate))
        assert row.measurable == (row.rate >= 1 / 41)
