"""Which front end to keep: the one that hears more; the reference method where that is not sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calibrate.fitted import Fitted
from calibrate.hearing import FEWEST_TO_CHOOSE, Heard, hears_more
from calibrate.reference import Reference
from calibrate.settings import AUTO
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
    why: str = ""
    """Empty where nothing was chosen."""


def what_is_asked(
    features: str,
    references: Mapping[str, Reference],
    fit: Callable[[str], Fitted],
    listen: Callable[[list[Fitted]], list[Heard]],
) -> Kept:
    """Fit one front end, or for `auto` both, and keep one.

    `references` are the recordings as each front end read them. Raises InputError as fitting does.
    """
    if features != AUTO:
        fitted = fit(features)
        return Kept(fitted, listen([fitted])[0])
    usual, why_not = fit(USUAL), _why_not(references)
    if why_not:
        return Kept(usual, listen([usual])[0], f"{USUAL}: {why_not}")
    finer = fit(FINER)
    heard, heard_finer = listen([usual, finer])
    shares = f"{_percent(heard_finer)} of the damaged sounds against {_percent(heard)}"
    if not hears_more(heard_finer, heard):
        return Kept(usual, heard, f"{USUAL}: {FINER} is not sure to hear more; it finds {shares}")
    return Kept(finer, heard_finer, f"{FINER}: it finds {shares} with {USUAL}")


def _why_not(references: Mapping[str, Reference]) -> str:
    """Why the finer front end cannot be compared with the usual one; empty where it can."""
    n = references[USUAL].n_sounds
    if n < FEWEST_TO_CHOOSE:
        return f"{n} sounds are too few to tell what hears more: it takes {FEWEST_TO_CHOOSE}"
    if references[FINER].names != references[USUAL].names:
        rate_hz = min(FRONT_ENDS[FINER].rates_hz)
        return f"{FINER} takes recordings of {rate_hz:,} Hz or more, and not all of these are"
    return ""


def _percent(heard: Heard) -> str:
    return f"{100 * heard.hearing.found:.0f} %"
