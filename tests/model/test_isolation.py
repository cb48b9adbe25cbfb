"""Our forest scores like scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest as SklearnForest

from calibrate.estimators import fit_forest, flatten_forest

SHAPES = [(20, 5), (2, 1), (256, 3), (257, 3), (300, 40), (1500, 300)]


def random_features(n: int, n_features: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw heavy-tailed rows: some far out, some alike."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(3, size=(n, n_features)).astype(np.float32)


@pytest.mark.parametrize(("n", "n_features"), SHAPES)
@pytest.mark.parametrize("seed", [0, 42])
def test_scores_equal_scikit_learn(n: int, n_features: int, seed: int) -> None:
    """Scores of known and of new rows equal `-decision_function` to 1e-12."""
    features = random_features(n, n_features, seed)
    theirs = SklearnForest(
        n_estimators=100, max_samples="auto", contamination=0.1, random_state=seed
    ).fit(features)
    rows = np.concatenate([features, random_features(600, n_features, seed + 1)])
    ours = fit_forest(features, seed).score(rows)
    np.testing.assert_allclose(ours, -theirs.decision_function(rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("max_samples", [2, 3, 17, 200])
def test_scores_equal_scikit_learn_on_small_samples(max_samples: int) -> None:
    """Trees grown on few samples, with another number of trees, agree too."""
    features = random_features(400, 8)
    theirs = SklearnForest(
        n_estimators=30, max_samples=max_samples, contamination=0.2, random_state=1
    ).fit(features)
    ours = flatten_forest(theirs).score(features)
    np.testing.assert_allclose(ours, -theirs.decision_function(features), rtol=0, atol=1e-12)


@pytest.mark.parametrize("varying", [0, 1, 4])
def test_scores_equal_scikit_learn_with_constant_features(varying: int) -> None:
    """Features that never vary, even all of them, do not break the forest."""
    features = np.ones((100, 5), np.float32)
    features[:, :varying] = random_features(100, varying)
    theirs = SklearnForest(contamination=0.1, random_state=42).fit(features)
    new = random_features(50, 5, 9)
    ours = fit_forest(features, 42).score(new)
    np.testing.assert_allclose(ours, -theirs.decision_function(new), rtol=0, atol=1e-12)


def test_ties_go_the_same_way() -> None:
    """Values that equal a threshold exactly descend as in scikit-learn."""
    theirs = SklearnForest(contamination=0.1, random_state=42).fit(random_features(300, 6))
    for tree in theirs.estimators_:
        tree.tree_.threshold[:] = tree.tree_.threshold.astype(np.float32)
    thresholds = np.concatenate([tree.tree_.threshold for tree in theirs.estimators_])
    rows = np.random.default_rng(4).choice(thresholds, size=(300, 6)).astype(np.float32)
    rows[0] = [tree.tree_.threshold[0] for tree in theirs.estimators_[:6]]
    ours = flatten_forest(theirs).score(rows)
    np.testing.assert_allclose(ours, -theirs.decision_function(rows), rtol=0, atol=1e-12)


def test_above_zero_is_odder_than_nine_tenths_of_the_reference() -> None:
    """A tenth of the rows that the forest was fitted on score above 0, the outermost among them."""
    features = random_features(1000, 10)
    features[17] = 1000
    scores = fit_forest(features, 42).score(features)
    assert np.mean(scores > 0) == pytest.approx(0.1, abs=0.002)
    assert np.argmax(scores) == 17


def test_a_row_scores_alike_alone_and_among_many() -> None:
    """Rows scored one at a time give exactly the scores of the batch; no rows give no scores."""
    features = random_features(1200, 12)
    forest = fit_forest(features[:300], 42)
    alone = np.concatenate([forest.score(features[i : i + 1]) for i in range(len(features))])
    np.testing.assert_array_equal(forest.score(features), alone)
    assert forest.score(features[:0]).shape == (0,)
