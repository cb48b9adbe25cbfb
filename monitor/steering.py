"""What other threads may do with a stream while it runs, and what they see of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from model.detector import Detector
from monitor.budget import AlarmBudget
from monitor.ledger import Account
from monitor.snapshot import Snapshot
from monitor.sources import FileControl
from monitor.terminal import Stop


class Steered:
    """A stream as the screen and the signals know it; everything public is for any thread."""

    def __init__(self, detector: Detector, budget: AlarmBudget | None = None) -> None:
        self.detector = detector
        self.budget = budget
        """Where a budget of alarms an hour sets the false-alarm rate."""
        self._changing = threading.Lock()
        self._stop = Stop()
        self._pause = threading.Event()
        self._player: FileControl | None = None
        self._snapshot = Snapshot()

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self._snapshot

    def stop(self) -> None:
        """Ask the stream to end, with everything flushed."""
        self._stop.set()

    def pause(self, paused: bool) -> None:
        """Hold a file where it is; leave unheard what a live source brings meanwhile."""
        (self._pause.set if paused else self._pause.clear)()

    @property
    def is_paused(self) -> bool:
        """Whether the stream is asked to pause."""
        return self._pause.is_set()

    @property
    def player(self) -> FileControl | None:
        """The file that plays, for its speed and place; None for a live source."""
        return self._player

    def use(self, detector: Detector) -> None:
        """Go on with another false-alarm rate or other names, from the next segment on."""
        with self._changing:
            self.detector = detector

    def _keep_budget(self, account: Account) -> None:
        """Take the rate that the budget allows by now, for what is scored from here on."""
        if self.budget is None:
            return
        heard_s = account.total_s - account.lost_s - account.paused_s
        sounds = self._snapshot.segments - self._snapshot.not_scored
        with self._changing:
            rate = self.budget.update(self.detector, sounds, heard_s)
            if rate != self.detector.false_alarm_rate:
                self.detector = replace(self.detector, false_alarm_rate=rate)

    def _publish(self, **changes: Any) -> None:
        """Of the stream's own thread."""
        self._snapshot = replace(self._snapshot, **changes)
