"""Clusters of error profiles: the nearest, its name, and where names go."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import InputError
from model.profiles import ProfileClusters, dominant_band


def clusters(centroids: NDArray[np.float64], *given: str | None) -> ProfileClusters:
    """Build clusters of these centroids, with a reach of 1, 2, 3 … and perhaps names."""
    n = len(centroids)
    return ProfileClusters(
        centroids,
        np.arange(1.0, n + 1),
        sizes=(10,) * n,
        anomalous_share=(0.0,) * n,
        suggested=tuple(f"band {i}" for i in range(n)),
        given=given or (None,) * n,
    )


CENTROIDS = 100 * np.random.default_rng(0).random((5, 64))


def test_nearest_equals_a_plain_search() -> None:
    """The nearest cluster has the least Euclidean distance, told in units of its own reach."""
    known = clusters(CENTROIDS)
    for profile in 100 * np.random.default_rng(1).random((50, 64)):
        plain = [sum((c - profile) ** 2) ** 0.5 for c in CENTROIDS]
        cluster = plain.index(min(plain))
        nearest = known.nearest(profile)
        assert nearest.cluster == cluster
        assert nearest.distance == pytest.approx(plain[cluster] / (cluster + 1))


def test_a_name_given_stands_before_the_suggested_one() -> None:
    """Naming changes one cluster, an empty name takes it back, and the original stays."""
    known = clusters(CENTROIDS)
    named = known.renamed(2, " late hiss ")
    assert [named.name(i) for i in (1, 2)] == ["band 1", "late hiss"]
    assert named.renamed(2, "").name(2) == known.name(2) == "band 2"


@pytest.mark.parametrize("cluster", [-1, 5, 99])
def test_a_cluster_that_is_not_there_cannot_be_named(cluster: int) -> None:
    """The error says which clusters there are."""
    with pytest.raises(InputError, match="0 to 4"):
        clusters(CENTROIDS).renamed(cluster, "x")


def test_names_follow_their_centroids() -> None:
    """Names move to the nearest new centroid, in whatever order the new ones come."""
    old = clusters(CENTROIDS, "a", None, "c", "d", "e")
    order = [3, 0, 4, 2, 1]
    moved, lost = clusters(CENTROIDS[order] + 0.01).named_like(old)
    assert moved.given == ("d", "a", "e", "c", None)
    assert lost == ()


def test_names_out_of_reach_are_listed() -> None:
    """A name whose new place is too far, or taken, is reported and not moved."""
    old = clusters(CENTROIDS[:3], "a", "b", "c")
    new = np.array([CENTROIDS[0], CENTROIDS[1] + 50])
    old_twin = clusters(np.array([CENTROIDS[0], CENTROIDS[0] + 0.01]), "first", "second")
    moved, lost = clusters(new).named_like(old)
    assert moved.given == ("a", None)
    assert lost == ("b", "c")
    assert clusters(new).named_like(old_twin)[1] == ("second",)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 4, "0–210 Hz"),
        (10, 20, "0.5–1.1 kHz"),
        (18, 19, "0.96–1.01 kHz"),
        (60, 64, "3.2–3.4 kHz"),
    ],
)
def test_a_cluster_is_named_by_where_it_stands_out(low: int, high: int, words: str) -> None:
    """The run of bands around the largest excess over the average is named by its ends."""
    edges_hz = np.linspace(0, 3400, 65)
    average = np.linspace(2, 1, 64)
    profile = average + 0.1
    profile[low:high] += 0.6
    profile[high - 1] += 0.5
    profile[30:35] += 0.9
    assert dominant_band(profile, average, edges_hz) == words
    assert dominant_band(average * 0.99, average, edges_hz) == "below average"
