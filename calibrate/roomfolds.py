"""The room is held out like the sounds: which part of it each recording hears."""

from __future__ import annotations

from collections.abc import Sequence

from calibrate.crossfit import MOST_FOLDS, folds_by_group
from calibrate.room import Room
from model.gallery import Gallery
from model.segment import Segmentation


def held_out_by_group(
    room: Room, paths: Sequence[str], groups: Sequence[str], segmentation: Segmentation
) -> Room:
    """The room in parts, one for each fold that recordings of these groups have.

    Where folds are cut in time, all of them hear all of it.
    """
    if segmentation.mode == "continuous" and len(set(groups)) < MOST_FOLDS:
        return room
    return room.in_parts(paths, folds_by_group(groups).tolist(), segmentation.duration_s)


def held_out_as_remembered(
    room: Room, gallery: Gallery, marked: int, segmentation: Segmentation
) -> Room:
    """The same for the recordings of a gallery; the last `marked` ones are in no part."""
    names = gallery.names[: len(gallery.names) - marked]
    groups = [
        gallery.groups[i] if i >= 0 else name
        for i, name in zip(gallery.group_of.tolist(), names, strict=False)
    ]
    return held_out_by_group(room, names, groups, segmentation)
