"""The verbs of this room. Heavy imports wait until there is work; what a verb does is elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import click

from monitor.options import PATH, model_argument, parse_speed, rate_option


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
        rate_option,
        click.option(
            "--alarms-per-hour",
            type=float,
            metavar="X",
            help="So many false alarms at most, instead of a rate per sound or window.",
        ),
    ]
    for option in reversed(options):
        verb = option(verb)
    return verb


@click.command()
@model_argument
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
    "--speed", callback=parse_speed, metavar="N|max", help="With --rehearse: times real time; 1."
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
@model_argument
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PATH)
@click.option(
    "--speed",
    callback=parse_speed,
    metavar="N|max",
    help="Times real time, or as fast as it goes; 1 on screen, max headless.",
)
@_live
def replay(model: str, files: tuple[str, ...], speed: float | None, **options: Any) -> None:
    """Play files through the detector as if they were live."""
    from model.errors import AudioError, shown
    from monitor import session
    from monitor.sources import AudioFile

    if speed is None:
        speed = math.inf if session.is_headless(options["headless"]) else 1.0
    detector = session.read_detector(model, options)
    for path in files:
        if os.path.isdir(path):
            raise AudioError(shown(path), "is a folder", "offkey score takes folders.")
    session.run(detector, [AudioFile(path, speed) for path in files], model, options)


@click.command()
@model_argument
def inspect(model: str) -> None:
    """What a model is, was made of, and promises."""
    from model.errors import shown
    from model.storage import read_model
    from model.summary import describe, describe_origin

    detector = read_model(model)
    name = f"{'model':<18}{shown(model)}"  # on one line however long: it is there to be copied
    click.echo("\n".join([name, *describe_origin(detector), describe(detector)]))


@click.command()
@model_argument
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
