"""Does it run for weeks: memory, threads, descriptors and share of a core over a long run.

Run from the project's root: `python tests/bench/soak.py`. The demo's stream is repeated to 24 hours
and replayed as fast as it goes; then ten minutes of it are rehearsed as a microphone at 48 kHz in
real time. `--hours` and `--minutes` change the lengths; 0 leaves one out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import soxr

from calibrate.fitting import Settings, calibrate
from model.storage import write_model

DEMO = Path(__file__).parents[2] / "monitor" / "demo"


@dataclass(frozen=True)
class Run:
    """What a run of the command took."""

    segments: int
    audio_s: float
    wall_s: float
    core_share: float
    """Processor time over elapsed time."""
    peak_mb: float
    growth_mb: float
    """Resident memory at the end less that after the first minute of time."""
    course_mb: list[float]
    """The same at each tenth of the sound, less that after its first minute."""
    threads: int
    descriptors: int
    """More than after the first minute."""
    summary: str


@dataclass(frozen=True)
class _Usage:
    resident_mb: float
    threads: int
    descriptors: int
    processor_s: float


@dataclass
class _Seen:
    """What was seen of a process while it ran."""

    segments: int = 0
    reached_s: float = 0.0
    first: _Usage | None = None
    """After the first minute of time, or at the end of a shorter run."""
    last: _Usage | None = None
    peak_mb: float = 0.0
    course_mb: list[float] = field(default_factory=list)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "demo.offkey"
        write_model(model, calibrate([str(DEMO / "reference")], Settings(maps=False)))
        if asked.hours:
            long = write_long(folder / "long.flac", asked.hours * 3600)
            tell(
                f"replay of {asked.hours:g} h",
                run(["replay", model, long, "--speed", "max"], 360 * asked.hours),
            )
        if asked.minutes:
            live = write_long(folder / "live.flac", asked.minutes * 60, 48_000)
            tell(
                f"microphone, {asked.minutes:g} min",
                run(["monitor", model, "--rehearse", live], 6 * asked.minutes),
            )
    return 0


def write_long(path: Path, length_s: float, rate_hz: int | None = None) -> Path:
    """The demo's stream over and over, up to a length, at a rate."""
    stream, own_rate_hz = soundfile.read(DEMO / "stream.flac", dtype="float32")
    rate_hz = rate_hz or own_rate_hz
    stream = soxr.resample(stream, own_rate_hz, rate_hz)
    left = round(length_s * rate_hz)
    with soundfile.SoundFile(path, "w", rate_hz, 1, subtype="PCM_16") as file:
        while left > 0:
            file.write(stream[:left])
            left -= len(stream)
    return path


def run(arguments: list[str | Path], tenth_s: float) -> Run:
    """Run `offkey` headless and watch it. Raises SystemExit where it fails."""
    command = Path(sys.executable).with_name("offkey")
    began = time.monotonic()
    process = subprocess.Popen(
        [command, *arguments, "--headless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    seen = _watch(process.pid, process.stdout, began + 60, tenth_s)
    summary = process.stderr.read().strip()
    if process.wait() or seen.first is None or seen.last is None:
        raise SystemExit(f"offkey ended with {process.returncode}: {summary}")
    first, last, wall_s = seen.first, seen.last, time.monotonic() - began
    return Run(
        seen.segments,
        seen.reached_s,
        wall_s,
        last.processor_s / wall_s,
        seen.peak_mb,
        last.resident_mb - first.resident_mb,
        [mb - seen.course_mb[0] for mb in seen.course_mb[1:]],
        last.threads - first.threads,
        last.descriptors - first.descriptors,
        summary,
    )


def _watch(pid: int, lines: Iterable[str], settled_at_s: float, tenth_s: float) -> _Seen:
    """Look at a process with every segment that it writes; `settled_at_s` is on the clock."""
    seen = _Seen()
    for text in lines:
        line = json.loads(text)
        if line["type"] != "segment":
            continue
        seen.segments, seen.reached_s = seen.segments + 1, line["start_s"]
        seen.last = _usage(pid) or seen.last
        if seen.last is None:
            continue
        seen.peak_mb = max(seen.peak_mb, seen.last.resident_mb)
        if seen.reached_s >= max(60, len(seen.course_mb) * tenth_s):
            seen.course_mb.append(seen.last.resident_mb)
        if seen.first is None and time.monotonic() >= settled_at_s:
            seen.first = seen.last
    seen.first = seen.first or seen.last
    return seen


def _usage(pid: int) -> _Usage | None:
    """What a process has by now; None where it has just ended."""
    folder = Path("/proc") / str(pid)
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        times = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        descriptors = len(list((folder / "fd").iterdir()))
        resident_mb = int(status["VmRSS"].split()[0]) / 1024
    except (OSError, KeyError):
        return None
    ticks = int(times[11]) + int(times[12])
    processor_s = ticks / os.sysconf("SC_CLK_TCK")
    return _Usage(resident_mb, int(status["Threads"]), descriptors, processor_s)


def tell(name: str, run: Run) -> None:
    """Print a run."""
    print(
        f"{name}: {run.segments:,} segments, {run.audio_s / run.wall_s:,.0f} times real time, "
        f"{100 * run.core_share:.2f} % of a core, peak {run.peak_mb:.1f} MB\n"
        f"  after the first minute: {run.growth_mb:+.2f} MB, {run.threads:+d} threads, "
        f"{run.descriptors:+d} descriptors\n  after the first minute of sound, each tenth: "
        f"{' '.join(f'{mb:+.2f}' for mb in run.course_mb)} MB\n  {run.summary}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
