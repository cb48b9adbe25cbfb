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

_SUFFIXES = {".flac": ("FLAC", "PCM_24"), ".wav": ("WAV", "FLOAT")}
_SHORTEST_S = 1.0
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

    check_seconds(options["seconds"])
    _check_target(path, options["replace"])
    stop = Stop()
    with quiet_libraries():
        source = place_source(options)
        warn(f"recording {options['seconds']:g} s of the room: nothing but the room, please.")
        with stop_on_signals(stop.set):
            heard = _listen(source, options["seconds"], stop)
    samples = _judged(heard, options["seconds"])
    _write(path, samples, heard.rate_hz)
    click.echo(f"{shown(path)}: {_in_words(samples, heard.rate_hz)}")
    click.echo(f"Next: offkey calibrate RECORDINGS -o MODEL --room {shown(path)}")


@dataclass
class _HeardRoom:
    rate_hz: int = 0
    blocks: list[Block] = field(default_factory=list)
    n: int = 0
    lost: int = 0
    problem: str | None = None


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
    """The samples, with a warning for all that makes them doubtful. Raises OffkeyError."""
    import numpy as np

    from model.audio import input_state
    from model.errors import OffkeyError
    from monitor.session import warn

    if heard.n < _SHORTEST_S * heard.rate_hz or not heard.n:
        why = f" {heard.problem}" if heard.problem else ""
        raise OffkeyError(f"Less than a second was heard; nothing is written.{why}")
    samples: Samples = np.concatenate([block.samples for block in heard.blocks])
    samples = samples[: math.ceil(seconds * heard.rate_hz)]
    state = input_state(samples)
    if state is not None:
        raise OffkeyError(
            f"The room is {state}; nothing is written.",
            "Is the microphone muted, or its level at the lowest?",
        )
    if len(samples) < seconds * heard.rate_hz:
        warn(f"only {len(samples) / heard.rate_hz:.1f} s of {seconds:g} were heard.")
    if heard.lost:
        warn(f"{heard.lost / heard.rate_hz:.1f} s were lost in between and are not in it.")
    if any(len(block.not_finite) for block in heard.blocks):
        warn("some values were no numbers; they are zeros now.")
    if any(len(block.overloads) for block in heard.blocks):
        warn("it clips: turn the input level down, and record it anew with --replace.")
    sounded = sounds_in(samples, heard.rate_hz)
    if sounded:
        places = ", ".join(f"{start_s:.1f}" for start_s in sounded[:5])
        more = f" and {len(sounded) - 5:,} more" if len(sounded) > 5 else ""
        warn(
            f"something sounded at {places}{more} s. What does not belong to the room all the time "
            "is better not in it: record it anew with --replace."
        )
    return samples


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
    from model.audio import level_dbfs

    level = level_dbfs(samples)
    assert level is not None  # it has a signal
    return f"{len(samples) / rate_hz:.1f} s at {level:.0f} dBFS, {rate_hz:,} Hz".replace("-", "−")


def _write(path: str, samples: Samples, rate_hz: int) -> None:
    """Write atomically. Raises OffkeyError."""
    import soundfile

    from model.atomic import write_whole
    from model.errors import OffkeyError, shown

    kind, subtype = _SUFFIXES[Path(path).suffix.lower()]
    content = io.BytesIO()
    try:
        soundfile.write(content, samples, rate_hz, format=kind, subtype=subtype)
    except soundfile.SoundFileError as error:
        raise OffkeyError(f"{shown(path)} cannot be written: it cannot be encoded.") from error
    write_whole(path, content.getvalue())
