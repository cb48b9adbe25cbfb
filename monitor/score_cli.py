"""The verb `score`: an archive to lines on stdout, or on a file that grows from run to run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from monitor.options import PATH, model_argument, rate_option

if TYPE_CHECKING:
    from model.detector import Detector
    from monitor.archive import FileLines, Results
    from monitor.sinks import Lines
    from monitor.terminal import Stop

Cluster = Callable[[], AbstractContextManager[None]]


@click.command()
@model_argument
@click.argument("files", metavar="FILE|FOLDER...", nargs=-1, required=True, type=PATH)
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header instead of JSON lines.")
@click.option(
    "--jobs",
    type=click.IntRange(-1, 64),
    default=-1,
    show_default=True,
    help="Files at once; -1: all cores.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="-",
    type=PATH,
    metavar="[FILE]",
    help="Append to the JSON lines in FILE, without the files that are there already; "
    "without FILE: to the file that stdout goes to.",
)
@rate_option
def score(
    model: str,
    files: tuple[str, ...],
    as_csv: bool,
    jobs: int,
    resume: str | None,
    false_alarm_rate: float | None,
    cluster: Cluster = nullcontext,
) -> None:
    """Score many files, each as one recording."""
    from model.errors import InputError
    from model.files import find_recordings
    from model.storage import read_model
    from monitor.terminal import Stop

    if jobs == 0:
        raise InputError("--jobs takes -1 for all cores, or a number of them.")
    if resume is not None and as_csv:
        raise InputError("--resume goes on with JSON lines, not with CSV.")
    detector = read_model(model).with_false_alarm_rate(false_alarm_rate)
    found = find_recordings(files)
    if not found.paths:
        passed = f"{found.ignored:,} other or hidden files were passed over."
        raise InputError("No audio files were found there.", passed if found.ignored else "")
    stop = Stop()

    def run(paths: Sequence[str]) -> Results:
        from monitor import archive

        if cluster is nullcontext:
            return archive.score_files(paths, detector, as_csv, jobs, stop)
        there = archive.ModelOnDisk(os.path.abspath(model), detector.digest, false_alarm_rate)
        return archive.score_on_cluster(paths, detector, there, as_csv, stop, cluster)

    if resume is None:
        from monitor.sinks import Lines, csv_header

        _write(found.paths, run, Lines(sys.stdout, csv_header() if as_csv else ""), detector, stop)
    else:
        _go_on(resume, found.paths, run, detector, stop)


def _go_on(
    target: str,
    paths: Sequence[str],
    run: Callable[[Sequence[str]], Results],
    detector: Detector,
    stop: Stop,
) -> None:
    from model.errors import as_text
    from monitor.resume import appending, take_up
    from monitor.session import warn
    from monitor.sinks import Lines

    done = take_up(target, detector)
    rest = [path for path in paths if as_text(path) not in done]
    if len(rest) < len(paths):
        warn(f"{len(paths) - len(rest):,} of {len(paths):,} files are there already.")
    if rest:
        with appending(target) as file:
            _write(rest, run, Lines(file), detector, stop, must_score=len(rest) == len(paths))


def _write(
    paths: Sequence[str],
    run: Callable[[Sequence[str]], Results],
    lines: Lines,
    detector: Detector,
    stop: Stop,
    must_score: bool = True,
) -> None:
    from model.errors import InputError, shown
    from monitor.session import warn
    from monitor.terminal import stop_on_signals

    files, scored, cut, anomalous, unscored, learnt = 0, 0, 0, 0, 0, 0
    with stop_on_signals(stop.set), contextlib.closing(run(paths)) as results:
        for result in results:
            files, scored, cut = files + 1, scored + result.n_scored, cut + result.was_cut
            anomalous, unscored = anomalous + result.is_anomalous, unscored + (not result.n_scored)
            learnt += result.was_learnt
            lines.write(result.text)
            if result.problem:
                warn(result.problem)
            if result.was_cut and cut == 1:
                _warn_of_cut(result, detector)
        interrupted = stop.is_set()
    if interrupted:
        warn(f"interrupted: {files:,} of {len(paths):,} files are done.")
    elif must_score and not scored:
        raise InputError("None of the files could be scored.")
    else:
        recordings = f"{files:,} recording{'' if files == 1 else 's'}"
        told = f"{recordings}: {anomalous:,} anomalous, {unscored:,} not scored"
        if learnt:
            how = ", and seldom finds anomalous"
            if detector.card.room is not None:
                how = f" in the noise of {shown(detector.card.room.name)}"
            told += f"; {learnt:,} of them the model has learnt from{how}"
        warn(f"{told}.")


def _warn_of_cut(result: FileLines, detector: Detector) -> None:
    from model.errors import shown
    from monitor.session import warn

    name, longest_s = shown(result.source), detector.segmentation.duration_s
    warn(
        f"{name} is longer than {longest_s:g} s: only its beginning is scored, as of every "
        "long file. offkey replay finds all sounds in a file."
    )
