"""How firm clusters are: measured, and used to choose their number."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.stability import (
    agreement_in_plane,
    best_of,
    choose_number,
    measure_agreement,
)
from model.storage import read_model


def blobs(
    n_kinds: int, spread: float, n: int = 400
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Make profiles of some kinds, each a bump at another band, and which kind each one is."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % n_kinds
    profiles = rng.normal(0, spread, (n, 64))
    profiles[np.arange(n), kind * 64 // n_kinds] += 1
    return profiles, kind.astype(np.int16)


def test_separate_kinds_agree_wholly_and_noise_does_not() -> None:
    """Over seeds and halves, clusters that are there have 1; a single cloud is far below."""
    profiles, kind = blobs(4, 0.02)
    firm = measure_agreement(profiles, kind, 4, 42)
    assert firm.seeds == firm.halves == pytest.approx(1)
    cloud = np.random.default_rng(1).normal(size=(400, 64))
    loose = measure_agreement(cloud, kind, 4, 42)
    assert max(loose.seeds, loose.halves) < 0.5


@pytest.mark.parametrize("n_kinds", [3, 6])
def test_as_many_clusters_are_chosen_as_there_are_kinds(n_kinds: int) -> None:
    """The largest number on which both halves agree is the number of kinds."""
    profiles, _ = blobs(n_kinds, 0.05)
    tried = choose_number(profiles, 42)
    assert [number for number, _ in tried] == list(range(2, 16))
    assert best_of(tried) == n_kinds


def test_of_numbers_that_hold_as_well_the_largest_is_taken() -> None:
    """The one that holds best, or a larger one that is hardly worse; without any, one cluster."""
    assert best_of([(2, 0.3), (3, 0.6), (4, 0.5)]) == 3
    assert best_of([(2, 0.9), (3, 0.86), (4, 0.5)]) == 3
    assert best_of([]) == 1


def test_the_plane_is_compared_with_the_clusters() -> None:
    """Clusters that lie apart on a map agree with k-means there; shuffled ones do not."""
    _, kind = blobs(4, 0.02)
    rng = np.random.default_rng(2)
    corners = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    places = (corners[kind] + rng.normal(size=(len(kind), 2))).astype(np.float32)
    assert agreement_in_plane(places, kind, 4, 42) == pytest.approx(1)
    assert agreement_in_plane(places, rng.permutation(kind), 4, 42) < 0.1


def test_the_command_chooses_the_number_and_says_by_what(
    offkey: Callable[..., subprocess.CompletedProcess[str]], words_folder: Path, tmp_path: Path
) -> None:
    """`--clusters auto` gives the number that was best among those it lists."""
    model = tmp_path / "m.offkey"
    done = offkey("calibrate", words_folder, "-o", model, "--no-maps", "--clusters", "auto")
    assert done.returncode == 0, done.stderr
    detector = read_model(model)
    assert detector.gallery is not None
    assert detector.gallery.agreement is not None
    tried = detector.gallery.agreement.tried
    assert [number for number, _ in tried] == [2, 3, 4, 5, 6]
    assert len(detector.clusters) == best_of(tried)
    assert "their number was chosen" in " ".join(done.stdout.split())
    for wrong in ("0", "many"):
        refused = offkey("calibrate", words_folder, "-o", model, "--replace", "--clusters", wrong)
        assert refused.returncode == 2
        assert "--clusters takes auto" in refused.stderr
