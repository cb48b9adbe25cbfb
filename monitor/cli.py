"""The verbs of this room. Heavy imports wait until there is work; what a verb does is elsewhere."""

from __future__ import annotations

import contextlib
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from model.detector import Detector
    from monitor.archive import ScoredFile
    from monitor.sinks import Sink
    from monitor.sources import Source
    from monitor.stream import Snapshot, Stream

_path = click.Path(readable=False)  # what cannot be read is told where it is read
_jobs = click.IntRange(-1, 64)
_rate = click.option(
    "--false-alarm-rate", type=float, help="Largest p that alarms, instead of the model's own."
)
_headless = click.option(
    "--headless", is_flag=True, help="JSON lines on stdout instead of the screen."
)
_save = click.option("--save", metavar="DIR", help="Save every alarm as FLAC beside a JSON.")


@click.command()
@click.argument("model", type=_path)
@click.option("--device", metavar="NAME", help="Input device, by part of its name.")
@click.option("--channel", type=int, metavar="N", help="Listen to this channel only, from 1.")
@click.option("--input", "pipe", type=click.Choice(["-"]), help="WAV from standard input.")
@_headless
@_save
@click.option(
    "--on-anomaly",
    metavar="COMMAND",
    help="Program to run for alarms, without a shell, the JSON on its stdin; "
    "while it runs, only the newest alarm waits.",
)
@_rate
def monitor(model: str, device: str | None, pipe: str | None, **options: Any) -> None:
    """Score a microphone, or a pipe, live."""
    from monitor.terminal import quiet_libraries

    if pipe and device:
        raise click.UsageError("--input - and --device exclude each other.")
    detector = _read(model, options["false_alarm_rate"])
    with quiet_libraries():
        source = _pipe(options["channel"]) if pipe else _microphone(device, options["channel"])
        _run(detector, [source], model, options)


@click.command()
@click.argument("model", type=_path)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
@click.option("--speed", metavar="1|max", help="Real time, or as fast as it goes.")
@_headless
@_save
@_rate
def replay(model: str, files: tuple[str, ...], speed: str | None, **options: Any) -> None:
    """Play files through the detector as if they were live."""
    from monitor.sources import AudioFile

    pace = _speed(speed or ("max" if _is_headless(options["headless"]) else "1"))
    detector = _read(model, options["false_alarm_rate"])
    sources = [AudioFile(path, pace) for path in files]
    _run(detector, sources, model, options)


@click.command()
@click.argument("model", type=_path)
@click.argument("files", metavar="FILE|FOLDER...", nargs=-1, required=True, type=_path)
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header instead of JSON lines.")
@click.option(
    "--jobs", type=_jobs, default=-1, show_default=True, help="Files at once; -1: all cores."
)
@_rate
def score(
    model: str, files: tuple[str, ...], as_csv: bool, jobs: int, false_alarm_rate: float | None
) -> None:
    """Score many files, each as one recording."""
    from model.errors import InputError
    from model.files import find_recordings
    from monitor.archive import score_files
    from monitor.sinks import CsvLines, JsonLines
    from monitor.terminal import Stop, stop_on_signals

    if jobs == 0:
        raise InputError("--jobs takes -1 for all cores, or a number of them.")
    detector = _read(model, false_alarm_rate)
    found = find_recordings(files)
    if not found.paths:
        passed = f"{found.ignored:,} other or hidden files were passed over."
        raise InputError("No audio files were found there.", passed if found.ignored else "")
    sink = CsvLines(sys.stdout) if as_csv else JsonLines(sys.stdout)
    counts = {"files": 0, "scored": 0, "cut": 0}
    stop = Stop()
    results = score_files(found.paths, detector, jobs, stop)
    with stop_on_signals(stop.set), contextlib.closing(results):
        for result in results:
            _report(result, detector, counts, sink)
        interrupted = stop.is_set()
    if interrupted:
        _warn(f"interrupted: {counts['files']:,} of {len(found.paths):,} files are done.")
    if not counts["scored"] and not interrupted:
        raise InputError("None of the files could be scored.")


def _report(result: ScoredFile, detector: Detector, counts: dict[str, int], sink: Sink) -> None:
    from model.errors import shown

    counts["files"] += 1
    for heard in result.heard:
        sink.take(heard)
        counts["scored"] += heard.score.reason is None
    if result.problem:
        _warn(result.problem)
    counts["cut"] += result.was_cut
    if result.was_cut and counts["cut"] == 1:
        name, longest_s = shown(result.heard[0].source), detector.segmentation.duration_s
        _warn(
            f"{name} is longer than {longest_s:g} s: only its beginning is scored, as of every "
            "long file. offkey replay finds all sounds in a file."
        )


@click.command()
@click.argument("model", type=_path)
def inspect(model: str) -> None:
    """What a model is, was made of, and promises."""
    from model.errors import shown
    from model.summary import describe

    detector = _read(model, None)
    versions = ", ".join(f"{k} {v}" for k, v in detector.card.versions.items())
    click.echo(f"{'model':<18}{shown(model)}")
    click.echo(f"{'made':<18}{detector.card.created} with {versions}")
    click.echo(
        f"{'digest':<18}{detector.digest[:16]}, of the reference "
        f"{detector.card.reference_digest[:16]}"
    )
    click.echo(describe(detector))


@click.command()
@click.argument("model", type=_path)
@click.argument("cluster", type=int)
@click.argument("name")
def label(model: str, cluster: int, name: str) -> None:
    """Give a cluster of a model a name; an empty name takes it away."""
    from dataclasses import replace

    from model.storage import write_model

    detector = _read(model, None)
    clusters = detector.clusters.renamed(cluster, name)
    write_model(model, replace(detector, clusters=clusters))
    click.echo(f"Cluster {cluster} is now called {clusters.name(cluster)!r}.")


@click.command()
def devices() -> None:
    """List the sound devices that can be monitored."""
    from monitor.devices import list_devices
    from monitor.terminal import quiet_libraries

    with quiet_libraries():
        found = list_devices()
    if not found:
        click.echo("There is no sound device with an input.", err=True)
    for device in found:
        mark = "  (default)" if device.is_default else ""
        inputs = f"{device.channels} channels, {device.rate_hz:,} Hz, {device.host}"
        click.echo(f"{device.name}{mark}\n    {inputs}")


def _read(path: str, false_alarm_rate: float | None) -> Detector:
    from model.storage import read_model

    return read_model(path).with_false_alarm_rate(false_alarm_rate)


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise click.UsageError("--speed takes max, or how many times real time, such as 1.")


def _pipe(channel: int | None) -> Source:
    from monitor.pipe import Pipe, take_stdin

    return Pipe(take_stdin(), channel=channel)


def _microphone(device: str | None, channel: int | None) -> Source:
    from monitor.microphone import Microphone

    return Microphone(device, channel)


def _run(
    detector: Detector, sources: Sequence[Source], title: str, options: dict[str, Any]
) -> None:
    """Watch with the sinks that were asked for; leave with exit code 1 where input was lost."""
    sinks = _sinks(detector, options)
    last = watch(detector, sources, title, _is_headless(options["headless"]), sinks)
    if last.problem is not None:
        sys.exit(1)


def _is_headless(asked: bool) -> bool:
    return asked or not sys.stdout.isatty()


def watch(
    detector: Detector,
    sources: Sequence[Source],
    title: str,
    headless: bool,
    sinks: Sequence[Sink],
    farewell: Callable[[], str] | None = None,
) -> Snapshot:
    """Run sources on the screen, or headless with JSON lines on stdout; returns how it ended.

    `farewell` gives a sentence for the end of the stream on screen.
    """
    from monitor.sinks import JsonLines
    from monitor.stream import Stream
    from monitor.terminal import stop_on_signals

    if not headless:
        return _on_screen(Stream(detector, sources, sinks), title, farewell)
    stream = Stream(detector, sources, [JsonLines(sys.stdout), *sinks], _warn)
    with stop_on_signals(stream.stop):
        last = stream.run()
    click.echo(
        f"{last.segments:,} segments, {last.alarms:,} alarms, {last.not_scored:,} not scored, "
        f"{last.lost_s:.1f} s lost",
        err=True,
    )
    return last


def _on_screen(stream: Stream, title: str, farewell: Callable[[], str] | None) -> Snapshot:
    from monitor.app.app import MonitorApp
    from monitor.app.run import run_app

    app = MonitorApp(stream, title=title, farewell=farewell)
    run_app(app)
    if app.failure is not None:
        raise app.failure
    return stream.snapshot


def _sinks(detector: Detector, options: dict[str, Any]) -> list[Sink]:
    from monitor.clips import Clips, prepare_folder
    from monitor.sinks import OnAnomaly

    sinks: list[Sink] = []
    if options["save"]:
        longest_s = detector.segmentation.duration_s
        prepare_folder(options["save"])
        sinks.append(Clips(options["save"], detector.front_end.rate_hz, longest_s, _warn))
    if options.get("on_anomaly"):
        sinks.append(OnAnomaly(_command(options["on_anomaly"]), _warn))
    return sinks


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(f"--on-anomaly cannot be read: {error}.") from error
    if not words:
        raise click.UsageError("--on-anomaly names no command.")
    return words


def _warn(sentence: str) -> None:
    click.echo(f"offkey: {sentence}", err=True)
