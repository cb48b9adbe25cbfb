"""Time offkey against the reference method in one run and print a table.

Run from the project's root: `python tests/bench/run.py`. Medians of `--rounds` runs; offkey is
timed as a whole process, start included, the reference method without its start. `--recordings N`
makes it shorter, `--large` adds 30,000 recordings, `--json` prints the rows as JSON. Machines
differ, and so do their hours: what counts is the ratio to the reference method of the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import reference_method
import soundfile
from material import make_hour, make_many
from memory import run_and_watch
from threadpoolctl import threadpool_limits

from model.audio import read_recording, resample
from model.segment import Segment
from model.segmenter import cut_recording
from model.storage import read_model

ROOT = Path(__file__).parents[2]
SIX = ROOT.parent / "shared" / "data" / "six"
OFFKEY = Path(sys.executable).with_name("offkey")
HOUR_S = 3600


@dataclass(frozen=True)
class Row:
    """One line of the table; numbers in `unit`."""

    what: str
    ours: float
    goal: float
    """At least so much for a ratio, at most so much where there is no reference."""
    unit: str = "s"
    reference: float | None = None
    ratio: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.ours <= self.goal if self.ratio is None else self.ratio >= self.goal


@dataclass(frozen=True)
class Bench:
    """What is measured on, and how often."""

    paths: Sequence[Path]
    folder: Path
    rounds: int
    segments: int

    @property
    def model(self) -> Path:
        """The model that the first row leaves behind."""
        return self.folder / "bench.offkey"

    @property
    def linked(self) -> Path:
        """A folder of the recordings in use."""
        return self.folder / "reference"

    def median(self, work: Callable[[], object]) -> float:
        """Seconds that `work` takes, the median over the rounds."""
        return statistics.median(_seconds(work) for _ in range(self.rounds))


def main() -> int:
    """Measure, print, and say where there is nothing to measure on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=3000)
    parser.add_argument("--segments", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="ten times the recordings, once")
    parser.add_argument("--json", action="store_true", help="the rows as JSON, at the end")
    options = parser.parse_args()
    if not SIX.is_dir():
        print(f"No recordings in {SIX}: nothing to measure on.", file=sys.stderr)
        return 2
    paths = sorted(SIX.glob("*.flac"))[: options.recordings]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(paths, Path(folder), options.rounds, options.segments)
        bench.linked.mkdir()
        for path in paths:
            (bench.linked / path.name).symlink_to(path.resolve())
        rows = []
        out = sys.stderr if options.json else sys.stdout
        print(f"{len(paths):,} recordings, medians of {options.rounds}\n", file=out)
        print(f"{'':<46}{'reference':>11}{'offkey':>11}{'ratio':>8}{'goal':>11}", file=out)
        for row in measure(bench, options.large):
            rows.append(row)
            print(_line(row), file=out, flush=True)
    if options.json:
        print(json.dumps([asdict(row) | {"is_met": row.is_met} for row in rows], indent=1))
    return 0


def measure(bench: Bench, large: bool) -> Iterator[Row]:
    """All rows of the table."""
    fitted: list[reference_method.Fitted] = []
    reference_s = bench.median(lambda: fitted.append(reference_method.calibrate(bench.paths)))
    options = ("-o", bench.model, "--no-maps", "--replace", "--features", "spectrum")
    calibrate = ("calibrate", bench.linked, *options)
    calibrate_s = bench.median(lambda: _run(*calibrate))
    yield _against("calibrate, held-out scores included", reference_s, calibrate_s, 9.6)
    yield from _second_front_end(bench, calibrate_s)
    reference_s = bench.median(lambda: _score_all(fitted[0], bench.paths))
    ours_s = bench.median(lambda: _run("score", bench.model, bench.linked))
    yield _against("score all, one recording at a time", reference_s, ours_s, 17)
    yield from _single_segments(bench, fitted[0])
    hour = make_hour(bench.paths, bench.folder / "hour.wav")
    replay = ("replay", bench.model, hour, "--headless", "--speed", "max")
    ours_s = bench.median(lambda: _run(*replay))
    yield _against("replay of an hour, against real time", HOUR_S, ours_s, 1000)
    yield Row("start to the first line of replay", bench.median(lambda: _first_line(*replay)), 0.6)
    yield Row("offkey --help", bench.median(lambda: _run("--help")), 0.15)
    if not Path("/proc/self/smaps_rollup").exists():
        return
    command = [str(word) for word in (OFFKEY, *calibrate)]
    few_s, peak_mb = run_and_watch(command)
    yield Row(f"peak memory of calibrate, {len(bench.paths):,}", peak_mb, 600, "MB")
    if large:
        many = make_many(bench.paths, bench.folder / "many")
        command[2] = str(many)
        many_s, peak_mb = run_and_watch(command)
        yield Row("the same for ten times as many", peak_mb, 800, "MB")
        yield Row("and its time", many_s / few_s, 11, "times")


def _second_front_end(bench: Bench, spectrum_s: float) -> Iterator[Row]:
    """What it costs to choose, and to score with mel on one thread."""
    auto, mel = bench.folder / "auto.offkey", bench.folder / "mel.offkey"
    words = ("calibrate", bench.linked, "--no-maps", "--replace", "-o")
    auto_s = bench.median(lambda: _run(*words, auto))
    yield Row("calibrate with auto, to spectrum alone", auto_s / spectrum_s, 2, "times")
    _run(*words, mel, "--features", "mel")
    detector = read_model(mel)
    rate_hz = detector.front_end.rate_hz
    segments = [
        cut_recording(read_recording(path, rate_hz, 1.0), detector.segmentation)[0]
        for path in bench.paths[: bench.segments]
    ]
    with threadpool_limits(1):
        each = _each(lambda i: detector.score(segments[i]), len(segments))
    yield Row("one segment with mel, median", 1000 * float(np.median(each)), 0.7, "ms")


def _against(what: str, reference_s: float, ours_s: float, goal: float) -> Row:
    return Row(what, ours_s, goal, "s", reference_s, reference_s / ours_s)


def _score_all(fitted: reference_method.Fitted, paths: Sequence[Path]) -> None:
    for path in paths:
        fitted.score(reference_method.read(path))


def _single_segments(bench: Bench, fitted: reference_method.Fitted) -> Iterator[Row]:
    """One thread. The reference reads each file; ours gets its samples, which is what is live."""
    detector = read_model(bench.model)
    paths = bench.paths[: bench.segments]
    segments = [
        cut_recording(read_recording(path, 6800, 1.0), detector.segmentation)[0] for path in paths
    ]
    sounds: list[tuple[Any, int]] = [soundfile.read(path, dtype="float32") for path in paths]

    def resampled(i: int) -> object:
        heard = resample(sounds[i][0], sounds[i][1], 6800)
        return detector.score(Segment(heard, 0.0, len(heard) / 6800))

    with threadpool_limits(1):
        reference_s = np.median(
            _each(lambda i: fitted.score(reference_method.read(paths[i])), len(paths) // 5)
        )
        ours = _each(lambda i: detector.score(segments[i]), len(paths))
        ours_s = float(np.median(ours))
        yield _against("one segment at the model's rate, median", float(reference_s), ours_s, 35)
        tail = float(np.quantile(ours, 0.99)) / ours_s
        yield Row("its 99th percentile, to the median", tail, 2, "times")
        ours_s = float(np.median(_each(resampled, len(paths))))
        yield _against("the same from 48 kHz", float(reference_s), ours_s, 20)


def _each(work: Callable[[int], object], n: int) -> list[float]:
    work(0)
    return [_seconds(partial(work, i)) for i in range(n)]


def _run(*words: str | Path) -> None:
    command = [str(word) for word in (OFFKEY, *words)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())


def _first_line(*words: str | Path) -> None:
    """Until the first line has come; what comes after it is cut off."""
    command = [str(word) for word in (OFFKEY, *words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("replay said nothing")
        process.kill()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _line(row: Row) -> str:
    reference = "" if row.reference is None else _shown(row.reference, row.unit)
    ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
    goal = f"{row.goal:g}" if row.ratio is not None else _shown(row.goal, row.unit)
    missed = "" if row.is_met else "  missed"
    return (
        f"{row.what:<46}{reference:>11}{_shown(row.ours, row.unit):>11}{ratio:>8}{goal:>11}{missed}"
    )


def _shown(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        return f"{1000 * value:.2f} ms"
    return f"{value:.1f} {unit}"


if __name__ == "__main__":
    sys.exit(main())
