"""The error profile: at which frequencies a segment is off, beside its nearest cluster."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from textual.content import Content

from model.detector import Detector, Score
from model.features import band_edges_hz, band_parts
from model.profiles import dominant_in_parts
from monitor.app import words
from monitor.app.curves import View, parts_axis
from monitor.app.drawing import Drawing, Line, bars
from monitor.events import Heard

_LABEL = len("this segment ")
_STEPS_HZ = (50, 100, 200, 250, 500, 1000, 2000, 2500, 5000, 10000)
_TICK_CELLS = 9


class ProfilePanel(Drawing):
    """Two rows of bars on one scale over a frequency axis."""

    def __init__(self, detector: Detector) -> None:
        super().__init__(classes="panel")
        self._edges_hz = band_edges_hz(detector.front_end)
        self._parts = band_parts(detector.front_end)
        self._centroids = detector.clusters.centroids
        self.names: Mapping[int, str] = {}
        """Names that clusters were given since."""
        self._thing = "window" if detector.segmentation.mode == "continuous" else "segment"
        self._heard: Heard | None = None
        self._findings: tuple[str, ...] = ()
        self.border_title = Content("error profile")

    def show(self, heard: Heard | None, findings: tuple[str, ...] = ()) -> None:
        """Show a segment, and say in which ways it is off where that is known."""
        self._heard, self._findings = heard, findings
        self._caption()
        self.redraw()

    def on_resize(self) -> None:
        """Say as much as there is room for."""
        self._caption()

    def draw(self, width: int, height: int) -> list[Line]:
        """Bars of the segment, bars of its cluster, the axis."""
        columns = width - _LABEL
        if columns < 8 or height < 3:
            return []
        rows = (height - 1) // 2
        axis: Line = [(" " * _LABEL + self._axis(columns), "muted")]
        profile = self._profile()
        if profile is None:
            blank: list[Line] = [[] for _ in range(2 * rows - 1)]
            return [[(self._why_none(), "")], *blank, axis]
        heard = self._heard
        cluster = None if heard is None else heard.score.cluster
        centroid = np.zeros_like(profile) if cluster is None else self._centroids[cluster]
        top = max(float(profile.max()), float(centroid.max()), 1e-12)
        return [
            *_labelled("this segment", bars(profile, top, columns, rows), "warn"),
            *_labelled(f"cluster {cluster}", bars(centroid, top, columns, rows), "accent"),
            axis,
        ]

    def _axis(self, columns: int) -> str:
        if len(self._parts) == 1:
            return frequency_axis(self._edges_hz[-1], columns)
        parts = [(of.part.name, len(of.edges_hz) - 1) for of in self._parts]
        whole = View.whole(len(self._edges_hz) - 1)
        return parts_axis(parts, self._edges_hz[:-1], whole, columns)

    def _profile(self) -> NDArray[np.float64] | None:
        if self._heard is None or self._heard.score.profile is None:
            return None
        return np.array(self._heard.score.profile)

    def _why_none(self) -> str:
        if self._heard is None:
            return f"Here the first {self._thing} will show at which frequencies it is off."
        return "Not scored, so there is no error profile."

    def _caption(self) -> None:
        """Words into the border: nearest cluster above, largest error below."""
        room = self.size.width - 4
        profile = self._profile()
        if self._heard is None or profile is None or room < 8:
            self.border_title, self.border_subtitle = Content("error profile"), None
            return
        self.border_title = Content(words.first_fitting(titles(self._heard, self.names), room))
        nothing = np.zeros_like(profile)
        most = f"largest error at {dominant_in_parts(profile, nothing, self._parts)}"
        found = [" · ".join(self._findings[:n]) for n in range(len(self._findings), 0, -1)]
        full = f"{found[0] if found else most}{self._beside_cluster(self._heard, profile)}"
        self.border_subtitle = Content(words.first_fitting([full, *found, most], room))

    def _beside_cluster(self, heard: Heard, profile: NDArray[np.float64]) -> str:
        """How tall the segment's bars are on the scale of its cluster's, which differs by both."""
        cluster = heard.score.cluster
        top = 0.0 if cluster is None else float(self._centroids[cluster].max())
        if top <= 0:
            return ""
        return f" · tallest bar {words.plain_text(float(profile.max()) / top)} times its cluster's"


def titles(heard: Heard, names: Mapping[int, str]) -> list[str]:
    """Nearest cluster in words, the longest first; `names` are newer than the segment."""
    score = heard.score
    name = words.printable(names.get(score.cluster or 0, score.cluster_name or ""))
    fate = "unlike any cluster · nearest" if score.unlike_any else "nearest cluster"
    reach = reach_text(score)
    shorter = [name, *(words.short_name(name, most) for most in (24, 20, 16, 12))]
    nearest = [f'{fate}: {score.cluster} "{name}" {reach}' for name in shorter]
    return [*(f"error profile · {text}" for text in nearest[:2]), *nearest, f"{fate} {reach}"]


def reach_text(score: Score) -> str:
    """How far a segment is from its nearest cluster."""
    distance = score.cluster_distance or 0.0
    if f"{distance:.1f}" == "1.0":
        return f"just {'beyond' if score.unlike_any else 'within'} its reach"
    return f"at {distance:.1f} {'times' if score.unlike_any else 'of'} its reach"


def _labelled(label: str, rows: list[str], role: str) -> list[Line]:
    """Bars with their label on the lowest row."""
    labels = [" " * _LABEL] * (len(rows) - 1) + [f"{label:<{_LABEL}}"]
    return [[(text, ""), (row, role)] for text, row in zip(labels, rows, strict=True)]


def frequency_axis(top_hz: float, width: int) -> str:
    """Ticks from 0 Hz to `top_hz`, each with its number at its right."""
    most = max(1, width // _TICK_CELLS)
    step = next((s for s in _STEPS_HZ if top_hz / s <= most), _STEPS_HZ[-1])
    axis = ""
    for frequency in range(0, int(top_hz) + 1, step):
        label = f"╵{_hz_text(frequency)}"
        at = round(frequency / top_hz * width)
        if (not axis or len(axis) < at) and at + cell_len(label) <= width:
            axis = axis.ljust(at) + label
    return axis


def _hz_text(frequency_hz: int) -> str:
    return f"{frequency_hz} Hz" if frequency_hz < 1000 else f"{frequency_hz / 1000:g} kHz"
