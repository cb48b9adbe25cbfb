"""Where sounds begin and end, whatever the blocks, the offset, and what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.audio import NONE, Block, Mixdown, Recording, Resampler
from model.errors import InputError
from model.segment import Segment, Segmentation
from model.segmenter import cut_recording, make_segmenter

RATE = 6800
EVENT = Segmentation()
CONTINUOUS = Segmentation("continuous", 1.0, 0.5)
Samples = NDArray[np.float32]
Marks = tuple[list[int], list[int]]
"""Places that are overloaded, and places that are not finite."""
UNMARKED: Marks = ([], [])


def noise(duration_s: float, seed: int = 0) -> Samples:
    """Make a quiet room: white noise at -60 dBFS."""
    n = round(duration_s * RATE)
    return (np.random.default_rng(seed).normal(size=n) * 0.001).astype(np.float32)


def with_sounds(room: Samples, *sounds: tuple[float, float]) -> Samples:
    """Add noise 40 dB above the room from and to the given seconds."""
    heard = room.copy()
    for i, (start_s, end_s) in enumerate(sounds):
        part = slice(round(start_s * RATE), round(end_s * RATE))
        heard[part] += 100 * noise(end_s - start_s, 77 + i)[: part.stop - part.start]
    return heard


def blocks(
    samples: Samples, cuts: list[int], start: int = 0, lost: int = 0, marks: Marks = UNMARKED
) -> Iterator[Block]:
    """Cut a run of samples at these places; each block carries the marks that lie in it."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(samples)}), len(samples)]
    for a, b in pairwise(edges):
        overloads, not_finite = (
            np.array([m for m in places if a <= m - start < b], np.int64) for places in marks
        )
        yield Block(
            samples[a:b],
            start + a,
            0 if a else lost,
            overloads=overloads,
            not_finite=not_finite,
        )


def segments(stream: Iterator[Block], how: Segmentation = EVENT) -> list[Segment]:
    """Push a whole stream and flush."""
    segmenter = make_segmenter(how, RATE)
    found = [segment for block in stream for segment in segmenter.push(block)]
    return found + list(segmenter.flush())


def heard_as(samples: Samples, how: Segmentation = EVENT, marks: Marks = UNMARKED) -> list[Segment]:
    """Cut into blocks of 20 ms."""
    return segments(blocks(samples, list(range(0, len(samples), 136)), marks=marks), how)


def facts(found: list[Segment]) -> list[tuple[Any, ...]]:
    """Tell all that a segment is, in a form that can be compared."""
    return [
        (
            s.start_s,
            s.duration_s,
            s.continues,
            s.floor_dbfs,
            s.clipped,
            s.reason,
            s.samples.tobytes(),
        )
        for s in found
    ]


def spans(found: list[Segment]) -> list[tuple[float, float]]:
    """Give start and end of each segment in seconds."""
    return [(s.start_s, s.start_s + s.duration_s) for s in found]


SCENE = with_sounds(noise(8), (0.3, 0.6), (2.0, 2.2), (2.3, 2.5), (4.0, 6.5), (7.5, 7.53))
BEFORE_LOSS = 5 * RATE + 333
AFTER_LOSS = 5 * RATE + 2000
MARKS = ([2500, 14000, 30000, 60000], [15500, 44000])


def broken_scene(cuts: list[int]) -> Iterator[Block]:
    """Give the scene with marks, and with samples lost in its long sound, cut in some way."""
    yield from blocks(SCENE[:BEFORE_LOSS], cuts, marks=MARKS)
    later = [c - AFTER_LOSS for c in cuts]
    lost = AFTER_LOSS - BEFORE_LOSS
    yield from blocks(SCENE[AFTER_LOSS:], later, AFTER_LOSS, lost, MARKS)


@pytest.mark.parametrize("how", [EVENT, CONTINUOUS, Segmentation("continuous", 0.3, 0.3)])
@pytest.mark.parametrize("size", [1, 17, 509, 4800])
def test_segments_do_not_depend_on_the_size_of_blocks(size: int, how: Segmentation) -> None:
    """A stream with sounds, marks and a loss gives the same segments in blocks of any size."""
    whole = segments(broken_scene([]), how)
    assert len(whole) >= 5
    assert {s.reason for s in whole} >= {None, "gap", "not finite"}
    assert any(s.clipped for s in whole)
    assert facts(segments(broken_scene(list(range(0, len(SCENE), size))), how)) == facts(whole)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, len(SCENE)), max_size=300))
def test_segments_do_not_depend_on_how_the_stream_was_cut(cuts: list[int]) -> None:
    """Any cuts whatever give the segments of the uncut stream, in both modes."""
    for how in (EVENT, CONTINUOUS):
        assert facts(segments(broken_scene(cuts), how)) == facts(segments(broken_scene([]), how))


def test_a_segmenter_can_be_used_again() -> None:
    """After a flush, and after a reset in the middle, it knows nothing of what it heard."""
    segmenter = make_segmenter(EVENT, RATE)

    def hear() -> list[Segment]:
        heard = [s for block in broken_scene([]) for s in segmenter.push(block)]
        return heard + list(segmenter.flush())

    first, second = hear(), hear()
    list(segmenter.push(Block(SCENE[: 5 * RATE], 0)))
    segmenter.reset()
    assert facts(first) == facts(second) == facts(hear())


@pytest.mark.parametrize("start_s", [0.5, 1.0, 2.0, 3.33])
def test_a_sound_is_one_segment_with_a_pre_roll(start_s: float) -> None:
    """The segment begins about 60 ms before the sound, ends after it, and holds its samples."""
    samples = with_sounds(noise(5), (start_s, start_s + 0.4))
    (segment,) = heard_as(samples)
    assert segment.reason is None
    ((start, end),) = spans([segment])
    assert start_s - 0.085 <= start <= start_s - 0.03
    assert start_s + 0.4 <= end <= start_s + 0.5
    first = round(start * RATE)
    np.testing.assert_array_equal(segment.samples, samples[first : first + len(segment.samples)])


@pytest.mark.parametrize("closure_s", [0.05, 0.1, 0.15])
def test_a_closure_does_not_cut_a_word_in_two(closure_s: float) -> None:
    """A silence of a tenth of a second inside a word, as in "six", stays one segment."""
    (segment,) = heard_as(with_sounds(noise(4), (2, 2.2), (2.2 + closure_s, 2.4 + closure_s)))
    assert segment.duration_s >= 0.4 + closure_s


def test_two_words_apart_are_two_segments() -> None:
    """Sounds half a second apart are not joined, and their segments do not overlap."""
    first, second = spans(heard_as(with_sounds(noise(5), (2, 2.3), (2.8, 3.1))))
    assert first[1] <= second[0]


@pytest.mark.parametrize("syllable_s", [0.2, 2.5])
def test_a_long_sound_is_cut_into_pieces_that_continue(syllable_s: float) -> None:
    """What lasts 2.5 s, in syllables or steadily, comes as pieces that follow one another."""
    starts = np.arange(3, 5.5 - syllable_s + 0.01, syllable_s + 0.1)
    found = heard_as(with_sounds(noise(7), *((t, t + syllable_s) for t in starts)))
    assert [s.continues for s in found] == [False, True, True]
    assert [s.duration_s for s in found[:2]] == [1, 1]
    for (_, end), (start, _) in pairwise(spans(found)):
        assert start == pytest.approx(end, abs=1e-9)
    assert spans(found)[-1][1] >= starts[-1] + syllable_s


@pytest.mark.parametrize("hundredths", range(20, 240, 7))
def test_a_sound_of_any_length_is_cut_without_loss(hundredths: int) -> None:
    """No piece exceeds the duration, none overlaps; at most a tail of 0.2 s in all is cut off."""
    end_s = 2 + hundredths / 100
    beats = [(t / 4, min(t / 4 + 0.15, end_s)) for t in range(8, round(4 * end_s + 0.5))]
    samples = with_sounds(noise(6), *((a, b) for a, b in beats if a < b))
    end_s = max(b for a, b in beats if a < b)
    found = [s for s in heard_as(samples) if s.start_s < end_s]
    assert all(s.duration_s <= 1 for s in found)
    assert [s.continues for s in found] == [i > 0 for i in range(len(found))]
    assert found[0].start_s <= 2.02
    for (_, end), (start, _) in pairwise(spans(found)):
        assert start == pytest.approx(end, abs=1e-9)
    missing = end_s - spans(found)[-1][1]
    assert missing <= (0.22 if end_s - 2 > 0.95 else 0)
    assert {s.reason for s in found} <= {None}


def test_a_sound_after_a_long_one_does_not_continue_it() -> None:
    """Only what goes on without a pause carries `continues`."""
    found = heard_as(with_sounds(noise(9), (3, 4.5), (6, 6.3)))
    assert [s.continues for s in found] == [False, True, False]


@pytest.mark.parametrize("how", [EVENT, CONTINUOUS])
def test_a_segment_that_spans_lost_samples_is_a_gap(how: Segmentation) -> None:
    """What was open when samples were lost is a `gap`, and so is the rest of an event after it."""
    samples = with_sounds(noise(6), (3, 3.8))
    cut = round(3.3 * RATE)
    stream = [Block(samples[:cut], 0), Block(samples[cut + 500 :], cut + 500, 500)]
    found = segments(iter(stream), how)
    gap, *rest = [s for s in found if s.reason == "gap"]
    assert len(rest) == (how.mode == "event")
    assert all(s.start_s == pytest.approx(3.3 + 500 / RATE, abs=0.03) for s in rest)
    assert gap.start_s < 3.3
    assert gap.start_s + gap.duration_s == pytest.approx(3.3, abs=1 / RATE)
    assert not [s for s in found if s.reason is None and s.start_s < 3.3 < spans([s])[0][1]]


@pytest.mark.parametrize("before_s", [0.0, 0.1, 0.3])
def test_a_sound_that_began_in_a_loss_is_a_gap(before_s: float) -> None:
    """A sound whose onset was lost is not scored, however long before it the loss began."""
    samples = with_sounds(noise(6), (3, 3.8))
    cut, end = round((3 - before_s) * RATE) - 20, round(3.3 * RATE)
    found = segments(iter([Block(samples[:cut], 0), Block(samples[end:], end, end - cut)]))
    [sound] = [s for s in found if s.start_s >= 3.2]
    assert sound.reason == "gap"
    assert sound.start_s == pytest.approx(3.3, abs=0.03)


@pytest.mark.parametrize("heard_s", [0.9, 1.0, 1.1, 1.19])
def test_a_loss_makes_no_segment_longer_than_the_maximum(heard_s: float) -> None:
    """Samples lost just after a sound has reached the maximum end it there, not later."""
    samples = with_sounds(noise(8), (3, 5))
    cut = round((3 + heard_s) * RATE)
    stream = [Block(samples[:cut], 0), Block(samples[cut + 500 :], cut + 500, 500)]
    found = segments(iter(stream))
    assert any(s.reason == "gap" for s in found)
    assert max(s.duration_s for s in found) <= 1.0


def test_a_loss_between_sounds_harms_neither() -> None:
    """Samples lost in the quiet leave the sounds before and after at their own places."""
    samples = with_sounds(noise(8), (2, 2.4), (5, 5.4))
    cut = round(3.5 * RATE)
    stream = [Block(samples[:cut], 0), Block(samples[cut + 300 :], cut + 300, 300)]
    found = segments(iter(stream))
    assert [s.reason for s in found] == [None, None]
    assert [s.start_s for s in found] == pytest.approx([1.94, 4.94], abs=0.03)


@pytest.mark.parametrize("how", [EVENT, CONTINUOUS])
def test_marks_count_only_inside_their_segment(how: Segmentation) -> None:
    """A NaN or an overload inside a segment is told of it, one in the quiet elsewhere is not."""
    samples = with_sounds(noise(8), (2, 2.4), (5, 5.4))
    at = [round(2.2 * RATE)]
    for segment, (start, end) in [(s, spans([s])[0]) for s in heard_as(samples, how, (at, at))]:
        hit = start <= 2.2 < end
        assert (segment.reason == "not finite", segment.clipped) == (hit, hit)
    assert {s.reason for s in heard_as(samples, marks=([], [round(3.5 * RATE)]))} == {None}


@pytest.mark.parametrize(("start_s", "end_s"), [(0, 8), (0, 0.5), (3, 3.4), (3, 6.5), (7.5, 8)])
def test_a_stretch_that_is_no_numbers_is_one_segment(start_s: float, end_s: float) -> None:
    """However long, it is told once, as `not finite`; its samples are bounded."""
    broken = list(range(round(start_s * RATE), round(end_s * RATE)))
    samples = noise(8)
    samples[broken] = 0
    found = [s for s in heard_as(samples, marks=([], broken)) if s.reason == "not finite"]
    assert len(found) == 1
    assert spans(found)[0] == pytest.approx((start_s, end_s), abs=0.03)
    assert len(found[0].samples) <= RATE


def test_a_sound_with_no_numbers_in_it_is_not_told_twice() -> None:
    """A stretch within a sound, and the rest of it behind the sound, share no sample with it."""
    samples = with_sounds(noise(8), (2, 2.4), (4, 4.4))
    broken = [*range(round(2.2 * RATE), round(2.3 * RATE)), *range(round(4.2 * RATE), 6 * RATE)]
    samples[broken] = 0
    found = heard_as(samples, marks=([], broken))
    assert {s.reason for s in found if s.start_s < 6} == {"not finite"}
    edges = [edge for span in spans(found) for edge in span]
    assert edges == sorted(edges)
    assert max(s.start_s + s.duration_s for s in found if s.start_s < 6) >= 5.97


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    cuts=st.lists(st.integers(1, len(SCENE)), max_size=100),
    runs=st.lists(st.tuples(st.integers(0, len(SCENE)), st.integers(1, 9000)), max_size=4),
)
def test_stretches_of_no_numbers_do_not_depend_on_blocks(
    cuts: list[int], runs: list[tuple[int, int]]
) -> None:
    """With such stretches anywhere, any cuts give the segments of the uncut stream, in order."""
    broken = sorted({i for at, n in runs for i in range(at, min(at + n, len(SCENE)))})
    samples = SCENE.copy()
    samples[broken] = 0
    whole = segments(blocks(samples, [], marks=([], broken)))
    assert facts(segments(blocks(samples, cuts, marks=([], broken)))) == facts(whole)
    edges = [round(edge * RATE) for span in spans(whole) for edge in span]
    assert edges == sorted(edges)


@pytest.mark.parametrize("block_samples", [240, 480, 4800, 192_000])
def test_a_mark_in_the_first_instant_is_not_forgotten(block_samples: int) -> None:
    """A NaN at the very start is known although the resampler gives its first samples later."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(192_000, 1)) * 0.001
    frames[:14_400] *= 300
    frames[100] = np.nan
    mixdown, resampler = Mixdown(), Resampler(48_000, RATE)
    segmenter = make_segmenter(EVENT, RATE)
    found: list[Segment] = []
    for start in range(0, len(frames), block_samples):
        block = mixdown.push(frames[start : start + block_samples].astype(np.float32), start)
        for resampled in resampler.push(block):
            found += segmenter.push(resampled)
    rest = resampler.flush()
    assert rest is not None
    found += [*segmenter.push(rest), *segmenter.flush()]
    assert [s.reason for s in found] == ["not finite"]


@pytest.mark.parametrize("offset", [0.3, -0.9])
def test_a_constant_offset_does_not_move_segments(offset: float) -> None:
    """An offset opens no gate, moves no boundary, and stays in the samples."""
    samples = with_sounds(noise(8), (2, 2.4), (4, 6.5))
    plain, shifted = heard_as(samples), heard_as(samples + np.float32(offset))
    assert heard_as(noise(8) + np.float32(offset)) == []
    assert spans(shifted) == spans(plain)
    assert np.mean(shifted[0].samples) == pytest.approx(offset, abs=0.01)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_digital_silence_has_no_segments(level: float) -> None:
    """Neither zeros nor a constant open the gate; a sound after them does."""
    samples = np.full(5 * RATE, level, np.float32)
    assert heard_as(samples) == []
    samples[3 * RATE : 3 * RATE + 2000] += 100 * noise(1)[:2000]
    found = heard_as(samples)
    assert [s.reason for s in found] == [None]
    assert found[0].start_s == pytest.approx(2.94, abs=0.03)


def test_a_thump_does_not_deafen_the_gate() -> None:
    """After a thump whose mean is not zero, a sound 20 dB over the noise is still heard."""
    samples = noise(6)
    samples[3 * RATE : 3 * RATE + 680] += np.sin(np.pi * np.arange(680) / 680) / 2
    samples[round(3.6 * RATE) : round(3.9 * RATE)] += 10 * noise(0.3, 1)
    found = heard_as(samples)
    assert [s.start_s for s in found] == pytest.approx([2.94, 3.54], abs=0.03)
    assert found[1].floor_dbfs == pytest.approx(-60, abs=2)


def test_a_steady_noise_becomes_the_floor() -> None:
    """The gate closes over a hum that stays, and opens again for a sound above it."""
    samples = with_sounds(noise(20, 1) * 20, (15, 15.4))
    samples[: 4 * RATE] = noise(4, 2)
    last = heard_as(samples)[-1]
    assert last.start_s == pytest.approx(14.94, abs=0.03)
    assert last.floor_dbfs == pytest.approx(-34, abs=2)


@pytest.mark.parametrize("duration_s", [0.001, 0.01, 0.05])
def test_a_click_is_heard(duration_s: float) -> None:
    """A sound far shorter than a word is one segment, scored with what surrounds it."""
    (segment,) = heard_as(with_sounds(noise(5), (3, 3 + duration_s)))
    assert segment.reason is None
    assert segment.start_s == pytest.approx(2.94, abs=0.03)


def test_a_sound_cut_off_by_the_end_is_too_short() -> None:
    """A stream that ends just after a sound began says so instead of scoring the scrap."""
    (segment,) = heard_as(with_sounds(noise(5), (4.98, 5)))
    assert segment.reason == "too short"


def test_continuous_windows_come_every_hop() -> None:
    """Windows of the duration start every hop; what none covers at the end is too short."""
    samples = noise(3.2)
    found = heard_as(samples, CONTINUOUS)
    assert [start for start, _ in spans(found)] == [0, 0.5, 1, 1.5, 2, 3]
    assert [s.duration_s for s in found] == pytest.approx([1] * 5 + [0.2])
    assert [s.reason for s in found] == [None] * 5 + ["too short"]
    for window in found:
        first = round(window.start_s * RATE)
        expected = samples[first : first + len(window.samples)]
        np.testing.assert_array_equal(window.samples, expected)


def test_continuous_windows_begin_anew_after_a_loss() -> None:
    """The first window after lost samples starts at the first sample after them."""
    stream = [Block(noise(1.7), 0), Block(noise(2.0), 2 * RATE, round(0.3 * RATE))]
    found = segments(iter(stream), CONTINUOUS)
    assert [(s.start_s, s.reason) for s in found] == [
        (0.0, None),
        (0.5, None),
        (1.5, "gap"),
        (2.0, None),
        (2.5, None),
        (3.0, None),
    ]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE, np.float32), "digital zero"),
        (np.full(RATE, 0.5, np.float32), "digital zero"),
        (noise(1) / 1000, "silent"),
        (noise(1), None),
    ],
)
def test_windows_without_sound_are_not_scored(samples: Samples, reason: str | None) -> None:
    """Equal samples are digital zero, a peak below -90 dBFS is silent, quiet noise is neither."""
    assert [s.reason for s in heard_as(samples, CONTINUOUS)] == [reason]


@pytest.mark.parametrize("duration_s", [0.02, 0.3, 1.0, 3.7])
def test_a_recording_is_one_segment_cut_at_the_duration(duration_s: float) -> None:
    """In event mode a file is taken whole from its first sample, up to the model's duration."""
    samples = noise(duration_s)
    (segment,) = cut_recording(Recording(samples, RATE, duration_s), EVENT)
    np.testing.assert_array_equal(segment.samples, samples[:RATE])
    assert (segment.start_s, segment.duration_s) == (0, min(duration_s, 1))
    assert segment.reason is None


def test_a_recording_in_continuous_mode_is_cut_like_a_stream() -> None:
    """The windows of a file are those of the same samples heard live."""
    samples = noise(3.2)
    recording = Recording(samples, RATE, 3.2, NONE, np.array([9000]))
    whole = cut_recording(recording, CONTINUOUS)
    assert facts(whole) == facts(heard_as(samples, CONTINUOUS, ([], [9000])))


@pytest.mark.parametrize(
    ("mode", "duration_s", "hop_s"),
    [("sometimes", 1.0, 0.5), ("continuous", 1.0, 0.0), ("continuous", 1.0, 1.5)],
)
def test_senseless_settings_are_refused(mode: str, duration_s: float, hop_s: float) -> None:
    """An unknown mode and a hop that leaves holes are errors of the input."""
    with pytest.raises(InputError):
        Segmentation(mode, duration_s, hop_s)
