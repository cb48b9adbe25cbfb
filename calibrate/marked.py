"""Marked sounds, taken in as reference recordings: one group of their own, named `marked`.

Taking a sound in makes its kind less odd; it forces no verdict. Among few recordings (the forest's
trees look at up to 256) the isolation score of a sound that is like no other stays high, or grows:
every tree then knows it, and the forests that gave it its held-out score did not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from calibrate.readfile import ReadFile, read_file
from calibrate.reference import Reference
from calibrate.rows import joined
from model.errors import InputError, shown
from model.features import FrontEnd
from model.marks import MarkedSound
from model.segment import Segmentation


def add_marked(
    reference: Reference,
    sounds: Sequence[MarkedSound],
    front_end: FrontEnd,
    segmentation: Segmentation,
) -> Reference:
    """Take marked sounds in after the recordings, each whole; a marked window is one window.

    One that cannot be used with these settings is skipped and listed. Raises InputError where that
    is all of them.
    """
    # They were heard in the room: it is in them.
    pairs = [(sound, _read(sound, reference, front_end, segmentation)) for sound in sounds]
    used = [(sound, read) for sound, read in pairs if read.skipped is None]
    skipped = tuple((shown(sound.path), read.skipped) for sound, read in pairs if read.skipped)
    if not used:
        raise InputError(
            f"None of the {len(pairs):,} marked sounds can be used.",
            f"The first is {skipped[0][1]}: {skipped[0][0]}",
        )
    names = tuple(str(sound.path) for sound, _ in used)
    n, counts = len(reference.names), [read.n_segments for _, read in used]
    digest = hashlib.sha256(bytes.fromhex(reference.digest))
    for _, read in used:
        digest.update(read.digest)
    return replace(
        reference,
        names=reference.names + names,
        features=joined(reference.features, np.concatenate([read.features for _, read in used])),
        recording=np.append(reference.recording, np.repeat(n + np.arange(len(used)), counts)),
        skipped=reference.skipped + skipped,
        clipped=reference.clipped + tuple(shown(sound.path) for sound, _ in used if sound.clipped),
        sounds=reference.sounds + tuple(read.sound for _, read in used),
        cut=reference.cut + sum(read.is_cut for _, read in used),
        digest=digest.hexdigest(),
        snr_range_db=_widened(reference.snr_range_db, [sound.snr_db for sound, _ in used]),
        marked=tuple(sound.name for sound, _ in used),
    )


def _read(
    sound: MarkedSound, reference: Reference, front_end: FrontEnd, segmentation: Segmentation
) -> ReadFile:
    """A marked sound, whole; one that is a recording already is not taken twice."""
    read = read_file(str(sound.path), [front_end], segmentation)[0]
    if read.skipped is None and read.sound in reference.sounds:
        original = reference.names[reference.sounds.index(read.sound)]
        return ReadFile(skipped=f"a copy of {shown(original)}")
    return read


def _widened(
    known: tuple[float, float] | None, more: Iterable[float | None]
) -> tuple[float, float] | None:
    values = [*(known or ()), *(value for value in more if value is not None)]
    return (min(values), max(values)) if values else None
