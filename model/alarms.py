"""Alarms of continuous mode: so many anomalous windows of the last few make one alarm.

Live and measured on held-out sound by the same code.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace

from model.errors import InputError

_MOST = 100
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class AlarmRule:
    """An alarm takes `k` anomalous windows among the last `m`."""

    k: int = 2
    m: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.m <= _MOST:
            raise InputError(
                f"No alarm can come after {self.k} anomalous windows of the last {self.m}.",
                f"It takes from 1 to all of them, of at most {_MOST}, such as 2/3.",
            )

    @classmethod
    def parse(cls, text: str) -> AlarmRule:
        """Read `K/M`. Raises InputError for anything else."""
        parts = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
        if parts is None:
            raise InputError(
                f"{text!r} does not say after how many windows to alarm.",
                "2/3 means 2 anomalous windows of the last 3.",
            )
        return cls(int(parts[1]), int(parts[2]))

    def __str__(self) -> str:
        return f"{self.k} of {self.m}"


@dataclass(frozen=True)
class Window:
    """What the rule has to know of a window."""

    start_s: float
    end_s: float
    p: float | None = None
    """None where the window is not anomalous."""
    is_scored: bool = True


@dataclass(frozen=True)
class Alarm:
    """One alarm, from the start of its first anomalous window to the end of its last."""

    start_s: float
    end_s: float
    peak_p: float
    """The smallest p among its windows."""
    windows: int
    """How many anomalous windows it has."""


class AlarmFinder:
    """Takes windows in order of time and finds the alarms.

    An alarm begins with the window that makes `k` anomalous ones of the last `m`. It goes on for as
    long as one more anomalous window would again make `k` of `m` with windows of its own;
    anomalous neighbours always go on. When it ends, its windows are forgotten: none belongs to two.

    A window that is not scored says nothing: it takes no place among the last `m`, so that short
    losses cannot hide a sound that stays odd. But once nothing was scored for as long as a window
    lasts (samples were lost, or there was silence), an alarm ends and all before is forgotten.
    """

    def __init__(self, rule: AlarmRule) -> None:
        self._rule = rule
        self._recent: deque[Window] = deque(maxlen=rule.m)
        self._open: Alarm | None = None
        self._finished: Alarm | None = None

    def take(self, window: Window) -> bool:
        """Take the next window; returns whether it raises an alarm."""
        if self._nothing_since(window):
            self._finished = self.flush()
        if not window.is_scored:
            return False
        self._recent.append(window)
        if self._open is not None:
            self._carry_on(self._open, window)
            return False
        self._open = self._begin()
        return self._open is not None

    def finished(self) -> Alarm | None:
        """The alarm that the last window ended, once."""
        alarm, self._finished = self._finished, None
        return alarm

    def flush(self) -> Alarm | None:
        """Forget everything; gives the alarm that was still under way."""
        alarm, self._open = self._open, None
        self._recent.clear()
        return alarm

    def _nothing_since(self, window: Window) -> bool:
        """Whether nothing was scored for as long as a window lasts."""
        if not self._recent:
            return False
        last = self._recent[-1]
        return window.start_s - last.end_s > last.end_s - last.start_s - _ROUNDING_S

    def _begin(self) -> Alarm | None:
        odd = [(window, window.p) for window in self._recent if window.p is not None]
        if len(odd) < self._rule.k:
            return None
        peak_p = min(p for _, p in odd)
        return Alarm(odd[0][0].start_s, odd[-1][0].end_s, peak_p, len(odd))

    def _carry_on(self, alarm: Alarm, window: Window) -> None:
        if window.p is not None:
            self._open = replace(
                alarm,
                end_s=window.end_s,
                peak_p=min(alarm.peak_p, window.p),
                windows=alarm.windows + 1,
            )
        elif not self._may_go_on():
            self._finished = self.flush()

    def _may_go_on(self) -> bool:
        """Whether the next window, if anomalous, would belong to the alarm under way."""
        beside_next = list(self._recent)[-max(1, self._rule.m - 1) :]
        odd = sum(window.p is not None for window in beside_next)
        return odd >= max(1, self._rule.k - 1)
