"""Alarms of continuous mode, held against the rule written down by hand."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.alarms import Alarm, AlarmFinder, AlarmRule, Window
from model.errors import InputError

HOP_S, SIZE_S = 0.5, 1.0
Ps = list[float | None]

RULES = st.integers(1, 8).flatmap(lambda m: st.builds(AlarmRule, st.integers(1, m), st.just(m)))
PS = st.lists(st.sampled_from([None, None, 0.001, 0.004, 0.01]), max_size=50)


def window(i: int, p: float | None, late_s: float = 0.0, is_scored: bool = True) -> Window:
    """Make the i-th window, `late_s` later than it would be without a loss."""
    start_s = i * HOP_S + late_s
    return Window(start_s, start_s + SIZE_S, p, is_scored)


def found(windows: list[Window], rule: AlarmRule) -> tuple[list[int], list[Alarm]]:
    """Run the finder; give the places of the windows that raise an alarm, and all alarms."""
    finder, raised, alarms = AlarmFinder(rule), [], []
    for i, each in enumerate(windows):
        if finder.take(each):
            raised.append(i)
        alarms.append(finder.finished())
        assert finder.finished() is None
    alarms.append(finder.flush())
    return raised, [alarm for alarm in alarms if alarm is not None]


def spans(text: str, rule: AlarmRule) -> list[tuple[int, int]]:
    """Alarms in a row of `O` (odd) and `.`, as first and last place."""
    windows = [window(i, 0.01 if c == "O" else None) for i, c in enumerate(text)]
    return [
        (round(alarm.start_s / HOP_S), round((alarm.end_s - SIZE_S) / HOP_S))
        for alarm in found(windows, rule)[1]
    ]


def by_hand(ps: Ps, rule: AlarmRule) -> tuple[list[int], list[Alarm]]:
    """From one odd window to the next: does it join the alarm before it, or make a new one."""
    free: list[int] = []
    groups: list[list[int]] = []
    raised = []
    for place in [i for i, p in enumerate(ps) if p is not None]:
        own = groups[-1] if groups and not free else []
        near = [i for i in own if place - i < rule.m]
        if own and (place - own[-1] == 1 or 1 + len(near) >= max(2, rule.k)):
            own.append(place)
            continue
        free = [i for i in [*free, place] if place - i < rule.m]
        if len(free) == rule.k:
            groups.append(free)
            raised.append(place)
            free = []
    return raised, [
        Alarm(g[0] * HOP_S, g[-1] * HOP_S + SIZE_S, min(p for i in g if (p := ps[i])), len(g))
        for g in groups
    ]


@given(PS, RULES)
def test_alarms_are_those_of_the_rule(ps: Ps, rule: AlarmRule) -> None:
    """Windows that raise, spans, peaks and counts equal what is worked out by hand."""
    assert found([window(i, p) for i, p in enumerate(ps)], rule) == by_hand(ps, rule)


@given(PS, RULES)
def test_no_anomalous_window_belongs_to_two_alarms(ps: Ps, rule: AlarmRule) -> None:
    """Alarms share no window, and each has `k` anomalous windows among `m` neighbours."""
    last = -1
    for alarm in found([window(i, p) for i, p in enumerate(ps)], rule)[1]:
        first, end = round(alarm.start_s / HOP_S), round((alarm.end_s - SIZE_S) / HOP_S)
        assert first > last
        odd = [p is not None for p in ps[first : end + 1]]
        assert odd[0]
        assert odd[-1]
        assert sum(odd) == alarm.windows
        assert max(sum(odd[i : i + rule.m]) for i in range(len(odd))) >= rule.k
        last = end


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("O.O.O", AlarmRule(), [(0, 4)]),
        ("O.O.O.O.O", AlarmRule(), [(0, 8)]),
        ("OO..OO", AlarmRule(), [(0, 1), (4, 5)]),
        ("O..O..O..O", AlarmRule(), []),
        ("O.O..O..O.O", AlarmRule(), [(0, 2), (8, 10)]),
        ("OOO.O.OO", AlarmRule(1, 1), [(0, 2), (4, 4), (6, 7)]),
        ("O.O..O", AlarmRule(1, 3), [(0, 2), (5, 5)]),
        ("OO.OO.OO", AlarmRule(2, 2), [(0, 1), (3, 4), (6, 7)]),
        ("OO..OO.OO", AlarmRule(4, 6), [(0, 5)]),
        ("OO..OO.OOOO", AlarmRule(4, 6), [(0, 5), (7, 10)]),
    ],
)
def test_alarms_of_plain_rows(text: str, rule: AlarmRule, expected: list[tuple[int, int]]) -> None:
    """What alternates is one alarm; what belonged to an alarm counts no more toward the next."""
    assert spans(text, rule) == expected


@given(PS, RULES, st.sets(st.integers(0, 50)))
def test_windows_that_are_not_scored_take_no_place(
    ps: Ps, rule: AlarmRule, before: set[int]
) -> None:
    """Short rests that cannot be scored, anywhere between windows, change no alarm."""
    windows: list[Window] = []
    for i, p in enumerate(ps):
        if i in before:
            windows.append(window(i, None, is_scored=False))
        windows.append(window(i, p))
    assert found(windows, rule)[1] == by_hand(ps, rule)[1]


@given(PS, PS, RULES, st.floats(SIZE_S + 0.5, 1000))
@example([0.01], [0.01], AlarmRule(2, 3), SIZE_S + 0.5)
def test_nothing_bridges_a_long_loss(before: Ps, after: Ps, rule: AlarmRule, late_s: float) -> None:
    """Where a window or more was lost, the alarms are those of both sides, each by itself."""
    windows = [window(i, p) for i, p in enumerate(before)]
    later = [window(len(before) + i, p, late_s) for i, p in enumerate(after)]
    apart = [found(windows, rule)[1], found(later, rule)[1]]
    assert found(windows + later, rule)[1] == apart[0] + apart[1]


@pytest.mark.parametrize(("late_s", "alarms"), [(0.6, 1), (1.4, 1), (1.5, 0), (1.6, 0)])
def test_a_short_loss_parts_no_alarm(late_s: float, alarms: int) -> None:
    """Odd windows on both sides of a loss alarm together where less than a window is missing."""
    assert len(found([window(0, 0.01), window(1, 0.01, late_s)], AlarmRule())[1]) == alarms


def test_silence_ends_an_alarm_while_it_lasts() -> None:
    """The alarm is told, once, when nothing was scored for a window; no sound has to come first."""
    finder = AlarmFinder(AlarmRule())
    assert [finder.take(window(i, 0.01)) for i in (0, 1)] == [False, True]
    ended = []
    for i in range(2, 9):
        assert not finder.take(window(i, None, is_scored=False))
        ended.append(finder.finished())
    assert [alarm is not None for alarm in ended] == [False, False, False, True] + 3 * [False]
    assert ended[3] == Alarm(0, 1.5, 0.01, 2)
    assert finder.flush() is None


def test_the_window_that_ends_an_alarm_can_raise_the_next() -> None:
    """After a long loss, with 1 of 1, the first odd window raises and the old alarm is told."""
    finder = AlarmFinder(AlarmRule(1, 1))
    assert finder.take(window(0, 0.01))
    assert finder.take(window(1, 0.002, 10))
    assert finder.finished() == Alarm(0, 1, 0.01, 1)
    assert finder.flush() == Alarm(10.5, 11.5, 0.002, 1)


@given(PS, PS, RULES)
def test_after_a_flush_nothing_is_remembered(before: Ps, after: Ps, rule: AlarmRule) -> None:
    """What was heard before a flush makes no difference to what is found after it."""
    finder = AlarmFinder(rule)
    for i, p in enumerate(before):
        finder.take(window(i, p))
    finder.flush()
    raised = [i for i, p in enumerate(after) if finder.take(window(i, p))]
    assert raised == by_hand(after, rule)[0]


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_rule_is_read_as_it_is_written(a: int, b: int) -> None:
    """`K/M` gives K and M, also with spaces, and is told as `K of M`."""
    k, m = sorted((a, b))
    for text in (f"{k}/{m}", f" {k} / {m} "):
        assert AlarmRule.parse(text) == AlarmRule(k, m)
    assert str(AlarmRule.parse(f"{k}/{m}")) == f"{k} of {m}"


@pytest.mark.parametrize(
    "text",
    ["", "2", "/", "2/", "/3", "2/3/4", "2 of 3", "0/3", "4/3", "0/0", "-1/3", "2/101", "1.5/3",
     "x/y", "२/३", "9" * 5000 + "/" + "9" * 5000],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    """Anything else is one sentence with an example of a rule."""
    with pytest.raises(InputError) as caught:
        AlarmRule.parse(text)
    assert caught.value.sentence.endswith(".")
    assert "2/3" in caught.value.hint
