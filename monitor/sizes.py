"""Sizes as people write them: 500MB, 2 GiB, or a plain number of bytes."""

from __future__ import annotations

import re

from model.errors import InputError

SMALLEST_BYTES = 1_000_000
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(b|[kmgt]i?b)?", re.IGNORECASE)


def parse_size(text: str, option: str) -> int:
    """Bytes of a size; kB to TB are decimal, KiB to TiB binary. Raises InputError, naming `option`.

    Anything below 1 MB is refused: a unit was forgotten.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{option} cannot be {text!r}.", "It takes a size such as 500MB or 2GiB, or bytes."
        )
    unit = (match[2] or "b").lower()
    factor: int = (1024 if "i" in unit else 1000) ** "bkmgt".index(unit[0])
    size_bytes = round(float(match[1]) * factor)
    if size_bytes < SMALLEST_BYTES:
        raise InputError(f"{option} {text.strip()} is too small.", "It takes at least 1 MB.")
    return size_bytes
