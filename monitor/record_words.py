"""What `record` says, on the screen and off it: what to do, what became of takes, what is next."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from pathlib import Path

from model.errors import shown
from monitor.events import Event, StateChange
from monitor.recorders import PIECE_S, PieceRecording
from monitor.recording import LEAST_SNR_DB, Plan, Recording, Take
from monitor.sinks import Sink, Warn
from monitor.snapshot import Snapshot
from monitor.takes import gathered

FEWEST = 20
"""Sounds, or windows, that it takes to calibrate."""
_MANY_GROUPS = 5
_NOT_KEPT = {
    "clipped": "too loud, it clipped",
    "too short": "too short",
    "cut off": "heard only in part",
    "gap": "part of it was lost",
    "silent": "nearly silent",
    "digital zero": "no signal at all",
    "not finite": "broken sample values",
}
_COUNTED = {"gap": "with a loss", "digital zero": "without a signal", "not finite": "broken"}
_STATES = {
    "opening": "Opening the microphone …",
    "warming up": "One moment of quiet, please: listening to the noise of the place.",
    "paused": "Paused: what sounds now is not recorded. p goes on.",
    "digital zero": "No signal at all: is the microphone muted, or its cable out?",
    "silent": "Nearly no signal: is the microphone muted, or its level at the lowest?",
    "stalled": "No sound arrives from the microphone.",
    "reconnecting": "The microphone is gone; trying to open it again. Takes so far are safe.",
    "ended": "The input has ended.",
}
_WARNINGS = {
    "clipping": "Too loud, it clips: turn the input level down, or move away from the microphone.",
    "loud background": "It is noisy here: find a quieter place, or go nearer and turn the input "
    "level down.",
    "faint": "The sound hardly stands out from the noise: go nearer to the microphone, or make it "
    "quieter around.",
}


def how_to(plan: Plan) -> str:
    """What the person is to do."""
    if plan.is_pieces:
        minutes = plan.goal * PIECE_S / 60
        return (
            f"Let it run as it should sound. {_plural(plan.goal, 'piece')} of {PIECE_S:g} s "
            f"{'is' if plan.goal == 1 else 'are'} recorded, {minutes:,.3g} minutes."
        )
    times = "once" if plan.goal == 1 else f"{plan.goal:,} times"
    return (
        f"Say it, or let it sound, {times}, as it should be. Leave half a second of quiet between."
    )


def verdict_text(take: Take, plan: Plan) -> str:
    """What became of a take, and why."""
    if take.reason is None:
        return "good"
    if take.reason == "thrown away":
        return "thrown away"
    if take.reason == "too long":
        return f"not kept: longer than {plan.segmentation.duration_s:g} s"
    if take.reason == "too quiet":
        return f"not kept: too quiet, under {LEAST_SNR_DB:g} dB"
    return f"not kept: {_NOT_KEPT[take.reason]}"


def measures_text(take: Take) -> str:
    """Length and loudness of a take."""
    level = "no level" if take.level_dbfs is None else f"{take.level_dbfs:.0f} dBFS"
    text = f"{take.duration_s:.2f} s, {level}"
    if take.snr_db is not None:
        text += f", {take.snr_db:.0f} dB over the noise"
    return text.replace("-", "−")


def not_kept_text(not_kept: Counter[str]) -> str:
    """`2 too quiet, 1 clipped`, or nothing."""
    counts = (f"{n:,} {_COUNTED.get(reason, reason)}" for reason, n in not_kept.most_common())
    return ", ".join(counts)


def piece_text(recording: Recording) -> str:
    """How far the present piece is; nothing where sounds are recorded."""
    if not isinstance(recording, PieceRecording):
        return ""
    return f"this piece: {min(recording.piece_s, PIECE_S):2.0f} of {PIECE_S:g} s"


def now_text(now: Snapshot, plan: Plan) -> str:
    """What is going on, and what to do."""
    if now.state in ("live", "playing"):
        if plan.is_pieces:
            return "Recording. Let it run."
        return "Hearing it …" if now.gate_open else "Ready: say it, or let it sound."
    return _STATES.get(now.state, now.state)


def warning_text(now: Snapshot, recording: Recording) -> str:
    """What spoils takes just now, and what helps; nothing where all is well."""
    return _WARNINGS.get(recording.warning(now) or "", "")


def farewell(recording: Recording) -> list[str]:
    """Where the takes are, how many are missing, and the next command."""
    folder, plan = recording.folder, recording.plan
    what = "piece" if plan.is_pieces else "take"
    lines = [_outcome(recording, what)]
    there = gathered(folder.root)
    if not there.recordings:
        return lines
    if there.recordings > recording.kept:
        lines.append(
            f"{shown(folder.root)} holds {_plural(there.recordings, 'recording')} by now, "
            f"in {_plural(there.groups, 'folder')}."
        )
    missing = max(0, _fewest(plan) - there.recordings)
    if missing:
        are = "is" if missing == 1 else "are"
        lines.append(f"At least {_plural(missing, f'more {what}')} {are} needed to calibrate.")
    if there.groups < _MANY_GROUPS or there.recordings < _fewest(plan) * _MANY_GROUPS:
        much = "ten minutes" if plan.is_pieces else "hundred"
        lines.append(f"Better some {much}, of several people, days or machines:")
        lines.append("record each with a --name of its own.")
    lines.append(f"{'Then' if missing else 'Next'}: {calibrate_command(folder.root, plan)}")
    return lines


def calibrate_command(root: str, plan: Plan) -> str:
    """The command that makes a model of what was recorded."""
    segmentation = plan.segmentation
    words = ["offkey", "calibrate", root]
    if plan.is_pieces:
        words += ["--mode", "continuous"]
    if segmentation.duration_s != 1:
        words += ["--duration", f"{segmentation.duration_s:g}"]
    name = Path(root).resolve().name or "model"
    return shown(shlex.join([*words, "-o", f"{name}.offkey"]))


def _outcome(recording: Recording, what: str) -> str:
    refused = not_kept_text(recording.not_kept)
    refused = f"; not kept: {refused}." if refused else "."
    if not recording.kept:
        return f"No {what} was kept{refused}"
    verb = "is" if recording.kept == 1 else "are"
    return f"{_plural(recording.kept, what)} {verb} in {shown(recording.folder.path)}{refused}"


def _fewest(plan: Plan) -> int:
    """Recordings that it takes to calibrate: of a piece, calibrate makes many windows."""
    if not plan.is_pieces:
        return FEWEST
    segmentation = plan.segmentation
    windows = 1 + (PIECE_S - segmentation.duration_s) // segmentation.hop_s
    return math.ceil(FEWEST / windows)


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


class StateLines(Sink):
    """Says in a line what state the input is in, when that changes."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn

    def take(self, event: Event) -> None:
        """Say it."""
        if isinstance(event, StateChange):
            self._warn(f"input: {event.state}")
