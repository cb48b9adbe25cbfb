"""The gallery of a model: its reference sounds as a person can look at them later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibrate.crossfit import HeldOut
from calibrate.groups import Groups
from calibrate.maps import Maps
from calibrate.reference import Reference
from calibrate.stability import agreement_in_plane, measure_agreement
from model.gallery import Gallery
from model.profiles import ProfileClusters


def hang(
    reference: Reference,
    groups: Groups,
    held_out: HeldOut,
    p: NDArray[np.float64],
    fitted: tuple[NDArray[np.float64], NDArray[np.float64]],
    clusters: ProfileClusters,
    seed: int,
    tried: tuple[tuple[int, float], ...] = (),
) -> Gallery:
    """All but the maps.

    `p` belongs to the sounds with held-out scores, shape `(n,)`, and so do their in-sample
    isolation scores and reconstruction errors, `fitted`.
    """
    kept, profiles = held_out.kept, held_out.scores.profiles
    alone = groups.of_recording == reference.names
    names = () if alone else groups.names
    index = {name: i for i, name in enumerate(names)}
    nearest = np.array([clusters.nearest(row).cluster for row in profiles], np.int16)
    return Gallery(
        names=reference.names,
        groups=names,
        group_of=np.array([index.get(name, -1) for name in groups.of_recording], np.int32),
        sound=np.array(reference.sounds, np.uint64),
        recording=reference.recording[kept].astype(np.int32),
        part=_parts(reference.recording)[kept],
        isolation=fitted[0].astype(np.float32),
        reconstruction=fitted[1].astype(np.float32),
        p=p.astype(np.float32),
        profiles=profiles.astype(np.float16),
        cluster=nearest,
        mapped=np.empty(0, np.int32),
        map_s=None,
        agreement=measure_agreement(profiles, nearest, len(clusters), seed, tried),
    )


def with_maps(gallery: Gallery, maps: Maps | None, n_clusters: int, seed: int) -> Gallery:
    """The same gallery with its maps, and how the clusters agree with those of the plane."""
    if maps is None:
        return gallery
    plane = agreement_in_plane(
        maps.places["profiles"], gallery.cluster[maps.rows], n_clusters, seed
    )
    agreement = gallery.agreement and replace(gallery.agreement, plane=plane)
    return replace(gallery, mapped=maps.rows, map_s=maps.cost_s, agreement=agreement)


def _parts(recording: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which of its recording's segments each one is, from 0; `recording` ascends."""
    first = np.searchsorted(recording, recording, side="left")
    return (np.arange(len(recording)) - first).astype(np.int32)
