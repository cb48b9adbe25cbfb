"""Recordings to Detector: everything that calibration does, in order.

What grows with what, `n` recordings (or windows) of `f` features (3,400 for a second):

- Features take `4 f` bytes a recording. The first 64 MB of them, 4,900 recordings of a second, stay
  in memory; more lie in a temporary file, and every pass reads them in blocks of 512.
- PCA takes square matrices of the smaller of `n` and `f`, in double precision: one that all share
  and, for each of two folds at a time, two; at most 92 MB each for a second of sound, however many
  recordings there are. With more recordings than features those of the folds wait in a second
  temporary file, of `8 f²` bytes a fold.
- The forest sees at most 10,000 recordings, a sample by the seed: `40,000 f` bytes, twice.
- Scores, held-out and in-sample, banded profiles, names and digests grow with `n`: about 2 kB a
  recording. The gallery that the model keeps of them takes 160 bytes a recording and its name.
- Reading holds the features of three tasks of 32 recordings a job, and each job is a process of 20
  to 60 MB of its own; in continuous mode jobs are threads, and hold one whole recording each.
- Maps are drawn of at most 5,000 recordings, or of all anomalous ones where those are more: 400
  bytes each for the leading components, and a few MB for what PaCMAP knows of neighbours. PaCMAP
  and its compiler take 100 MB for themselves.

So, without maps, 30,000 recordings take 550 MB where 3,000 take 460 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from operator import ne

import numpy as np
from numpy.typing import NDArray

from calibrate.crossfit import (
    MOST_FOLDS,
    Folds,
    HeldOut,
    alarm_rates,
    crossfit,
    false_alarm_table,
    folds_by_group,
    folds_in_time,
    rank_among_other_folds,
    runs_of_windows,
)
from calibrate.estimators import fit_clusters
from calibrate.gallery import hang, with_maps
from calibrate.groups import Groups, group_reference
from calibrate.maps import Draughtsman
from calibrate.marked import add_marked
from calibrate.parts import fit_parts, known_scores
from calibrate.reference import Cluster, Progress, Reference, read_reference
from calibrate.stability import best_of, choose_number
from model.card import AlarmRate, FalseAlarms, ModelCard
from model.conformity import Conformity, check_false_alarm_rate, resolve_false_alarm_rate
from model.detector import Detector, RawScores
from model.features import FrontEnd, band_edges_hz, make_front_end
from model.files import FoundFiles, find_recordings
from model.marks import MarkedSound, is_mark
from model.segment import Segmentation


@dataclass(frozen=True)
class Settings:
    """What a person may choose."""

    segmentation: Segmentation = field(default_factory=Segmentation)
    group: re.Pattern[str] | None = None
    """Its one capture in a recording's path is the recording's group."""
    explained_variance: float = 0.99
    n_clusters: int | None = 10
    """None: as many as come out alike from both halves of the reference."""
    false_alarm_rate: float | None = None
    seed: int = 42
    jobs: int = -1
    maps: bool = True


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
    segmentation = settings.segmentation
    front_end = make_front_end("spectrum", segmentation.duration_s)
    found = _without_marks(find_recordings(paths))
    reference = read_reference(found, front_end, segmentation, settings.jobs, progress, cluster)
    groups = group_reference(reference, settings.group)
    if marked:
        reference = add_marked(reference, marked, front_end, segmentation)
        groups = groups.with_marked(len(reference.marked))
    return fit_detector(reference, groups, front_end, settings, progress)


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
    """Fit on everything, and once more without each fold for the held-out scores.

    Raises InputError where the recordings cannot keep what was asked of them.
    """
    features, segmentation = reference.features, settings.segmentation
    group_of = np.array(groups.of_recording)[reference.recording]
    in_time = segmentation.mode == "continuous" and _n_others(reference, groups) < MOST_FOLDS
    folds = _folds(reference, group_of, segmentation, in_time)
    rate = resolve_false_alarm_rate(settings.false_alarm_rate, int(np.count_nonzero(folds >= 0)))
    steps = _Steps(progress, 2 * int(folds.max()) + 5)
    final, without = fit_parts(
        features, folds, settings.explained_variance, settings.seed, settings.jobs, steps.done
    )
    maps = Draughtsman(settings.maps, settings.seed)
    maps.begin(final.subspace, features, np.flatnonzero(folds >= 0))
    held_out = crossfit(features, folds, without, settings.jobs, steps.done)
    scores = held_out.scores
    conformity = Conformity(scores.isolation, scores.reconstruction)
    anomalous = conformity.reference_p() <= rate
    maps.go_on(scores.profiles, anomalous)
    tried = () if settings.n_clusters else choose_number(scores.profiles, settings.seed)
    n_clusters = settings.n_clusters or best_of(tried)
    clusters = fit_clusters(
        scores.profiles, anomalous, n_clusters, settings.seed, band_edges_hz(front_end)
    )
    steps.done()
    ranked = rank_among_other_folds(held_out, folds[held_out.kept])
    fitted = known_scores(features, held_out.kept, final)
    gallery = hang(reference, groups, held_out, ranked.p, fitted, clusters, settings.seed, tried)
    # Marked sounds were mostly chosen because they alarmed: how often they do says nothing.
    others = ~reference.is_marked[held_out.kept]
    held_out, ranked = _only(held_out, others), replace(ranked, p=ranked.p[others])
    table = false_alarm_table(held_out, ranked, group_of[held_out.kept])
    alarms: tuple[AlarmRate, ...] = ()
    if segmentation.mode == "continuous":
        runs = runs_of_windows(reference.recording, held_out.kept, folds)
        alarms = alarm_rates(ranked, runs, rate, segmentation)
    card = _card(reference, groups, folds, in_time, settings, table, alarms)
    drawn = maps.result()
    return Detector(
        front_end,
        segmentation,
        final.subspace,
        final.forest,
        conformity,
        clusters,
        rate,
        card,
        drawn.places if drawn else {},
        gallery=with_maps(gallery, drawn, len(clusters), settings.seed),
    )


def _n_others(reference: Reference, groups: Groups) -> int:
    """Number of groups without that of the marked sounds."""
    return len(set(groups.of_recording[: len(reference.names) - len(reference.marked)]))


def _folds(
    reference: Reference, group_of: NDArray[np.str_], segmentation: Segmentation, in_time: bool
) -> Folds:
    """Folds of the recordings as if nothing were marked; the marked sounds share one fold.

    That is a fold of their own where there are fewer than five, else the smallest one.
    """
    marked = reference.is_marked
    recording = reference.recording[~marked]
    if in_time:
        others = folds_in_time(recording, segmentation.duration_s, segmentation.hop_s)
    else:
        others = folds_by_group(list(group_of[~marked]))
    sizes = np.bincount(others[others >= 0])
    theirs = len(sizes) if len(sizes) < MOST_FOLDS else int(np.argmin(sizes))
    return np.append(others, np.full(np.count_nonzero(marked), theirs))


def _only(held_out: HeldOut, rows: NDArray[np.bool_]) -> HeldOut:
    """Some of the held-out sounds."""
    scores = held_out.scores
    return HeldOut(
        held_out.kept[rows],
        RawScores(scores.isolation[rows], scores.reconstruction[rows], scores.profiles[rows]),
        held_out.in_sample_p[rows],
    )


class _Steps:
    """Counts the steps of the fit for the progress bar."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        progress("fitting", 0, total)

    def done(self) -> None:
        self._done += 1
        self._progress("fitting", self._done, self._total)


def _card(
    reference: Reference,
    groups: Groups,
    folds: Folds,
    in_time: bool,
    settings: Settings,
    table: tuple[FalseAlarms, ...],
    alarms: tuple[AlarmRate, ...],
) -> ModelCard:
    n_unmarked = len(reference.names) - len(reference.marked)
    alone = groups.of_recording[:n_unmarked] == reference.names[:n_unmarked]
    rule = groups.rule + (", folds in time" if in_time else "")
    return ModelCard(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in ("offkey", "numpy", "scikit-learn", "soxr")},
        recordings=len(reference.names),
        segments=len(reference.features),
        groups=_n_others(reference, groups) + bool(reference.marked),
        group_rule=rule,
        group_names=() if alone else groups.names,
        folds=int(folds.max()) + 1,
        skipped=reference.skipped,
        clipped=reference.clipped,
        ignored_files=reference.ignored_files,
        identical=sum(map(ne, reference.names, reference.original)),
        cut=reference.cut,
        reference_digest=reference.digest,
        seed=settings.seed,
        explained_variance=settings.explained_variance,
        snr_range_db=reference.snr_range_db,
        false_alarms=table,
        alarm_rates=alarms,
        marked=reference.marked,
    )
