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

from calibrate.damages import DAMAGES
from calibrate.fitted import Fitted
from calibrate.parts import known_scores
from calibrate.reference import Progress
from calibrate.room import Room
from calibrate.threads import one_core_each
from model.audio import BLOCK_S, AudioReader, Samples, read_recording, resample
from model.card import DamageHeard, Hearing
from model.conformity import Conformity
from model.errors import AudioError
from model.features import Features, FrontEnd
from model.segment import Segmentation
from model.segmenter import cut_recording

MOST_SOUNDS, FEWEST_SOUNDS = 40, 20
"""So many are damaged, a tenth of the reference between these: a share of one half is then known to
within 16 and 22 %, and a small reference is not heard for longer than it is fitted."""
FEWEST_TO_CHOOSE = 99
"""With fewer recordings no sound can be found at the usual rate of 0.01."""
_SURE = 2.0
"""Standard errors by which one front end has to hear more than another."""
_NOTHING: Samples = np.empty(0, np.float32)
_VERSIONS = len([strength for damage in DAMAGES for strength in damage.strengths])


@dataclass(frozen=True)
class Heard:
    """What one front end makes of the damaged sounds."""

    hearing: Hearing
    found: NDArray[np.bool_]
    """Which sounds alarm damaged and not undamaged, `(sounds, damages at all strengths)`."""


@dataclass(frozen=True)
class _Sound:
    name: str
    window: int
    """Of its recording; 0 in event mode."""
    fold: int


def measure_hearing(
    models: Sequence[Fitted],
    segmentation: Segmentation,
    seed: int,
    jobs: int,
    progress: Progress,
    room: Room | None = None,
) -> list[Heard]:
    """Damage the same sounds for each model, and count what each finds; in a room, heard there."""
    places = [_places(fitted) for fitted in models]
    common = sorted(set.intersection(*(set(known) for known in places)), key=_in_order)
    n = min(MOST_SOUNDS, max(FEWEST_SOUNDS, len(common) // 10))
    chosen = np.random.default_rng(seed).permutation(len(common))[:n]
    sounds = [common[i] for i in sorted(chosen.tolist())]
    front_ends = [fitted.front_end for fitted in models]
    rows = _damaged_rows(sounds, front_ends, segmentation, seed, jobs, progress, room)
    return [
        _heard(fitted, [known[sound] for sound in sounds], [row[i] for row in rows])
        for i, (fitted, known) in enumerate(zip(models, places, strict=True))
    ]


def hears_more(one: Heard, other: Heard) -> bool:
    """Whether `one` finds more than `other` by more than chance would give.

    Both were tried on the same sounds; what counts is the mean difference over the sounds, every
    kind of damage as important as any other, beyond two of its standard errors.
    """
    difference = (one.found.astype(float) - other.found) @ _weights()
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() > _SURE * error)


def _weights() -> NDArray[np.float64]:
    each = [1 / len(d.strengths) / len(DAMAGES) for d in DAMAGES for _ in d.strengths]
    return np.array(each)


def _places(fitted: Fitted) -> dict[_Sound, int]:
    """Where, among the held-out sounds, each sound of the recordings stands; no marked ones."""
    reference, kept = fitted.reference, fitted.held_out.kept
    assert reference.window is not None
    unmarked = kept[~reference.is_marked[kept]]
    columns = (reference.recording[unmarked], reference.window[unmarked], fitted.folds[unmarked])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        _Sound(reference.names[i], window, fold): place
        for place, (i, window, fold) in enumerate(rows)
    }


def _in_order(sound: _Sound) -> tuple[str, int]:
    return sound.name, sound.window


def _damaged_rows(
    sounds: Sequence[_Sound],
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    seed: int,
    jobs: int,
    progress: Progress,
    room: Room | None,
) -> list[list[list[Features | None]]]:
    """Features by sound, front end, and damage; the undamaged sound last."""
    from joblib import Parallel, delayed

    if room is not None:
        room = room.at(max(front_end.rate_hz for front_end in front_ends))
    parallel = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    work = (
        delayed(_damage)(sound, front_ends, segmentation, (seed, i), room)
        for i, sound in enumerate(sounds)
    )
    rows = []
    for done, result in enumerate(parallel(work), start=1):
        rows.append(result)
        progress("hearing", done, len(sounds))
    return rows


def _damage(
    sound: _Sound,
    front_ends: Sequence[FrontEnd],
    segmentation: Segmentation,
    seed: tuple[int, int],
    room: Room | None,
) -> list[list[Features | None]]:
    rate_hz = max(front_end.rate_hz for front_end in front_ends)
    samples = _read(sound, rate_hz, segmentation)
    rows: list[list[Features | None]] = [[] for _ in front_ends]
    if samples is None:  # the file is gone, or changed, since it was read
        return [[None] * (_VERSIONS + 1) for _ in front_ends]
    chance = np.random.default_rng(seed)
    versions = [
        damage.apply(samples, rate_hz, strength, chance)
        for damage in DAMAGES
        for strength in damage.strengths
    ]
    versions.append(samples)
    if room is not None:  # the sound is damaged, the room is what it is
        versions = [room.around(version, sound.name, samples, sound.fold) for version in versions]
    for version in versions:
        for row, front_end in zip(rows, front_ends, strict=True):
            heard = version
            if front_end.rate_hz != rate_hz:
                heard = resample(version, rate_hz, front_end.rate_hz)
            row.append(front_end.features(heard))
    return rows


def _read(sound: _Sound, rate_hz: int, segmentation: Segmentation) -> Samples | None:
    """Its samples, as they were segmented; None where they cannot be read any more."""
    try:
        if segmentation.mode == "continuous":
            return _read_window(sound, rate_hz, segmentation)
        recording = read_recording(sound.name, rate_hz, segmentation.duration_s)
        segment = cut_recording(recording, segmentation)[0]
    except AudioError:
        return None
    return None if segment.reason else segment.samples


def _read_window(sound: _Sound, rate_hz: int, segmentation: Segmentation) -> Samples | None:
    """One window of a recording that may last for hours: only what it depends on is read.

    That is from a whole second on, where samples of all rates meet, and half a second more on
    either side than the window has, far more than the resampling filter reaches.
    """
    start = sound.window * round(segmentation.hop_s * rate_hz)
    end = start + round(segmentation.duration_s * rate_hz)
    from_s = max(0, int(start / rate_hz - BLOCK_S))
    with AudioReader(sound.name) as reader:
        blocks = reader.blocks(BLOCK_S, end / rate_hz + BLOCK_S, from_s * reader.rate_hz)
        heard = np.concatenate([_NOTHING, *(block.samples for block in blocks)])
        samples = resample(heard, reader.rate_hz, rate_hz)
    window = samples[start - from_s * rate_hz : end - from_s * rate_hz]
    return window if len(window) == end - start else None


def _heard(fitted: Fitted, places: list[int], rows: list[list[Features | None]]) -> Heard:
    alarms = np.zeros((len(places), _VERSIONS + 1), bool)
    fold_of = fitted.held_out_folds[places]
    for fold in np.unique(fold_of).tolist():
        inside = np.flatnonzero(fold_of == fold).tolist()
        alarms[inside] = _alarms(fitted, fold, [rows[i] for i in inside])
    undamaged, found = alarms[:, -1], alarms[:, :-1] & ~alarms[:, -1:]
    damages, column = [], 0
    for damage in DAMAGES:
        shares = found[:, column : column + len(damage.strengths)].mean(axis=0)
        damages.append(
            DamageHeard(damage.name, damage.unit, damage.strengths, tuple(shares.tolist()))
        )
        column += len(damage.strengths)
    hearing = Hearing(len(places), fitted.rate, float(undamaged.mean()), tuple(damages))
    return Heard(hearing, found)


def _alarms(fitted: Fitted, fold: int, rows: list[list[Features | None]]) -> NDArray[np.bool_]:
    """Which versions of a fold's sounds are anomalous to who did not hear it, `(sounds, versions)`.

    A version without a signal is not scored: no alarm.
    """
    scores, outside = fitted.held_out.scores, fitted.held_out_folds != fold
    others = Conformity(scores.isolation[outside], scores.reconstruction[outside])
    # Four fifths of few recordings cannot promise quite what all of them can.
    rate = max(fitted.rate, others.smallest_p)
    there = np.array([[version is not None for version in row] for row in rows])
    alarms = np.zeros(there.shape, bool)
    features = [version for row in rows for version in row if version is not None]
    if features:
        all_of_them = np.arange(len(features))
        with one_core_each():
            known = known_scores(np.array(features), all_of_them, fitted.without[fold])
        alarms[there] = others.p_values(*known).joint <= rate
    return alarms
