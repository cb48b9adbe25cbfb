"""Marking segments as normal: a person's word, kept beside the model for the next calibration."""

from __future__ import annotations

import contextlib
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile

from model.atomic import write_atomically
from model.audio import Samples, read_recording
from model.conformity import Conformity, Thresholds
from model.detector import Detector
from model.errors import AudioError, OffkeyError, shown
from model.marks import find_marks, mark_name, marked_folder
from model.subspace import Subspace, reconstruction_error
from monitor.events import Heard
from monitor.sinks import to_json


class Marks:
    """The marks of one model. Marks of earlier sessions count; undo takes back this session's."""

    def __init__(self, model_path: str | os.PathLike[str]) -> None:
        self.folder = marked_folder(model_path)
        """Where they are kept; made with the first mark."""
        self._model_path = model_path
        self._found: dict[str, Path] = {}
        self._added: list[str] = []
        self._scores: dict[str, tuple[float, float] | None] = {}
        self._scored_by: Subspace | None = None
        with contextlib.suppress(OffkeyError):  # told when somebody marks
            self._look()

    @property
    def count(self) -> int:
        """How many sounds are marked, as of the last look at the folder; costs nothing."""
        return len(self._found)

    def waiting(self, detector: Detector) -> int:
        """How many of them the model was not calibrated with."""
        return len(self._found.keys() - set(detector.card.marked))

    def add(self, heard: Heard, samples: Samples, detector: Detector) -> bool:
        """Mark a segment as normal; False where its sound is marked already.

        `samples` at the front end's rate, shape `(n,)`, as they were scored. Raises OffkeyError
        where the segment was not scored or the mark cannot be written.
        """
        if heard.score.p is None:
            raise OffkeyError("A segment that was not scored cannot be marked as normal.")
        self._look()
        name = mark_name(samples)
        if name in self._found:
            return False
        mark = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "rate_hz": detector.front_end.rate_hz,
            "model_digest": detector.digest,
            "reference_digest": detector.card.reference_digest,
            "false_alarm_rate": detector.false_alarm_rate,
        }
        text = json.dumps(to_json(heard) | {"mark": mark}, allow_nan=False, indent=1) + "\n"
        self._write(name, text.encode("ascii"), _wav(samples, detector.front_end.rate_hz))
        self._found[name] = self.folder / f"{name}.wav"
        self._added.append(name)
        return True

    def remove_last(self) -> None:
        """Take back the newest mark of this session. Raises OffkeyError where there is none."""
        if not self._added:
            hint = f"Older ones are files in {shown(self.folder)}." if self._found else ""
            raise OffkeyError("No mark of this session is left to take back.", hint)
        path = self.folder / f"{self._added[-1]}.wav"
        try:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            raise OffkeyError(f"{shown(path)} cannot be removed: {error.strerror}.") from error
        self._found.pop(self._added.pop(), None)
        with contextlib.suppress(OSError):  # other marks are in it
            self.folder.rmdir()

    def thresholds_with(self, detector: Detector) -> Thresholds:
        """What the thresholds would be with the marks among the held-out reference sounds.

        An estimate: this detector has not heard the marked sounds, but a calibration with them
        also moves the scores of all others a little. Marks that the model was calibrated with are
        among its reference already. The first call reads and scores all marks, about 1 ms each.
        Raises OffkeyError where the folder cannot be read.
        """
        self._look()
        self._score_new(detector)
        names = sorted(self._found.keys() - set(detector.card.marked))
        scores = [score for score in map(self._scores.get, names) if score is not None]
        isolation, reconstruction = np.array(scores).reshape(-1, 2).T
        known = detector.conformity
        return Conformity(
            np.concatenate([known.isolation, isolation]),
            np.concatenate([known.reconstruction, reconstruction]),
        ).thresholds(detector.false_alarm_rate)

    def _look(self) -> None:
        """See what is there: another session may mark, and a person may delete."""
        self._found = {path.stem: path for path in find_marks(self._model_path)}

    def _score_new(self, detector: Detector) -> None:
        """Score what has no score by this detector yet; None for what cannot be read."""
        if self._scored_by is not detector.subspace:
            self._scores, self._scored_by = {}, detector.subspace
        for name, path in self._found.items():
            if name not in self._scores:
                self._scores[name] = _score(path, detector)

    def _write(self, name: str, text: bytes, audio: bytes) -> None:
        """The JSON comes first: a mark is there when its audio is."""
        path = self.folder / f"{name}.wav"
        try:
            self.folder.mkdir(exist_ok=True)
            write_atomically(path.with_suffix(".json"), text)
            write_atomically(path, audio)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.with_suffix(".json").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other marks are in it
                self.folder.rmdir()
            raise OffkeyError(
                f"The mark cannot be kept in {shown(self.folder)}: {error.strerror}."
            ) from error


def _score(path: Path, detector: Detector) -> tuple[float, float] | None:
    """Isolation score and reconstruction error; None where there are none."""
    try:
        recording = read_recording(path, detector.front_end.rate_hz)
    except AudioError:
        return None
    features = detector.front_end.features(recording.samples)
    if features is None:
        return None
    error = reconstruction_error(detector.subspace.difference(features))
    return detector.forest.score_one(features), float(error)


def _wav(samples: Samples, rate_hz: int) -> bytes:
    """32-bit float: every sample as it was scored."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()
