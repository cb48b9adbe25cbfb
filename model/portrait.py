"""A model's portrait in the terminal: clusters as sparklines, how firm they are, worst groups."""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray

from model.detector import Detector
from model.errors import shown
from model.gallery import Gallery
from model.profiles import ProfileClusters

_BLOCKS = "▁▂▃▄▅▆▇█"
_COLUMNS = 16
_WORST = 5
_LONGEST = 34
_NAME = 37
"""So wide the column of clusters' names is at most."""


def sparkline(curve: NDArray[np.float64], top: float, columns: int = _COLUMNS) -> str:
    """A curve of any length as a row of blocks, the largest value of each column; `top` is full."""
    edges = np.arange(columns) * len(curve) // columns
    heights = np.maximum.reduceat(curve, edges) / (top or 1.0)
    steps = np.clip(np.ceil(heights * len(_BLOCKS)) - 1, 0, len(_BLOCKS) - 1).astype(int)
    return "".join(_BLOCKS[step] for step in steps)


def cluster_lines(clusters: ProfileClusters) -> list[str]:
    """Every cluster with its mean error profile, all on one scale, up to 80 characters a line.

    A name that a person gave is followed by where the error is.
    """
    lines = ["", "clusters of error profiles, named by where the error is larger than on average"]
    top = float(clusters.centroids.max())
    names = [_names(clusters, i) for i in range(len(clusters))]
    width = max(len(line) for lines_of_one in names for line in lines_of_one)
    lines.append(f"  no  {'error profile':<{_COLUMNS}}  {'name':<{width}} members  anomalous")
    for i, (size, share) in enumerate(zip(clusters.sizes, clusters.anomalous_share, strict=True)):
        name, *more = names[i]
        lines.append(
            f"  {i:>2}  {sparkline(clusters.centroids[i], top)}  {name:<{width}} "
            f"{size:>7,}  {100 * share:>7.1f} %"
        )
        lines += [" " * (_COLUMNS + 8) + text for text in more]
    return lines


def _names(clusters: ProfileClusters, cluster: int) -> list[str]:
    """What a cluster is called, given and suggested, in as few lines of the column as can be."""
    given, suggested = clusters.given[cluster], clusters.suggested[cluster]
    if given is None:
        return textwrap.wrap(suggested, _NAME) or [""]
    both = f"{given}: {suggested}"
    if len(both) <= _NAME:
        return [both]
    return [*textwrap.wrap(given, _NAME), *textwrap.wrap(suggested, _NAME)]


def agreement_lines(gallery: Gallery | None) -> list[str]:
    """How much the clusters depend on chance; nothing for a model that does not know."""
    if gallery is None or gallery.agreement is None:
        return []
    found = gallery.agreement
    plane = "" if found.plane is None else f", {found.plane:.2f} with clusters found on the map"
    words = (
        f"agreement of the clusters, 1 the same, 0 no better than chance: {found.seeds:.2f} over "
        f"seeds, {found.halves:.2f} over halves of the sounds{plane}"
    )
    if found.tried:
        tried = ", ".join(f"{number}: {value:.2f}" for number, value in found.tried)
        words += f"; their number was chosen by that over halves ({tried})"
    return textwrap.wrap(words, 78, initial_indent="  ", subsequent_indent="  ")


def map_words(detector: Detector) -> str:
    """Which maps there are and what they cost."""
    words = ", ".join(sorted(detector.maps))
    gallery = detector.gallery
    if gallery is None:
        return words
    if len(gallery.mapped) < len(gallery.cluster):
        words += f", of {len(gallery.mapped):,} sounds"
    if gallery.map_s is None:
        return words
    drawn_s, waited_s = gallery.map_s
    return f"{words}; drawn in {drawn_s:.1f} s beside the rest, {waited_s:.1f} s waited for"


def worst_groups(detector: Detector) -> list[str]:
    """The groups that alarm most often at the rate in force; none where there are no groups."""
    gallery, rate = detector.gallery, detector.false_alarm_rate
    if gallery is None or len(gallery.groups) < 2:
        return []
    groups = gallery.alarms_by_group(rate, len(detector.card.marked))
    worst = [group for group in groups if group.share][:_WORST]
    if not worst:
        return []
    quiet = sum(not group.share for group in groups)
    lines = ["", f"groups that alarm most, of p up to {rate:.2g}; {quiet:,} never do"]
    for group in worst:
        name = shortened(group.name, _LONGEST)
        lines.append(f"  {name:<{_LONGEST}}  {group.share:>6.1%} of {group.sounds:,}")
    return lines


def shortened(name: str, width: int) -> str:
    """The name of a group in at most `width` characters: of a path its end tells most."""
    name = shown(name)
    return name if len(name) <= width else f"…{name[1 - width :]}"
