"""Sound devices: which there are, which one a name means, and what a driver of them offers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import DeviceError, InputError
from monitor.sources import Flag

BLOCK_S = 0.04
"""What a device brings at once: half of it is half the latency, and twice the share of a core."""
Hear = Callable[[NDArray[np.float32], bool, float], None]
"""Takes frames, shape `(n, channels)`, whether some were dropped before them, and the clock."""


@dataclass(frozen=True)
class Device:
    """A sound device that has inputs."""

    index: int
    name: str
    channels: int
    rate_hz: int
    host: str
    is_default: bool


class Driver(Protocol):
    """What opens devices, one at a time: PortAudio, or a rehearsal of it (rehearsal.py)."""

    @property
    def is_active(self) -> bool:
        """Whether the device that was opened is still there, as far as the driver knows."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will ever come, as at the end of a rehearsal."""

    def find(self, name: str | None) -> Device:
        """As `find_device`."""

    def refresh(self, stop: Flag) -> None:
        """Look anew which devices there are. Raises DeviceError, also when `stop` is set."""

    def open(self, device: Device, channels: int, hear: Hear, stop: Flag) -> None:
        """Begin to hear, at the device's own rate. Raises DeviceError, also when `stop` is set."""

    def close(self, limit_s: float, stop: Flag | None = None) -> None:
        """Stop hearing; give up waiting for the device after a while, or when `stop` is set."""

    def now_s(self) -> float:
        """The clock that blocks are stamped with, seconds."""

    def utc(self) -> datetime:
        """The time of day on that clock."""

    def wait(self, arrived: threading.Event, limit_s: float) -> None:
        """Wait until something has arrived, for so many seconds at most."""


def load_sounddevice() -> Any:
    """The sounddevice module. Raises DeviceError without the PortAudio library."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "The PortAudio library is missing.", "On Debian: apt install libportaudio2"
        ) from error
    return sounddevice


def list_devices() -> list[Device]:
    """All devices with inputs. Raises DeviceError without PortAudio, or where it fails."""
    sd = load_sounddevice()
    try:
        default, hosts, known = sd.default.device[0], sd.query_hostapis(), sd.query_devices()
    except sd.PortAudioError as error:
        raise DeviceError(f"The sound system does not answer: {error}.") from error
    return [
        Device(
            index,
            info["name"],
            info["max_input_channels"],
            round(info["default_samplerate"]),
            hosts[info["hostapi"]]["name"],
            index == default,
        )
        for index, info in enumerate(known)
        if info["max_input_channels"] > 0
    ]


def find_device(wanted: str | None, devices: Sequence[Device]) -> Device:
    """The device whose name contains `wanted`, case ignored; the default one for None.

    Raises InputError that lists the choices for an unknown or ambiguous name, DeviceError where
    there is no device at all.
    """
    if not devices:
        raise DeviceError(
            "There is no sound device with an input.",
            "Plug one in, or send WAV: offkey monitor MODEL --input -",
        )
    names = ", ".join(repr(device.name) for device in devices)
    if wanted is None:
        chosen = [d for d in devices if d.is_default]
        if not chosen:
            raise InputError("There is no default input.", f"Add --device with one of {names}.")
        return chosen[0]
    exact = [d for d in devices if d.name.casefold() == wanted.casefold()]
    chosen = exact or [d for d in devices if wanted.casefold() in d.name.casefold()]
    if not chosen:
        raise InputError(f"No input device is called {wanted!r}.", f"There are {names}.")
    if len({d.name for d in chosen}) > 1:
        several = ", ".join(repr(d.name) for d in chosen)
        raise InputError(
            f"{wanted!r} fits several devices: {several}.", "Name one of them in full."
        )
    return chosen[0]
