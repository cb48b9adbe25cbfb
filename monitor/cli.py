"""The verbs of this room. Heavy imports wait until there is work; what a verb does is elsewhere."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from model.detector import Detector
    from monitor.archive import ScoredFile
    from monitor.sinks import Sink

_path = click.Path(readable=False)  # what cannot be read is told where it is read
_jobs = click.IntRange(-1, 64)


def _complete_model(
    _ctx: click.Context, _argument: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from monitor.welcome import complete_model

    return complete_model(incomplete)


_model = click.argument("model", type=_path, shell_complete=_complete_model)
_rate = click.option(
    "--false-alarm-rate", type=float, help="Largest p that alarms, instead of the model's own."
)


def _speed(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """`max`, or how many times real time, as a number; infinite for `max`."""
    if text is None or text == "max":
        return None if text is None else math.inf
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise click.UsageError("--speed takes max, or how many times real time, such as 1.")


def _live(verb: Callable[..., None]) -> Callable[..., None]:
    """The options that monitor and replay share."""
    options = [
        click.option(
            "--headless", is_flag=True, help="JSON lines on stdout instead of the screen."
        ),
        click.option("--save", metavar="DIR", help="Save every alarm as FLAC beside a JSON."),
        click.option(
            "--save-limit",
            metavar="SIZE",
            help="Of all clips in DIR, 500MB if not said; the least odd are dropped first.",
        ),
        click.option(
            "--alarm-after",
            metavar="K/M",
            help="Continuous mode: alarm after K anomalous windows of the last M.",
        ),
        _rate,
    ]
    for option in reversed(options):
        verb = option(verb)
    return verb


@click.command()
@_model
@click.option("--device", metavar="NAME", help="Input device, by part of its name.")
@click.option("--channel", type=int, metavar="N", help="Listen to this channel only, from 1.")
@click.option("--input", "pipe", type=click.Choice(["-"]), help="WAV from standard input.")
@click.option(
    "--format", "raw", type=click.Choice(["s16le", "f32le"]), help="Raw samples instead of WAV."
)
@click.option("--rate", type=int, metavar="R", help="Of raw samples, Hz.")
@click.option("--channels", type=int, metavar="C", help="Of raw samples; 1 unless given.")
@click.option(
    "--exit-on-loss",
    is_flag=True,
    help="End with exit code 1 when no sound arrives, instead of trying again.",
)
@click.option("--rehearse", metavar="FILE", help="Play FILE as if it were the microphone.")
@click.option(
    "--inject",
    metavar="FAULT@S:VALUE",
    multiple=True,
    help="With --rehearse, at S seconds: unplug, freeze, overflow or zeros for VALUE seconds; "
    "rate: back with VALUE Hz; drift: a clock slow by VALUE millionths.",
)
@click.option(
    "--speed", callback=_speed, metavar="N|max", help="With --rehearse: times real time; 1."
)
@click.option("--log", metavar="FILE", help="Append the JSON lines to FILE.")
@click.option(
    "--log-limit",
    metavar="SIZE",
    help="Of FILE and its older parts FILE.1, FILE.2, …; 100MB if not said.",
)
@click.option(
    "--on-anomaly",
    metavar="COMMAND",
    help="Program to run for alarms, without a shell, the JSON on its stdin; "
    "while it runs, only the newest alarm waits.",
)
@click.option(
    "--web",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Show the screen in a browser, at http://localhost:PORT; 0: any free port.",
)
@click.option(
    "--web-host",
    metavar="HOST",
    help="With --web: the address to be reached at; 0.0.0.0 for all.  [default: localhost]",
)
@_live
def monitor(model: str, web: int | None, web_host: str | None, **options: Any) -> None:
    """Score a microphone, or a pipe, live."""
    from monitor import session
    from monitor.terminal import quiet_libraries

    if web is not None or web_host is not None:
        _in_browser(click.get_current_context(), web, web_host)
        return
    detector = session.read_detector(model, options)
    with quiet_libraries():
        try:
            source = session.live_source(options)
        except KeyboardInterrupt:
            session.warn("ended before any sound came.")
            return
        session.run(detector, [source], model, options)


def _in_browser(context: click.Context, port: int | None, host: str | None) -> None:
    """Serve the screen; what a tab would refuse is refused before."""
    from monitor import session, web
    from monitor.terminal import quiet_libraries
    from monitor.webport import LOCAL

    options = context.params
    web.check_options(port, host, options["headless"], options["pipe"])
    session.read_detector(options["model"], options)
    with quiet_libraries():
        session.live_source(options)
    words = web.same_command(context)
    web.serve(words, options["model"], port or 0, LOCAL if host is None else host)


@click.command()
@_model
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
@click.option(
    "--speed",
    callback=_speed,
    metavar="N|max",
    help="Times real time, or as fast as it goes; 1 on screen, max headless.",
)
@_live
def replay(model: str, files: tuple[str, ...], speed: float | None, **options: Any) -> None:
    """Play files through the detector as if they were live."""
    from monitor import session
    from monitor.sources import AudioFile

    if speed is None:
        speed = math.inf if session.is_headless(options["headless"]) else 1.0
    detector = session.read_detector(model, options)
    session.run(detector, [AudioFile(path, speed) for path in files], model, options)


@click.command()
@_model
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
    from model.storage import read_model
    from monitor.archive import score_files
    from monitor.session import warn
    from monitor.sinks import CsvLines, JsonLines
    from monitor.terminal import Stop, stop_on_signals

    if jobs == 0:
        raise InputError("--jobs takes -1 for all cores, or a number of them.")
    detector = read_model(model).with_false_alarm_rate(false_alarm_rate)
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
        warn(f"interrupted: {counts['files']:,} of {len(found.paths):,} files are done.")
    if not counts["scored"] and not interrupted:
        raise InputError("None of the files could be scored.")


def _report(result: ScoredFile, detector: Detector, counts: dict[str, int], sink: Sink) -> None:
    from model.errors import shown
    from monitor.session import warn

    counts["files"] += 1
    for heard in result.heard:
        sink.take(heard)
        counts["scored"] += heard.score.reason is None
    if result.problem:
        warn(result.problem)
    counts["cut"] += result.was_cut
    if result.was_cut and counts["cut"] == 1:
        name, longest_s = shown(result.heard[0].source), detector.segmentation.duration_s
        warn(
            f"{name} is longer than {longest_s:g} s: only its beginning is scored, as of every "
            "long file. offkey replay finds all sounds in a file."
        )


@click.command()
@_model
def inspect(model: str) -> None:
    """What a model is, was made of, and promises."""
    from model.errors import shown
    from model.storage import read_model
    from model.summary import describe

    detector = read_model(model)
    versions = ", ".join(f"{k} {v}" for k, v in detector.card.versions.items())
    click.echo(f"{'model':<18}{shown(model)}")
    click.echo(f"{'made':<18}{detector.card.created} with {versions}")
    click.echo(
        f"{'digest':<18}{detector.digest[:16]}, of the reference "
        f"{detector.card.reference_digest[:16]}"
    )
    click.echo(describe(detector))


@click.command()
@_model
@click.argument("cluster", type=int)
@click.argument("name")
def label(model: str, cluster: int, name: str) -> None:
    """Give a cluster of a model a name; an empty name takes it away."""
    from model.storage import read_model
    from monitor.naming import rename_cluster

    named = rename_cluster(model, read_model(model), cluster, name)
    click.echo(f"Cluster {cluster} is now called {named.clusters.name(cluster)!r}.")


@click.command()
def devices() -> None:
    """List the sound devices that can be monitored."""
    from monitor.portaudio import PortAudio
    from monitor.terminal import quiet_libraries

    with quiet_libraries():
        found = PortAudio().devices()
    if not found:
        click.echo("There is no sound device with an input.", err=True)
    for device in found:
        mark = "  (default)" if device.is_default else ""
        inputs = f"{device.channels} channels, {device.rate_hz:,} Hz, {device.host}"
        click.echo(f"{device.name}{mark}\n    {inputs}")
