"""From anomalous segments to alarms: one for a sound, or for a run of windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from monitor.events import Alarm, Heard

K, M = 2, 3
"""Continuous mode: an alarm takes K anomalous windows among the last M."""


class SoundAlarms:
    """Event mode: an anomalous segment is an alarm; what continues it belongs to it."""

    def __init__(self) -> None:
        self._alarmed = False

    def judge(self, heard: Heard) -> Heard:
        """Mark the segment as an alarm where it raises one."""
        if not heard.segment.continues:
            self._alarmed = False
        raises = heard.is_anomalous and not self._alarmed
        self._alarmed = self._alarmed or heard.is_anomalous
        return replace(heard, alarm=raises)

    def finished(self) -> Alarm | None:
        """Event mode has no alarms of their own: the segment is the alarm."""
        return None

    def flush(self) -> Alarm | None:
        """Forget the last sound."""
        self._alarmed = False
        return None


@dataclass(frozen=True)
class _Window:
    start_s: float
    end_s: float
    p: float | None
    """None where the window is not anomalous."""


class WindowAlarms:
    """Continuous mode: K of the last M windows; one alarm from the first to the last of them."""

    def __init__(self) -> None:
        self._recent: deque[_Window] = deque(maxlen=M)
        self._open: Alarm | None = None
        self._finished: Alarm | None = None

    def judge(self, heard: Heard) -> Heard:
        """Mark the window that raises an alarm; a window that is not scored counts as normal."""
        segment = heard.segment
        p = heard.score.p if heard.is_anomalous else None
        end_s = segment.start_s + segment.duration_s
        self._recent.append(_Window(segment.start_s, end_s, p))
        odd = [window for window in self._recent if window.p is not None]
        if len(odd) < K:
            self._finished, self._open = self._open, None
            return heard
        if self._open is None:
            peak = min(window.p for window in odd if window.p is not None)
            self._open = Alarm(odd[0].start_s, odd[-1].end_s, peak, len(odd))
            return replace(heard, alarm=True)
        if p is not None:
            self._open = replace(
                self._open,
                end_s=end_s,
                peak_p=min(self._open.peak_p, p),
                windows=self._open.windows + 1,
            )
        return heard

    def finished(self) -> Alarm | None:
        """The alarm that the last window ended, once."""
        alarm, self._finished = self._finished, None
        return alarm

    def flush(self) -> Alarm | None:
        """The stream ended: the alarm that was still open."""
        alarm, self._open = self._open, None
        self._recent.clear()
        return alarm
