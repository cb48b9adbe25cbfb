"""The reference recordings once more: small audio to hear, and the curves of each sound."""

from __future__ import annotations

import base64
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
import soundfile
from numpy.typing import NDArray

from calibrate.reference import Progress
from calibrate.report.curves import Curves, reduce
from calibrate.room import Room
from calibrate.roomcut import cut_in_room
from calibrate.roomfolds import held_out_as_remembered
from model.audio import Samples, read_recording, resample
from model.detector import Detector
from model.errors import AudioError, InputError, as_text
from model.explanation import Explanation, explain
from model.files import find_recordings
from model.gallery import Gallery
from model.segmenter import cut_recording

ODDEST = 200
SAMPLE = 400
_MOST_AUDIO = 3_000_000
_MOST_CURVES = 3_600_000
_OPUS_HZ = (8000, 12000, 16000, 24000, 48000)
_PEAK = 0.5


@dataclass
class Heard:
    """What the recordings give, by index of the sound in the gallery."""

    clips: dict[int, str] = field(default_factory=dict)
    """Ogg Opus in base64, all brought to the same peak."""
    curves: dict[int, Curves] = field(default_factory=dict)
    missing: int = 0
    """Sounds whose recording was not found or cannot be read any more."""
    changed: int = 0
    """Sounds whose recording gives another error than the model remembers."""
    with_audio: bool = True


@dataclass(frozen=True)
class _Read:
    clips: dict[int, bytes]
    curves: dict[int, Curves]
    changed: int = 0
    missing: int = 0


class _Kept:
    """How much of the page is filled; what comes too late for it is left out."""

    def __init__(self) -> None:
        self._audio_size = self._curves_size = 0

    def take(self, read: _Read, heard: Heard) -> None:
        """Put into `heard` what there is space for."""
        heard.missing += read.missing
        heard.changed += read.changed
        for sound, clip in read.clips.items():
            self._audio_size += len(clip)
            if self._audio_size <= _MOST_AUDIO:
                heard.clips[sound] = base64.b64encode(clip).decode()
        for sound, curves in read.curves.items():
            self._curves_size += len(curves.code)
            if self._curves_size <= _MOST_CURVES:
                heard.curves[sound] = curves


def listen(
    detector: Detector,
    folders: Sequence[str],
    with_audio: bool,
    progress: Progress,
    room: Room | None = None,
) -> Heard:
    """Read the recordings of a detector that has a gallery, the oddest first, while there is space.

    A room is mixed into them, as it was for the detector. Raises InputError where none is found.
    """
    from joblib import Parallel, delayed

    gallery = detector.gallery
    assert gallery is not None
    paths = find_again(gallery.names, find_recordings(folders).paths)
    if not any(paths):
        raise InputError(
            "None of the recordings that the model was made of is found there.",
            f"The first one was {as_text(gallery.names[0])}",
        )
    order = by_oddness(detector)
    audible = set(_audible(order, detector)) if with_audio else set()
    sounds: dict[int, list[int]] = defaultdict(list)
    for sound in order.tolist():
        sounds[int(gallery.recording[sound])].append(sound)
    marked = len(detector.card.marked)
    used = detector.card.room
    if room is not None and used is not None:
        room = held_out_as_remembered(room, used, gallery, marked, detector.segmentation)
        room = room.at(detector.front_end.rate_hz)
    unmarked = len(gallery.names) - marked
    work = (
        # Marked sounds were heard in the room: it is in them.
        delayed(_read)(detector, paths[index], wanted, audible, room if index < unmarked else None)
        for index, wanted in sounds.items()
    )
    parallel = Parallel(n_jobs=-1, prefer="threads", return_as="generator")
    heard, kept = Heard(with_audio=with_audio), _Kept()
    for done, read in enumerate(parallel(work), start=1):
        kept.take(read, heard)
        progress("listening", done, len(sounds))
    return heard


def by_oddness(detector: Detector) -> NDArray[np.int64]:
    """All sounds of the gallery, the oddest first: by held-out p, then by reconstruction error."""
    conformity = detector.conformity
    return np.lexsort((-conformity.reconstruction, conformity.reference_p()))


def _audible(order: NDArray[np.int64], detector: Detector) -> list[int]:
    """The oddest, those that the portraits name, and a sample of the rest."""
    from calibrate.report.portraits import named_in_portraits

    rest = order[ODDEST:]
    random = np.random.default_rng(detector.card.seed)
    drawn = random.choice(rest, min(SAMPLE, len(rest)), replace=False)
    return [*order[:ODDEST].tolist(), *named_in_portraits(detector), *drawn.tolist()]


def find_again(names: Sequence[str], paths: Iterable[str]) -> list[str | None]:
    """The path of each name: the only one that ends like it, by as many parts as are needed.

    Folders may have moved: `old/six/anna/1.flac` is found as `new/anna/1.flac` where just one
    recording there is `anna/1.flac`, or just one is `1.flac`.
    """
    found = [os.path.abspath(path) for path in paths]
    texts = [PurePath(as_text(path)).parts for path in found]
    wanted = [PurePath(os.path.abspath(name)).parts for name in names]
    answer: list[str | None] = [None] * len(names)
    longest = max((len(parts) for parts in wanted), default=0)
    for length in range(longest, 0, -1):
        here = Counter(parts[-length:] for parts in texts if len(parts) >= length)
        path_of = {
            parts[-length:]: path
            for parts, path in zip(texts, found, strict=True)
            if len(parts) >= length and here[parts[-length:]] == 1
        }
        there = Counter(parts[-length:] for parts in wanted if len(parts) >= length)
        for i, parts in enumerate(wanted):
            end = parts[-length:]
            if answer[i] is None and len(parts) >= length and there[end] == 1:
                answer[i] = path_of.get(end)
    return answer


def _read(
    detector: Detector, path: str | None, wanted: list[int], audible: set[int], room: Room | None
) -> _Read:
    """Read one recording; `wanted` are its sounds in the gallery."""
    gallery, front_end = detector.gallery, detector.front_end
    assert gallery is not None
    limit_s = front_end.duration_s if detector.segmentation.mode == "event" else None
    try:
        if path is None:
            return _Read({}, {}, missing=len(wanted))
        recording = read_recording(path, front_end.rate_hz, limit_s)
    except AudioError:
        return _Read({}, {}, missing=len(wanted))
    if room is None:
        segments = cut_recording(recording, detector.segmentation)
    else:
        name = gallery.names[gallery.recording[wanted[0]]]
        segments = cut_in_room(recording, name, detector.segmentation, room)
    parts: list[tuple[Samples, Explanation]] = []
    for segment in segments:
        found = None if segment.reason else explain(detector, segment.samples)
        if found is not None:
            parts.append((segment.samples, found))
    read, changed = _Read({}, {}), 0
    for sound in wanted:
        part = int(gallery.part[sound])
        if part >= len(parts) or not _is_same(gallery, sound, parts[part][1]):
            changed += 1
            continue
        samples, explanation = parts[part]
        read.curves[sound] = reduce(explanation)
        if sound in audible:
            read.clips[sound] = encode(samples, front_end.rate_hz)
    return _Read(read.clips, read.curves, changed)


def _is_same(gallery: Gallery, sound: int, explanation: Explanation) -> bool:
    """Whether a sound gives the reconstruction error that the model remembers of it."""
    error = float(np.mean(np.square(explanation.error)))
    return bool(np.isclose(error, gallery.reconstruction[sound], rtol=1e-3, atol=1e-12))


def encode(samples: Samples, rate_hz: int) -> bytes:
    """Ogg Opus, brought to one peak: good recordings may be too quiet to hear."""
    rate = next((rate for rate in _OPUS_HZ if rate >= rate_hz), _OPUS_HZ[-1])
    audio = resample(samples - samples.mean(), rate_hz, rate)
    audio = audio * (_PEAK / max(float(np.abs(audio).max()), 1e-9))
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format="OGG", subtype="OPUS")
    return file.getvalue()
