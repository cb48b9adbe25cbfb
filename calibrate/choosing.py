"""Which front end to keep: the one that hears more; the reference method where that is not sure.

In a room also how a monitor would cut sounds there decides: what hears more is of no use where the
sounds that the gate cuts out of the noise alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calibrate.fitted import Fitted
from calibrate.hearing import FEWEST_TO_CHOOSE, Heard, hears_more
from calibrate.reference import Reference
from calibrate.settings import AUTO
from model.card import LiveCut
from model.features import FRONT_ENDS

USUAL, FINER = "spectrum", "mel"


def names_to_read(features: str, n_files: int, mode: str) -> tuple[str, ...]:
    """The front ends that a choice takes, first the one that it cannot do without.

    How many windows there are in continuous mode shows only when they are read.
    """
    if features != AUTO:
        return (features,)
    may_choose = n_files >= FEWEST_TO_CHOOSE or mode == "continuous"
    return (USUAL, FINER) if may_choose else (USUAL,)


@dataclass(frozen=True)
class Kept:
    """The front end that is kept."""

    fitted: Fitted
    heard: Heard
    live: LiveCut | None
    """How a monitor would cut sounds in the room; None without a room, and in continuous mode."""
    why: str = ""
    """Empty where nothing was chosen."""


def what_is_asked(
    features: str,
    references: Mapping[str, Reference],
    fit: Callable[[str], Fitted],
    listen: Callable[[list[Fitted]], list[Heard]],
    cut: Callable[[Fitted], LiveCut | None],
) -> Kept:
    """Fit one front end, or for `auto` both, and keep one.

    `references` are the recordings as each front end read them; `cut` tries how a monitor would cut
    them in the room. Raises InputError as fitting does.
    """
    if features != AUTO:
        fitted = fit(features)
        return Kept(fitted, listen([fitted])[0], cut(fitted))
    usual, why_not = fit(USUAL), _why_not(references)
    if why_not:
        return Kept(usual, listen([usual])[0], cut(usual), f"{USUAL}: {why_not}")
    finer = fit(FINER)
    heard, heard_finer = listen([usual, finer])
    shares = f"{_percent(heard_finer)} of the damaged sounds against {_percent(heard)}"
    if not hears_more(heard_finer, heard):
        why = f"{USUAL}: {FINER} is not sure to hear more; it finds {shares}"
        return Kept(usual, heard, cut(usual), why)
    live = cut(finer)
    if live is not None and live.is_odder(finer.rate):
        why = f"{live.alarms:,} of {live.sounds:,} sounds alarm as a monitor cuts them in the room"
        why = f"{USUAL}: {FINER} finds {shares}, but with it {why}"
        return Kept(usual, heard, cut(usual), why)
    return Kept(finer, heard_finer, live, f"{FINER}: it finds {shares} with {USUAL}")


def _why_not(references: Mapping[str, Reference]) -> str:
    """Why the finer front end cannot be compared with the usual one; empty where it can."""
    n = len(references[USUAL].recording)
    if n < FEWEST_TO_CHOOSE:
        return f"{n} sounds are too few to tell what hears more: it takes {FEWEST_TO_CHOOSE}"
    if references[FINER].names != references[USUAL].names:
        rate_hz = min(FRONT_ENDS[FINER].rates_hz)
        return f"{FINER} takes recordings of {rate_hz:,} Hz or more, and not all of these are"
    return ""


def _percent(heard: Heard) -> str:
    return f"{100 * heard.hearing.found:.0f} %"
