"""The room is held out like the sounds: which part of it each recording, or piece of one, hears."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrate.folds import MOST_FOLDS, Folds, folds_by_group, is_in_time
from calibrate.reference import Reference
from calibrate.room import Room
from model.card import RoomUsed
from model.gallery import Gallery
from model.segment import Segmentation


def held_out_by_group(
    room: Room, paths: Sequence[str], groups: Sequence[str], segmentation: Segmentation
) -> Room:
    """The room in parts as recordings of these groups will need them, before they are read."""
    if is_in_time(len(set(groups)), segmentation):
        return room.in_pieces(MOST_FOLDS, segmentation)
    return room.in_parts(paths, folds_by_group(groups).tolist())


def held_out_by_folds(
    room: Room, reference: Reference, folds: Folds, segmentation: Segmentation
) -> Room:
    """The room in parts, one for each fold of the recordings that can be used."""
    kept = np.flatnonzero((folds >= 0) & ~reference.is_marked)
    recording, fold = reference.recording[kept], folds[kept]
    if (np.diff(fold)[np.diff(recording) == 0] != 0).any():
        return room.in_pieces(MOST_FOLDS, segmentation)
    of = dict(zip(recording.tolist(), fold.tolist(), strict=True))
    paths = [reference.names[i] for i in of]
    return room.in_parts(paths, list(of.values()))


def held_out_as_remembered(
    room: Room, used: RoomUsed, gallery: Gallery, marked: int, segmentation: Segmentation
) -> Room:
    """The same for the recordings of a gallery; the last `marked` ones are in no part."""
    if used.in_time:
        return room.in_pieces(MOST_FOLDS, segmentation)
    if not used.is_held_out:
        return room
    names = gallery.names[: len(gallery.names) - marked]
    groups = [
        gallery.groups[i] if i >= 0 else name
        for i, name in zip(gallery.group_of.tolist(), names, strict=False)
    ]
    if is_in_time(len(set(groups)), segmentation):  # but too short to be cut
        groups = list(names)
    return held_out_by_group(room, names, groups, segmentation)
