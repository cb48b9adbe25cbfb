"""What folds share gives each of them what it would find alone, in memory that does not grow."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import ensemble
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from calibrate import parts, rows
from calibrate.moments import measure, trained_on
from calibrate.parts import fit_parts
from calibrate.reference import Reference
from calibrate.rows import Collector, Rows, StoredRows, joined
from model.errors import OffkeyError
from model.features import Features
from model.subspace import Subspace

Labels = NDArray[np.int64]


def rows_of(n: int, n_features: int, seed: int = 0) -> Features:
    """Draw rows whose variance falls from one direction to the next."""
    rng = np.random.default_rng(seed)
    strength = 1 / (1 + np.arange(n_features))
    mixed = rng.normal(size=(n, n_features)) * strength
    return (mixed @ rng.normal(size=(n_features, n_features)) / n_features + 0.5).astype(np.float32)


def stored(features: Features) -> StoredRows:
    """Put rows into a temporary file, in three parts."""
    kept = StoredRows(features.shape[1])
    for part in np.array_split(features, 3):
        kept.append(part)
    return kept


def largest_angle(found: Subspace, features: Features, share: float) -> float:
    """Compare with scikit-learn's PCA of the very rows: radians between the two subspaces."""
    plain = PCA(share, svd_solver="full").fit(features.astype(np.float64))
    assert len(found.components) == plain.n_components_
    outside = plain.components_ - (plain.components_ @ found.components.T) @ found.components
    np.testing.assert_allclose(found.mean, plain.mean_, atol=1e-6)
    return float(np.linalg.norm(outside, 2))


@pytest.mark.parametrize(("n", "n_features"), [(90, 200), (700, 60), (600, 600)])
@pytest.mark.parametrize("keep", [np.asarray, stored])
def test_each_fold_finds_what_it_would_find_alone(
    n: int, n_features: int, keep: Callable[[Features], Rows]
) -> None:
    """PCA of all rows and of each fold's others, from arrays and from a file, wide and tall."""
    features = rows_of(n, n_features)
    labels = np.random.default_rng(1).integers(-1, 3, n)  # -1: windows left out at a border
    moments = measure(keep(features), labels, jobs=2)
    assert largest_angle(moments.subspace(None, 0.9), features, 0.9) < 1e-6
    for fold in range(3):
        alone = features[(labels >= 0) & (labels != fold)]
        assert largest_angle(moments.subspace(fold, 0.9), alone, 0.9) < 1e-6


@pytest.mark.slow
def test_a_fold_of_sixes_finds_what_it_would_find_alone(
    sixes: Reference, speakers: NDArray[np.int64]
) -> None:
    """For 2,400 sixes without the speakers of a fold, the same subspace to a millionth."""
    labels = speakers % 5
    found = measure(sixes.features, labels).subspace(3, 0.99)
    assert largest_angle(found, sixes.features[labels != 3], 0.99) < 1e-6


def test_forests_are_those_of_plain_refits() -> None:
    """Without a fold the trees are scikit-learn's of the others, with the final one's offset."""
    features, labels = rows_of(300, 20), np.arange(300) % 5
    final, without = fit_parts(features, labels, 0.9, 7, 1)
    offset = IsolationForest(contamination=0.1, random_state=7).fit(features).offset_
    assert final.forest.offset == pytest.approx(offset, abs=1e-12)
    for fold, part in enumerate(without):
        plain = IsolationForest(contamination=0.1, random_state=7).fit(features[labels != fold])
        expected = offset - plain.score_samples(features)
        np.testing.assert_allclose(part.forest.score(features), expected, rtol=0, atol=1e-12)


def test_beyond_many_recordings_the_forest_sees_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample depends on the seed alone, has no row twice, and none of the fold's own."""
    monkeypatch.setattr(parts, "MOST_FOR_FOREST", 100)
    labels = np.arange(1000) % 5
    used = trained_on(labels, 2)
    sample = parts._sample(used, 1)
    assert len(set(sample.tolist())) == 100
    assert set(sample.tolist()) <= set(used.tolist())
    assert (sample == parts._sample(used, 1)).all()
    assert (sample != parts._sample(used, 2)).any()
    assert (parts._sample(used[:100], 1) == used[:100]).all()


@pytest.mark.parametrize("limit", [0, 10**9])
def test_rows_are_the_same_in_a_file_and_in_memory(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By mask, by slice, by indices in any order, after more was added, nothing but the rows."""
    monkeypatch.setattr(rows, "IN_MEMORY_BYTES", limit)
    features = rows_of(57, 30)
    collector = Collector(30)
    for part in np.split(features, [0, 3, 3, 40]):
        collector.add(part)
    kept = joined(collector.rows(), features[:5])
    expected = np.concatenate([features, features[:5]])
    assert isinstance(kept, StoredRows) == (limit == 0)
    assert len(kept) == 62
    assert kept.shape == (62, 30)
    shuffled = np.random.default_rng(0).permutation(62)
    for index in (slice(None), slice(3, 50, 7), expected[:, 0] > 0.5, shuffled, shuffled[:0]):
        assert (kept[index] == expected[index]).all()
    assert (kept[-1] == expected[-1]).all()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the temporary folder is full, the error says which folder, and what else to do."""
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    with pytest.raises(OffkeyError, match=r"cannot hold .* No space left.*TMPDIR"):
        StoredRows(30).append(rows_of(100, 30))


def peak_mb(n: int, n_features: int) -> float:
    """Peak of what numpy allocates while five folds of `n` stored rows are fitted, in MB."""
    kept, labels = StoredRows(n_features), np.arange(n) % 5
    for start in range(0, n, 500):
        kept.append(rows_of(500, n_features, start))
    tracemalloc.start()
    fit_parts(kept, labels, 0.9, 1, jobs=1)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return peak


def few_trees(**asked: Any) -> IsolationForest:
    """Make a forest of a few trees, asked otherwise as it is."""
    return IsolationForest(**asked | {"n_estimators": 5})


def test_memory_does_not_grow_with_the_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the rows cost less than 100 bytes for each, a twelfth of what they take."""
    # Watching memory is slow; what a forest takes is bounded, however many trees or recordings.
    monkeypatch.setattr(parts, "MOST_FOR_FOREST", 20)
    monkeypatch.setattr(ensemble, "IsolationForest", few_trees)
    few, many = peak_mb(3000, 300), peak_mb(12000, 300)
    assert many - few < 9000 * 100 / 1e6
