"""A sound gets one score, wherever and with whatever company it is scored."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrate.reference import Reference
from model.audio import read_recording
from model.detector import Detector, Score, raw_scores
from model.errors import InputError
from model.segment import Segment
from model.segmenter import cut_recording
from model.storage import read_model, write_model

NOT_NUMBERS = {"verdict", "reason", "outside_conditions"}


@pytest.fixture(scope="module")
def new_sixes(
    sixes: Reference, speakers: NDArray[np.int64], small_detector: Detector
) -> tuple[list[Segment], NDArray[np.int64]]:
    """Read the 300 sixes of the last six speakers, whom the detector does not know."""
    chosen = np.flatnonzero(speakers > 54)
    rate_hz, cut = small_detector.front_end.rate_hz, small_detector.segmentation
    found = [cut_recording(read_recording(sixes.names[i], rate_hz, 1.0), cut) for i in chosen]
    return [segment for (segment,) in found], chosen


def assert_same(ours: list[Score], theirs: list[Score]) -> None:
    """Compare as the issue says: verdict, p and cluster identical, the scores very nearly."""
    for one, other in zip(ours, theirs, strict=True):
        for name in ("verdict", "reason", "p", "isolation_p", "reconstruction_p", "cluster"):
            assert getattr(one, name) == getattr(other, name)
        assert one.isolation_score == pytest.approx(other.isolation_score, rel=0, abs=1e-9)
        assert one.reconstruction_error == pytest.approx(other.reconstruction_error, rel=1e-5)
        assert one.cluster_distance == pytest.approx(other.cluster_distance, rel=1e-5)
        assert one.profile == pytest.approx(other.profile, rel=1e-5)


def test_a_sound_scores_alike_alone_and_in_any_batch(
    small_detector: Detector, new_sixes: tuple[list[Segment], NDArray[np.int64]]
) -> None:
    """Alone, in a batch, shuffled, and in small batches each recording has the same score."""
    segments, _ = new_sixes
    alone = [small_detector.score(segment) for segment in segments]
    assert {score.verdict for score in alone} == {"normal", "anomalous"}
    assert_same(small_detector.score_batch(segments), alone)
    order = np.random.default_rng(0).permutation(len(segments))
    shuffled = small_detector.score_batch([segments[i] for i in order])
    assert_same(shuffled, [alone[i] for i in order])
    sevens = [segments[i : i + 7] for i in range(0, len(segments), 7)]
    assert_same([s for part in sevens for s in small_detector.score_batch(part)], alone)


def test_a_saved_model_scores_like_the_fresh_one(
    small_detector: Detector,
    new_sixes: tuple[list[Segment], NDArray[np.int64]],
    tmp_path: Path,
) -> None:
    """Writing and reading a model changes no score."""
    write_model(tmp_path / "m.offkey", small_detector)
    loaded = read_model(tmp_path / "m.offkey")
    segments, _ = new_sixes
    assert_same(loaded.score_batch(segments), small_detector.score_batch(segments))


def test_a_score_is_what_its_parts_say(
    small_detector: Detector,
    sixes: Reference,
    new_sixes: tuple[list[Segment], NDArray[np.int64]],
) -> None:
    """Scores of files are those of the features that calibration read from the same files."""
    segments, chosen = new_sixes
    raw = raw_scores(small_detector.subspace, small_detector.forest, sixes.features[chosen])
    limits = small_detector.thresholds
    for i, score in enumerate(small_detector.score_batch(segments)):
        assert score.isolation_score == pytest.approx(raw.isolation[i], abs=1e-9)
        assert score.reconstruction_error == pytest.approx(raw.reconstruction[i], rel=1e-5)
        assert score.p is not None
        assert (score.verdict == "anomalous") == (score.p <= small_detector.false_alarm_rate)
        if raw.isolation[i] >= limits.isolation_score:
            assert score.verdict == "anomalous"
        if raw.reconstruction[i] >= limits.reconstruction_error:
            assert score.verdict == "anomalous"
        assert score.unlike_any == ((score.cluster_distance or 0) > 1)


def test_what_cannot_be_scored_keeps_its_place(
    word_detector: Detector,
) -> None:
    """In a batch, segments without a score have a reason and nulls, and the others their own."""
    rng = np.random.default_rng(0)
    good = Segment((rng.normal(size=3000) * 0.1).astype(np.float32), 0.0, 0.44)
    gap = replace(good, reason="gap")
    zero = replace(good, samples=np.zeros(3000, np.float32))
    scores = word_detector.score_batch([gap, good, zero, good])
    assert [s.reason for s in scores] == ["gap", None, "digital zero", None]
    assert_same([scores[1], scores[3]], 2 * [word_detector.score(good)])
    for score in (scores[0], scores[2]):
        assert score.verdict == "not scored"
        assert {v for name, v in asdict(score).items() if name not in NOT_NUMBERS} == {None}
    assert word_detector.score_batch([]) == []


@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_a_full_scale_bang_alarms(small_detector: Detector, gain: float) -> None:
    """A bang, overloaded or not, is scored and anomalous: clipping never hides a sound."""
    t = np.arange(6800) / 6800
    bang = np.random.default_rng(0).normal(size=6800) * np.exp(-t / 0.02) * 0.3 * gain
    samples = np.clip(bang, -1, 1).astype(np.float32)
    score = small_detector.score(Segment(samples, 0.0, 1.0, clipped=gain > 1))
    assert score.verdict == "anomalous"


def test_conditions_unlike_the_reference_are_told(word_detector: Detector) -> None:
    """A segment whose signal-to-noise ratio no reference sound had is marked, and still scored."""
    known = word_detector.card.snr_range_db
    assert known is not None
    samples = (np.random.default_rng(0).normal(size=3000) * 0.1).astype(np.float32)
    level = 10 * np.log10(np.mean(samples.astype(float) ** 2))
    for snr_db, outside in ((known[0] - 1, True), (sum(known) / 2, False), (known[1] + 1, True)):
        score = word_detector.score(Segment(samples, 0.0, 0.44, floor_dbfs=level - snr_db))
        assert score.outside_conditions == outside
        assert score.p is not None


def test_another_rate_moves_verdicts_and_nothing_else(word_detector: Detector) -> None:
    """A looser rate alarms on more of the reference's own kind; an impossible one is refused."""
    rng = np.random.default_rng(0)
    segment = Segment((rng.normal(size=3000) * 0.1).astype(np.float32), 0.0, 0.44)
    p = word_detector.score(segment).p
    assert p is not None
    loose = word_detector.with_false_alarm_rate(min(0.99, p))
    assert loose.score(segment).verdict == "anomalous"
    assert replace(loose.score(segment), verdict="") == replace(
        word_detector.score(segment), verdict=""
    )
    assert word_detector.with_false_alarm_rate(None) is word_detector
    with pytest.raises(InputError, match="999 recordings"):
        word_detector.with_false_alarm_rate(0.001)


def test_the_reference_is_ranked_by_scores_that_it_did_not_shape(
    small_detector: Detector, sixes: Reference, speakers: NDArray[np.int64]
) -> None:
    """Held-out errors of the reference exceed those of the detector that was fitted on them."""
    features = sixes.features[speakers <= 12]
    fitted = raw_scores(small_detector.subspace, small_detector.forest, features)
    held_out = small_detector.conformity.reconstruction
    assert np.mean(held_out > fitted.reconstruction) > 0.95
