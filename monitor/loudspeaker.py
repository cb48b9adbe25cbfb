"""Plays one sound through the default output, in a process of its own (see playback.py).

It waits on stdin for a line of JSON with the rate, then samples to the end. How it ends says what
became of them; what went wrong stands on stdout.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, NoReturn

import numpy as np

from model.audio import Samples, resample
from model.errors import DeviceError
from monitor import devices, helper

FADE_S = 0.005
"""At both ends, where a segment was cut out of sound: else it would click."""
LEAD_S = 0.1
"""Silence before and after: the first moments of a sound that begins to play may be missing."""
LATENCY_S = 0.2
"""So long a busy machine may leave the sound system without anything new."""
_IDLE_S = 60.0
PLAYED, FAILED, IDLE = 0, 1, 3
"""Exit codes. IDLE: nothing came to be played."""


def play_out(samples: Samples, rate_hz: int) -> None:
    """Play through the default output, at its own rate; return at the end. Raises DeviceError."""
    sd = devices.load_sounddevice()
    try:
        output = _default_output(sd)
        device_hz = round(output["default_samplerate"])
        frames = make_frames(samples, rate_hz, device_hz, min(2, output["max_output_channels"]))
        with sd.OutputStream(
            device=output["index"],
            samplerate=device_hz,
            channels=frames.shape[1],
            dtype="float32",
            latency=LATENCY_S,
        ) as stream:
            stream.write(frames)
            # What lies in the buffer when a stream is closed may never be heard.
            stream.write(np.zeros((round(stream.latency * device_hz), frames.shape[1]), np.float32))
    except sd.PortAudioError as error:
        raise DeviceError(f"The sound cannot be played: {helper.reason(error)}.") from error


def _default_output(sd: Any) -> dict[str, Any]:
    index = sd.default.device[1]
    if index is None or index < 0:
        raise DeviceError(
            "There is no sound output to play it on.", "Plug in headphones or a loudspeaker."
        )
    return {"index": index, **sd.query_devices(index)}


def make_frames(samples: Samples, rate_hz: int, device_hz: int, channels: int) -> Samples:
    """What an output is given, shape `(n, channels)`: resampled, faded at the ends, unclipped."""
    faded = samples.copy()
    n = min(len(faded) // 2, round(FADE_S * rate_hz))
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    faded[:n] *= ramp
    faded[len(faded) - n :] *= ramp[::-1]
    at_rate = resample(faded, rate_hz, device_hz)
    at_rate = at_rate / max(1.0, float(np.abs(at_rate).max(initial=0.0)))
    silence = np.zeros(round(LEAD_S * device_hz), np.float32)
    whole = np.concatenate([silence, at_rate, silence])
    return np.repeat(whole[:, None], channels, axis=1)


def main() -> NoReturn:
    """Wait for a sound, play it, end."""
    helper.ignore_interrupts()
    idle = threading.Timer(_IDLE_S, os._exit, [IDLE])
    idle.daemon = True
    idle.start()
    header = sys.stdin.buffer.readline()
    idle.cancel()
    data = sys.stdin.buffer.read()
    if not header:
        os._exit(IDLE)
    try:
        play_out(np.frombuffer(data, "<f4").astype(np.float32), json.loads(header)["rate_hz"])
    except DeviceError as error:
        said = json.dumps({"sentence": error.sentence, "hint": error.hint})
        sys.stdout.write(said)
        sys.stdout.flush()
        os._exit(FAILED)
    os._exit(PLAYED)  # PortAudio's own end may hang
