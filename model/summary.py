"""A model in words: the summary that `calibrate` ends with and `inspect` prints."""

from __future__ import annotations

from collections.abc import Sequence

from model.card import FalseAlarms
from model.detector import Detector
from model.errors import shown
from model.profiles import ProfileClusters

_LISTED = 10


def describe(detector: Detector) -> str:
    """Several lines for a person; no trailing newline."""
    card = detector.card
    blocks = [
        _made_of(detector),
        _fitted(detector),
        _clusters(detector.clusters),
        _promise(detector),
        _listed("skipped", [f"{name}: {reason}" for name, reason in card.skipped]),
        _listed("clipped, kept", list(card.clipped)),
    ]
    return "\n".join(line for block in blocks for line in block)


def _row(label: str, text: str) -> str:
    return f"{label:<18}{text}"


def _made_of(detector: Detector) -> list[str]:
    card = detector.card
    lines = [_row("recordings", f"{card.recordings:,} used, {len(card.skipped):,} skipped")]
    if card.cut:
        lines.append(
            _row(
                "", f"longer than {detector.segmentation.duration_s:g} s: {card.cut:,}; only their"
            )
        )
        lines.append(_row("", "beginning is used. For a steady sound: --mode continuous"))
    if card.identical:
        lines.append(_row("", f"copies, kept in the group of their original: {card.identical:,}"))
    if card.ignored_files:
        lines.append(_row("", f"other or hidden files passed over: {card.ignored_files:,}"))
    groups = f"{card.groups:,}, {card.group_rule}; held out in {card.folds} folds"
    lines.append(_row("groups", groups))
    if card.groups < 5:
        lines.append(
            _row("", "independence is limited: new speakers or machines may alarm more often")
        )
    cut = detector.segmentation
    sounds = f"one sound each, up to {cut.duration_s:g} s"
    if cut.mode == "continuous":
        sounds = f"{card.segments:,} windows of {cut.duration_s:g} s every {cut.hop_s:g} s"
    lines.append(_row("mode", f"{cut.mode}: {sounds}"))
    return lines


def _fitted(detector: Detector) -> list[str]:
    front_end, card = detector.front_end, detector.card
    components = len(detector.subspace.components)
    share = f"{100 * card.explained_variance:g} % of the variance"
    gate, top_khz = detector.segmentation.gate, front_end.rate_hz / 2000
    lines = [
        _row("features", f"{front_end.name}, {front_end.n_features:,} up to {top_khz:g} kHz"),
        _row("components", f"{components} components explain {share}"),
    ]
    if detector.segmentation.mode == "event":
        lines.append(
            _row(
                "gate",
                f"opens {gate.on_db:g} dB over the noise floor; "
                f"closes after {gate.hang_over_s:g} s below {gate.off_db:g} dB",
            )
        )
    if card.snr_range_db is not None:
        low, high = card.snr_range_db
        lines.append(_row("conditions", f"signal over noise {low:.0f} to {high:.0f} dB"))
    if detector.maps:
        lines.append(_row("maps", ", ".join(sorted(detector.maps))))
    return lines


def _clusters(clusters: ProfileClusters) -> list[str]:
    lines = ["", "clusters of error profiles, named by where the error is larger than on average"]
    width = max(len(clusters.name(i)) for i in range(len(clusters)))
    for i, (size, share) in enumerate(zip(clusters.sizes, clusters.anomalous_share, strict=True)):
        band = f"  {clusters.suggested[i]}" if clusters.given[i] else ""
        lines.append(
            f"  {i:>2}  {clusters.name(i):<{width}}  members {size:>6,}, "
            f"anomalous {100 * share:>5.1f} %{band}"
        )
    return lines


def _promise(detector: Detector) -> list[str]:
    card, rate = detector.card, detector.false_alarm_rate
    limits = detector.thresholds
    lines = [
        "",
        "false alarms among sounds of groups that the detector had not heard",
        "  asked     mean   worst group                 in-sample thresholds would give",
        *(_false_alarm_row(row) for row in card.false_alarms),
        *_expect(card.false_alarms),
        "",
        _row(
            "smallest p",
            f"{detector.conformity.smallest_p:.2g} (1 in {detector.conformity.n + 1:,})",
        ),
        _row(
            "in force",
            f"p up to {rate:.2g} is anomalous; one score alone suffices from an isolation "
            f"score of {limits.isolation_score:+.3f}",
        ),
        _row(
            "",
            f"or a reconstruction error of {limits.reconstruction_error:.2e} on",
        ),
    ]
    if rate > 0.01 and rate == detector.conformity.smallest_p:
        lines.append(_row("", "99 recordings or more would allow the usual 0.01"))
    return lines


def _expect(rows: Sequence[FalseAlarms]) -> list[str]:
    """A plain sentence where new groups alarm clearly more often than was asked."""
    worse = [row for row in rows if row.measurable and row.mean > 1.5 * row.rate]
    if not worse:
        return []
    return [
        f"  expect about {100 * worse[0].mean:.1f} false alarms in 100 sounds of a new group, not "
        f"{100 * worse[0].rate:g}: groups differ; more of them help"
    ]


def _false_alarm_row(row: FalseAlarms) -> str:
    if not row.measurable:
        return f"  {row.rate:>5.0%}   too few recordings to measure"
    group = f"{row.worst:>6.1%}  {shown(row.worst_group)}"
    return f"  {row.rate:>5.0%}   {row.mean:>6.1%}   {group:<26}  {row.in_sample:>6.1%}"


def _listed(label: str, names: list[str]) -> list[str]:
    if not names:
        return []
    lines = ["", f"{label} ({len(names):,})"] + [f"  {name}" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        lines.append(f"  … and {len(names) - _LISTED:,} more")
    return lines
