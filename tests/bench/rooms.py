"""Print how often sixes of new speakers alarm in pink noise, with the room in the reference or not.

Run from the project's root: `python tests/bench/rooms.py [TAKES]`. Six splits: ten speakers are
new, the other fifty are the reference, `TAKES` (all 50) of each, and hear ten seconds of the noise.
New sounds are in other noise of the kind, at 20 and at 10 dB, whole as `score` takes files, and as
a monitor's gate cuts them there. Beside it stand the same sounds without `--room`, and the same
split without any noise: what exceeds the rate there is the speakers' doing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from material import reference_of
from numpy.typing import NDArray

from calibrate.fitting import Settings, fit_detector
from calibrate.groups import Groups
from calibrate.room import Room
from calibrate.roomcut import cut_by_gate
from calibrate.roomfolds import held_out_by_group
from model.audio import Samples, read_recording, resample
from model.detector import Detector, raw_scores
from model.errors import InputError
from model.features import FRONT_ENDS, Features, FrontEnd, make_front_end
from model.segment import Segmentation

SIX = Path(__file__).parents[2].parent / "shared" / "data" / "six"
RATE_HZ = 16000
ROOM_S, NEW_S = 10, 60
SPLITS = 6
RATES = (0.01, 0.05, 0.10)
MOST = 1.5
"""Times the nominal rate."""


def main() -> int:
    """Measure, print, and say whether the promise holds in the room."""
    if not SIX.is_dir():
        print(f"No recordings in {SIX}: nothing to measure on.", file=sys.stderr)
        return 2
    takes = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    sounds = read_sixes(SIX, takes)
    kept = True
    print(
        f"{len(sounds):,} sixes; share of new speakers' sounds that alarm, mean of {SPLITS} splits"
    )
    titles = ("--room", "live", "worst", "without", "no noise")
    print(f"{'':<26}{''.join(f'{title:>10}' for title in titles)}")
    for name in FRONT_ENDS:
        for snr_db in (20, 10):
            found = measure(sounds, make_front_end(name, 1.0), snr_db)
            for row in found.rows:
                line = f"{name}, {snr_db} dB, at {100 * row.rate:g} %"
                shares = (row.room, row.live, row.worst, row.without, row.quiet)
                cells = "".join(f"{share:>10.2%}" for share in shares)
                print(f"{line:<26}{cells}  {_judged(row)}")
                kept &= max(row.room, row.live) <= MOST * row.rate
            print(f"{'':<26}the gate misses {found.missed:.1%}")
    print(f"\nat most {MOST:g} times the rate: {'everywhere' if kept else 'not everywhere'}")
    return 0 if kept else 1


@dataclass(frozen=True)
class Row:
    """Shares of new speakers' sounds that alarm at a rate, mean of the splits."""

    rate: float
    room: float
    """With the room in the reference, whole."""
    live: float
    """The same as a gate cuts them there."""
    worst: float
    """Of the worst split, whole."""
    without: float
    quiet: float
    """Without noise anywhere."""


@dataclass(frozen=True)
class Found:
    """What was measured of a front end at a level."""

    rows: tuple[Row, ...]
    missed: float
    """Share of the sounds for which the gate does not open."""


def _judged(row: Row) -> str:
    if max(row.room, row.live) <= MOST * row.rate:
        return "kept"
    return "not kept, nor without noise" if row.quiet > MOST * row.rate else "not kept"


def read_sixes(folder: Path, takes: int) -> dict[str, Samples]:
    """Samples at 16 kHz by file name, so many takes of every speaker."""
    paths = [path for path in sorted(folder.glob("*.flac")) if int(path.stem.split("_")[2]) < takes]
    return {path.stem: read_recording(path, RATE_HZ, 1.0).samples for path in paths}


def pink_room(seed: int, snr_db: float, seconds: float = ROOM_S) -> Room:
    """Pink noise as a room at 16 kHz: from 20 Hz on its power falls by 3 dB an octave.

    With what lies below, its level would depend on how long it is.
    """
    n = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    spectrum[: round(20 * seconds)] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, n)
    samples = (0.01 * noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return Room("pink", samples, RATE_HZ, "", snr_db, seed)


def measure(
    sounds: dict[str, Samples], front_end: FrontEnd, snr_db: float, splits: int = SPLITS
) -> Found:
    """Calibrate on each split's known speakers, with the room and without, and try the new ones."""
    names = list(sounds)
    speaker = np.array([int(name.split("_")[1]) for name in names])
    rows = {
        "clean": rows_of(sounds, front_end, None),
        "new": rows_of(sounds, front_end, pink_room(2, snr_db, NEW_S)),
    }
    pairs = {"room": ("room", "new"), "without": ("clean", "new"), "quiet": ("clean", "clean")}
    live, sound_of = live_rows(sounds, front_end, pink_room(2, snr_db, NEW_S))
    shares: dict[str, list[list[float]]] = {what: [] for what in (*pairs, "live")}
    for split in range(splits):
        new = speaker % SPLITS == split
        known_names = [name for name, is_new in zip(names, new.tolist(), strict=True) if not is_new]
        groups = [str(one) for one in speaker[~new].tolist()]
        room = held_out_by_group(pink_room(1, snr_db), known_names, groups, Segmentation())
        whole = rows_of({name: sounds[name] for name in known_names}, front_end, room)
        cut, cut_of = live_rows({name: sounds[name] for name in known_names}, front_end, room)
        both = np.concatenate([whole, cut])
        both_of = np.concatenate([np.arange(len(whole)), cut_of])
        order = np.argsort(both_of, kind="stable")
        of = {
            "room": detector_on(known_names, groups, both[order], both_of[order], front_end),
            "clean": detector_on(
                known_names, groups, rows["clean"][~new], np.arange(len(whole)), front_end
            ),
        }
        for what, (known, heard) in pairs.items():
            p = p_of(of[known], rows[heard][new])
            shares[what].append([float(np.mean(p <= rate)) for rate in RATES])
        p = np.ones(len(names))
        np.minimum.at(p, sound_of, p_of(of["room"], live))
        shares["live"].append([float(np.mean(p[new] <= rate)) for rate in RATES])
    mean = {what: np.mean(found, axis=0).tolist() for what, found in shares.items()}
    worst = np.max(shares["room"], axis=0).tolist()
    by_rate = tuple(
        Row(rate, mean["room"][i], mean["live"][i], worst[i], mean["without"][i], mean["quiet"][i])
        for i, rate in enumerate(RATES)
    )
    return Found(by_rate, 1 - len(np.unique(sound_of)) / len(names))


def live_rows(
    sounds: dict[str, Samples], front_end: FrontEnd, room: Room
) -> tuple[Features, NDArray[np.int64]]:
    """Features of what the gate cuts of every sound in a room, and which sound each is of."""
    room, rows, sound_of = room.at(front_end.rate_hz), [], []
    for i, (name, samples) in enumerate(sounds.items()):
        heard = resample(samples, RATE_HZ, front_end.rate_hz)
        for segment in cut_by_gate(heard, name, Segmentation(), room):
            row = front_end.features(segment.samples)
            if row is not None:
                rows.append(row)
                sound_of.append(i)
    return np.array(rows), np.array(sound_of)


def rows_of(sounds: dict[str, Samples], front_end: FrontEnd, room: Room | None) -> Features:
    """Features of every sound, shape `(n, n_features)`, in a room or as it is."""
    rows = []
    for name, samples in sounds.items():
        heard = samples if room is None else room.around(samples, name)
        row = front_end.features(resample(heard, RATE_HZ, front_end.rate_hz))
        if row is None:
            raise InputError(f"{name} has no signal.")
        rows.append(row)
    return np.array(rows)


def detector_on(
    names: list[str],
    speakers: list[str],
    features: Features,
    recording: NDArray[np.int64],
    front_end: FrontEnd,
) -> Detector:
    """Fit on the sounds of some speakers, perhaps several rows of features for each."""
    reference = reference_of(names, features, recording)
    groups = Groups(tuple(speakers), "by speaker")
    return fit_detector(reference, groups, front_end, Settings(maps=False))


def p_of(detector: Detector, features: Features) -> NDArray[np.float64]:
    """Joint p of new sounds, shape `(n,)`."""
    raw = raw_scores(detector.subspace, detector.forest, features)
    return detector.conformity.p_values(raw.isolation, raw.reconstruction).joint


if __name__ == "__main__":
    sys.exit(main())
