"""Recordings read for all front ends at once, each at the rate that suits the recordings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress

import numpy as np

from calibrate.reference import Cluster, Progress, Reference, read_references, refuse_too_few
from calibrate.room import Room
from model.audio import AudioReader
from model.errors import AudioError
from model.features import FrontEnd, make_front_end
from model.files import FoundFiles
from model.segment import Segmentation

_LOOKED_INTO = 16


def read_for(
    names: Sequence[str],
    found: FoundFiles,
    segmentation: Segmentation,
    jobs: int,
    progress: Progress,
    cluster: Cluster = nullcontext,
    room: Room | None = None,
) -> dict[str, tuple[FrontEnd, Reference]]:
    """Front ends, at the highest of their rates that all recordings have, with what they read.

    A room has to have that rate, too. It is guessed from a few files, as opening all of them takes
    as long as a third of reading them; where it turns out to be lower, that front end reads again.
    Raises InputError where fewer than 20 sounds are left for the first one.
    """
    duration_s = segmentation.duration_s
    guess_hz = _lowest_of(_lowest_of_some(found.paths), room)
    front_ends = [make_front_end(name, duration_s, guess_hz) for name in names]
    references = read_references(found, front_ends, segmentation, jobs, progress, cluster, room)
    read = dict(zip(names, zip(front_ends, references, strict=True), strict=True))
    for name, (front_end, reference) in list(read.items()):
        lowest_hz = _lowest_of(reference.lowest_rate_hz or guess_hz, room)
        better = make_front_end(name, duration_s, lowest_hz)
        if better != front_end:
            again = read_references(found, [better], segmentation, jobs, progress, cluster, room)
            read[name] = better, again[0]
    refuse_too_few(read[names[0]][1], found, segmentation)
    return read


def _lowest_of(rate_hz: int | None, room: Room | None) -> int | None:
    rates = [rate_hz, None if room is None else room.rate_hz]
    return min(filter(None, rates), default=None)


def _lowest_of_some(paths: Sequence[str]) -> int | None:
    """The lowest rate among some of the files; None where none of them can be opened."""
    some = np.linspace(0, len(paths) - 1, min(_LOOKED_INTO, len(paths))).round().astype(int)
    rates = []
    for i in some.tolist():
        with suppress(AudioError), AudioReader(paths[i]) as reader:
            rates.append(reader.rate_hz)
    return min(rates, default=None)
