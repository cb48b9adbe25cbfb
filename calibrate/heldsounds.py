"""Some held-out sounds again: read once more, changed, and judged by who did not hear them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.fitted import Fitted
from calibrate.parts import known_scores
from calibrate.threads import one_core_each
from model.audio import BLOCK_S, AudioReader, Samples, read_recording, resample
from model.conformity import Conformity
from model.errors import AudioError
from model.features import Features
from model.segment import Segmentation
from model.segmenter import cut_recording

_NOTHING: Samples = np.empty(0, np.float32)


@dataclass(frozen=True)
class HeldOutSound:
    """A sound of the recordings, no marked one."""

    name: str
    window: int
    """Of its recording; 0 in event mode."""
    fold: int


def choose_sounds(models: Sequence[Fitted], n: int, seed: int) -> list[HeldOutSound]:
    """At most `n` sounds that all the models have held out, by chance, in their order."""
    common = sorted(set.intersection(*(set(places(fitted)) for fitted in models)), key=_in_order)
    chosen = np.random.default_rng(seed).permutation(len(common))[:n]
    return [common[i] for i in sorted(chosen.tolist())]


def places(fitted: Fitted) -> dict[HeldOutSound, int]:
    """Where, among the held-out sounds, each sound of the recordings stands; no marked ones."""
    reference, kept = fitted.reference, fitted.held_out.kept
    assert reference.window is not None
    unmarked = kept[~reference.is_marked[kept]]
    columns = (reference.recording[unmarked], reference.window[unmarked], fitted.folds[unmarked])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        HeldOutSound(reference.names[i], window, fold): place
        for place, (i, window, fold) in enumerate(rows)
    }


def _in_order(sound: HeldOutSound) -> tuple[str, int]:
    return sound.name, sound.window


def read_sound(sound: HeldOutSound, rate_hz: int, segmentation: Segmentation) -> Samples | None:
    """Its samples, as they were segmented; None where they cannot be read any more."""
    try:
        if segmentation.mode == "continuous":
            return _read_window(sound, rate_hz, segmentation)
        recording = read_recording(sound.name, rate_hz, segmentation.duration_s)
        segment = cut_recording(recording, segmentation)[0]
    except AudioError:
        return None
    return None if segment.reason else segment.samples


def _read_window(sound: HeldOutSound, rate_hz: int, segmentation: Segmentation) -> Samples | None:
    """One window of a recording that may last for hours: only what it depends on is read.

    That is from a whole second on, where samples of all rates meet, and half a second more on
    either side than the window has, far more than the resampling filter reaches.
    """
    start = sound.window * round(segmentation.hop_s * rate_hz)
    end = start + round(segmentation.duration_s * rate_hz)
    from_s = max(0, int(start / rate_hz - BLOCK_S))
    with AudioReader(sound.name) as reader:
        blocks = reader.blocks(BLOCK_S, end / rate_hz + BLOCK_S, from_s * reader.rate_hz)
        heard = np.concatenate([_NOTHING, *(block.samples for block in blocks)])
        samples = resample(heard, reader.rate_hz, rate_hz)
    window = samples[start - from_s * rate_hz : end - from_s * rate_hz]
    return window if len(window) == end - start else None


def alarms_of(fitted: Fitted, fold: int, rows: list[list[list[Features]]]) -> NDArray[np.bool_]:
    """Which versions of a fold's sounds are anomalous to who did not hear it, `(sounds, versions)`.

    A version is its segments, and alarms where one of them does; without any it does not.
    """
    scores, outside = fitted.held_out.scores, fitted.held_out_folds != fold
    others = Conformity(scores.isolation[outside], scores.reconstruction[outside])
    # Four fifths of few recordings cannot promise quite what all of them can.
    rate = max(fitted.rate, others.smallest_p)
    counts = np.array([[len(version) for version in row] for row in rows])
    version_of = np.repeat(np.arange(counts.size), counts.ravel())
    alarms = np.zeros(counts.size, bool)
    features = [segment for row in rows for version in row for segment in version]
    if features:
        all_of_them = np.arange(len(features))
        with one_core_each():
            known = known_scores(np.array(features), all_of_them, fitted.without[fold])
        alarms[version_of[others.p_values(*known).joint <= rate]] = True
    return alarms.reshape(counts.shape)
