"""Recordings to Detector: everything that calibration does, in order.

What grows with what, `n` recordings (or windows) of `f` features (the spectrum has 3,400 for a
second, mel always 160):

- Features take `4 f` bytes a recording. The first 64 MB of them, 4,900 recordings of a second with
  the spectrum and 104,000 with mel, stay in memory; more lie in a temporary file, and every pass
  reads them in blocks of 512. In a room a recording is heard whole and as the gate cuts it: all
  that grows with `n` is twice as much there, but for what is held out.
- Where the front end is chosen, each recording has features of both: 640 bytes more for mel. Both
  are fitted, one after the other, and both fits are held until one of them is kept: components of
  mel take 1,280 bytes each, so that the second fit adds little.
- PCA takes square matrices of the smaller of `n` and `f`, in double precision: one that all share
  and, for each of two folds at a time, two; at most 92 MB each for a second of sound, 0.2 MB with
  mel, however many recordings there are. With more recordings than features those of the folds
  wait in a second temporary file, of `8 f²` bytes a fold.
- The forest sees at most 10,000 recordings, a sample by the seed: `40,000 f` bytes, twice.
- Scores, held-out and in-sample, banded profiles, names and digests grow with `n`: about 2 kB a
  recording. The gallery that the model keeps of them takes 170 bytes a recording and its name.
- Reading holds the features of three tasks of 32 recordings a job, and each job is a process of 20
  to 60 MB of its own; in continuous mode jobs are threads, and hold one whole recording each.
- Hearing damages 40 sounds at most, and holds their features for all kinds of damage: with both
  front ends 24 MB for sounds of a second, however many recordings there are.
- Maps are drawn of at most 5,000 recordings, or of all anomalous ones where those are more: 400
  bytes each for the leading components, and a few MB for what PaCMAP knows of neighbours. PaCMAP
  and its compiler take 100 MB for themselves. Where the front end is chosen, they wait for that.

So, without maps, 30,000 recordings take 550 MB where 3,000 take 460 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from calibrate.choosing import names_to_read, what_is_asked
from calibrate.crossfit import crossfit
from calibrate.finishing import finish
from calibrate.fitted import Fitted, count_groups
from calibrate.folds import MOST_FOLDS, Folds, folds_by_group, folds_in_time, is_in_time
from calibrate.groups import Groups, group_recordings
from calibrate.hearing import Heard, measure_hearing
from calibrate.maps import Draughtsman
from calibrate.marked import add_marked
from calibrate.parts import fit_parts
from calibrate.reading import read_for
from calibrate.reference import Cluster, Progress, Reference
from calibrate.roomfolds import held_out_by_folds, held_out_by_group
from calibrate.settings import Settings
from model.conformity import Conformity, check_false_alarm_rate, resolve_false_alarm_rate
from model.detector import Detector
from model.errors import InputError, shown
from model.features import FrontEnd
from model.files import FoundFiles, find_recordings
from model.marks import MarkedSound, is_mark
from model.segment import Segmentation

__all__ = ["Settings", "calibrate", "fit_detector"]


def calibrate(
    paths: Iterable[str],
    settings: Settings,
    progress: Progress = lambda *_: None,
    marked: Sequence[MarkedSound] = (),
    cluster: Cluster = nullcontext,
) -> Detector:
    """Files and folders of reference recordings to a Detector, perhaps with marked sounds.

    Marks that lie in the folders are no recordings. `cluster` is where they are read. Raises
    InputError where recordings are too few or cannot keep what was asked of them, or no marked
    sound can be used.
    """
    check_false_alarm_rate(settings.false_alarm_rate)
    segmentation, found = settings.segmentation, _without_marks(find_recordings(paths))
    names = names_to_read(settings.features, len(found.paths), segmentation.mode)
    settings, read = _read_in_room(names, found, settings, progress, cluster)
    room = settings.room

    def fit(name: str) -> Fitted:
        front_end, reference = read[name]
        groups = group_recordings(reference.names, settings.group)
        if marked:
            reference = add_marked(reference, marked, front_end, segmentation)
            groups = groups.with_marked(len(reference.marked))
        # Maps of a front end that may not be kept are not drawn ahead.
        maps = Draughtsman(settings.maps, settings.seed, ahead=len(names) == 1)
        return _fit_and_hold_out(reference, groups, front_end, settings, progress, maps)

    def listen(models: Sequence[Fitted]) -> list[Heard]:
        return measure_hearing(models, segmentation, settings.seed, settings.jobs, progress, room)

    references = {name: reference for name, (_, reference) in read.items()}
    kept = what_is_asked(settings.features, references, fit, listen)
    return finish(kept.fitted, settings, progress, kept.heard.hearing, kept.why)


def _read_in_room(
    names: Sequence[str],
    found: FoundFiles,
    settings: Settings,
    progress: Progress,
    cluster: Cluster,
) -> tuple[Settings, dict[str, tuple[FrontEnd, Reference]]]:
    """Read the recordings for some front ends, each in the part of the room that its fold has.

    The settings come back with the room in parts. Who is in which fold depends on which recordings
    can be used: where that turns out to be others than supposed, all is read once more.
    """
    whole, segmentation = settings.room, settings.segmentation
    if whole is None or not found.paths:
        return settings, read_for(names, found, segmentation, settings.jobs, progress, cluster)
    groups = group_recordings(found.paths, settings.group)
    room = held_out_by_group(whole, found.paths, groups.of_recording, segmentation)
    while True:
        read = read_for(names, found, segmentation, settings.jobs, progress, cluster, room)
        reference = read[names[0]][1]
        folds = _folds(reference, group_recordings(reference.names, settings.group), segmentation)
        right = held_out_by_folds(whole, reference, folds, segmentation)
        if room.is_parted_like(right, reference.names):
            return replace(settings, room=room), read
        room = right


def _without_marks(found: FoundFiles) -> FoundFiles:
    """Marks are taken in when asked for, as what they are."""
    paths = tuple(path for path in found.paths if not is_mark(path))
    return FoundFiles(paths, found.ignored + len(found.paths) - len(paths))


def fit_detector(
    reference: Reference,
    groups: Groups,
    front_end: FrontEnd,
    settings: Settings,
    progress: Progress = lambda *_: None,
) -> Detector:
    """Fit one front end to a reference that was read for it, without a test of its hearing.

    Raises InputError where the recordings cannot keep what was asked of them.
    """
    maps = Draughtsman(settings.maps, settings.seed)
    fitted = _fit_and_hold_out(reference, groups, front_end, settings, progress, maps)
    return finish(fitted, settings, progress)


def _fit_and_hold_out(
    reference: Reference,
    groups: Groups,
    front_end: FrontEnd,
    settings: Settings,
    progress: Progress,
    maps: Draughtsman,
) -> Fitted:
    """Fit on everything, and once more without each fold for the held-out scores."""
    features, segmentation, jobs = reference.features, settings.segmentation, settings.jobs
    in_time = is_in_time(count_groups(reference, groups), segmentation)
    folds = _folds(reference, groups, segmentation)
    _refuse_one_alone(reference, groups, folds)
    sound = reference.sound
    n_held_out = len(np.unique(sound[folds >= 0]))
    rate = resolve_false_alarm_rate(settings.false_alarm_rate, n_held_out)
    share = settings.explained_variance or front_end.explained_variance
    steps = _Steps(progress, 2 * int(folds.max()) + 4)
    final, without = fit_parts(features, folds, share, settings.seed, jobs, steps.done)
    is_each_heard_once = reference.n_sounds == len(sound)
    if is_each_heard_once:
        maps.begin(final.subspace, features, np.flatnonzero(folds >= 0))
    held_out = crossfit(features, folds, without, jobs, steps.done)
    if not is_each_heard_once:
        held_out = held_out.oddest_of_each(sound)
        maps.begin(final.subspace, features, held_out.kept)
    scores = held_out.scores
    conformity = Conformity(scores.isolation, scores.reconstruction)
    maps.go_on(scores.profiles, conformity.reference_p() <= rate)
    return Fitted(
        *(front_end, reference, groups, folds, in_time, share, rate),
        *(final, without, held_out, conformity, maps),
    )


def _folds(reference: Reference, groups: Groups, segmentation: Segmentation) -> Folds:
    """Folds of the recordings as if nothing were marked; the marked sounds share one fold.

    That is a fold of their own where there are fewer than five, else the smallest one.
    """
    marked = reference.is_marked
    recording = reference.recording[~marked]
    if is_in_time(count_groups(reference, groups), segmentation):
        others = folds_in_time(recording, segmentation.duration_s, segmentation.hop_s)
    else:
        others = folds_by_group([groups.of_recording[i] for i in recording.tolist()])
    sizes = np.bincount(others[others >= 0])
    theirs = len(sizes) if len(sizes) < MOST_FOLDS else int(np.argmin(sizes))
    return np.append(others, np.full(np.count_nonzero(marked), theirs))


def _refuse_one_alone(reference: Reference, groups: Groups, folds: Folds) -> None:
    """Raise InputError where all sounds but one are held out together."""
    sizes = np.bincount(folds[folds >= 0])
    largest = int(np.argmax(sizes))
    left = sizes.sum() - sizes[largest]
    if left > 1:
        return
    name = groups.of_recording[reference.recording[np.flatnonzero(folds == largest)[0]]]
    raise InputError(
        f"All recordings{' but one' if left else ''} belong to one group, {shown(name)}: without "
        "it there is nothing left to learn from.",
        "Add recordings of other groups, or say with --group what they have in common.",
    )


class _Steps:
    """Counts the steps of the fit for the progress bar."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        progress("fitting", 0, total)

    def done(self) -> None:
        self._done += 1
        self._progress("fitting", self._done, self._total)
