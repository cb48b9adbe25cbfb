"""The verb `room`: some seconds of the place without the sound, for `calibrate --room`."""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.options import parse_speed

if TYPE_CHECKING:
    from model.audio import Block, Samples
    from monitor.sources import Source
    from monitor.terminal import Stop

_SHORTEST_S, _LONGEST_S = 1.0, 600.0
"""What `calibrate --room` takes."""
_PATIENCE_S = 20.0
"""So long without a sound from the device, and it is given up."""


@click.command()
@click.option("-o", "--output", "path", metavar="FILE", required=True, help="FLAC or WAV.")
@click.option("--device", metavar="NAME", help="Input device, by part of its name.")
@click.option("--channel", type=int, metavar="N", help="Listen to this channel only, from 1.")
@click.option("--seconds", default=10.0, show_default=True, help="How long to record.")
@click.option("--replace", is_flag=True, help="Overwrite FILE.")
@click.option("--rehearse", metavar="FILE", help="Play FILE as if it were the microphone.")
@click.option(
    "--speed", callback=parse_speed, metavar="N|max", help="With --rehearse: times real time; 1."
)
def room(path: str, **options: Any) -> None:
    """Record the empty room: all that is usually heard there, but not the sound.

    Use the microphone and the level that the monitor will have. Then: offkey calibrate RECORDINGS
    --room FILE, which mixes it into every recording.
    """
    from model.errors import shown
    from monitor.listening import check_seconds, place_source
    from monitor.session import warn
    from monitor.terminal import Stop, quiet_libraries, stop_on_signals

    check_seconds(options["seconds"], _LONGEST_S)
    _check_target(path, options["replace"])
    stop = Stop()
    with quiet_libraries():
        source = place_source(options)
        warn(f"recording {options['seconds']:g} s of the room: nothing but the room, please.")
        with stop_on_signals(stop.set):
            heard = _listen(source, options["seconds"], stop)
    samples = _judged(heard, options["seconds"])
    if _format(path).holds_full_scale:
        samples = samples.clip(-1, 1)
    is_doubtful = _tell_doubts(heard, samples, options["seconds"])
    _write(path, samples, heard.rate_hz, options["replace"])
    click.echo(f"{shown(path)}: {_in_words(samples, heard.rate_hz)}")
    click.echo(f"Next: {_again(path, options) if is_doubtful else _calibrate(path)}")


def _calibrate(path: str) -> str:
    from model.errors import as_word

    return f"offkey calibrate RECORDINGS -o MODEL --room {as_word(path)}"


def _again(path: str, options: dict[str, Any]) -> str:
    """The command that records it anew, from the same input for as long."""
    from model.errors import as_word

    given = {name: options[name] for name in ("device", "channel", "rehearse")}
    words = [f"--{name} {as_word(str(value))}" for name, value in given.items() if value]
    if options["seconds"] != 10:
        words.append(f"--seconds {options['seconds']:g}")
    return " ".join(["offkey room -o", as_word(path), *words, "--replace"])


@dataclass(frozen=True)
class _Format:
    kind: str
    subtype: str
    holds_full_scale: bool
    """And nothing beyond: what is louder is clipped in the file."""


_SUFFIXES = {".flac": _Format("FLAC", "PCM_24", True), ".wav": _Format("WAV", "FLOAT", False)}


def _format(path: str) -> _Format:
    return _SUFFIXES[Path(path).suffix.lower()]


@dataclass
class _HeardRoom:
    rate_hz: int = 0
    blocks: list[Block] = field(default_factory=list)
    n: int = 0
    lost: int = 0
    problem: str | None = None

    @property
    def not_finite(self) -> int:
        """How many values were no numbers."""
        return sum(len(block.not_finite) for block in self.blocks)

    @property
    def clips(self) -> bool:
        """Whether some of it is beyond full scale, or held there."""
        return any(len(block.overloads) for block in self.blocks)


def _check_target(path: str, may_replace: bool) -> None:
    """Refuse before anything is recorded. Raises InputError."""
    from model.errors import InputError, shown

    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{shown(path)} is neither .flac nor .wav.", "For example: -o room.flac")
    if target.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"{shown(path)} is not a file and is not replaced.")
    if target.exists() and not may_replace:
        raise InputError(f"{shown(path)} exists.", "Add --replace to record it anew.")
    folder = target.resolve().parent
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {shown(folder)} does not exist or is not writable.")


def _listen(source: Source, seconds: float, stop: Stop) -> _HeardRoom:
    """Blocks of the source until there is enough, it ends, or somebody asks to stop."""
    import time

    from monitor.session import warn

    heard, state, last = _HeardRoom(), "opening", time.monotonic()
    with source:
        for block in source.blocks(stop, threading.Event()):
            if source.state != state and source.state != "live":
                warn(f"input: {source.state}")
            state = source.state
            if heard.rate_hz not in (0, source.rate_hz):  # it came back with another rate
                heard.blocks.clear()
                heard.n = 0
            heard.rate_hz = source.rate_hz
            heard.lost += block.lost
            if len(block.samples):
                heard.blocks.append(block)
                heard.n, last = heard.n + len(block.samples), time.monotonic()
            if heard.n >= seconds * heard.rate_hz or time.monotonic() - last > _PATIENCE_S:
                break
        heard.problem = source.problem
    return heard


def _judged(heard: _HeardRoom, seconds: float) -> Samples:
    """The samples. Raises OffkeyError where they are no room."""
    import numpy as np

    from model.audio import input_state
    from model.errors import OffkeyError

    if heard.n < _SHORTEST_S * heard.rate_hz or not heard.n:
        why = f" {heard.problem}" if heard.problem else ""
        raise OffkeyError(f"Less than a second was heard; nothing is written.{why}")
    samples: Samples = np.concatenate([block.samples for block in heard.blocks])
    samples = samples[: math.ceil(seconds * heard.rate_hz)]
    state, broken = input_state(samples), heard.not_finite
    if broken and (state is not None or 2 * broken > heard.n):
        raise OffkeyError(
            "The room is not finite: most of its values are no numbers; nothing is written.",
            "Something is wrong with the input or its driver.",
        )
    if state is not None:
        raise OffkeyError(
            f"The room is {state}; nothing is written.",
            "Is the microphone muted, or its level at the lowest?",
        )
    return samples


def _tell_doubts(heard: _HeardRoom, samples: Samples, seconds: float) -> bool:
    """Warn of all that makes a room doubtful; says whether to record it anew."""
    from model.audio import OFFSET
    from monitor.session import warn

    if len(samples) < seconds * heard.rate_hz:
        warn(f"only {len(samples) / heard.rate_hz:.1f} s of {seconds:g} were heard.")
    if heard.lost:
        warn(f"{heard.lost / heard.rate_hz:.1f} s were lost in between and are not in it.")
    if heard.not_finite:
        warn("some values were no numbers; they are zeros now.")
    offset = float(samples.mean(dtype="float64"))
    if abs(offset) > OFFSET:
        warn(
            f"it is off its zero line by {100 * abs(offset):.1f} % of full scale, and sounds will "
            "be, too: that hides what is odd. A high-pass filter before offkey removes it."
        )
    if heard.clips:
        warn("it clips: turn the input level down, and record it anew with --replace.")
    sounded = sounds_in(samples, heard.rate_hz)
    if sounded:
        warn(
            f"something sounded at {_places(sounded)}. What does not belong to the room all the "
            "time is better not in it: record it anew with --replace."
        )
    return heard.clips or bool(sounded)


def _places(sounded: Sequence[float]) -> str:
    """Where the first five sounded, and how many more did: `2.0 s and 3.6 s`."""
    *first, last = [f"{start_s:.1f} s" for start_s in sounded[:5]]
    more = len(sounded) - 5
    if more > 0:
        return f"{', '.join([*first, last])}, and {more:,} {'time' if more == 1 else 'times'} more"
    return f"{', '.join(first)} and {last}" if first else last


def sounds_in(samples: Samples, rate_hz: int) -> Sequence[float]:
    """Where the gate of a monitor would have opened, in seconds."""
    from model.audio import Block
    from model.segment import Segmentation
    from model.segmenter import make_segmenter

    segmenter = make_segmenter(Segmentation(), rate_hz)
    size = max(1, rate_hz // 20)
    found = []
    for start in range(0, len(samples), size):
        found += list(segmenter.push(Block(samples[start : start + size], start)))
    found += list(segmenter.flush())
    return [segment.start_s for segment in found if not segment.continues]


def _in_words(samples: Samples, rate_hz: int) -> str:
    """Length, level and rate; the level is that of what sounds, as calibration takes it."""
    from model.audio import level_dbfs

    level = level_dbfs(samples - samples.mean(dtype="float64").astype("float32"))
    assert level is not None  # it has a signal
    return f"{len(samples) / rate_hz:.1f} s at {level:.0f} dBFS, {rate_hz:,} Hz".replace("-", "−")


def _write(path: str, samples: Samples, rate_hz: int, may_replace: bool) -> None:
    """Write atomically. Raises OffkeyError."""
    import soundfile

    from model.atomic import write_new, write_whole
    from model.errors import OffkeyError, shown

    how = _format(path)
    content = io.BytesIO()
    try:
        soundfile.write(content, samples, rate_hz, format=how.kind, subtype=how.subtype)
    except soundfile.SoundFileError as error:
        raise OffkeyError(f"{shown(path)} cannot be written: it cannot be encoded.") from error
    (write_whole if may_replace else write_new)(path, content.getvalue())
