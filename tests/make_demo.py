"""Make the recordings of `offkey demo` with espeak-ng.

    python tests/make_demo.py [OUTPUT_FOLDER]

The output folder is `monitor/demo` unless another one is given. It receives

* `reference/6_<voice>_<take>.flac`: the word "six" in 30 voices, 8 takes each;
* `stream.flac`: 32 other sixes in 16 voices that the reference does not hold, and among them
  8 planted oddities (three other digits, a click, two noise bursts, a hum and a tone);
* `truth.json`: what each of the 40 sounds of the stream is, and when it starts and ends.

A voice is an English accent of espeak-ng together with one of its voice variants. No variant
serves two voices, so that a voice of the stream is not a voice of the reference with another
accent. Takes differ in rate, pitch and level. Every recording is mono, 16 bit, 8,000 Hz FLAC, over
a faint room background. All choices come from one fixed seed, made before any detector saw the
recordings: the same version of espeak-ng gives the same files byte for byte.

Recordings that an earlier run left in `OUTPUT_FOLDER/reference` (`6_*.flac`) are replaced.
Needs espeak-ng, numpy, soundfile and soxr.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Samples: TypeAlias = npt.NDArray[np.float64]

SEED = 6
RATE_HZ = 8_000
MOST_BYTES = 2_000_000

# en-gb and en-us-nyc are left out: they say "six" exactly as en and en-us do, and espeak-ng 1.51
# ignores the variant after en-gb.
ACCENTS = (
    "en",
    "en-us",
    "en-029",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-gb-x-rp",
)
# Only human-like variants: no whisper, croak, robot or other effect voices.
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"),
    *("Alex", "Andrea", "Annie", "Diogo", "Gene", "Hugo", "Mario", "Michael", "Mike"),
    *("adam", "anika", "antonio", "aunty", "belinda", "benjamin", "david", "ed", "edward"),
    *("grandma", "grandpa", "gustave", "john", "linda", "marcelo", "max", "michel", "miguel"),
    *("pablo", "paul", "pedro", "quincy", "robert", "shelby", "steph", "travis", "victor"),
)
REFERENCE_VOICES = 30
STREAM_VOICES = 16
TAKES_PER_VOICE = 8
STREAM_SIXES = 32
ODD_DIGITS = ("nine", "four", "one")

SPEECH_RATE_WPM = (130, 200)
SPEECH_PITCH = (30, 70)
LEVEL_DBFS = (-32.0, -20.0)
HIGHEST_PEAK_DBFS = -1.0
TRIM_DB = -50.0
BACKGROUND_DBFS = -66.0
# The loudest variants reach full scale, and are limited, at espeak-ng's default amplitude of 100.
ESPEAK_AMPLITUDE = 40

MARGIN_S = (0.050, 0.100)
LONGEST_REFERENCE_S = 1.0
GAP_S = (0.7, 1.4)
STREAM_EDGE_S = 1.5


class DemoError(Exception):
    """The recordings cannot be made as described."""


@dataclass(frozen=True)
class Voice:
    """An accent of espeak-ng together with one of its voice variants."""

    accent: str
    variant: str

    @property
    def name(self) -> str:
        """Name used in file names and in the truth file: ASCII, no underscore."""
        return f"{self.accent}-{self.variant.lower()}"

    @property
    def espeak_name(self) -> str:
        """Name that `espeak-ng -v` takes."""
        return f"{self.accent}+{self.variant}"


@dataclass(frozen=True)
class Take:
    """How a word is said: rate in words per minute, espeak-ng pitch (0-99) and RMS level."""

    rate_wpm: int
    pitch: int
    level_dbfs: float


@dataclass(frozen=True)
class Sound:
    """One sound of the stream; `voice` is None where nobody speaks."""

    kind: str
    voice: str | None
    samples: Samples


@dataclass(frozen=True)
class TruthEntry:
    """Where one sound lies in the stream (seconds), what it is and whose voice it is."""

    start_s: float
    end_s: float
    kind: str
    voice: str | None


def generator(*key: int) -> np.random.Generator:
    """Return the random generator of one purpose, independent of those of the others."""
    return np.random.default_rng([SEED, *key])


def to_amplitude(level_db: float) -> float:
    """Convert a level in dB (dBFS) to a linear factor (amplitude)."""
    return float(10.0 ** (level_db / 20.0))


def to_samples(duration_s: float) -> int:
    """Convert a duration in seconds to a number of samples."""
    return round(duration_s * RATE_HZ)


def at_level(samples: Samples, level_dbfs: float) -> Samples:
    """Scale to an RMS level in dBFS (full scale = 1.0), no higher than the peak limit allows."""
    rms_gain = to_amplitude(level_dbfs) / float(np.sqrt(np.mean(samples**2)))
    peak_gain = to_amplitude(HIGHEST_PEAK_DBFS) / float(np.max(np.abs(samples)))
    return samples * min(rms_gain, peak_gain)


def with_fades(samples: Samples, fade_s: float) -> Samples:
    """Fade in and out over `fade_s` seconds each (raised cosine)."""
    length = to_samples(fade_s)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    faded = samples.copy()
    faded[:length] *= ramp
    faded[-length:] *= ramp[::-1]
    return faded


# --- Voices and words ---------------------------------------------------------------------------


def draw_voices() -> tuple[list[Voice], list[Voice]]:
    """Split a seeded shuffle of all accents x variants into reference and stream voices."""
    population = [Voice(*pair) for pair in itertools.product(ACCENTS, VARIANTS)]
    first_of_variant: dict[str, Voice] = {}
    for index in generator(0).permutation(len(population)):
        voice = population[index]
        first_of_variant.setdefault(voice.variant, voice)
    voices = list(first_of_variant.values())
    last = REFERENCE_VOICES + STREAM_VOICES
    return voices[:REFERENCE_VOICES], voices[REFERENCE_VOICES:last]


def draw_take(rng: np.random.Generator) -> Take:
    """Draw rate, pitch and level of one spoken word."""
    return Take(
        rate_wpm=int(rng.integers(*SPEECH_RATE_WPM, endpoint=True)),
        pitch=int(rng.integers(*SPEECH_PITCH, endpoint=True)),
        level_dbfs=draw_level(rng),
    )


def draw_level(rng: np.random.Generator) -> float:
    """Draw the RMS level of a word-like sound (dBFS)."""
    return float(rng.uniform(*LEVEL_DBFS))


def synthesize(word: str, espeak_name: str, rate_wpm: int, pitch: int) -> tuple[Samples, int]:
    """Let espeak-ng say a word; return its samples (full scale = 1.0) and its rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        command = ["espeak-ng", "-v", espeak_name, "-s", str(rate_wpm), "-p", str(pitch)]
        command += ["-a", str(ESPEAK_AMPLITUDE), "-w", str(path), word]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise DemoError(f"espeak-ng failed for {espeak_name}: {result.stderr.strip()}")
        samples, rate_hz = soundfile.read(path, dtype="float64")
    if samples.size == 0 or not samples.any():
        raise DemoError(f'espeak-ng gave no sound for "{word}" in {espeak_name}.')
    return samples, int(rate_hz)


def trim(samples: Samples) -> Samples:
    """Cut the silence before and after a word, as far as it lies 50 dB below the word's peak."""
    magnitude = np.abs(samples)
    loud = np.flatnonzero(magnitude > magnitude.max() * to_amplitude(TRIM_DB))
    return samples[loud[0] : loud[-1] + 1]


def spoken_word(word: str, voice: Voice, take: Take) -> Samples:
    """Say a word; return it trimmed, at 8,000 Hz and at the level of the take."""
    samples, rate_hz = synthesize(word, voice.espeak_name, take.rate_wpm, take.pitch)
    resampled: Samples = soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ")
    return at_level(trim(resampled), take.level_dbfs)


def check_voices_differ(voices: list[Voice]) -> None:
    """Raise `DemoError` if two voices, or a voice and its bare accent, say "six" identically.

    espeak-ng passes over a variant that it does not know without a word, so that only the audio
    shows whether a voice is one of its own.
    """
    owners: dict[bytes, str] = {}
    for name in [*ACCENTS, *(voice.espeak_name for voice in voices)]:
        samples, _ = synthesize("six", name, rate_wpm=160, pitch=50)
        owner = owners.setdefault(samples.tobytes(), name)
        if owner != name:
            raise DemoError(f'espeak-ng gives the same "six" for {owner} and {name}.')


# --- Background and oddities --------------------------------------------------------------------


def room_background(rng: np.random.Generator, length: int) -> Samples:
    """Return pink noise at the background level, `length` samples long."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency_hz = np.fft.rfftfreq(length, 1.0 / RATE_HZ)
    # Flat below 20 Hz, where 1/f would put most of the power into inaudible drift.
    pink: Samples = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency_hz, 20.0)), length)
    return at_level(pink, BACKGROUND_DBFS)


def click(rng: np.random.Generator) -> Samples:
    """Return a click of 4 ms, like a dropped pen: decaying noise with its peak at -6 dBFS."""
    time_s = np.arange(to_samples(0.004)) / RATE_HZ
    decaying: Samples = rng.standard_normal(time_s.size) * np.exp(-time_s / 0.001)
    return decaying * (to_amplitude(-6.0) / float(np.max(np.abs(decaying))))


def white_noise_burst(rng: np.random.Generator) -> Samples:
    """Return 0.3-0.5 s of white noise at a word-like level."""
    noise = rng.standard_normal(to_samples(rng.uniform(0.3, 0.5)))
    return at_level(with_fades(noise, 0.005), draw_level(rng))


def hiss_burst(rng: np.random.Generator) -> Samples:
    """Return 0.3-0.5 s of noise above 2 kHz at a word-like level."""
    noise = rng.standard_normal(to_samples(rng.uniform(0.3, 0.5)))
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(noise.size, 1.0 / RATE_HZ) < 2_000.0] = 0.0
    hiss = np.fft.irfft(spectrum, noise.size)
    return at_level(with_fades(hiss, 0.005), draw_level(rng))


def hum(rng: np.random.Generator) -> Samples:
    """Return 0.6 s of 50 Hz and its harmonics up to 500 Hz at a word-like level."""
    time_s = np.arange(to_samples(0.6)) / RATE_HZ
    total = np.zeros(time_s.size)
    for harmonic in range(1, 11):
        phase = rng.uniform(0.0, 2.0 * np.pi)
        total += np.sin(2.0 * np.pi * 50.0 * harmonic * time_s + phase) / harmonic
    return at_level(with_fades(total, 0.010), draw_level(rng))


def tone(rng: np.random.Generator) -> Samples:
    """Return 0.5 s of a 1 kHz sine at a word-like level, with fades of 10 ms."""
    time_s = np.arange(to_samples(0.5)) / RATE_HZ
    sine = np.sin(2.0 * np.pi * 1_000.0 * time_s)
    return at_level(with_fades(sine, 0.010), draw_level(rng))


# --- Recordings ---------------------------------------------------------------------------------


def write_flac(path: Path, samples: Samples) -> None:
    """Write mono 16 bit FLAC at 8,000 Hz; samples at full scale would be clipping."""
    quantized = np.round(samples * 32_768.0)
    if np.max(np.abs(quantized)) > 32_767:
        raise DemoError(f"{path.name} clips.")
    soundfile.write(path, quantized.astype(np.int16), RATE_HZ, format="FLAC", subtype="PCM_16")


def reference_recording(voice: Voice, rng: np.random.Generator) -> Samples:
    """Return one take of "six" with a short margin of background on each side."""
    word = spoken_word("six", voice, draw_take(rng))
    before, after = (to_samples(margin_s) for margin_s in rng.uniform(*MARGIN_S, size=2))
    padded = np.pad(word, (before, after))
    if padded.size > to_samples(LONGEST_REFERENCE_S):
        raise DemoError(f"A recording of {voice.name} is longer than {LONGEST_REFERENCE_S} s.")
    return padded + room_background(rng, padded.size)


def write_reference(folder: Path, voices: list[Voice]) -> None:
    """Write all takes of all reference voices into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("6_*.flac"):
        stale.unlink()
    for number, voice in enumerate(voices):
        for take in range(TAKES_PER_VOICE):
            recording = reference_recording(voice, generator(1, number, take))
            write_flac(folder / f"6_{voice.name}_{take}.flac", recording)


def spoken_sound(kind: str, word: str, voice: Voice, rng: np.random.Generator) -> Sound:
    """Return one new take of a word as a sound of the stream."""
    return Sound(kind, voice.name, spoken_word(word, voice, draw_take(rng)))


def normal_sounds(voices: list[Voice], rng: np.random.Generator) -> list[Sound]:
    """Return the sixes of the stream, spread evenly over its voices, in seeded order."""
    order = rng.permutation(np.arange(STREAM_SIXES) % len(voices))
    return [spoken_sound("six", "six", voices[number], rng) for number in order]


def odd_sounds(voices: list[Voice], rng: np.random.Generator) -> list[Sound]:
    """Return the eight oddities in seeded order."""
    speakers = rng.choice(len(voices), size=len(ODD_DIGITS), replace=False)
    digits = [
        spoken_sound(f"digit {word}", word, voices[number], rng)
        for word, number in zip(ODD_DIGITS, speakers, strict=True)
    ]
    others = [
        Sound("click", None, click(rng)),
        Sound("white noise burst", None, white_noise_burst(rng)),
        Sound("hiss burst", None, hiss_burst(rng)),
        Sound("hum", None, hum(rng)),
        Sound("tone", None, tone(rng)),
    ]
    sounds = digits + others
    return [sounds[index] for index in rng.permutation(len(sounds))]


def stream_sounds(voices: list[Voice], rng: np.random.Generator) -> list[Sound]:
    """Return all sounds of the stream in order; the first two are never oddities."""
    normal = iter(normal_sounds(voices, rng))
    odd = odd_sounds(voices, rng)
    total = STREAM_SIXES + len(odd)
    positions = np.sort(2 + rng.choice(total - 2, size=len(odd), replace=False))
    odd_at = dict(zip(positions.tolist(), odd, strict=True))
    return [odd_at[place] if place in odd_at else next(normal) for place in range(total)]


def assemble(sounds: list[Sound], rng: np.random.Generator) -> tuple[Samples, list[TruthEntry]]:
    """Lay the sounds out with gaps over the background; return the stream and its truth."""
    edge = np.zeros(to_samples(STREAM_EDGE_S))
    parts = [edge]
    truth: list[TruthEntry] = []
    position = edge.size
    for number, sound in enumerate(sounds):
        if number > 0:
            gap = np.zeros(to_samples(rng.uniform(*GAP_S)))
            parts.append(gap)
            position += gap.size
        end = position + sound.samples.size
        start_s, end_s = round(position / RATE_HZ, 3), round(end / RATE_HZ, 3)
        truth.append(TruthEntry(start_s, end_s, sound.kind, sound.voice))
        parts.append(sound.samples)
        position = end
    stream = np.concatenate([*parts, edge])
    return stream + room_background(rng, stream.size), truth


def write_stream(folder: Path, voices: list[Voice]) -> float:
    """Write the stream and its truth file into `folder`; return the duration in seconds."""
    rng = generator(2)
    stream, truth = assemble(stream_sounds(voices, rng), rng)
    write_flac(folder / "stream.flac", stream)
    # One sound a line, so that a change of one sound shows as a change of one line.
    lines = ",\n".join("  " + json.dumps(asdict(entry)) for entry in truth)
    text = '{"sounds": [\n' + lines + "\n]}\n"
    (folder / "truth.json").write_text(text, encoding="ascii")
    return stream.size / RATE_HZ


def make_demo(folder: Path) -> str:
    """Make all recordings in `folder`; return a summary of them."""
    reference, stream = draw_voices()
    check_voices_differ(reference + stream)
    write_reference(folder / "reference", reference)
    duration_s = write_stream(folder, stream)
    files = [*sorted((folder / "reference").glob("6_*.flac"))]
    files += [folder / "stream.flac", folder / "truth.json"]
    total = sum(path.stat().st_size for path in files)
    if total > MOST_BYTES:
        raise DemoError(f"The recordings take {total:,} bytes: lower TAKES_PER_VOICE, not below 6.")
    return (
        f"{len(files)} files, {total:,} bytes, stream of {duration_s:.1f} s\n"
        f"reference voices: {', '.join(voice.name for voice in reference)}\n"
        f"stream voices: {', '.join(voice.name for voice in stream)}"
    )


def main() -> int:
    """Run the script; return its exit status."""
    parser = argparse.ArgumentParser(description="Make the recordings of `offkey demo`.")
    default = Path(__file__).resolve().parent.parent / "monitor" / "demo"
    parser.add_argument("output_folder", nargs="?", type=Path, default=default)
    folder: Path = parser.parse_args().output_folder
    if shutil.which("espeak-ng") is None:
        print("Install espeak-ng, e.g. with `apt-get install espeak-ng`.", file=sys.stderr)
        return 2
    try:
        print(make_demo(folder))
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
