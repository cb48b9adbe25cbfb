"""An alarm that is noticed: bell, title of the terminal, and a line that stays until it is seen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len

from monitor.app import words
from monitor.app.drawing import Drawing, Line
from monitor.events import Heard

if TYPE_CHECKING:
    from textual.app import App

_RINGS_EVERY_S = 1.0
_SHORT = 19
"""So many cells have room for a shortened cluster with its frequencies."""
_HINTS = ("press {} once you have seen it", "press {} once seen")
"""What the key of the alarm line is for, the longest first."""


class AlarmLine(Drawing):
    """The last alarm that nobody has acknowledged; hidden where there is none."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"drawing--key"}
    DEFAULT_CSS = """
    AlarmLine .drawing--key { color: $footer-key-foreground; text-style: bold reverse; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: Heard | None = None
        self.count = 0
        """Alarms since somebody last acknowledged."""
        self.key = "a"
        self.names: Mapping[int, str] = {}
        """Names that clusters were given since."""
        self.display = False

    def pin(self, alarms: Sequence[Heard]) -> None:
        """Show the newest of some alarms."""
        self.heard, self.count = alarms[-1], self.count + len(alarms)
        self.display = True
        self.redraw()

    def clear(self) -> None:
        """Somebody has seen it."""
        self.heard, self.count = None, 0
        self.display = False

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """What, when, how odd, nearest cluster; how many there are."""
        heard = self.heard
        if heard is None:
            return [[]]
        score = heard.score
        begin = f"▲ alarm {words.when_text(heard)}"
        odd = f"p {words.p_text(score.p)}"
        cluster = words.cluster_text(heard, self.names)
        short = words.short_cluster_text(heard, _SHORT, self.names)
        more = f" · {self.count:,} not seen yet" if self.count > 1 else ""
        said = [
            f"{begin} · {odd}, {words.odds_text(score.p)} · {cluster}{more} · ",
            f"{begin} · {odd} · {cluster}{more} · ",
            f"{begin} · {cluster}{more} · " if more else f"{begin} · {odd} · {short} · ",
            f"{begin} · {short}{more} · ",
            f"{begin} · {odd}{more} · ",
            f"{begin}{more} · ",
        ]
        for text, hint in product(said, _HINTS):
            before, _, after = hint.partition("{}")
            if cell_len(text + before + self.key + after) <= width:
                return [[(text + before, "bad"), (self.key, "key"), (after, "bad")]]
        return [[(words.clip(begin, width), "bad")]]


class Attention:
    """Rings, and names the terminal's window."""

    def __init__(self, app: App[Any], name: str) -> None:
        self.rings = True
        self.names: Mapping[int, str] = {}
        """Names that clusters were given since."""
        self._app = app
        self._name = words.printable(name)
        self._title = ""
        self._rang_at_s = -_RINGS_EVERY_S

    def ring(self) -> None:
        """The terminal's bell, once a second at most."""
        now_s = time.monotonic()
        if self.rings and now_s - self._rang_at_s >= _RINGS_EVERY_S:
            self._rang_at_s = now_s
            self._app.bell()

    def entitle(self, alarm: Heard | None, state: str) -> None:
        """Name the terminal's window after the alarm that waits, or else the state."""
        title = f"{self._name} · {state}"
        if alarm is not None:
            title = (
                f"▲ {words.when_text(alarm)} {words.cluster_text(alarm, self.names)} · {self._name}"
            )
        self._write(f"{title} · offkey")

    def restore(self) -> None:
        """Give the title back: empty, since a terminal does not tell what it was."""
        self._write("")

    def _write(self, title: str) -> None:
        driver = self._app._driver  # noqa: SLF001 (Textual has no other way to the terminal)
        if title == self._title or driver is None:
            return
        self._title = title
        driver.write(f"\x1b]0;{title}\x07")
        driver.flush()
