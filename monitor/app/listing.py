"""Which of the remembered segments the table lists, and in which order. No widgets."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from model.detector import ANOMALOUS, NORMAL, NOT_SCORED
from monitor.app import words
from monitor.events import Heard

_CLUSTER = "cluster:"
_RELOAD_AFTER = 1_000
"""So many rows beyond what the history keeps may stand here before they are dropped."""


@dataclass(frozen=True)
class Filter:
    """What of the segments is wanted; everything unless something is asked for."""

    verdicts: frozenset[str] = frozenset()
    clusters: frozenset[int] = frozenset()
    words: tuple[str, ...] = ()
    """Each must be found in the time, the cluster's name or the source."""

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Words, `anomalous`, `normal`, `not scored` and `cluster:4`, separated by spaces."""
        terms = text.casefold().replace(NOT_SCORED, "not-scored").split()
        verdicts, clusters, rest = set(), set(), []
        for term in terms:
            number = term.removeprefix(_CLUSTER)
            if term.replace("-", " ") in (ANOMALOUS, NORMAL, NOT_SCORED):
                verdicts.add(term.replace("-", " "))
            elif number != term and number.isdecimal():
                clusters.add(int(number))
            else:
                rest.append(term)
        return cls(frozenset(verdicts), frozenset(clusters), tuple(rest))

    def wants(self, heard: Heard, names: Mapping[int, str]) -> bool:
        """Whether a segment is to be listed; `names` were given to clusters since."""
        score = heard.score
        if self.verdicts and score.verdict not in self.verdicts:
            return False
        if self.clusters and score.cluster not in self.clusters:
            return False
        if not self.words:
            return True
        parts = (words.when_text(heard), words.cluster_text(heard, names), heard.source)
        text = "\n".join(parts).casefold()
        return all(word in text for word in self.words)

    @property
    def in_words(self) -> str:
        """What is listed, as the table's title says it; empty for everything."""
        parts = []
        if self.verdicts:
            parts.append(" or ".join(sorted(self.verdicts)))
        if self.clusters:
            parts.append("cluster " + " or ".join(map(str, sorted(self.clusters))))
        if self.words:
            parts.append("with " + " and ".join(f'"{words.printable(w)}"' for w in self.words))
        return ", ".join(parts)


def _descending(value: float | None) -> float:
    return math.inf if value is None else -value


ORDERS: dict[str, tuple[str, Callable[[Heard], float]]] = {
    "time": ("newest at the bottom", lambda heard: heard.number),
    "p": ("smallest p first", lambda heard: math.inf if heard.score.p is None else heard.score.p),
    "oddness": ("oddest first", lambda heard: _descending(heard.score.oddness)),
    "isolation": (
        "largest isolation score first",
        lambda heard: _descending(heard.score.isolation_score),
    ),
    "reconstruction": (
        "largest reconstruction error first",
        lambda heard: _descending(heard.score.reconstruction_error),
    ),
    "length": ("longest first", lambda heard: -heard.segment.duration_s),
}
"""Order to how it is told, and its key; equal ones stand in the order of time."""


class Listing:
    """The rows of the table, filtered and sorted."""

    def __init__(self) -> None:
        self.rows: list[Heard] = []
        self.filter = Filter()
        self.order = "time"
        self.names: Mapping[int, str] = {}
        """Names that clusters were given since."""
        self.total = 0
        """Rows that there would be without the filter."""
        self._since_reload = 0

    @property
    def is_in_time_order(self) -> bool:
        """Whether the newest stand at the bottom."""
        return self.order == "time"

    def _wants(self, heard: Heard) -> bool:
        return self.filter.wants(heard, self.names)

    def _key(self, heard: Heard) -> tuple[float, int]:
        return ORDERS[self.order][1](heard), heard.number

    def reload(self, remembered: Sequence[Heard]) -> None:
        """List what is remembered, oldest first, anew."""
        self.total, self._since_reload = len(remembered), 0
        self.rows = [heard for heard in remembered if self._wants(heard)]
        if not self.is_in_time_order:
            self.rows.sort(key=self._key)

    def add(self, new: Sequence[Heard], most: int) -> bool:
        """Take new segments; says whether so many are stale that a reload is due."""
        self.total += len(new)
        self._since_reload += len(new)
        wanted = [heard for heard in new if self._wants(heard)]
        if self.is_in_time_order:
            self.rows += wanted
        else:
            for heard in wanted:
                insort(self.rows, heard, key=self._key)
        return self.total > most and self._since_reload >= _RELOAD_AFTER

    def place(self, heard: Heard) -> int:
        """Where a segment stands, or would stand."""
        return bisect_left(self.rows, self._key(heard), key=self._key)

    def at(self, place: int) -> Heard | None:
        """The row at a place, the first or last beyond the ends; None where there are none."""
        if not self.rows:
            return None
        return self.rows[min(max(0, place), len(self.rows) - 1)]

    @property
    def in_words(self) -> str:
        """Filter, order and counts, as the table's title says them."""
        return " · ".join(filter(None, [self.filter_in_words, ORDERS[self.order][0]]))

    @property
    def filter_in_words(self) -> str:
        """What is listed and how many that are; empty where everything is."""
        if self.filter == Filter():
            return ""
        return f"only {self.filter.in_words}: {len(self.rows):,} of {self.total:,}"
