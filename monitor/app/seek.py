"""To the next alarm as fast as a file goes, then on at the speed before. A sink."""

from __future__ import annotations

import math

from monitor.events import Event, Heard
from monitor.sinks import Sink
from monitor.sources import FileControl


class NextAlarm(Sink):
    """Armed by the screen; the stream's own thread slows down, so that nothing rushes past."""

    def __init__(self) -> None:
        self._player: FileControl | None = None
        self.before = 1.0
        """The speed that a file has again at its next alarm."""

    @property
    def is_seeking(self) -> bool:
        """Whether a file is on its way to the next alarm."""
        return self._player is not None

    def seek(self, player: FileControl) -> None:
        """Play as fast as it goes until the next alarm."""
        if self._player is not player:
            self.before = player.speed if math.isfinite(player.speed) else 1.0
            self._player = player
            player.speed = math.inf

    def end(self) -> None:
        """Play on as before."""
        player, self._player = self._player, None
        if player is not None:
            player.speed = self.before

    def take(self, event: Event) -> None:
        """An alarm ends it."""
        if isinstance(event, Heard) and event.alarm:
            self.end()
