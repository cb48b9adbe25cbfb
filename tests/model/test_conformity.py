"""p-values are honest ranks; thresholds and promised rates follow from them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from model.conformity import Conformity, check_false_alarm_rate, resolve_false_alarm_rate
from model.errors import InputError

SIZES = [20, 99, 101, 300]


def scores(n: int, seed: int, ties: bool) -> NDArray[np.float64]:
    """Draw two correlated scores of `n` sounds, shape `(2, n)`, rounded where ties are wanted."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    both = np.array([common + rng.normal(size=n), np.exp(common + rng.normal(size=n))])
    return np.round(both, 1) if ties else both


def naive_p(reference: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[Fraction, ...]:
    """Follow the design's sentences word by word, with fractions."""
    n = len(reference[0])
    own_m = [
        min(Fraction(sum(other >= own for other in column), n) for column, own in pairs)
        for pairs in (list(zip(reference, sound, strict=True)) for sound in reference.T)
    ]
    p = [
        Fraction(1 + sum(other >= score for other in column), n + 1)
        for column, score in zip(reference, new, strict=True)
    ]
    return p[0], p[1], Fraction(1 + sum(m <= min(p) for m in own_m), n + 1)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [20, 57])
def test_p_values_equal_a_plain_count(n: int, ties: bool) -> None:
    """All three p-values equal counting in loops with exact fractions, ties included."""
    reference, new = scores(n, 1, ties), scores(60, 2, ties)
    new[:, :3] = [[-1e9, 1e9, reference[0, 0]], [-1e9, 1e9, reference[1, 1]]]
    p = Conformity(*reference).p_values(*new)
    for i in range(new.shape[1]):
        plain = naive_p(reference, new[:, i])
        assert (p.isolation[i], p.reconstruction[i], p.joint[i]) == tuple(map(float, plain))


@pytest.mark.parametrize("n", SIZES)
def test_p_stays_between_the_smallest_and_one(n: int) -> None:
    """No sound, however odd or ordinary, gets a p outside `1 / (n + 1)` to 1."""
    conformity = Conformity(*scores(n, 3, ties=False))
    p = conformity.p_values([1e9, -1e9, 1e9], [1e9, -1e9, -1e9])
    np.testing.assert_array_equal(p.joint[[0, 1]], [1 / (n + 1), 1])
    assert conformity.smallest_p == 1 / (n + 1)
    assert p.joint[2] == 1 / (n + 1)


@pytest.mark.parametrize("ties", [False, True])
def test_a_reference_sound_counts_itself_once(ties: bool) -> None:
    """The reference's own p is the share of reference sounds with an `m` at most as large."""
    reference = scores(40, 4, ties)
    plain_m = [
        min(sum(column >= own) for column, own in zip(reference, sound, strict=True))
        for sound in reference.T
    ]
    plain = [sum(other <= own for other in plain_m) / 40 for own in plain_m]
    np.testing.assert_array_equal(Conformity(*reference).reference_p(), plain)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ties", [False, True])
def test_one_score_at_its_threshold_alarms_and_just_below_does_not(
    n: int, rate: float, ties: bool
) -> None:
    """Each threshold is the exact point where that score alone begins to alarm."""
    conformity = Conformity(*scores(n, 5, ties))
    if rate < conformity.smallest_p:
        limits = conformity.thresholds(rate)
        assert limits.isolation_score == limits.reconstruction_error == math.inf
        return
    limits = conformity.thresholds(rate)
    for which, limit in enumerate((limits.isolation_score, limits.reconstruction_error)):
        tried = np.full((2, 2), -1e9)
        tried[which] = [limit, np.nextafter(limit, -math.inf)]
        at, below = conformity.p_values(*tried).joint
        assert at <= rate < below


def test_p_is_honest_on_exchangeable_sounds() -> None:
    """Of sounds drawn like the reference, a share of about `a` gets `p <= a`."""
    draws, n = 4000, 99
    p = np.empty(draws)
    for i in range(draws):
        both = scores(n + 1, 100 + i, ties=False)
        p[i] = Conformity(*both[:, :n]).p_values(*both[:, n]).joint[0]
    for a in (0.01, 0.05, 0.1, 0.25, 0.5, 0.9):
        deviation = math.sqrt(a * (1 - a) / draws)
        assert abs(np.mean(p <= a) - a) <= 3.5 * deviation, a


@pytest.mark.parametrize(("asked", "n"), [(0.01, 98), (0.001, 20), (0.04, 23), (1e-6, 3000)])
def test_a_rate_that_cannot_be_promised_is_refused_with_what_it_takes(asked: float, n: int) -> None:
    """The error names the fewest recordings that can promise the rate, and they can."""
    needed = round(1 / asked) - 1
    with pytest.raises(InputError, match=rf"at least {needed:,} recordings"):
        resolve_false_alarm_rate(asked, n)
    assert resolve_false_alarm_rate(asked, needed) == asked
    with pytest.raises(InputError):
        resolve_false_alarm_rate(asked, needed - 1)


@pytest.mark.parametrize(("n", "rate"), [(20, 1 / 21), (98, 1 / 99), (99, 0.01), (3000, 0.01)])
def test_unasked_the_rate_is_a_hundredth_or_the_smallest_p(n: int, rate: float) -> None:
    """Small references alarm at `1 / (n + 1)`, larger ones at 0.01."""
    assert resolve_false_alarm_rate(None, n) == rate


@pytest.mark.parametrize("asked", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
def test_a_senseless_rate_is_refused(asked: float) -> None:
    """A rate that is not between 0 and 1 is an error of the input."""
    for refuse in (check_false_alarm_rate, lambda rate: resolve_false_alarm_rate(rate, 3000)):
        with pytest.raises(InputError, match="between 0 and 1"):
            refuse(asked)


@pytest.mark.parametrize("asked", [5e-324, 1e-320, 1e-309, 1e-200, 9e-10])
def test_a_rate_smaller_than_any_promise_is_refused(asked: float) -> None:
    """However small a rate is, it is refused in a short sentence; what is taken is computed."""
    for refuse in (check_false_alarm_rate, lambda rate: resolve_false_alarm_rate(rate, 3000)):
        with pytest.raises(InputError, match="smaller than any reference") as refused:
            refuse(asked)
        assert len(str(refused.value)) < 200
    with pytest.raises(InputError, match="999,999,999 recordings"):
        resolve_false_alarm_rate(1e-9, 3000)


def test_one_sound_is_ranked_as_among_many() -> None:
    """The p of one sound at a time is exactly that of many, ties with the reference included."""
    rng = np.random.default_rng(3)
    known = Conformity(rng.normal(size=300).round(2), rng.normal(size=300).round(2))
    new = rng.normal(size=(500, 2)).round(2)
    many = known.p_values(new[:, 0], new[:, 1])
    alone = np.array([known.p_of_one(*scores) for scores in new.tolist()])
    np.testing.assert_array_equal(alone.T, [many.isolation, many.reconstruction, many.joint])
