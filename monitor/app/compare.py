"""The comparison: a segment's spectrum over its reconstruction, and the error under it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Footer

from model.audio import Samples
from model.detector import ANOMALOUS, NORMAL, Detector
from model.explanation import explain
from monitor.app import words
from monitor.app.curves import View
from monitor.app.drawing import Drawing, Line
from monitor.app.picture import Picture
from monitor.events import Heard

_MOVE = Binding.Group("move")
_PEAK = Binding.Group("to an error")
_CLOSER = 0.25
_VERDICTS = {ANOMALOUS: ("▲ ANOMALOUS", "bad"), NORMAL: ("✓ NORMAL", "good")}
_UNKNOWN = ("○ NOT SCORED", "warn")


class SegmentLine(Drawing):
    """Which segment this is: time, verdict, both scores, cluster."""

    def __init__(self, heard: Heard, names: Mapping[int, str]) -> None:
        super().__init__()
        self._heard, self._names = heard, names

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """Two lines."""
        heard, score = self._heard, self._heard.score
        when = f"  {words.when_text(heard)} · {words.duration_text(heard.segment)}  "
        odds = (
            "" if score.p is None else f"  p {words.p_text(score.p)} · {words.odds_text(score.p)}"
        )
        first: Line = [
            ("compare", "strong"),
            (when, ""),
            _VERDICTS.get(score.verdict, _UNKNOWN),
            (odds, ""),
        ]
        return [first, [(self._scores(width), "")]]

    def _scores(self, width: int) -> str:
        score = self._heard.score
        if score.p is None:
            return words.clip(words.reason_text(self._heard), width)
        isolation = f"isolation {words.isolation_text(score.isolation_score)}"
        error = words.reconstruction_text(score.reconstruction_error)
        cluster = words.cluster_text(self._heard, self._names)
        long = f"{isolation} · reconstruction error {error} · nearest cluster {cluster}"
        short = f"{isolation} · reconstruction {error} · cluster "
        notes = words.remarks(self._heard)
        counts = range(len(notes), min(1, len(notes)) - 1, -1)  # the first one is always told
        ends = ["".join(f" · {note}" for note in notes[:n]) for n in counts]
        room = width - cell_len(short + ends[-1])
        name = words.short_cluster_text(self._heard, room, self._names)
        choices = [start + end for start in (long, short + cluster) for end in ends]
        return words.first_fitting([*choices, short + name + ends[-1]], width)


class CompareScreen(ModalScreen[None]):
    """The picture of the reference method. Modal, so that the app's own keys rest."""

    DEFAULT_CSS = """
    CompareScreen {
        background: $background;
        &:ansi { background: ansi_default; }

        SegmentLine {
            height: 2;
            padding: 0 1;
            background: $panel;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(0.5)", "zoom in", key_display="+", id="compare.zoom_in"),
        Binding("minus", "zoom(2)", "zoom out", key_display="-", id="compare.zoom_out"),
        Binding("left", "move(-0.25)", "lower", id="compare.lower", group=_MOVE),
        Binding("right", "move(0.25)", "higher", id="compare.higher", group=_MOVE),
        Binding("0", "all", "all", id="compare.all"),
        Binding("1", "peak(0)", "to error 1", id="compare.first", group=_PEAK),
        Binding("2", "peak(1)", "to error 2", id="compare.second", group=_PEAK),
        Binding("3", "peak(2)", "to error 3", id="compare.third", group=_PEAK),
        Binding("escape,c,q", "dismiss", "back", key_display="esc", id="compare.leave"),
    ]

    def __init__(
        self,
        detector: Detector,
        heard: Heard,
        samples: Samples,
        names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """`names` were given to clusters since the segment was heard."""
        super().__init__()
        self._explanation = explain(detector, samples)
        self._heard, self._names = heard, names
        self._picture = Picture(detector, self._explanation, heard.is_anomalous)

    def compose(self) -> ComposeResult:
        """From the top: which segment, the picture, the keys."""
        yield SegmentLine(self._heard, self._names)
        yield self._picture
        yield Footer(show_command_palette=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a picture there is nothing to zoom; with all of it in view, nothing to move."""
        if action not in ("zoom", "move", "all", "peak"):
            return True
        if self._explanation is None:
            return False
        inwards = action == "peak" or (action == "zoom" and parameters[0] == 0.5)
        return True if inwards or not self._picture.view.is_whole else None

    def action_zoom(self, factor: float) -> None:
        """Show `factor` times as much, around the middle."""
        self._picture.view = self._picture.view.zoomed(factor)

    def action_move(self, share: float) -> None:
        """Move along frequency by a share of what is in view."""
        self._picture.view = self._picture.view.moved(share)

    def action_all(self) -> None:
        """Show all frequencies."""
        self._picture.view = View.whole(self._picture.view.total)

    def action_peak(self, rank: int) -> None:
        """Go closer to one of the largest errors."""
        found = self._picture.peaks()
        if rank < len(found):
            self._picture.view = self._picture.view.around(found[rank], _CLOSER)
