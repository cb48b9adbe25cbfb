"""The top lines: what is monitored and its state, then the input and the counts."""

from __future__ import annotations

from pathlib import PurePath

from rich.cells import cell_len

from model.card import ModelCard
from monitor.app import words
from monitor.app.drawing import Drawing, Line, meter
from monitor.snapshot import Snapshot

_LOWEST_DBFS = -80.0
_NAMES = {
    "digital zero": "digital zero: no signal",
    "silent": "silent: below −90 dBFS",
    "not finite": "not finite: broken data",
}
_UNHEARD = {
    "opening": "opening the input",
    "stalled": "no sound arrives from the input",
    "reconnecting": "the input is gone; opening it again",
    "ended": "the input has ended",
    "digital zero": "digital zero: no signal at all",
    "silent": "silent: below −90 dBFS",
}
_AMPLE = 1_000
_GAP = 2
_LONGEST_OF_FILE = len("playing")
_ROOM_FOR_FLOOR = 54
_SMALLEST_BAR = 6


class Header(Drawing):
    """Two lines, or three where the counts need one of their own."""

    def __init__(self, title: str, card: ModelCard, has_gate: bool) -> None:
        super().__init__()
        self._title = words.printable(PurePath(title).name or title)
        self._card = card
        self._has_gate = has_gate
        self._snapshot = Snapshot()
        self.pause_key = "p"

    def show(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        self._snapshot = snapshot
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """Title and source; input; counts, on the input's line where there are two lines only.

        There what is said of the input comes first, and the counts are short where they must be.
        """
        lines = [_ends(self._left(width), self._right(width), width)]
        if height >= 3:
            is_short = _length(self._counts()) > width
            return [*lines, self._input(width), self._counts(is_short)]
        for counts in (self._counts(), self._counts(is_short=True)):
            shown = self._input(width - _length(counts) - _GAP)
            is_whole = shown[-1] == self._input(_AMPLE)[-1]
            if is_whole and _length(shown) + _length(counts) < width:
                break
        return [*lines, _ends(shown, counts, width)]

    def _left(self, width: int) -> Line:
        short = self._title
        card = self._card
        recordings = words.plural(card.recordings, "recording")
        room = width - self._least_right()
        model = words.first_fitting(
            [
                f"{short} · {recordings} · {words.plural(card.groups, 'group')}",
                f"{short} · {recordings}",
                short,
                words.shorten(short, max(8, room - 8)),
            ],
            room - 8,
        )
        return [("offkey", "strong"), ("  " + model, "")]

    def _least_right(self) -> int:
        """Cells that any state, the position and a shortened source need."""
        snapshot = self._snapshot
        source = min(cell_len(snapshot.source), 24)
        state = _LONGEST_OF_FILE if snapshot.length_s else max(map(len, words.STATES))
        return state + len(self._position()) + source + 4 + 2 * _GAP

    def _right(self, width: int) -> Line:
        snapshot = self._snapshot
        symbol, role = words.STATES.get(snapshot.state, ("?", "warn"))
        state = f"{symbol} {snapshot.state.upper()}"
        position = self._position()
        if not position:
            return [(state, role)]
        left = _length(self._left(width))
        room = width - left - _GAP - cell_len(state) - len(position) - 4
        source = words.printable(snapshot.source)
        file = source if snapshot.length_s is None else PurePath(source).name or source
        rate = f" · {words.rate_text(snapshot.rate_hz)}" if snapshot.rate_hz else ""
        choices = [source + rate, file + rate, file, words.shorten(file, room)]
        shown = words.first_fitting(choices, room)
        return [(state, role), (f"  {shown}  ", ""), (position, "strong")]

    def _position(self) -> str:
        snapshot = self._snapshot
        if not snapshot.source:
            return ""
        if snapshot.length_s is None:
            return words.elapsed_text(snapshot.position_s)
        length = words.position_text(snapshot.length_s)
        return f"{words.position_text(snapshot.position_s)} / {length}"

    def _input(self, width: int) -> Line:
        snapshot = self._snapshot
        unheard = _UNHEARD.get(snapshot.state)
        if snapshot.state == "paused":
            leaves_out = "" if snapshot.length_s else " (what comes now is left unheard)"
            unheard = f"paused; press {self.pause_key} to go on{leaves_out}"
        if unheard is not None:
            choices = [unheard, *(unheard.partition(mark)[0] for mark in (" (", "; "))]
            if snapshot.detail:
                detail = words.printable(snapshot.detail)
                choices = [*(f"{choice}: {detail}" for choice in choices), detail]
            said = words.first_fitting(choices, max(8, width - len("input  ")))
            return [("input", "muted"), ("  " + said, "")]
        floor = snapshot.floor_dbfs
        details = f"  {words.level_text(snapshot.level_dbfs)} dBFS"
        state = snapshot.input_state
        shown = _NAMES.get(state, words.printable(state)) if state else ""
        state_width = _GAP + cell_len(shown) if shown else 0
        if self._has_gate:
            gate = f"  gate {'open  ' if snapshot.gate_open else 'closed'}"
            noise = f"  floor {words.level_text(floor).strip():>3}"
            least = len("input  ") + _SMALLEST_BAR + cell_len(details + gate) + state_width
            if width >= max(_ROOM_FOR_FLOOR, least + cell_len(noise)):
                gate = noise + gate
            details += gate if width >= least else ""
        longest = max(map(cell_len, _NAMES.values())) + _GAP
        room = width - len("input  ") - cell_len(details)
        if room < longest + _SMALLEST_BAR:
            shown, longest = state or "", len("digital zero") + _GAP
        bar = max(_SMALLEST_BAR, min(32, room - longest))
        level = 0.0 if snapshot.level_dbfs is None else _share(snapshot.level_dbfs)
        return [
            ("input  ", "muted"),
            *meter(level, None if floor is None else _share(floor), bar),
            (details, ""),
            (f"  {shown}", "warn"),
        ]

    def _counts(self, is_short: bool = False) -> Line:
        snapshot = self._snapshot
        return [
            (f"{words.plural(snapshot.segments, 'segment')} · ", ""),
            (words.plural(snapshot.alarms, "alarm"), "bad" if snapshot.alarms else ""),
            (f" · {snapshot.not_scored:,} not scored · ", ""),
            self._lost(is_short),
        ]

    def _lost(self, is_short: bool) -> tuple[str, str]:
        """What was lost so far; how much is lost right now is known when sound is back."""
        snapshot = self._snapshot
        if snapshot.state == "reconnecting":
            return "losing sound now", "bad"
        lost = words.lost_text(snapshot.account)
        if is_short:
            lost = lost.partition(", ")[0]
        return lost, "warn" if snapshot.account.lost_s else ""


def _share(level_dbfs: float) -> float:
    return 1 - level_dbfs / _LOWEST_DBFS


def _length(line: Line) -> int:
    return sum(cell_len(text) for text, _ in line)


def _ends(left: Line, right: Line, width: int) -> Line:
    """Two pieces, one at each end."""
    gap = max(1, width - _length(left) - _length(right))
    return [*left, (" " * gap, ""), *right]
