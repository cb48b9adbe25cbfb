"""Time offkey against the reference method in one run and print a table.

Run from the project's root: `python tests/bench/run.py`, with `--recordings N` for a shorter run.
offkey is timed as a whole process, start included; the reference method without its start. Only the
ratio means something: machines differ, and so do their hours.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import reference_method
import soundfile
from threadpoolctl import threadpool_limits

from model.audio import read_recording, resample
from model.segment import Segment
from model.segmenter import cut_recording
from model.storage import read_model

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SIX = ROOT.parent / "shared" / "data" / "six"
OFFKEY = Path(sys.executable).with_name("offkey")


def main() -> int:
    """Measure, print, and say where there is nothing to measure on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=3000)
    parser.add_argument("--segments", type=int, default=200)
    options = parser.parse_args()
    if not SIX.is_dir():
        print(f"No recordings in {SIX}: nothing to measure on.", file=sys.stderr)
        return 2
    paths = sorted(SIX.glob("*.flac"))[: options.recordings]
    print(f"{len(paths):,} recordings, {options.segments} single segments\n")
    print(f"{'what':<44}{'reference':>12}{'offkey':>12}{'ratio':>8}")
    for what, reference_s, ours_s in measure(paths, options.segments):
        ratio = f"{reference_s / ours_s:.1f}"
        print(f"{what:<44}{_seconds(reference_s):>12}{_seconds(ours_s):>12}{ratio:>8}", flush=True)
    return 0


def measure(paths: list[Path], n_segments: int) -> Iterator[tuple[str, float, float]]:
    """Rows of the table: what, the reference method's seconds, offkey's seconds."""
    with tempfile.TemporaryDirectory() as folder:
        linked, model = Path(folder) / "reference", Path(folder) / "bench.offkey"
        linked.mkdir()
        for path in paths:
            (linked / path.name).symlink_to(path.resolve())
        reference_s, fitted = _timed(lambda: reference_method.calibrate(paths))
        ours_s = _run("calibrate", linked, "-o", model, "--no-maps")
        yield "calibrate (ours with held-out scores)", reference_s, ours_s
        reference_s, _ = _timed(
            lambda: [fitted.score(reference_method.read(path)) for path in paths]
        )
        yield "score all, one recording at a time", reference_s, _run("score", model, linked)
        yield from _single_segments(paths[:n_segments], fitted, model)


def _single_segments(
    paths: list[Path], fitted: reference_method.Fitted, model: Path
) -> Iterator[tuple[str, float, float]]:
    detector = read_model(model)
    with threadpool_limits(1):
        samples = [reference_method.read(path) for path in paths]
        segments = [
            cut_recording(read_recording(path, 6800), detector.segmentation)[0] for path in paths
        ]
        reference_s = _median(lambda i: fitted.score(samples[i]), len(paths))
        ours_s = _median(lambda i: detector.score(segments[i]), len(paths))
        yield "one segment at 6.8 kHz, median, one thread", reference_s, ours_s
        sounds = [soundfile.read(path, dtype="float32") for path in paths]

        def resampled(i: int) -> object:
            heard = resample(sounds[i][0], sounds[i][1], 6800)
            return detector.score(Segment(heard, 0.0, len(heard) / 6800))

        def plain(i: int) -> object:
            return fitted.score(resample(sounds[i][0], sounds[i][1], 6800))

        yield "the same from 48 kHz", _median(plain, len(paths)), _median(resampled, len(paths))


def _run(*words: str | Path) -> float:
    command = [str(OFFKEY), *(str(word) for word in words)]
    seconds, done = _timed(lambda: subprocess.run(command, capture_output=True, check=False))
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    return seconds


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _median(work: Callable[[int], object], n: int) -> float:
    work(0)
    return statistics.median(_timed(partial(work, i))[0] for i in range(n))


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
