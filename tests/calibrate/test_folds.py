"""Who is held out together: no group, and no moment of a recording, is in two folds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from calibrate.folds import folds_by_group, folds_in_time, piece_ends
from model.segment import Segmentation


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


@pytest.mark.parametrize("n_windows", [1, 3, 5, 6, 17, 100])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_pieces_end_between_the_kept_windows_of_two_folds(n_windows: int, parts: int) -> None:
    """What a kept window of a fold hears lies within that fold's piece, from end to end."""
    rate_hz, size, hop = 800, 800, 800 // parts
    n_samples = (n_windows - 1) * hop + size + hop - 1
    ends = piece_ends(n_samples, rate_hz, Segmentation("continuous", 1.0, 1.0 / parts))
    fold_of_sample = np.concatenate(
        [
            np.full(end - start, fold)
            for (fold, end), start in zip(ends, [0, *(end for _, end in ends)], strict=False)
        ]
    )
    assert len(fold_of_sample) == n_samples
    others = np.zeros(100, np.int64)  # another recording, so long that all are cut
    folds = folds_in_time(np.append(np.ones(n_windows, np.int64), others), 1.0, 1.0 / parts)
    for window, fold in enumerate(folds[:n_windows].tolist()):
        if fold >= 0:
            assert set(fold_of_sample[window * hop : window * hop + size].tolist()) == {fold}
