"""Held-out scores come from detectors that have not heard the sound's own group."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from calibrate.crossfit import (
    HeldOut,
    Ranked,
    alarm_rates,
    false_alarm_table,
    rank_among_other_folds,
    runs_of_windows,
)
from calibrate.fitting import Settings, calibrate
from calibrate.reference import read_reference
from model.alarms import AlarmRule
from model.card import AlarmRate
from model.detector import Detector, RawScores
from model.features import Spectrum
from model.files import find_recordings
from model.segment import Segmentation

Floats = NDArray[np.float64]


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
    isolation, reconstruction = plain_held_out(features[:], folds)
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
    isolation, reconstruction = plain_held_out(features[:], np.tile(piece, 2))
    np.testing.assert_allclose(detector.conformity.isolation, isolation, rtol=0, atol=1e-12)
    np.testing.assert_allclose(detector.conformity.reconstruction, reconstruction, rtol=1e-4)
    assert "in time" in detector.card.group_rule
    assert detector.card.folds == 5


def test_alarms_are_measured_piece_by_piece(tmp_path: Path) -> None:
    """A model's alarms an hour are those of its held-out scores, by plain counting in each fold."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(size=8000 * 30) * 0.1, 8000)
    cut = Segmentation("continuous", 1.0, 0.5, alarm=AlarmRule(2, 12))
    asked = Settings(segmentation=cut, false_alarm_rate=0.2, maps=False, jobs=1)
    detector = calibrate([str(tmp_path)], asked)
    # Five pieces of each of 59 windows, without the first of all but the first piece.
    pieces = [[12, 11, 11, 11, 10], [12, 11, 11, 11, 10]]
    folds = np.concatenate([np.repeat(np.arange(5), sizes) for sizes in pieces])
    both = np.array([detector.conformity.isolation, detector.conformity.reconstruction])
    assert both.shape == (2, len(folds))
    sounds = zip(folds, both.T, strict=True)
    p = np.array([plain_joint(both[:, folds != fold], sound) for fold, sound in sounds])
    runs = np.split(p <= 0.2, np.cumsum(np.concatenate(pieces))[:-1])
    expected = tuple(
        AlarmRate(k, m, sum(plain_count(run.tolist(), k, m) for run in runs), 110 * 0.5 / 3600)
        for k, m in ((2, 12), (1, 1), (2, 3), (3, 5))
    )
    assert detector.card.alarm_rates == expected
    assert expected[0].alarms != plain_count((p <= 0.2).tolist(), 2, 12)


def plain_count(odd: list[bool], k: int, m: int) -> int:
    """Count alarms: from each place where `k` of `m` are odd, skip to where it cannot go on."""
    count, start = 0, 0
    for i in range(len(odd)):
        if i < start or not odd[i] or sum(odd[max(start, i - m + 1) : i + 1]) < k:
            continue
        first = next(j for j in range(max(start, i - m + 1), i + 1) if odd[j])
        end = i
        for j in (j for j in range(i + 1, len(odd)) if odd[j]):
            if j > end + 1 and sum(odd[max(first, j - m + 1) : j + 1]) < max(2, k):
                break
            end = j
        count, start = count + 1, end + 1
    return count


NUMBERS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=40)


@given(NUMBERS)
def test_a_run_is_unbroken_sound_of_one_fold(steps: list[tuple[int, int]]) -> None:
    """Kept windows share a run just where all between them are of the same recording and fold."""
    recording = np.cumsum([step for step, _ in steps])
    folds = np.array([fold - 1 for _, fold in steps])
    kept = np.flatnonzero(folds >= 0)
    if not len(kept):
        return
    runs = runs_of_windows(recording, kept, folds)
    for (a, i), (b, j) in itertools.combinations(enumerate(kept), 2):
        same = {(recording[x], folds[x]) for x in range(i, j + 1)}
        assert (runs[a] == runs[b]) == (len(same) == 1)


RUNS = st.lists(st.lists(st.booleans(), min_size=1, max_size=20), min_size=1, max_size=5)


@given(RUNS, st.integers(1, 6), st.integers(0, 3), st.sampled_from([0.25, 0.5, 1.0]))
def test_alarms_of_held_out_windows_are_counted(
    flags: list[list[bool]], k: int, more: int, hop_s: float
) -> None:
    """Counts equal plain counting run by run, for the rule in force first and each rule once."""
    rule = AlarmRule(k, k + more)
    p = np.where(np.concatenate(flags), 0.01, np.nextafter(0.01, 1))
    runs = np.repeat(np.arange(len(flags)), [len(run) for run in flags])
    cut = Segmentation("continuous", 1.0, hop_s, alarm=rule)
    rates = alarm_rates(Ranked(p, 0.01), runs, 0.01, cut)
    rules = [(rate.k, rate.m) for rate in rates]
    assert rules[0] == (rule.k, rule.m)
    assert len(rules) == len(set(rules))
    assert set(rules) == {(rule.k, rule.m), (1, 1), (2, 3), (3, 5)}
    for rate in rates:
        assert rate.alarms == sum(plain_count(run, rate.k, rate.m) for run in flags)
        assert rate.hours == pytest.approx(len(p) * hop_s / 3600)


def test_too_few_windows_measure_no_alarms() -> None:
    """Where no p can be as small as the rate, no alarms is not told as none."""
    rates = alarm_rates(
        Ranked(np.full(40, 0.02), 0.02), np.zeros(40, np.int64), 0.01, Segmentation("continuous")
    )
    assert [rate.alarms for rate in rates] == [None, None, None]


def test_event_mode_measures_no_alarms_an_hour(word_detector: Detector) -> None:
    """Sounds that come one by one have a rate of their own; there are no hours."""
    assert word_detector.card.alarm_rates == ()


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
    for row in false_alarm_table(held_out, rank_among_other_folds(held_out, folds), groups):
        shares = {group: np.mean(p[groups == group] <= row.rate) for group in set(groups)}
        assert row.mean == pytest.approx(np.mean(p <= row.rate))
        assert row.worst == pytest.approx(max(shares.values()))
        assert shares[row.worst_group] == pytest.approx(row.worst)
        assert row.in_sample == pytest.approx(np.mean(in_sample <= row.rate))
        assert row.measurable == (row.rate >= 1 / 41)
