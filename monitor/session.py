"""A session: the sources and sinks that were asked for, run on the screen or headless."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from model.detector import Detector
    from monitor.ledger import Account
    from monitor.sinks import Sink
    from monitor.snapshot import Snapshot
    from monitor.sources import Source
    from monitor.stream import Stream

Options = dict[str, Any]


def warn(sentence: str) -> None:
    """One line on stderr."""
    click.echo(f"offkey: {sentence}", err=True)


def is_headless(asked: bool) -> bool:
    """Whether there is to be no screen: asked for, or stdout is no terminal."""
    return asked or not sys.stdout.isatty()


def read_detector(path: str, options: Options) -> Detector:
    """The detector of a model file, with what the command line changes of it."""
    from model.alarms import AlarmRule
    from model.storage import read_model

    detector = read_model(path).with_false_alarm_rate(options["false_alarm_rate"])
    if options.get("alarm_after") is None:
        return detector
    if detector.segmentation.mode != "continuous":
        raise click.UsageError("--alarm-after is for models of --mode continuous.")
    rule = AlarmRule.parse(options["alarm_after"])
    return replace(detector, segmentation=replace(detector.segmentation, alarm=rule))


def live_source(options: Options) -> Source:
    """The microphone, a rehearsal of it, or the pipe on standard input."""
    _check_live(options)
    if options["rehearse"] is not None:
        return _rehearsal(options)
    if options["pipe"]:
        return _pipe(options)
    from monitor.microphone import Microphone

    return Microphone(options["device"], options["channel"])


def _check_live(options: Options) -> None:
    if sum(bool(options[name]) for name in ("pipe", "device", "rehearse")) > 1:
        raise click.UsageError("--input -, --device and --rehearse exclude each other.")
    if not options["rehearse"] and (options["inject"] or options["speed"]):
        raise click.UsageError("--inject and --speed go with --rehearse FILE.")
    if options["raw"] and not (options["pipe"] and options["rate"]):
        raise click.UsageError("--format goes with --input - and --rate R.")
    if not options["raw"] and (options["rate"] or options["channels"]):
        raise click.UsageError("--rate and --channels go with --format; WAV says them itself.")


def _rehearsal(options: Options) -> Source:
    from monitor.microphone import Microphone
    from monitor.rehearsal import RehearsedDevice, parse_fault

    faults = [parse_fault(text) for text in options["inject"]]
    device = RehearsedDevice(options["rehearse"], options["speed"] or 1.0, faults)
    return Microphone(None, options["channel"], device)


def _pipe(options: Options) -> Source:
    from monitor.pipe import Pipe, raw_format, take_stdin

    raw = None
    if options["raw"]:
        raw = raw_format(options["raw"], options["rate"], options["channels"] or 1)
    return Pipe(take_stdin(), channel=options["channel"], raw=raw)


def run(detector: Detector, sources: Sequence[Source], title: str, options: Options) -> None:
    """Watch with the sinks that were asked for; leave with exit code 1 where input was lost."""
    sinks = _sinks(detector, options)
    headless = is_headless(options["headless"])
    exit_on_loss = options.get("exit_on_loss", False)
    last = watch(detector, sources, title, headless, sinks, exit_on_loss=exit_on_loss)
    if last.problem is not None:
        sys.exit(1)


def watch(
    detector: Detector,
    sources: Sequence[Source],
    title: str,
    headless: bool,
    sinks: Sequence[Sink],
    farewell: Callable[[], str] | None = None,
    exit_on_loss: bool = False,
) -> Snapshot:
    """Run sources on the screen, or headless with JSON lines on stdout; returns how it ended.

    `farewell` gives a sentence for the end of the stream on screen.
    """
    from monitor.sinks import JsonLines
    from monitor.snapshot import RECENT
    from monitor.stream import Stream
    from monitor.terminal import stop_on_signals

    if not headless:
        stream = Stream(detector, sources, sinks, recent=RECENT, exit_on_loss=exit_on_loss)
        return _on_screen(stream, title, farewell, exit_on_loss)
    all_sinks = [JsonLines(sys.stdout), *sinks]
    stream = Stream(detector, sources, all_sinks, warn, exit_on_loss=exit_on_loss)
    with stop_on_signals(stream.stop):
        last = stream.run()
    click.echo(_summary(last), err=True)
    return last


def _summary(last: Snapshot) -> str:
    return (
        f"{last.segments:,} segments, {last.alarms:,} alarms, {last.not_scored:,} not scored\n"
        + _account(last.account)
    )


def _account(account: Account) -> str:
    """What became of the time line, in a line."""
    parts = [f"{account.scored_s:,.1f} s scored", f"{account.silent_s:,.1f} s silent"]
    if account.not_scored_s:
        parts.append(f"{account.not_scored_s:,.1f} s not scored")
    if account.paused_s:
        parts.append(f"{account.paused_s:,.1f} s paused")
    lost = f"{account.lost_s:,.1f} s lost"
    if account.lost_by_clock_s:
        lost += f" ({account.lost_by_clock_s:,.1f} s of it found by the clock alone)"
    return f"{account.total_s:,.1f} s in all: {', '.join(parts)}, {lost}"


def _on_screen(
    stream: Stream, title: str, farewell: Callable[[], str] | None, quit_at_end: bool
) -> Snapshot:
    from monitor.app.app import MonitorApp
    from monitor.app.run import run_app

    app = MonitorApp(stream, title=title, farewell=farewell, quit_at_end=quit_at_end)
    run_app(app)
    if app.failure is not None:
        raise app.failure
    last = stream.snapshot
    if quit_at_end and last.problem is not None:
        warn(last.problem)
    return last


def _sinks(detector: Detector, options: Options) -> list[Sink]:
    """All that can be refused is, before anything is changed; the slowest to close is the last."""
    from monitor.sizes import parse_size

    command = _command(options["on_anomaly"]) if options.get("on_anomaly") else None
    save_limit = parse_size(options["save_limit"], "--save-limit")
    sinks: list[Sink] = []
    if options.get("log"):
        from monitor.logfile import LogFile

        sinks.append(LogFile(options["log"], parse_size(options["log_limit"], "--log-limit"), warn))
    if options["save"]:
        from monitor.clips import Clips, prepare_folder

        prepare_folder(options["save"])
        sinks.append(Clips(options["save"], detector, save_limit, warn))
    if command:
        from monitor.command import OnAnomaly

        sinks.append(OnAnomaly(command, warn))
    return sinks


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(f"--on-anomaly cannot be read: {error}.") from error
    if not words:
        raise click.UsageError("--on-anomaly names no command.")
    return words
