"""The microphone, or a rehearsal of it, for `check`, `room` and `record`; and for a short time."""

from __future__ import annotations

from typing import Any

import click

from model.audio import Block
from monitor.sinks import Sink
from monitor.sources import Source
from monitor.stream import Stream

LONGEST_S = 24 * 3600.0


def check_seconds(seconds: float, longest_s: float = LONGEST_S) -> None:
    """Raises UsageError for a time that nobody can listen, or longer than is needed."""
    if not 1 <= seconds <= longest_s:
        raise click.UsageError(f"--seconds takes from 1 to {longest_s:,.0f}, not {seconds:g}.")


def place_source(options: dict[str, Any]) -> Source:
    """The microphone, or a rehearsal of it, as the options of a verb say. Raises DeviceError."""
    from model.errors import DeviceError
    from monitor.microphone import Microphone
    from monitor.rehearsal import RehearsedDevice, parse_fault

    path, channel, inject = options["rehearse"], options["channel"], options.get("inject")
    if path is None and (inject or options["speed"]):
        words = "--speed goes" if inject is None else "--inject and --speed go"
        raise click.UsageError(f"{words} with --rehearse FILE.")
    if path is not None and options["device"] is not None:
        raise click.UsageError("--device and --rehearse exclude each other.")
    if path is not None:
        faults = [parse_fault(text) for text in inject or ()]
        return Microphone(None, channel, RehearsedDevice(path, options["speed"] or 1.0, faults))
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
