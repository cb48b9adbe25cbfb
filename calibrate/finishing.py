"""What was fitted becomes a Detector: clusters, promises, the gallery with its maps, the card."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from calibrate.crossfit import (
    Ranked,
    alarm_rates,
    false_alarm_table,
    rank_among_other_folds,
    runs_of_windows,
)
from calibrate.estimators import fit_clusters
from calibrate.fitted import Fitted
from calibrate.gallery import hang, with_maps
from calibrate.parts import known_scores
from calibrate.reference import Progress
from calibrate.settings import Settings
from calibrate.stability import best_of, choose_number
from calibrate.threads import one_core_each
from model.card import AlarmRate, FalseAlarms, Hearing, ModelCard
from model.detector import Detector
from model.features import band_parts
from model.gallery import Gallery
from model.profiles import ProfileClusters

Tried = tuple[tuple[int, float], ...]


def finish(
    fitted: Fitted,
    settings: Settings,
    progress: Progress,
    hearing: Hearing | None = None,
    choice: str = "",
) -> Detector:
    """The Detector, with what it hears on its card, and why its front end was chosen."""
    progress("sorting", 0, 2)
    clusters, tried = _clusters(fitted, settings)
    progress("sorting", 1, 2)
    ranked = rank_among_other_folds(fitted.held_out, fitted.held_out_folds)
    gallery = _gallery(fitted, ranked, clusters, tried, settings.seed)
    progress("sorting", 2, 2)
    drawn = fitted.maps.result()
    card = replace(_card(fitted, ranked, settings), hearing=hearing, choice=choice)
    return Detector(
        fitted.front_end,
        settings.segmentation,
        fitted.final.subspace,
        fitted.final.forest,
        fitted.conformity,
        clusters,
        fitted.rate,
        card,
        drawn.places if drawn else {},
        gallery=with_maps(gallery, drawn, len(clusters), settings.seed),
    )


def _clusters(fitted: Fitted, settings: Settings) -> tuple[ProfileClusters, Tried]:
    """Clusters of the held-out profiles; where their number was chosen, what was tried."""
    profiles, seed = fitted.held_out.scores.profiles, settings.seed
    tried = () if settings.n_clusters else choose_number(profiles, seed)
    n_clusters = settings.n_clusters or best_of(tried)
    anomalous = fitted.conformity.reference_p() <= fitted.rate
    parts = band_parts(fitted.front_end)
    return fit_clusters(profiles, anomalous, n_clusters, seed, parts), tried


def _gallery(
    fitted: Fitted, ranked: Ranked, clusters: ProfileClusters, tried: Tried, seed: int
) -> Gallery:
    held_out = fitted.held_out
    with one_core_each():
        known = known_scores(fitted.reference.features, held_out.kept, fitted.final)
    return hang(fitted.reference, fitted.groups, held_out, ranked.p, known, clusters, seed, tried)


def _promises(
    fitted: Fitted, ranked: Ranked, settings: Settings
) -> tuple[tuple[FalseAlarms, ...], tuple[AlarmRate, ...]]:
    """How often normal sounds alarm, and in continuous mode how often the rules do.

    Marked sounds were mostly chosen because they alarmed: how often they do says nothing.
    """
    reference, kept = fitted.reference, fitted.held_out.kept
    others = ~reference.is_marked[kept]
    held_out, ranked = fitted.held_out.only(others), replace(ranked, p=ranked.p[others])
    table = false_alarm_table(held_out, ranked, fitted.group_of[held_out.kept])
    if settings.segmentation.mode == "event":
        return table, ()
    runs = runs_of_windows(reference.recording, held_out.kept, fitted.folds)
    return table, alarm_rates(ranked, runs, fitted.rate, settings.segmentation)


def _card(fitted: Fitted, ranked: Ranked, settings: Settings) -> ModelCard:
    reference, groups = fitted.reference, fitted.groups
    n_unmarked = len(reference.names) - len(reference.marked)
    alone = groups.of_recording[:n_unmarked] == reference.names[:n_unmarked]
    table, alarms = _promises(fitted, ranked, settings)
    return ModelCard(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in ("offkey", "numpy", "scikit-learn", "soxr")},
        recordings=len(reference.names),
        segments=len(reference.features),
        groups=fitted.n_unmarked_groups + bool(reference.marked),
        group_rule=groups.rule + (", folds in time" if fitted.in_time else ""),
        group_names=() if alone else groups.names,
        folds=int(fitted.folds.max()) + 1,
        skipped=reference.skipped,
        clipped=reference.clipped,
        offset=reference.offset,
        ignored_files=reference.ignored_files,
        cut=reference.cut,
        reference_digest=reference.digest,
        seed=settings.seed,
        explained_variance=fitted.explained_variance,
        snr_range_db=reference.snr_range_db,
        false_alarms=table,
        alarm_rates=alarms,
        marked=reference.marked,
        room=None
        if settings.room is None
        else settings.room.used(fitted.front_end, reference.lowest_rate_hz, reference.missed),
    )
