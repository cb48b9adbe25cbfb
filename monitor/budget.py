"""A budget of alarms an hour, kept while sounds are counted.

In event mode the false-alarm rate is the budget divided by the sounds an hour, as measured so far.
Before there is anything to measure ten sounds a minute are supposed, with the weight of one minute:
rather too many, so that it begins with few alarms. A verdict stays what it was: a new rate is for
the sounds after it, and is told where the number of sounds is half as large again as was told
before, or as small. In continuous mode the number of windows an hour is known, and the rate stands.
"""

from __future__ import annotations

from collections.abc import Callable

from model.budget import (
    LARGEST_RATE,
    check_alarms_per_hour,
    rate_for_sounds,
    recordings_needed,
    window_budget,
)
from model.detector import Detector
from model.words import span_text, two_digits, two_digits_up

SUPPOSED_SOUNDS, SUPPOSED_S = 10, 60.0
_LOWER, _RAISE = 0.95, 1.25
"""A rate between these times the one in force is not worth a change: the budget is kept sooner than
it is used up."""
_NEWS = 1.5
"""Times as many sounds an hour as were told of, or as few, are worth telling."""
_NEARLY = 1e-9


class AlarmBudget:
    """Turns alarms an hour into the false-alarm rate in force."""

    def __init__(
        self, detector: Detector, alarms_per_hour: float, tell: Callable[[str], None]
    ) -> None:
        """Raises InputError for a budget that is none. `tell` is called with every change."""
        check_alarms_per_hour(alarms_per_hour)
        self._asked = alarms_per_hour
        self._tell = tell
        self._is_event = detector.segmentation.mode == "event"
        self._sounds_per_hour = 3600 * SUPPOSED_SOUNDS / SUPPOSED_S
        if self._is_event:
            self.rate = rate_for_sounds(detector.conformity, alarms_per_hour, self._sounds_per_hour)
            self._told_per_hour = self._sounds_per_hour
            self._say(detector, "supposed until they are counted")
            return
        self._windows(detector)

    @property
    def text(self) -> str:
        """The budget in a few words, for the screen."""
        budget = f"{two_digits(self._asked)} an hour"
        if not self._is_event:
            return budget
        return f"{budget} of about {two_digits(self._sounds_per_hour)} sounds"

    @property
    def _budget(self) -> str:
        return f"{two_digits(self._asked)} {'alarm' if self._asked == 1 else 'alarms'} an hour"

    def update(self, detector: Detector, sounds: int, heard_s: float) -> float:
        """The rate for the next sound, after so many scored ones in so many seconds of sound."""
        if not self._is_event:
            return self.rate
        self._sounds_per_hour = 3600 * (SUPPOSED_SOUNDS + sounds) / (SUPPOSED_S + heard_s)
        rate = rate_for_sounds(detector.conformity, self._asked, self._sounds_per_hour)
        if not _LOWER < rate / self.rate < _RAISE:
            self.rate = rate
        if not 1 / _NEWS < self._sounds_per_hour / self._told_per_hour < _NEWS:
            self.rate, self._told_per_hour = rate, self._sounds_per_hour
            self._say(detector, "estimated so far")
        return self.rate

    def _windows(self, detector: Detector) -> None:
        found, rule = window_budget(detector, self._asked), detector.segmentation.alarm
        self.rate = found.rate
        self._tell(
            f"{self._budget}: windows alarm at p ≤ {two_digits(found.rate)}; with {rule}, "
            f"{found.alarms:,} alarms in {span_text(found.hours)} of held-out windows."
        )
        if not found.is_kept:
            self._tell(
                f"{detector.conformity.n:,} {detector.held_out_sounds} are too few to promise "
                f"{self._budget}: it takes more than {found.needed:,}. Expect up to "
                f"{two_digits((found.alarms + 1) / found.hours)}."
            )
        elif found.rate >= LARGEST_RATE * (1 - 1 / detector.conformity.n):
            self._tell("No rate above that is used: fewer alarms than the budget allows.")

    def _say(self, detector: Detector, how_known: str) -> None:
        per_hour, smallest = self._sounds_per_hour, detector.conformity.smallest_p
        sentence = (
            f"{self._budget} of about {two_digits(per_hour)} sounds "
            f"({how_known}): sounds alarm at p ≤ {two_digits(self.rate)} from now on."
        )
        if self.rate <= smallest + _NEARLY and self._asked / per_hour < smallest - _NEARLY:
            sentence += (
                f" {detector.conformity.n:,} {detector.held_out_sounds} are too few to promise "
                f"that: expect {two_digits(per_hour * smallest)}; it takes "
                f"about {two_digits_up(recordings_needed(self._asked, per_hour))} "
                f"{detector.takes_more}."
            )
        elif self._asked / per_hour > LARGEST_RATE:
            sentence += " No rate above that is used: fewer alarms than the budget allows."
        self._tell(sentence)
