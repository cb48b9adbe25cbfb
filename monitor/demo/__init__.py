"""The built-in demo: a stream with planted oddities, watched, and then held against its truth.

The recordings beside this file were made by `tests/make_demo.py`. Scoring never reads the truth.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from model.detector import Detector
from monitor.events import Event, Heard
from monitor.sinks import Sink

REFERENCE = Path(__file__).parent / "reference"
STREAM = Path(__file__).parent / "stream.flac"
TRUTH = Path(__file__).parent / "truth.json"
NORMAL_KIND = "six"


@dataclass(frozen=True)
class Planted:
    """A sound in the stream, as its maker knows it."""

    start_s: float
    end_s: float
    kind: str

    def overlaps(self, heard: Heard) -> bool:
        """Whether a segment has heard some of it."""
        start_s = heard.segment.start_s
        return start_s < self.end_s and self.start_s < start_s + heard.segment.duration_s


class Collector(Sink):
    """Keeps the segments of the demo."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def take(self, event: Event) -> None:
        """Keep a segment."""
        if isinstance(event, Heard):
            self.heard.append(event)


def run(detector: Detector, headless: bool) -> None:
    """Watch the built-in stream and say what of it was found."""
    from monitor.session import watch
    from monitor.sources import AudioFile

    headless = headless or not sys.stdout.isatty()
    collector = Collector()
    source = AudioFile(str(STREAM), speed=float("inf") if headless else 1.0)
    last = watch(
        detector,
        [source],
        "demo",
        headless,
        [collector],
        farewell=lambda: outcome(collector.heard),
    )
    if last.position_s:
        click.echo(outcome(collector.heard, last.position_s), err=True)


def outcome(heard: Sequence[Heard], until_s: float = float("inf")) -> str:
    """How many planted oddities were found, of which kinds, and how many false alarms there were.

    Counts what was planted up to `until_s`, where the watching ended.
    """
    sounds = json.loads(TRUTH.read_text(encoding="utf-8"))["sounds"]
    planted = [
        Planted(sound["start_s"], sound["end_s"], sound["kind"])
        for sound in sounds
        if sound["kind"] != NORMAL_KIND and sound["end_s"] <= until_s
    ]
    if not planted:
        return f"No oddity has come yet, among {len(heard)} segments."
    alarms = [segment for segment in heard if segment.is_anomalous]
    found = [oddity for oddity in planted if any(oddity.overlaps(alarm) for alarm in alarms)]
    false = [a for a in alarms if not any(oddity.overlaps(a) for oddity in planted)]
    missed = Counter(o.kind for o in planted) - Counter(o.kind for o in found)
    return (
        f"Found {len(found)} of {len(planted)} planted oddities"
        f"{_kinds(Counter(o.kind for o in found))}; missed{_kinds(missed) or ' none'}; "
        f"{len(false)} false alarm{'' if len(false) == 1 else 's'} "
        f"among {len(heard)} segments."
    )


def _kinds(kinds: Counter[str]) -> str:
    if not kinds:
        return ""
    return f" ({', '.join(kind if n == 1 else f'{n} {kind}' for kind, n in kinds.items())})"
