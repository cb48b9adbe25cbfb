"""Who is held out together: whole groups, or pieces in time of each recording."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.segment import Segmentation

MOST_FOLDS = 5
Folds = NDArray[np.int64]
"""Fold of each segment, shape `(n_segments,)`; −1 for a window left out at a border."""


def is_in_time(n_groups: int, segmentation: Segmentation) -> bool:
    """Whether recordings are cut in time: where there are windows of too few groups."""
    return segmentation.mode == "continuous" and n_groups < MOST_FOLDS


def folds_by_group(groups: Sequence[str]) -> Folds:
    """Groups in sorted order; the i-th goes to fold `i mod min(5, groups)`."""
    ordered = sorted(set(groups))
    n_folds = min(MOST_FOLDS, len(ordered))
    fold = {group: i % n_folds for i, group in enumerate(ordered)}
    return np.array([fold[group] for group in groups])


def folds_in_time(recording: NDArray[np.int64], duration_s: float, hop_s: float) -> Folds:
    """Every recording cut into five contiguous pieces, for windows of too few groups.

    At each border as many windows are left out as overlap with the piece before; at least one.
    Recordings too short to be cut are folded whole, as if each were a group.
    """
    left_out = max(1, math.ceil(duration_s / hop_s - 1e-9) - 1)
    folds = np.empty(len(recording), np.int64)
    for index in np.unique(recording):
        windows = np.flatnonzero(recording == index)
        piece = _pieces(len(windows))
        borders = np.flatnonzero(np.diff(piece)) + 1
        for border in borders:
            piece[border : border + left_out] = -1
        folds[windows] = piece
    if set(range(MOST_FOLDS)) <= set(folds.tolist()):
        return folds
    return folds_by_group([f"{index:09d}" for index in recording])


def piece_ends(n_samples: int, rate_hz: int, segmentation: Segmentation) -> list[tuple[int, int]]:
    """Where the pieces of a recording end, in samples, each with its fold: `[(fold, end), …]`.

    A piece ends with its last window. The windows that are kept of the next one begin later.
    """
    size = round(segmentation.duration_s * rate_hz)
    hop = round(segmentation.hop_s * rate_hz)
    piece = _pieces(max(1, (n_samples - size) // hop + 1))
    last = np.append(np.flatnonzero(np.diff(piece)), len(piece) - 1)
    ends = (last * hop + size).tolist()
    return list(zip(piece[last].tolist(), [*ends[:-1], n_samples], strict=True))


def _pieces(n_windows: int) -> Folds:
    """Piece of each window of a recording, before any is left out."""
    return np.arange(n_windows) * MOST_FOLDS // n_windows
