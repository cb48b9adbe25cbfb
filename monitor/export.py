"""A segment as a file to keep: WAV, and beside it JSON with all that is known about it."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from model.audio import Samples
from model.detector import Detector
from model.errors import OffkeyError, shown
from model.segment import Segment
from monitor.clips import QUIETEST_PEAK
from monitor.events import Heard
from monitor.sinks import to_json

ALIKE = 1e-4
"""Relative; of scores of what is saved and of what was heard."""


def export(
    folder: str | Path, heard: Heard, samples: Samples, rate_hz: int, detector: Detector
) -> Path:
    """Save a segment's samples, shape `(n,)`, under a name that is not in use; gives the WAV.

    24 bits, or 32-bit floats where those would not do: beyond full scale, very quiet, or scored
    otherwise for the rounding.
    Raises OffkeyError where it cannot be written.
    """
    described = to_json(heard) | {
        "export": {
            "number": heard.number,
            "rate_hz": rate_hz,
            "samples": len(samples),
            "model_digest": detector.digest,
            "false_alarm_rate": detector.false_alarm_rate,
        }
    }
    text = json.dumps(described, allow_nan=False, indent=1).encode("ascii") + b"\n"
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return _write(Path(folder), _stem(heard), _wav(heard, samples, rate_hz, detector), text)
    except OSError as error:
        why = error.strerror or "the disk does not take it"
        raise OffkeyError(f"The sound cannot be saved in {shown(folder)}: {why}.") from error


def _wav(heard: Heard, samples: Samples, rate_hz: int, detector: Detector) -> bytes:
    """24 bits where those score as the samples themselves do, else floats."""
    peak = float(np.abs(samples).max(initial=0.0))
    if QUIETEST_PEAK <= peak <= 1:
        wav = _encode(samples, rate_hz, "PCM_24")
        rounded: Samples = soundfile.read(io.BytesIO(wav), dtype="float32")[0]
        if _score_alike(heard.segment, samples, rounded, detector):
            return wav
    return _encode(samples, rate_hz, "FLOAT")


def _encode(samples: Samples, rate_hz: int, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


def _score_alike(segment: Segment, one: Samples, other: Samples, detector: Detector) -> bool:
    """Whether both score the same but for `ALIKE`: a tree's limit may lie between them."""
    segments = [replace(segment, samples=samples) for samples in (one, other)]
    a, b = detector.score_batch(segments)
    pairs = [
        (a.isolation_score, b.isolation_score),
        (a.reconstruction_error, b.reconstruction_error),
        (a.cluster_distance, b.cluster_distance),
    ]
    return all(x == y or (x and y and math.isclose(x, y, rel_tol=ALIKE)) for x, y in pairs)


def _stem(heard: Heard) -> str:
    """`offkey-2025-11-22T101500Z-412` for a live source, `offkey-00h12m40.2s-412` for a file."""
    if heard.time is not None:
        return f"offkey-{heard.time[:19].replace(':', '')}Z-{heard.number}"
    tenths = round(heard.segment.start_s * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"offkey-{hours:02}h{minutes:02}m{tenths / 10:04.1f}s-{heard.number}"


def _write(folder: Path, stem: str, wav: bytes, text: bytes) -> Path:
    """Write under hidden names first, then both get theirs. Raises OSError."""
    stem, hidden = _reserve(folder, stem)
    described = folder / f"{stem}.json"
    hidden_text = hidden.with_name(f".{stem}.json.part")
    try:
        hidden.write_bytes(wav)
        hidden_text.write_bytes(text)
        hidden_text.replace(described)
        try:
            return hidden.replace(folder / f"{stem}.wav")
        except OSError:
            described.unlink()
            raise
    except OSError:
        for part in (hidden, hidden_text):
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        raise


def _reserve(folder: Path, stem: str) -> tuple[str, Path]:
    """A stem that nobody uses, and the hidden file that keeps others from it until it is there.

    Who holds the hidden file looks for the names afterwards: so no two can hold the same stem.
    """
    name, tries = stem, 1
    while True:
        hidden = folder / f".{name}.wav.part"
        with contextlib.suppress(FileExistsError):
            hidden.open("xb").close()
            if not any(_is_there(folder / f"{name}{end}") for end in (".wav", ".json")):
                return name, hidden
            hidden.unlink()
        tries += 1
        name = f"{stem}-{tries}"


def _is_there(path: Path) -> bool:
    """Also where it is a link that leads nowhere."""
    return path.exists() or path.is_symlink()
