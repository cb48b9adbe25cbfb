"""The room: a recording of the place without the sound, mixed into every reference recording.

Sounds in noise are odder than the same sounds without. A reference that has the noise of the place
in it keeps its promise there. Room and sound meet as they were recorded, where one microphone at
one level recorded both; or at a ratio that is asked for, the same for every recording.

A room is what sounds there, not where the zero line of an input lies: its mean is taken off. Else
every recording would get an offset that the sounds on the site may not have.

The room is held out like the sounds: each fold hears a part of its own. Else the held-out scores
would be of noise that their detectors know, and the promise too good.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from calibrate.folds import piece_ends
from calibrate.roomband import highest_hz
from model.audio import (
    CUT_SHORT,
    AudioReader,
    Recording,
    Samples,
    input_state,
    level_dbfs,
    resample,
    too_low,
)
from model.card import ModelCard, RoomUsed
from model.errors import AudioError, InputError, as_text, as_word, shown
from model.features import FrontEnd, make_front_end
from model.segment import Segmentation

SHORTEST_S, LONGEST_S = 1.0, 600.0
_MOST_BYTES = 256 * 2**20
"""Of a room that comes through a pipe: ten minutes of two channels at 48 kHz, in floats."""
_ENOUGH = "Ten seconds of it are enough."
_STDIN = "on standard input"
_SNR_DB = (-20.0, 80.0)


@dataclass(frozen=True)
class Room:
    """A recording of the place, and how loud sounds are in it."""

    name: str
    samples: Samples
    """Mono, shape `(n,)`."""
    rate_hz: int
    digest: str
    """SHA-256 of the file."""
    snr_db: float | None = None
    """Level of every sound over the room; None: both as they were recorded."""
    seed: int = 42
    """Of the choice of pieces."""
    part_of: Mapping[str, int] = field(default_factory=dict)
    """Which part of the room each recording hears; those that are not named hear all of it."""
    n_parts: int = 1
    in_time: Segmentation | None = None
    """Where folds are pieces in time, of recordings cut like this: each piece hears its own part.
    """
    clipped: bool = False

    @cached_property
    def level(self) -> float | None:
        """In dB relative to full scale; None for silence."""
        return level_dbfs(self.samples)

    def at(self, rate_hz: int) -> Room:
        """The same room at another rate. Raises AudioError where its own is lower."""
        if rate_hz > self.rate_hz:
            raise AudioError(shown(self.name), too_low(self.rate_hz, rate_hz))
        return replace(self, samples=resample(self.samples, self.rate_hz, rate_hz), rate_hz=rate_hz)

    def in_parts(self, paths: Sequence[str], folds: Sequence[int]) -> Room:
        """The same room with a part of its own for each fold of recordings."""
        n_parts = max(folds, default=0) + 1
        return replace(self, part_of=dict(zip(paths, folds, strict=True)), n_parts=n_parts)

    def in_pieces(self, n_parts: int, segmentation: Segmentation) -> Room:
        """The same room with a part for each of so many pieces in time of every recording."""
        return replace(self, n_parts=n_parts, in_time=segmentation)

    def is_parted_like(self, other: Room, paths: Sequence[str]) -> bool:
        """Whether each of these recordings hears the same parts in both."""
        if self.in_time or other.in_time:
            return self.in_time == other.in_time
        return all(self.part_of.get(path) == other.part_of.get(path) for path in paths)

    def around(
        self,
        samples: Samples,
        path: str | os.PathLike[str],
        sound: Samples | None = None,
        part: int | None = None,
    ) -> Samples:
        """`samples`, shape `(n,)` at the room's rate, with a piece of the room added.

        Which piece of its part is decided by the seed and the name of the recording's file, so that
        neither order nor number of the others matters. With a ratio, the level is that of `sound`,
        of the samples themselves where none is given. The part is that of the recording unless it
        is given.
        """
        if part is None or self.n_parts == 1:
            part = self.part_of.get(os.fspath(path))
        return self._mixed(samples, path, [(part, len(samples))], sound)

    def in_recording(self, recording: Recording, path: str | os.PathLike[str]) -> Recording:
        """A recording with the room in it; one that cannot be used stays as it is."""
        if recording.state is not None:
            return recording
        samples, pieces = recording.samples, None
        if self.in_time is not None:
            pieces = piece_ends(len(samples), recording.rate_hz, self.in_time)
        mixed = self._mixed(samples, path, pieces) if pieces else self.around(samples, path)
        return replace(recording, samples=mixed)

    def _mixed(
        self,
        samples: Samples,
        path: str | os.PathLike[str],
        ends: Sequence[tuple[int | None, int]],
        sound: Samples | None = None,
    ) -> Samples:
        """Samples with the room added; up to which of them which part of it is heard: `ends`."""
        if not len(samples):
            return samples
        chance = np.random.default_rng([self.seed, zlib.crc32(os.fsencode(PurePath(path).name))])
        starts = [0, *(end for _, end in ends)]
        piece = np.concatenate(
            [
                self._piece(end - start, part, chance)
                for start, (part, end) in zip(starts, ends, strict=False)
            ]
        )
        if self.snr_db is not None:
            level = level_dbfs(samples if sound is None else sound)
            if level is None or self.level is None:
                return samples
            piece = piece * np.float32(10 ** ((level - self.snr_db - self.level) / 20))
        mixed: Samples = (samples + piece).astype(np.float32, copy=False)
        return mixed

    def used(self, front_end: FrontEnd, recorded_hz: int | None, missed: int | None) -> RoomUsed:
        """What the card keeps of it; `recorded_hz` is the lowest rate among the recordings."""
        duration_s = front_end.duration_s
        return RoomUsed(
            name=as_text(PurePath(self.name).name),
            duration_s=len(self.samples) / self.rate_hz,
            level_dbfs=self.level or 0.0,
            snr_db=self.snr_db,
            digest=self.digest,
            is_held_out=self.n_parts > 1,
            in_time=self.in_time is not None,
            clipped=self.clipped,
            highest_hz=highest_hz(self.samples, self.rate_hz, front_end.rate_hz / 2),
            narrows=make_front_end(front_end.name, duration_s, recorded_hz) != front_end,
            missed=missed,
        )

    def _piece(self, n: int, part: int | None, chance: np.random.Generator) -> Samples:
        """`n` samples in a row; what is longer than the room, or its part, hears it to and fro."""
        room = self.samples
        if part is not None:
            start, end = (i * len(room) // self.n_parts for i in (part, part + 1))
            room = room[start:end]
        if len(room) < n:
            room = np.tile(np.concatenate([room, room[::-1]]), n // (2 * len(room)) + 2)
        start = int(chance.integers(len(room) - n + 1))
        return room[start : start + n]


def check_room_options(room: str | None, snr_db: float | None) -> None:
    """Raises InputError for what does not go together."""
    if snr_db is None:
        return
    if room is None:
        raise InputError("--snr goes with --room FILE: it says how far sounds are above the room.")
    if not _SNR_DB[0] <= snr_db <= _SNR_DB[1]:
        low, high = _SNR_DB
        raise InputError(f"--snr takes {low:g} to {high:g} dB, not {snr_db:g}.")


def read_room(path: str, snr_db: float | None, seed: int) -> Room:
    """Read a room from a file, or as WAV from standard input for `-`.

    Raises InputError for one that is too short or without a signal, AudioError for what is no
    audio.
    """
    if path != "-":
        return _checked(_read(path, path), snr_db, seed)
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("--room - takes the room as WAV on standard input, and there is none.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "room.wav"
        file.write_bytes(sys.stdin.buffer.read(_MOST_BYTES))
        if sys.stdin.buffer.read(1):
            raise InputError(f"The room {_STDIN} is larger than 256 MB.", _ENOUGH)
        try:
            return _checked(_read(str(file), _STDIN), snr_db, seed)
        except AudioError as error:
            raise AudioError(f"The room {_STDIN}", error.what) from error


def room_of(card: ModelCard, path: str | None) -> Room | None:
    """The room that a model was calibrated in, read again; None for a model without.

    Raises InputError where none is given, or another one.
    """
    used = card.room
    if used is None:
        if path is not None:
            raise InputError("This model was calibrated without a room: leave --room out.")
        return None
    if path is None:
        raise InputError(
            f"This model was calibrated in the room {shown(used.name)}, which belongs to what it "
            "knows of the recordings.",
            f"Add --room {as_word(used.name)}, or leave --reference out.",
        )
    room = read_room(path, used.snr_db, card.seed)
    if room.digest != used.digest:
        raise InputError(f"{shown(path)} is not the room that this model was calibrated in.")
    return room


def _read(path: str, name: str) -> Room:
    """The room in a file. No more of it is read than may be used."""
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(limit_s=LONGEST_S + 1))
        if reader.cut_short:
            raise AudioError(shown(path), CUT_SHORT)
    if sum(len(block.samples) for block in blocks) > LONGEST_S * reader.rate_hz:
        raise InputError(f"The room {shown(name)} is longer than ten minutes.", _ENOUGH)
    if any(len(block.not_finite) for block in blocks):
        raise AudioError(shown(path), "holds values that are no numbers")
    samples = np.concatenate([np.empty(0, np.float32), *(block.samples for block in blocks)])
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    clipped = any(len(block.overloads) for block in blocks)
    return Room(name, samples, reader.rate_hz, digest, clipped=clipped)


def _checked(room: Room, snr_db: float | None, seed: int) -> Room:
    """The room without its mean. Raises InputError where it is none."""
    seconds, state = len(room.samples) / room.rate_hz, input_state(room.samples)
    if seconds < SHORTEST_S:
        is_long = f"{math.floor(1000 * seconds) / 1000:g} s long"
        raise InputError(
            f"The room {shown(room.name)} is {is_long}: it takes at least {SHORTEST_S:g} s, better "
            "ten.",
            "offkey room -o room.flac records it.",
        )
    if state is not None:
        raise InputError(
            f"The room {shown(room.name)} is {state}: there is nothing to mix in.",
            "Was the microphone muted?",
        )
    level = room.samples - room.samples.mean(dtype=np.float64).astype(np.float32)
    return replace(room, samples=level, snr_db=snr_db, seed=seed)
