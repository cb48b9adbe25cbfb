"""The clock against the sample count: what was lost unseen, and when a sound was."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime, timedelta

_SLOT_S = 0.5
_SLOTS = 60
_NEAR = 4
MISSING_S = 0.05
"""A delay that comes at once, is larger than this and stays is a loss; drift is far slower."""


def now_s() -> float:
    """Seconds on a clock that goes on while the machine sleeps, as the world's sounds do."""
    boot_clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere monotonic does
    return time.monotonic() if boot_clock is None else time.clock_gettime(boot_clock)


class SampleClock:
    """Compares the time line of a live source, which counts samples, with a clock.

    How late a block is, its arrival less its place, jitters upwards only: the smallest value of
    some half a second is what the device and its buffers take. Two clocks drift apart by some ten
    millionths, which moves that value slowly; samples that are lost move it at once and for good.
    """

    def __init__(self) -> None:
        self._lows: deque[float] = deque(maxlen=_SLOTS)
        self._low: float | None = None
        self._slot_began_s = self._late_before_s = 0.0

    def restart(self) -> None:
        """The source begins anew, with buffers of another length."""
        self._late_before_s = self.late_s()
        self._lows.clear()
        self._low = None

    def hear(self, end_s: float, at_s: float) -> float:
        """A block that ends at `end_s` on the time line came at `at_s`; gives what is missing.

        Seconds, nearly always 0. A loss is known half a second to a second after it. What is given
        counts as added to the time line, this block included.
        """
        late_s = at_s - end_s
        missing_s = 0.0
        if self._low is not None and at_s - self._slot_began_s >= _SLOT_S:
            missing_s = self._end_slot(self._low)
            late_s -= missing_s
            self._low = None
        if self._low is None:
            self._low, self._slot_began_s = late_s, at_s
        self._low = min(self._low, late_s)
        return missing_s

    def late_s(self) -> float:
        """How late blocks come at least, of late: the clock at place 0 of the time line."""
        lows = [*self._lows, self._low] if self._low is not None else [*self._lows]
        return min(lows) if lows else self._late_before_s

    def _end_slot(self, low: float) -> float:
        near = list(self._lows)[-_NEAR:]
        missing_s = low - min(near) if near else 0.0
        if missing_s <= MISSING_S:
            missing_s = 0.0
        self._lows.append(low - missing_s)
        return missing_s

    def utc_of_origin(self, utc: datetime, at_s: float) -> datetime:
        """UTC of place 0 of the time line, when `utc` is now and `at_s` is now on the clock.

        Found anew each time: over weeks the sample count and the time of day drift apart.
        """
        return utc - timedelta(seconds=at_s - self.late_s())
