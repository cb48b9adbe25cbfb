"""A recording in a room, as it may come to be scored: whole, and as the monitor's gate cuts it.

In the noise of a room the gate misses quiet beginnings and ends, or takes noise along, and what it
cuts is odd to who learnt whole recordings: of sixes in pink noise 10 dB below them most alarmed
with mel. So both are learnt, and both held out; see `Reference.sound`.
"""

from __future__ import annotations

import numpy as np

from calibrate.room import Room
from model.audio import Block, Recording, Samples
from model.segment import Segment, Segmentation
from model.segmenter import cut_recording, make_segmenter

MOST_CUTS = 3
"""More pieces of one recording are rare; the first of them are learnt."""
_BEFORE_S, _AFTER_S = 2.0, 1.0
"""Of the room alone: longer than the noise floor looks back, and than the hang-over lasts."""


def cut_in_room(
    recording: Recording, path: str, segmentation: Segmentation, room: Room
) -> list[Segment]:
    """A recording's segments with the room in it, which has the recording's rate.

    In event mode that is the whole, and then at most three that the gate cuts; none where it does
    not open.
    """
    segments = cut_recording(room.in_recording(recording, path), segmentation)
    if segmentation.mode == "continuous" or recording.state is not None:
        return segments
    longest = round(segmentation.duration_s * recording.rate_hz)
    heard = cut_by_gate(recording.samples[:longest], path, segmentation, room)
    return segments + heard[:MOST_CUTS]


def cut_by_gate(
    samples: Samples,
    path: str,
    segmentation: Segmentation,
    room: Room,
    sound: Samples | None = None,
    part: int | None = None,
) -> list[Segment]:
    """What the gate cuts of a sound, shape `(n,)` at the room's rate, that comes in the room.

    `path`, `sound` and `part` say which piece of the room is heard and how loud, as in
    `Room.around`. Segments of the room alone are left out.
    """
    before, after = (round(seconds * room.rate_hz) for seconds in (_BEFORE_S, _AFTER_S))
    alone = np.pad(samples, (before, after))
    stream = room.around(alone, path, samples if sound is None else sound, part)
    segmenter = make_segmenter(segmentation, room.rate_hz)
    begin_s, end_s = before / room.rate_hz, (before + len(samples)) / room.rate_hz
    return [
        segment
        for segment in (*segmenter.push(Block(stream, 0)), *segmenter.flush())
        if not segment.reason
        and segment.start_s < end_s
        and segment.start_s + segment.duration_s > begin_s
    ]
