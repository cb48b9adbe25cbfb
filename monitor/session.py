"""A session: the sources and sinks that were asked for, run on the screen or headless."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from model.detector import Detector
    from monitor.budget import AlarmBudget
    from monitor.ledger import Account
    from monitor.sinks import Sink
    from monitor.snapshot import Snapshot
    from monitor.sources import Source

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
    from model.budget import check_alarms_per_hour
    from model.storage import read_model

    if options["alarms_per_hour"] is not None:
        if options["false_alarm_rate"] is not None:
            raise click.UsageError("--alarms-per-hour and --false-alarm-rate exclude each other.")
        check_alarms_per_hour(options["alarms_per_hour"])
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
    if sum(options[name] is not None for name in ("pipe", "device", "rehearse")) > 1:
        raise click.UsageError("--input -, --device and --rehearse exclude each other.")
    if options["rehearse"] == "":
        raise click.UsageError("--rehearse takes a file.")
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
    budget = _budget(detector, options)
    if budget is not None:
        detector = replace(detector, false_alarm_rate=budget.rate)
    last = watch(
        detector, sources, title, headless, sinks, exit_on_loss=exit_on_loss, budget=budget
    )
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
    budget: AlarmBudget | None = None,
) -> Snapshot:
    """Run sources on the screen, or headless with JSON lines on stdout; returns how it ended.

    `farewell` gives a sentence for the end of the stream on screen.
    """
    from model.errors import OffkeyError
    from monitor.sinks import JsonLines
    from monitor.stream import Stream
    from monitor.terminal import stop_on_signals

    if not headless:
        return _on_screen(detector, sources, sinks, title, farewell, exit_on_loss, budget)
    all_sinks = [JsonLines(sys.stdout), *sinks]
    stream = Stream(detector, sources, all_sinks, warn, exit_on_loss=exit_on_loss, budget=budget)
    try:
        with stop_on_signals(stream.stop):
            last = stream.run()
    except BrokenPipeError:
        raise
    except OSError as error:
        click.echo(_summary(stream.snapshot), err=True)
        raise OffkeyError(f"The lines cannot be written: {error.strerror}.") from error
    click.echo(_summary(last), err=True)
    return last


def _summary(last: Snapshot) -> str:
    from model.words import two_digits

    return (
        f"{_plural(last.segments, 'segment')}, {_plural(last.alarms, 'alarm')}, "
        f"{last.not_scored:,} not scored\n{_account(last.account)}"
        + (f"; {two_digits(last.not_finite_s)} s of it not finite" if last.not_finite_s else "")
    )


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _account(account: Account) -> str:
    """What became of the time line, in a line whose parts add up as they are printed."""
    total = round(account.total_s, 1)
    scored, not_scored = round(account.scored_s, 1), round(account.not_scored_s, 1)
    lost, paused = round(account.lost_s, 1), round(account.paused_s, 1)
    between = abs(round(total - scored - not_scored - lost - paused, 1))
    parts = [f"{scored:,.1f} s scored", f"{between:,.1f} s between sounds"]
    if not_scored:
        parts.append(f"{not_scored:,.1f} s not scored")
    if paused:
        parts.append(f"{paused:,.1f} s paused")
    parts.append(f"{lost:,.1f} s lost")
    if account.lost_by_clock_s:
        parts[-1] += f" ({account.lost_by_clock_s:,.1f} s of it found by the clock alone)"
    return f"{total:,.1f} s in all: {', '.join(parts)}"


def _on_screen(
    detector: Detector,
    sources: Sequence[Source],
    sinks: Sequence[Sink],
    title: str,
    farewell: Callable[[], str] | None,
    quit_at_end: bool,
    budget: AlarmBudget | None,
) -> Snapshot:
    from monitor.app.app import MonitorApp
    from monitor.app.run import run_app
    from monitor.app.session import Session

    session = Session.of(
        detector, sources, sinks, title=title, exit_on_loss=quit_at_end, budget=budget
    )
    app = MonitorApp(session, farewell=farewell, quit_at_end=quit_at_end)
    run_app(app)
    if app.failure is not None:
        raise app.failure
    last = session.stream.snapshot
    click.echo(_summary(last), err=True)
    if quit_at_end and last.problem is not None:
        warn(last.problem)
    return last


def _budget(detector: Detector, options: Options) -> AlarmBudget | None:
    asked = options["alarms_per_hour"]
    if asked is None:
        return None
    from monitor.budget import AlarmBudget

    return AlarmBudget(detector, asked, warn)


def _sinks(detector: Detector, options: Options) -> list[Sink]:
    """All that can be refused is, before anything is changed; the slowest to close is the last."""
    from monitor.sizes import parse_size

    asked = options.get("on_anomaly")
    command = None if asked is None else _command(asked)
    for what in ("log", "save"):
        if options.get(f"{what}_limit") and not options.get(what):
            raise click.UsageError(f"--{what}-limit goes with --{what}.")
    save_limit = parse_size(options["save_limit"] or "500MB", "--save-limit")
    sinks: list[Sink] = []
    if options.get("log"):
        from monitor.logfile import LogFile

        log_limit = parse_size(options["log_limit"] or "100MB", "--log-limit")
        sinks.append(LogFile(options["log"], log_limit, warn))
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
    if shutil.which(words[0]) is None:
        raise click.UsageError(f"--on-anomaly: there is no program {words[0]!r} to be run.")
    return words
