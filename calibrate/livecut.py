"""In a room: whether the monitor's gate opens for the sounds, and whether what it cuts alarms.

Recordings are learnt whole. Live, the gate decides where a sound begins and ends, and in the noise
of a room it misses quiet beginnings, ends and whole sounds; what is left can be odd. So some
held-out sounds are put into the room as a microphone there would hear them, with the room alone
before and after, cut by the gate, and judged by who did not hear them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from calibrate.fitted import Fitted
from calibrate.heldsounds import alarms_of, choose_sounds, read_sound
from calibrate.reference import Progress
from calibrate.room import Room
from model.audio import Block, Samples
from model.card import LiveCut
from model.features import Features
from model.segment import Segmentation
from model.segmenter import make_segmenter

MOST_SOUNDS = 100
_BEFORE_S, _AFTER_S = 2.0, 1.0
"""Of the room alone: longer than the noise floor looks back, and than the hang-over lasts."""
_BLOCK_S = 0.04


def cut_live(
    fitted: Fitted, segmentation: Segmentation, room: Room, seed: int, progress: Progress
) -> LiveCut | None:
    """Try at most 100 sounds; None in continuous mode, which has no gate, or without any."""
    if segmentation.mode != "event":
        return None
    room = room.at(fitted.front_end.rate_hz)
    by_fold: dict[int, list[list[Features | None]]] = defaultdict(list)
    missed, chosen = 0, choose_sounds([fitted], MOST_SOUNDS, seed)
    for done, sound in enumerate(chosen, start=1):
        samples = read_sound(sound, fitted.front_end.rate_hz, segmentation)
        if samples is not None:
            heard = cut_by_gate(samples, sound.name, segmentation, room, sound.fold)
            whole = room.around(samples, sound.name, samples, sound.fold)
            by_fold[sound.fold].append(list(map(fitted.front_end.features, (whole, *heard))))
            missed += not heard
        progress("cutting", done, len(chosen))
    tried = sum(map(len, by_fold.values()))
    if not tried:
        return None
    counts = [_count(fitted, fold, rows) for fold, rows in by_fold.items()]
    return LiveCut(tried, missed, *map(sum, zip(*counts, strict=True)))


def cut_by_gate(
    samples: Samples,
    name: str,
    segmentation: Segmentation,
    room: Room,
    part: int | None = None,
) -> list[Samples]:
    """What the gate makes of a sound, shape `(n,)` at the room's rate, that comes in the room.

    `name` and `part` say which piece of the room is heard, as in `Room.around`. Segments of the
    room alone are left out.
    """
    before, after = (round(seconds * room.rate_hz) for seconds in (_BEFORE_S, _AFTER_S))
    alone = np.pad(samples, (before, after))
    stream = room.around(alone, name, samples, part)
    segmenter, size = make_segmenter(segmentation, room.rate_hz), round(_BLOCK_S * room.rate_hz)
    segments = [
        segment
        for start in range(0, len(stream), size)
        for segment in segmenter.push(Block(stream[start : start + size], start))
    ]
    begin_s, end_s = before / room.rate_hz, (before + len(samples)) / room.rate_hz
    return [
        segment.samples
        for segment in (*segments, *segmenter.flush())
        if not segment.reason
        and segment.start_s < end_s
        and segment.start_s + segment.duration_s > begin_s
    ]


def _count(fitted: Fitted, fold: int, rows: Sequence[list[Features | None]]) -> tuple[int, int]:
    """How many of a fold's sounds alarm in a segment, and how many of these do not whole.

    Each row has the whole sound and then its segments.
    """
    longest = max(map(len, rows))
    alarms = alarms_of(fitted, fold, [row + [None] * (longest - len(row)) for row in rows])
    cut = alarms[:, 1:].any(axis=1)
    return int(cut.sum()), int((cut & ~alarms[:, 0]).sum())
