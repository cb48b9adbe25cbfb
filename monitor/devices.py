"""Sound devices: which there are, and which one a name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.errors import DeviceError, InputError


@dataclass(frozen=True)
class Device:
    """A sound device that has inputs."""

    index: int
    name: str
    channels: int
    rate_hz: int
    host: str
    is_default: bool


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
    """All devices with inputs. Raises DeviceError without PortAudio."""
    sd = load_sounddevice()
    default = sd.default.device[0]
    hosts = sd.query_hostapis()
    return [
        Device(
            index,
            info["name"],
            info["max_input_channels"],
            round(info["default_samplerate"]),
            hosts[info["hostapi"]]["name"],
            index == default,
        )
        for index, info in enumerate(sd.query_devices())
        if info["max_input_channels"] > 0
    ]


def find_device(wanted: str | None) -> Device:
    """The device whose name contains `wanted`, case ignored; the default one for None.

    Raises InputError that lists the choices for an unknown or ambiguous name, DeviceError where
    there is no device at all.
    """
    devices = list_devices()
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
