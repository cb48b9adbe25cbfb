"""Held-out scores: how odd, and how often alarms, are sounds never heard before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.folds import Folds
from calibrate.moments import trained_on
from calibrate.parts import Parts, known_scores
from calibrate.rows import Rows, blocks
from calibrate.threads import at_once, one_core_each
from model.alarms import AlarmFinder, AlarmRule, Window
from model.card import AlarmRate, FalseAlarms
from model.conformity import Conformity
from model.detector import RawScores, raw_scores
from model.features import N_BANDS
from model.segment import Segmentation

RATES = (0.01, 0.05, 0.10)
RULES = (AlarmRule(1, 1), AlarmRule(2, 3), AlarmRule(3, 5))
"""Measured beside the rule in force."""


@dataclass(frozen=True)
class HeldOut:
    """Scores of each sound by a detector that was fitted without the sound's own group."""

    kept: NDArray[np.int64]
    """Indices of the segments that have a held-out score, ascending, shape `(n,)`."""
    scores: RawScores
    in_sample_p: NDArray[np.float64]
    """Joint p among the scores that the same detector gives to what it was fitted on, `(n,)`."""

    def only(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> HeldOut:
        """Some of the sounds."""
        scores = self.scores
        return HeldOut(
            self.kept[rows],
            RawScores(scores.isolation[rows], scores.reconstruction[rows], scores.profiles[rows]),
            self.in_sample_p[rows],
        )

    def oddest_of_each(self, sound: NDArray[np.int64]) -> HeldOut:
        """Of each sound the segment that is odder than the others; `sound` is `Reference.sound`.

        A new sound is odder than so many of these at most as often as it should be, whichever way
        it comes.
        """
        ranks = Conformity(self.scores.isolation, self.scores.reconstruction)
        oddness = ranks.oddness(self.scores.isolation, self.scores.reconstruction)
        of = sound[self.kept]
        order = np.lexsort((oddness, of))
        return self.only(np.sort(order[np.diff(of[order], append=-1) != 0]))


def crossfit(
    rows: Rows, folds: Folds, parts: Sequence[Parts], jobs: int, step: Callable[[], None]
) -> HeldOut:
    """Score each fold by what was fitted without it, `parts[fold]`. `step` is called for each."""
    from joblib import delayed

    kept = np.flatnonzero(folds >= 0)
    isolation, reconstruction, in_sample_p = (np.empty(len(folds)) for _ in range(3))
    profiles = np.empty((len(folds), N_BANDS))
    work = (delayed(_score_fold)(rows, folds, fold, part) for fold, part in enumerate(parts))
    with one_core_each():
        for fold, (scores, p) in enumerate(at_once(jobs, work)):
            inside = folds == fold
            isolation[inside], reconstruction[inside] = scores.isolation, scores.reconstruction
            profiles[inside], in_sample_p[inside] = scores.profiles, p
            step()
    scores = RawScores(isolation[kept], reconstruction[kept], profiles[kept])
    return HeldOut(kept, scores, in_sample_p[kept])


def _score_fold(
    rows: Rows, folds: Folds, fold: int, parts: Parts
) -> tuple[RawScores, NDArray[np.float64]]:
    """Scores of a fold's own sounds, and their joint p among those that its parts are fitted on."""
    held_out = [
        raw_scores(parts.subspace, parts.forest, part)
        for _, part in blocks(rows, np.flatnonzero(folds == fold))
    ]
    scores = RawScores(
        np.concatenate([some.isolation for some in held_out]),
        np.concatenate([some.reconstruction for some in held_out]),
        np.concatenate([some.profiles for some in held_out]),
    )
    ranked = Conformity(*known_scores(rows, trained_on(folds, fold), parts))
    return scores, ranked.p_values(scores.isolation, scores.reconstruction).joint


@dataclass(frozen=True)
class Ranked:
    """Each held-out sound ranked against the held-out scores of the other folds."""

    p: NDArray[np.float64]
    """Joint p, shape `(n,)`."""
    smallest_p: float
    """No fold can give a smaller p; the largest over the folds."""


def rank_among_other_folds(held_out: HeldOut, folds: Folds) -> Ranked:
    """Rank each fold against the others; `folds` belongs to the kept segments, shape `(n,)`."""
    p, smallest = np.empty(len(folds)), 0.0
    for fold in np.unique(folds):
        inside = folds == fold
        scores = held_out.scores
        others = Conformity(scores.isolation[~inside], scores.reconstruction[~inside])
        p[inside] = others.p_values(scores.isolation[inside], scores.reconstruction[inside]).joint
        smallest = max(smallest, others.smallest_p)
    return Ranked(p, smallest)


def false_alarm_table(
    held_out: HeldOut, ranked: Ranked, groups: NDArray[np.str_]
) -> tuple[FalseAlarms, ...]:
    """Shares of sounds that alarm; `groups` belongs to the kept segments, shape `(n,)`."""
    return tuple(_row(rate, ranked, held_out.in_sample_p, groups) for rate in RATES)


def _row(
    rate: float,
    ranked: Ranked,
    in_sample_p: NDArray[np.float64],
    groups: NDArray[np.str_],
) -> FalseAlarms:
    names, index = np.unique(groups, return_inverse=True)
    shares = np.bincount(index, ranked.p <= rate) / np.bincount(index)
    worst = int(np.argmax(shares))
    return FalseAlarms(
        rate=rate,
        mean=float(np.mean(ranked.p <= rate)),
        worst=float(shares[worst]),
        worst_group=str(names[worst]),
        in_sample=float(np.mean(in_sample_p <= rate)),
        measurable=ranked.smallest_p <= rate,
    )


def runs_of_windows(
    recording: NDArray[np.int64], kept: NDArray[np.int64], folds: Folds
) -> NDArray[np.int64]:
    """Number of the run of each kept window, shape `(n,)`: consecutive, one recording, one fold.

    `recording` and `folds` belong to all windows. Windows left out at a border end a run.
    """
    ends = (np.diff(kept) > 1) | (np.diff(recording[kept]) != 0) | (np.diff(folds[kept]) != 0)
    return np.concatenate([[0], np.cumsum(ends)])


def alarm_rates(
    ranked: Ranked, runs: NDArray[np.int64], rate: float, segmentation: Segmentation
) -> tuple[AlarmRate, ...]:
    """How often the rule in force, and the usual ones, alarm on held-out windows at a model's rate.

    Each run is heard as if it were live, with nothing remembered of the one before. Windows of the
    reference that are not scored are not known here: what they part counts as neighbours.
    """
    hours = len(runs) * segmentation.hop_s / 3600
    rules = dict.fromkeys((segmentation.alarm, *RULES))
    if ranked.smallest_p > rate:
        return tuple(AlarmRate(rule.k, rule.m, None, hours) for rule in rules)
    windows = _windows(ranked.p, runs, rate, segmentation)
    return tuple(AlarmRate(rule.k, rule.m, _count(windows, rule), hours) for rule in rules)


def _windows(
    p: NDArray[np.float64], runs: NDArray[np.int64], rate: float, segmentation: Segmentation
) -> list[list[Window]]:
    """The windows of each run, on a time line of its own."""
    duration_s, hop_s = segmentation.duration_s, segmentation.hop_s
    borders = np.flatnonzero(np.diff(runs)) + 1
    return [
        [
            Window(i * hop_s, i * hop_s + duration_s, value if value <= rate else None)
            for i, value in enumerate(run.tolist())
        ]
        for run in np.split(p, borders)
    ]


def _count(runs: list[list[Window]], rule: AlarmRule) -> int:
    alarms = 0
    for run in runs:
        finder = AlarmFinder(rule)
        alarms += sum(finder.take(window) for window in run)
    return alarms
