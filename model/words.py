"""Numbers and reasons as a person reads them."""

from __future__ import annotations

import math


def two_digits(number: float) -> str:
    """Rounded to two digits that count, written out plainly: `0.0042`, `1,200`."""
    return f"{float(f'{number:.2g}'):,.10g}"


def two_digits_up(number: float) -> str:
    """The same, never less than the number: for what is promised from there on."""
    if number <= 0:
        return two_digits(number)
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return two_digits(math.ceil(number / step - 1e-9) * step)


def span_text(hours: float) -> str:
    """A length of time in its proper unit."""
    if hours >= 0.5:
        return f"{hours:,.1f} hours"
    return f"{60 * hours:.0f} minutes" if 60 * hours >= 2 else f"{3600 * hours:.0f} seconds"


def error_text(error: float) -> str:
    """A reconstruction error: `4.66e-04` of spectra, `2.41` of decibels."""
    return f"{error:.2e}" if error < 0.1 else f"{error:.3g}"


def why_skipped(name: str, reason: str) -> str:
    """A recording and why it was skipped: `x.wav is damaged`, `y.wav: silent`."""
    what = reason.removeprefix("unreadable: ")
    return f"{name} {what}" if what != reason else f"{name}: {reason}"
