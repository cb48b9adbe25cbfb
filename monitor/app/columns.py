"""The columns of the table: what of a segment stands in its row. Text and roles, no widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from model.detector import ANOMALOUS, NOT_SCORED
from monitor.app import words
from monitor.app.drawing import Line
from monitor.events import Heard

ROLES = ("label", "bad", "muted", "dim", "chosen", "flash")
_NARROW = 100
_SLIM = 64
_LEAST_NAME = 18
"""In fewer cells a shortened name says nothing."""
_GAP = "  "


class Columns:
    """The columns for a width; `names` were given to clusters since."""

    def __init__(self, width: int, names: Mapping[int, str]) -> None:
        self.width = width
        self.names: Mapping[int, str] = names
        narrow = width < _NARROW
        scores = ("isol.", "recon.") if narrow else ("isolation", "reconstruction")
        labels = ("time", "length", *scores, "p")
        widths = (9, 6, 6 if narrow else 9, 6 if narrow else 14, 7)
        self._verdict = 10 if narrow else 12
        self._kept = (0, 1, 2, 3, 4) if width >= _SLIM else (0, 4)
        self._widths = [widths[i] for i in self._kept]
        used = 1 + sum(self._widths) + self._verdict + len(_GAP) * (len(self._widths) + 1)
        self._last = max(0, width - used - 1)
        last = "cluster" if narrow else "nearest cluster, remarks"
        numbers = [f"{labels[i]:>{widths[i]}}" for i in self._kept]
        self.labels = " " + _GAP.join([*numbers, f"{'verdict':<{self._verdict}}", last])

    def row(self, heard: Heard, is_chosen: bool, notes: Sequence[str]) -> Line:
        """A segment's row; `notes` are what a person said of it."""
        score = heard.score
        verdict = score.verdict.upper() if heard.is_anomalous else score.verdict
        role = {ANOMALOUS: "bad", NOT_SCORED: "muted"}.get(score.verdict, "")
        plain = role if role == "muted" else ""
        texts = [
            words.when_text(heard),
            words.duration_text(heard.segment),
            words.isolation_text(score.isolation_score),
            words.reconstruction_text(score.reconstruction_error),
            words.p_text(score.p),
        ]
        kept = [texts[i] for i in self._kept]
        numbers = [f"{text:>{w}}" for text, w in zip(kept, self._widths, strict=True)]
        mark = "▸" if is_chosen else "▲" if heard.alarm else " "
        return [
            (mark, "bad" if heard.alarm else ""),
            (_GAP.join(numbers) + _GAP, plain),
            (f"{verdict:<{self._verdict}}", role or "muted"),
            (_GAP + self._remarks(heard, notes), plain),
        ]

    def _remarks(self, heard: Heard, notes: Sequence[str]) -> str:
        """The cluster, then as many remarks as fit.

        That it is unlike any is never left out: there the name of the nearest one tells less.
        """
        cluster, found = words.cluster_text(heard, self.names), [*notes, *words.remarks(heard)]
        names, least = [cluster], 0
        last = words.short_cluster_text(heard, self._last, self.names)
        if words.UNLIKE in found:
            end, name = f" · {words.UNLIKE}", str(heard.score.cluster)
            if (room := self._last - cell_len(end)) >= _LEAST_NAME:
                name = words.short_cluster_text(heard, room, self.names)
            names, least = [cluster, name], found.index(words.UNLIKE) + 1
            last = name + end
        counts = range(len(found), least - 1, -1)
        choices = [" · ".join([name, *found[:n]]) for name in names for n in counts]
        return set_cell_size(words.first_fitting([*choices, last], self._last), self._last)
