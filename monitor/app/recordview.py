"""The parts of the recording screen: top line, level, progress, takes; what goes on in words."""

from __future__ import annotations

from pathlib import PurePath

from rich.cells import cell_len

from monitor.app import words
from monitor.app.drawing import Drawing, Line, meter
from monitor.record_words import not_kept_text, now_text, piece_text, verdict_text
from monitor.recording import Plan, Recording, Take
from monitor.snapshot import Snapshot

_LOWEST_DBFS = -80.0
_GAP = 2


class Top(Drawing):
    """What is recorded into which folder, from which input, in which state."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = words.printable(folder)
        self._now = Snapshot()

    def show(self, now: Snapshot) -> None:
        """Show another moment."""
        self._now = now
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """One line."""
        now = self._now
        symbol, role = words.STATES.get(now.state, ("?", "warn"))
        state = f"{symbol} {now.state.upper()}"
        source = words.printable(PurePath(now.source).name or now.source)
        rate = f" · {words.rate_text(now.rate_hz)}" if now.rate_hz else ""
        elapsed = words.elapsed_text(now.position_s)
        fixed = len("offkey record  into ") + cell_len(state) + len(elapsed) + 3 * _GAP
        room = max(0, width - fixed)
        half = max(room // 2, room - cell_len(self._folder))
        source = words.first_fitting([source + rate, words.shorten(source, half)], half)
        folder = words.shorten(self._folder, room - cell_len(source))
        line = [("offkey record", "strong"), (f"  into {folder}", "")]
        right = [(state, role), (f"  {source}  ", ""), (elapsed, "strong")]
        used = sum(cell_len(text) for text, _ in [*line, *right])
        return [[*line, (" " * max(1, width - used), ""), *right]]


class Level(Drawing):
    """How loud it is now, where the noise lies, and whether the gate takes it for a sound."""

    def __init__(self, has_gate: bool) -> None:
        super().__init__()
        self._has_gate = has_gate
        self._now = Snapshot()

    def show(self, now: Snapshot) -> None:
        """Show another moment."""
        self._now = now
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """One line: a bar with a tick at the noise, then both in numbers; a dash unheard."""
        now = self._now
        if now.state in ("opening", "stalled", "reconnecting", "paused", "ended"):
            return [[("level  ", "muted"), (words.NONE, "")]]
        level, floor = now.level_dbfs, now.floor_dbfs
        details = f"  {words.level_text(level)} dBFS"
        if self._has_gate:
            gate = "gate open  " if now.gate_open else "gate closed"
            details += f"   noise {words.level_text(floor)}   {gate}"
        bar = max(6, width - len("level  ") - cell_len(details))
        tick = None if floor is None else _share(floor)
        share = 0.0 if level is None else _share(level)
        return [[("level  ", "muted"), *meter(share, tick, bar), (details, "")]]


class Count(Drawing):
    """Good takes as a bar and a number, and how many were not kept."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        """One line."""
        recording = self._recording
        kept, goal = recording.kept, recording.plan.goal
        what = "good pieces" if recording.plan.is_pieces else "good takes"
        count = f"{kept:,} of {goal:,} {what}  "
        if kept > goal:
            count = f"{kept:,} {what}, {goal:,} asked for  "
        refused, piece = recording.not_kept, piece_text(recording)
        pieces = [f"  {piece}"] if piece else []
        after = ["".join(pieces)]
        if refused:
            counts = (f"not kept: {not_kept_text(refused)}", f"{refused.total():,} not kept")
            after = ["".join([*pieces, f"  {text}"]) for text in counts]
        room = width - len(count)
        right = words.first_fitting(after, max(0, room - 12))
        bar = max(6, min(60, room - cell_len(right)))
        return [
            [
                (count, "strong"),
                *meter(min(1.0, kept / goal), None, bar),
                (right, "muted"),
            ]
        ]


class Takes(Drawing):
    """The newest takes with what became of them, the newest on top."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def draw(self, width: int, height: int) -> list[Line]:
        """A heading, then as many takes as there is room for."""
        plan = self._recording.plan
        what, over = ("piece", "") if plan.is_pieces else (" take", "  over noise")
        lines: list[Line] = [[(f"{what}    length       level{over}  verdict", "muted")]]
        takes = self._recording.takes
        if not takes:
            heard = "piece" if plan.is_pieces else "sound"
            return [[(f"Nothing yet. Every {heard} that was heard is listed here.", "muted")]]
        return [*lines, *(self._line(take, width) for take in takes[::-1][: max(0, height - 1)])]

    def _line(self, take: Take, width: int) -> Line:
        plan = self._recording.plan
        level = f"{words.level_text(take.level_dbfs)} dBFS"
        measures = f"{take.number:>5}  {take.duration_s:>6.2f} s  {level:>10}"
        if not plan.is_pieces:
            snr = words.NONE if take.snr_db is None else f"{take.snr_db:.0f} dB"
            measures += f"  {snr:>10}".replace("-", "−")
        verdict = verdict_text(take, plan)
        if take.path is not None:
            mark, role, verdict = "✓ ", "good", f"{verdict}, {take.path.name}"
        else:
            mark, role = "✗ ", "muted" if take.reason == "thrown away" else "warn"
        room = max(0, width - cell_len(measures) - 4)
        return [(f"{measures}  ", ""), (mark, role), (words.clip(verdict, room), role)]


def now_line(now: Snapshot, plan: Plan, is_playing: bool, width: int) -> str:
    """What is going on, and what to do, in one line where that is possible."""
    if is_playing:
        return "▶ Playing the last take; nothing is recorded meanwhile."
    symbol, _ = words.STATES.get(now.state, ("?", "warn"))
    text = f"{symbol} {now_text(now, plan)}"
    if not now.detail:
        return text
    detail = words.printable(now.detail)
    choices = [f"{text} ({detail})", f"{text.partition(';')[0]}: {detail}."]
    return words.first_fitting(choices, max(8, width))


def goal_text(recording: Recording) -> str:
    """That there are as many good takes as were asked for, or more."""
    kept, goal = recording.kept, recording.plan.goal
    good = words.plural(kept, "good piece" if recording.plan.is_pieces else "good take")
    asked = "that is all that was asked for" if kept == goal else f"{goal:,} asked for"
    return f"{good}: {asked}. q ends; or go on, more are better."


def _share(level_dbfs: float) -> float:
    return 1 - level_dbfs / _LOWEST_DBFS
