"""Sizes: what people write is understood, and what is not is told in a sentence."""

from __future__ import annotations

import pytest

from model.errors import InputError
from monitor.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("500MB", 500_000_000),
        ("1MB", 1_000_000),
        ("1000kB", 1_000_000),
        ("2 gb", 2_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        (" 1 MiB ", 1_048_576),
        ("2048KiB", 2_097_152),
        ("0.5gib", 536_870_912),
        ("1000000", 1_000_000),
        ("2000000 B", 2_000_000),
    ],
)
def test_a_size_is_bytes(text: str, size_bytes: int) -> None:
    """Decimal and binary units, fractions, any case and plain bytes are understood."""
    assert parse_size(text, "--save-limit") == size_bytes


@pytest.mark.parametrize(
    "text",
    ["", "MB", "-5MB", "5 M", "5MBit", "1e9", "inf", "nan", "5  MB", "1,5GB", "５MB", "9" * 99],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """What is no size is refused in one line that names the option and shows how to write one."""
    with pytest.raises(InputError) as caught:
        parse_size(text, "--log-limit")
    assert str(caught.value).startswith(f"--log-limit cannot be {text!r}. ")
    assert "500MB" in caught.value.hint


@pytest.mark.parametrize("text", ["500", "0", "999kB", "0.9MB", "976KiB"])
def test_less_than_a_megabyte_is_refused(text: str) -> None:
    """A size below 1 MB, as by a forgotten unit, is refused with the smallest that is taken."""
    with pytest.raises(InputError, match=r"--log-limit .* is too small\. .* 1 MB\."):
        parse_size(text, "--log-limit")
