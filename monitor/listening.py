"""A short time at the microphone, or at a rehearsal of it: for `check` and `room`."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import click

from model.audio import Block
from monitor.sinks import Sink
from monitor.sources import Source
from monitor.stream import Stream

LONGEST_S = 24 * 3600.0


def speed(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """`max`, or how many times real time; infinite for `max`."""
    if text is None or text == "max":
        return None if text is None else math.inf
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise click.UsageError("--speed takes max, or how many times real time, such as 1.")


def check_seconds(seconds: float) -> None:
    """Raises UsageError for a time that nobody can listen."""
    if not 1 <= seconds <= LONGEST_S:
        raise click.UsageError(f"--seconds takes from 1 to {LONGEST_S:,.0f}, not {seconds:g}.")


def place_source(options: dict[str, Any]) -> Source:
    """The microphone, or a rehearsal of it. Raises DeviceError."""
    from model.errors import DeviceError
    from monitor.microphone import Microphone
    from monitor.rehearsal import RehearsedDevice

    path, channel = options["rehearse"], options["channel"]
    if path is None and options["speed"]:
        raise click.UsageError("--speed goes with --rehearse FILE.")
    if path is not None and options["device"] is not None:
        raise click.UsageError("--device and --rehearse exclude each other.")
    if path is not None:
        return Microphone(None, channel, RehearsedDevice(path, options["speed"] or 1.0, []))
    try:
        return Microphone(options["device"], channel)
    except DeviceError as error:
        hint = error.hint
        if "--input" in hint:  # that is for monitors
            hint = "Plug one in, or try without one: --rehearse FILE"
        raise DeviceError(error.sentence, hint) from error


class TimeLimit(Sink):
    """Ends its stream after so many seconds of sound; losses do not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.heard_s = 0.0
        self.stream: Stream | None = None

    def hear(self, block: Block, rate_hz: int) -> None:
        """Count it."""
        self.heard_s += len(block.samples) / rate_hz
        if self.stream is not None and self.heard_s >= self._seconds:
            self.stream.stop()
