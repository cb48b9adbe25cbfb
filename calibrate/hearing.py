"""What a model can hear: held-out sounds, damaged on purpose, scored by who did not hear them.

The detector of a sound's own fold scores what was done to it, and its p is ranked among the
held-out scores of the other folds, as in the table of false alarms. A damage is found where the
sound alarms with it and does not without: what alarms anyway says nothing of the damage, and a
front end that alarms often does not seem to hear much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.damages import Damage, damages_in
from calibrate.fitted import Fitted
from calibrate.heldsounds import HeldOutSound, alarms_of, choose_sounds, places, read_sound
from calibrate.reference import Progress
from calibrate.room import Room
from calibrate.roomcut import cut_by_gate
from model.audio import Samples, resample
from model.card import DamageHeard, Hearing
from model.features import Features, FrontEnd
from model.segment import Segmentation

MOST_SOUNDS, FEWEST_SOUNDS = 40, 20
"""So many are damaged, a tenth of the reference between these: a share of one half is then known to
within 16 and 22 %, and a small reference is not heard for longer than it is fitted."""
FEWEST_TO_CHOOSE = 99
"""With fewer recordings no sound can be found at the usual rate of 0.01."""
_SURE = 2.0
"""Standard errors by which one front end has to hear more than another."""


@dataclass(frozen=True)
class Heard:
    """What one front end makes of the damaged sounds."""

    hearing: Hearing
    found: NDArray[np.bool_]
    """Which sounds alarm damaged and not undamaged, `(sounds, damages at all strengths)`."""


def measure_hearing(
    models: Sequence[Fitted],
    segmentation: Segmentation,
    seed: int,
    jobs: int,
    progress: Progress,
    room: Room | None = None,
) -> list[Heard]:
    """Damage the same sounds for each model, and count what each finds.

    In a room they are heard there, as the monitor's gate cuts them.
    """
    known = [places(fitted) for fitted in models]
    n = min(MOST_SOUNDS, max(FEWEST_SOUNDS, min(map(len, known)) // 10))
    sounds = choose_sounds(models, n, seed)
    front_ends = [fitted.front_end for fitted in models]
    damages = damages_in(segmentation.mode)
    rows = _damaged_rows(sounds, front_ends, segmentation, seed, jobs, progress, room)
    return [
        _heard(fitted, damages, [place[sound] for sound in sounds], [row[i] for row in rows])
        for i, (fitted, place) in enumerate(zip(models, known, strict=True))
    ]


def hears_more(one: Heard, other: Heard) -> bool:
    """Whether `one` finds more than `other` by more than chance would give.

    Both were tried on the same sounds; what counts is the mean difference over the sounds, every
    kind of damage as important as any other, beyond two of its standard errors.
    """
    difference = (one.found.astype(float) - other.found) @ _weights(one.hearing)
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() > _SURE * error)


def _weights(hearing: Hearing) -> NDArray[np.float64]:
    rows = hearing.damages
    return np.array([1 / len(row.strengths) / len(rows) for row in rows for _ in row.strengths])


def _damaged_rows(
    sounds: Sequence[HeldOutSound],
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    seed: int,
    jobs: int,
    progress: Progress,
    room: Room | None,
) -> list[list[list[list[Features]]]]:
    """Features by sound, front end, damage and segment; the undamaged sound last."""
    from joblib import Parallel, delayed

    rooms = [] if room is None else [room.at(front_end.rate_hz) for front_end in front_ends]
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    work = (
        delayed(_damage)(sound, front_ends, segmentation, (seed, i), rooms)
        for i, sound in enumerate(sounds)
    )
    rows = []
    for done, result in enumerate(parallel(work), start=1):
        rows.append(result)
        progress("hearing", done, len(sounds))
    return rows


def _damage(
    sound: HeldOutSound,
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    seed: tuple[int, int],
    rooms: Sequence[Room],
) -> list[list[list[Features]]]:
    rate_hz = max(front_end.rate_hz for front_end in front_ends)
    tried = [(d.apply, strength) for d in damages_in(segmentation.mode) for strength in d.strengths]
    samples = read_sound(sound, rate_hz, segmentation)
    if samples is None:  # the file is gone, or changed, since it was read
        return [[[]] * (len(tried) + 1) for _ in front_ends]
    chance = np.random.default_rng(seed)
    versions = [apply(samples, rate_hz, strength, chance) for apply, strength in tried]
    versions.append(samples)
    rows: list[list[list[Features]]] = []
    for i, front_end in enumerate(front_ends):
        heard = versions
        if front_end.rate_hz != rate_hz:
            heard = [resample(version, rate_hz, front_end.rate_hz) for version in versions]
        room = rooms[i] if rooms else None
        cut = [_segments(version, heard[-1], sound, segmentation, room) for version in heard]
        rows.append([_features(front_end, segments) for segments in cut])
    return rows


def _segments(
    version: Samples,
    undamaged: Samples,
    sound: HeldOutSound,
    segmentation: Segmentation,
    room: Room | None,
) -> list[Samples]:
    """What a monitor would score of a sound. It is the sound that is damaged, not the room."""
    if room is None:
        return [version]
    if segmentation.mode == "continuous":
        return [room.around(version, sound.name, undamaged, sound.fold)]
    cut = cut_by_gate(version, sound.name, segmentation, room, undamaged, sound.fold)
    return [segment.samples for segment in cut]


def _features(front_end: FrontEnd, segments: Sequence[Samples]) -> list[Features]:
    """Of each segment that has a signal."""
    found = [front_end.features(samples) for samples in segments]
    return [features for features in found if features is not None]


def _heard(
    fitted: Fitted,
    tried: Sequence[Damage],
    places: list[int],
    rows: list[list[list[Features]]],
) -> Heard:
    alarms = np.zeros((len(places), len(rows[0])), bool)
    fold_of = fitted.held_out_folds[places]
    for fold in np.unique(fold_of).tolist():
        inside = np.flatnonzero(fold_of == fold).tolist()
        alarms[inside] = alarms_of(fitted, fold, [rows[i] for i in inside])
    undamaged, found = alarms[:, -1], alarms[:, :-1] & ~alarms[:, -1:]
    damages, column = [], 0
    for damage in tried:
        shares = found[:, column : column + len(damage.strengths)].mean(axis=0)
        damages.append(
            DamageHeard(damage.name, damage.unit, damage.strengths, tuple(shares.tolist()))
        )
        column += len(damage.strengths)
    hearing = Hearing(len(places), fitted.rate, float(undamaged.mean()), tuple(damages))
    return Heard(hearing, found)
