"""From anomalous segments to alarms: one for a sound, or for a run of windows."""

from __future__ import annotations

from dataclasses import replace

from model.alarms import Alarm, AlarmFinder, AlarmRule, Window
from model.detector import NOT_SCORED
from monitor.events import Heard


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


class WindowAlarms:
    """Continuous mode: alarms of the model's rule, found by model/alarms.py."""

    def __init__(self, rule: AlarmRule = AlarmRule()) -> None:  # noqa: B008  (it is frozen)
        self._finder = AlarmFinder(rule)

    def judge(self, heard: Heard) -> Heard:
        """Mark the window that raises an alarm."""
        segment, score = heard.segment, heard.score
        end_s = segment.start_s + segment.duration_s
        p = score.p if heard.is_anomalous else None
        window = Window(segment.start_s, end_s, p, score.verdict != NOT_SCORED)
        return replace(heard, alarm=self._finder.take(window))

    def finished(self) -> Alarm | None:
        """The alarm that the last window ended, once."""
        return self._finder.finished()

    def flush(self) -> Alarm | None:
        """Forget everything; gives the alarm that was still under way."""
        return self._finder.flush()
