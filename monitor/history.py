"""What a session remembers of its segments, for a screen to look back on. A sink.

Rows and alarms by the ten thousand, without audio; audio of the newest and of the oddest only, so
that memory stays where it is however long a session lasts.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import deque
from dataclasses import replace

import numpy as np

from model.audio import Samples
from monitor.events import Event, Heard
from monitor.sinks import Sink

ROWS = 10_000
"""So many of the newest segments are remembered, and as many alarms that are older."""
SOUNDS = 200
"""Of so many of the newest segments, and of as many of the oddest, the audio is kept."""
_NO_SAMPLES = np.empty(0, np.float32)


class History(Sink):
    """Filled by the stream's thread, read by the screen's."""

    def __init__(self, rows: int = ROWS, sounds: int = SOUNDS) -> None:
        self._lock = threading.Lock()
        self._newest: deque[Heard] = deque(maxlen=rows)
        self._alarms: deque[Heard] = deque(maxlen=rows)
        self._new_sounds: deque[tuple[int, Samples]] = deque(maxlen=sounds)
        self._odd_sounds: list[tuple[tuple[float, float, int], Samples]] = []
        self._sounds = sounds

    def take(self, event: Event) -> None:
        """Remember a segment."""
        if not isinstance(event, Heard):
            return
        samples = event.segment.samples
        row = replace(event, segment=replace(event.segment, samples=_NO_SAMPLES))
        with self._lock:
            if len(self._newest) == self._newest.maxlen and self._newest[0].alarm:
                self._alarms.append(self._newest[0])
            self._newest.append(row)
            self._new_sounds.append((event.number, samples))
            if event.score.p is not None:
                self._keep_if_odd(event, samples)

    def _keep_if_odd(self, heard: Heard, samples: Samples) -> None:
        score = heard.score
        oddness = (-(score.p or 0.0), score.oddness or 0.0, heard.number)
        insort(self._odd_sounds, (oddness, samples), key=lambda kept: kept[0])
        if len(self._odd_sounds) > self._sounds:
            del self._odd_sounds[0]

    def rows(self) -> list[Heard]:
        """All that is remembered, oldest first: alarms that are older than the newest segments."""
        with self._lock:
            return [*self._alarms, *self._newest]

    def after(self, number: int) -> list[Heard]:
        """The segments after a number, oldest first."""
        new: list[Heard] = []
        with self._lock:
            for heard in reversed(self._newest):
                if heard.number <= number:
                    break
                new.append(heard)
        return new[::-1]

    def samples(self, number: int) -> Samples | None:
        """The audio of a segment, shape `(n,)`, at the front end's rate; None where it is gone."""
        with self._lock:
            for kept, samples in self._new_sounds:
                if kept == number:
                    return samples
            for (_, _, kept), samples in self._odd_sounds:
                if kept == number:
                    return samples
        return None
