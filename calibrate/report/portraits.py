"""Portraits of the clusters: in which ways the reference sounds are off, and who is like that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.report.curves import COLUMNS
from model.detector import Detector
from model.features import band_parts

SHOWN = 3
_DOMINATES = 2.0
"""A group dominates a cluster where its share is at least so many times its share of all."""
_GROUPS = 4
_FEWEST = 3
_BROAD = 0.2


@dataclass(frozen=True)
class Dominating:
    """A group that is found in a cluster far more often than elsewhere."""

    name: str
    share: float
    """Of the cluster's members that are of this group."""
    members: int


@dataclass(frozen=True)
class Portrait:
    """One cluster as a person can look at it."""

    number: int
    name: str
    suggested: str
    width: str
    """`broad` or `narrow`: how much of all bands its dominant ones are."""
    is_named: bool
    size: int
    anomalous: float
    """Share of the members that are anomalous."""
    mean: list[float]
    """Mean error profile over the 64 bands."""
    low: list[float]
    """10th percentile of the members, band by band."""
    high: list[float]
    """90th percentile."""
    typical: list[int]
    """The sounds nearest to the centroid."""
    oddest: list[int]
    dominating: list[Dominating]


def portraits(detector: Detector) -> list[Portrait]:
    """All clusters of a detector that has a gallery."""
    gallery = detector.gallery
    assert gallery is not None
    profiles = gallery.profiles.astype(np.float64)
    average = profiles.mean(axis=0)
    return [_portrait(detector, profiles, average, i) for i in range(len(detector.clusters))]


def _portrait(
    detector: Detector, profiles: NDArray[np.float64], average: NDArray[np.float64], number: int
) -> Portrait:
    clusters, gallery = detector.clusters, detector.gallery
    assert gallery is not None
    members = np.flatnonzero(gallery.cluster == number)
    rows = profiles[members] if len(members) else clusters.centroids[[number]]
    typical, oddest = _named(detector, profiles, members, number)
    low, high = np.percentile(rows, (10, 90), axis=0)
    return Portrait(
        number=number,
        name=clusters.name(number),
        suggested=clusters.suggested[number],
        width=_width(rows.mean(axis=0), average),
        is_named=clusters.given[number] is not None,
        size=clusters.sizes[number],
        anomalous=clusters.anomalous_share[number],
        mean=rows.mean(axis=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        typical=typical,
        oddest=oddest,
        dominating=_dominating(detector, members),
    )


def _width(profile: NDArray[np.float64], average: NDArray[np.float64]) -> str:
    """How broad the part is in which a cluster stands out by half its largest excess."""
    excess = profile - average
    if excess.max() < 0.1 * average.max():
        return ""
    return "broad" if np.mean(excess >= excess.max() / 2) >= _BROAD else "narrow"


def _named(
    detector: Detector, profiles: NDArray[np.float64], members: NDArray[np.int64], number: int
) -> tuple[list[int], list[int]]:
    """The most typical members and the oddest ones, none twice."""
    distance = np.linalg.norm(profiles[members] - detector.clusters.centroids[number], axis=1)
    typical = members[np.argsort(distance, kind="stable")[:SHOWN]]
    conformity = detector.conformity
    oddness = np.lexsort((-conformity.reconstruction[members], conformity.reference_p()[members]))
    oddest = [sound for sound in members[oddness].tolist() if sound not in typical][:SHOWN]
    return typical.tolist(), oddest


def named_in_portraits(detector: Detector) -> list[int]:
    """All sounds that the portraits offer to hear."""
    return [sound for one in portraits(detector) for sound in one.typical + one.oddest]


def _dominating(detector: Detector, members: NDArray[np.int64]) -> list[Dominating]:
    gallery = detector.gallery
    assert gallery is not None
    if not gallery.groups or not len(members):
        return []
    index = gallery.group_index()
    everywhere = np.bincount(index, minlength=len(gallery.groups)) / len(index)
    found = []
    for group, n in Counter(index[members].tolist()).most_common():
        share = n / len(members)
        if n >= _FEWEST and share >= _DOMINATES * everywhere[group]:
            found.append(Dominating(gallery.groups[group], share, n))
    return found[:_GROUPS]


def band_middles_hz(detector: Detector) -> list[float]:
    """Middle of each of the 64 bands in Hz; they rise within each part of the features."""
    found = [of.edges_hz for of in band_parts(detector.front_end)]
    return [hz for edges in found for hz in ((edges[:-1] + edges[1:]) / 2).tolist()]


def parts(detector: Detector) -> list[dict[str, Any]]:
    """Name of each part of the features, and from where to where its bands and columns go."""
    front_end, first, found = detector.front_end, 0, []
    for of in band_parts(front_end):
        ends = (first, first + of.part.size)
        columns = [-(-end * COLUMNS // front_end.n_features) for end in ends]
        bands = [of.bands.start, of.bands.stop]
        found.append({"name": of.part.name, "bands": bands, "columns": columns})
        first = ends[1]
    return found
