"""What became of every sample of a source: scored, not scored, silent, lost or left unheard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """The time line by what became of it, in seconds; `total_s` is the sum of the parts."""

    total_s: float = 0.0
    """Length of the time line, by the places at which blocks lie."""
    scored_s: float = 0.0
    """In segments that were scored."""
    not_scored_s: float = 0.0
    """In segments that say why they were not."""
    silent_s: float = 0.0
    """Heard, and no part of any segment; what is not decided yet counts here."""
    lost_s: float = 0.0
    lost_by_clock_s: float = 0.0
    """That part of `lost_s` that nobody reported: the clock against the sample count tells it."""
    paused_s: float = 0.0
    """Not listened to, because a person asked for it."""

    def __add__(self, other: Account) -> Account:
        return Account(
            self.total_s + other.total_s,
            self.scored_s + other.scored_s,
            self.not_scored_s + other.not_scored_s,
            self.silent_s + other.silent_s,
            self.lost_s + other.lost_s,
            self.lost_by_clock_s + other.lost_by_clock_s,
            self.paused_s + other.paused_s,
        )


class Ledger:
    """Counts one source at one rate; segments come in the order of their starts.

    A sample that two windows share counts once. A run of heard samples ends where some are lost or
    left unheard; the segments of a run are taken before the next one begins.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._first: int | None = None
        self._end = 0
        self._heard_until = self._taken_until = 0
        self._heard = self._scored = self._not_scored = 0
        self._lost = self._lost_by_clock = self._paused = 0

    def lose(self, end: int, n: int, cause: str) -> None:
        """`n` samples just before place `end` were lost."""
        self._extend(end - n, end)
        self._lost += n
        self._lost_by_clock += n if cause == "clock" else 0

    def hear(self, start: int, n: int) -> None:
        """`n` samples from place `start` on were heard."""
        if start != self._heard_until:
            self._taken_until = start
        self._extend(start, start + n)
        self._heard_until = start + n
        self._heard += n

    def pause(self, start: int, n: int) -> None:
        """`n` samples from place `start` on were not listened to."""
        if not n:  # its place may already count at the rate of a device that is not heard yet
            return
        self._extend(start, start + n)
        self._paused += n

    def take(self, start_s: float, duration_s: float, is_scored: bool) -> None:
        """A segment of the present run."""
        start = max(round(start_s * self._rate_hz), self._taken_until)
        end = min(round((start_s + duration_s) * self._rate_hz), self._heard_until)
        n = max(0, end - start)
        self._taken_until = max(self._taken_until, end)
        if is_scored:
            self._scored += n
        else:
            self._not_scored += n

    def _extend(self, start: int, end: int) -> None:
        if self._first is None:
            self._first = start
        self._end = max(self._end, end)

    @property
    def account(self) -> Account:
        """What there is so far."""
        total = 0 if self._first is None else self._end - self._first
        silent = self._heard - self._scored - self._not_scored
        parts = (self._scored, self._not_scored, silent)
        left_out = (self._lost, self._lost_by_clock, self._paused)
        return Account(*(n / self._rate_hz for n in (total, *parts, *left_out)))
