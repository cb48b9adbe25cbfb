"""The clock against the sample count: what was lost unseen, and when a sound was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")
_SLOT_S = 0.5
_SLOTS = 60
_NEAR = 4
MISSING_S = 0.05
"""A delay that comes at once, is larger than this and stays is a loss; drift is far slower."""
DECIDED_S = 0.75
"""After so long what is late is known to be late because of a loss."""


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

        Seconds, nearly always 0. What is missing is known half a second to a second later. What
        is given counts as added to the time line, this block included.
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

    def behind_s(self, end_s: float, at_s: float) -> float:
        """How much later a block comes than the quickest of the last two seconds; 0 at first."""
        lows = list(self._lows)[-_NEAR:] + ([] if self._low is None else [self._low])
        return at_s - end_s - min(lows) if lows else 0.0

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


@dataclass(frozen=True)
class Arrival(Generic[T]):
    """Something that came."""

    what: T
    end_s: float
    """Where it ends by the samples that the device brought since it was opened."""
    at_s: float
    """When it came."""
    is_flagged: bool
    """The device says that something was dropped before it, but not how much."""


class LossFinder(Generic[T]):
    """Holds back what comes late until it is known whether something is missing before it.

    A block that is late may have been held up: then one of those after it is in time again. Or
    sound was lost: then all of them stay late, and the least late of three quarters of a second
    says how much it was. So a loss is told before the first block after it, and nothing is heard
    across it.
    """

    def __init__(self, clock: SampleClock) -> None:
        self._clock = clock
        self._held: deque[Arrival[T]] = deque()
        self.origin_s = 0.0
        """Where the opening of the device lies on the time line by what is known now."""

    def push(self, arrival: Arrival[T]) -> Iterator[tuple[T, float]]:
        """Take what came; gives what is decided, each with the seconds missing before it.

        Clock and origin must know of each one before the next is asked for.
        """
        self._held.append(arrival)
        yield from self._decide(final=False)

    def flush(self) -> Iterator[tuple[T, float]]:
        """Nothing more comes: what is still late counts as after a loss."""
        yield from self._decide(final=True)

    def _decide(self, final: bool) -> Iterator[tuple[T, float]]:
        while self._held:
            missing_s = self._missing_s(final)
            if missing_s is None:
                return
            yield self._held.popleft().what, missing_s

    def _missing_s(self, final: bool) -> float | None:
        """What is missing before the oldest that is held; None while that is not known."""
        first, behind_s, is_over = self._held[0], [], final
        for arrival in self._held:
            if arrival.is_flagged and arrival is not first:
                is_over = True
                break
            behind_s.append(self._clock.behind_s(self.origin_s + arrival.end_s, arrival.at_s))
            if behind_s[-1] <= MISSING_S and not first.is_flagged:
                return 0.0
            if arrival.at_s - first.at_s >= DECIDED_S:
                is_over = True
                break
        return max(0.0, min(behind_s)) if is_over else None
