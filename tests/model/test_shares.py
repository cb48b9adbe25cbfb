"""A share's interval is the textbook's."""

from __future__ import annotations

import pytest

from model.shares import share_of


def test_interval_is_that_of_scipy() -> None:
    """The interval of a share is Wilson's."""
    from scipy.stats import binomtest

    for count, of in ((0, 60), (1, 60), (9, 100), (100, 100)):
        theirs = binomtest(count, of).proportion_ci(0.95, method="wilson")
        ours = share_of(count, of)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_overlapping_windows_count_for_less() -> None:
    """Windows that share their moments give a wider interval than as many sounds."""
    assert share_of(5, 100, overlap=2).high > share_of(5, 100).high
