"""Which front end to keep: the one that hears more; the reference method where that is not sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from calibrate.fitted import Fitted
from calibrate.hearing import FEWEST_TO_CHOOSE, Heard, hears_more
from calibrate.reference import Reference
from calibrate.settings import AUTO
from model.features import FRONT_ENDS

USUAL, FINER = "spectrum", "mel"


def names_to_read(features: str, n_files: int) -> tuple[str, ...]:
    """The front ends that a choice takes, first the one that it cannot do without."""
    if features != AUTO:
        return (features,)
    return (USUAL, FINER) if n_files >= FEWEST_TO_CHOOSE else (USUAL,)


def what_is_asked(
    features: str,
    references: Mapping[str, Reference],
    fit: Callable[[str], Fitted],
    listen: Callable[[list[Fitted]], list[Heard]],
) -> tuple[Fitted, Heard, str]:
    """Fit one front end, or for `auto` both; the one that is kept, what it hears, and why it is.

    `references` are the recordings as each front end read them. The reason is empty where nothing
    was chosen. Raises InputError as fitting does.
    """
    if features != AUTO:
        fitted = fit(features)
        return fitted, listen([fitted])[0], ""
    usual, why_not = fit(USUAL), _why_not(references)
    if why_not:
        return usual, listen([usual])[0], f"{USUAL}: {why_not}"
    finer = fit(FINER)
    heard, heard_finer = listen([usual, finer])
    shares = f"{_percent(heard_finer)} of the damaged sounds against {_percent(heard)}"
    if hears_more(heard_finer, heard):
        return finer, heard_finer, f"{FINER}: it finds {shares} with {USUAL}"
    return usual, heard, f"{USUAL}: {FINER} is not sure to hear more; it finds {shares}"


def _why_not(references: Mapping[str, Reference]) -> str:
    """Why the finer front end cannot be compared with the usual one; empty where it can."""
    n = len(references[USUAL].names)
    if n < FEWEST_TO_CHOOSE:
        return f"{n} recordings are too few to tell what hears more: it takes {FEWEST_TO_CHOOSE}"
    if references[FINER].names != references[USUAL].names:
        rate_hz = min(FRONT_ENDS[FINER].rates_hz)
        return f"{FINER} takes recordings of {rate_hz:,} Hz or more, and not all of these are"
    return ""


def _percent(heard: Heard) -> str:
    return f"{100 * heard.hearing.found:.0f} %"
