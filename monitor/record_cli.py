"""The verb `record`: capture a reference set, on a guided screen or headless."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from monitor.options import parse_speed

if TYPE_CHECKING:
    from monitor.recording import Plan, Recording, Take
    from monitor.snapshot import Snapshot
    from monitor.sources import Source
    from monitor.takes import TakeFolder

SOUNDS, PIECES = 50, 20
"""Good takes that are asked for unless said otherwise."""


@click.command()
@click.option(
    "-o", "--output", "root", metavar="DIR", required=True, help="The folder to record into."
)
@click.option("--device", metavar="NAME", help="Input device, by part of its name.")
@click.option("--channel", type=int, metavar="N", help="Listen to this channel only, from 1.")
@click.option(
    "--mode",
    type=click.Choice(["event", "continuous"]),
    default="event",
    show_default=True,
    help="continuous: a steady sound, such as a machine, in pieces of 30 s.",
)
@click.option("--duration", default=1.0, show_default=True, help="Longest sound, or window, in s.")
@click.option(
    "--takes",
    type=click.IntRange(1),
    help=f"Good takes wanted.  [default: {SOUNDS}, or {PIECES} pieces]",
)
@click.option(
    "--name",
    metavar="SPEAKER",
    help="The speaker, day or machine: a folder in DIR, for calibrate a group.  "
    "[default: date and time]",
)
@click.option("--rehearse", metavar="FILE", help="Play FILE as if it were the microphone.")
@click.option(
    "--inject",
    metavar="FAULT@S:VALUE",
    multiple=True,
    help="With --rehearse: what devices do; see offkey monitor --help.",
)
@click.option(
    "--speed", callback=parse_speed, metavar="N|max", help="With --rehearse: times real time; 1."
)
@click.option("--headless", is_flag=True, help="JSON lines on stdout instead of the screen.")
def record(root: str, name: str | None, headless: bool, **options: Any) -> None:
    """Record a reference set, guided: the sound as it should be, take after take.

    Sounds are cut as the monitor cuts them. Good ones are kept as DIR/SPEAKER/0001.flac and so on;
    what is there stays. Then: offkey calibrate DIR -o MODEL
    """
    from model.segment import Segmentation
    from monitor.listening import place_source
    from monitor.recording import Plan
    from monitor.session import is_headless, warn
    from monitor.takes import TakeFolder, check_name
    from monitor.terminal import quiet_libraries

    headless = is_headless(headless)
    mode, duration_s = options["mode"], options["duration"]
    plan = Plan(
        Segmentation(mode, duration_s, duration_s / 2),
        options["takes"] or (PIECES if mode == "continuous" else SOUNDS),
        stop_at_goal=headless,
    )
    name = check_name(name)
    with quiet_libraries(), contextlib.closing(TakeFolder(root, name)) as folder:
        source = place_source(options)
        last = (_headless if headless else _on_screen)(source, folder, plan)
    if last.problem is not None:
        if not headless:
            warn(last.problem)
        sys.exit(1)


def _headless(source: Source, folder: TakeFolder, plan: Plan) -> Snapshot:
    """Record without a screen: takes as JSON lines on stdout, progress on stderr."""
    from monitor.record_words import StateLines, how_to, measures_text, verdict_text
    from monitor.recorders import make_recording
    from monitor.recording import recording_stream
    from monitor.session import warn
    from monitor.terminal import stop_on_signals

    def tell(take: Take) -> None:
        sys.stdout.write(json.dumps(_take_json(take, recording.kept), allow_nan=False) + "\n")
        sys.stdout.flush()
        verdict = f"{verdict_text(take, plan)} ({measures_text(take)})"
        warn(f"{recording.kept:,} of {plan.goal:,}: {verdict}")
        if recording.is_full:
            stream.stop()

    recording = make_recording(folder, plan, tell)
    stream = recording_stream(source, recording, StateLines(warn))
    warn(f"{how_to(plan)} Ctrl-C ends it.")
    with _farewell(recording, to_stderr=True), stop_on_signals(stream.stop):
        last = stream.run()
        if last.problem is not None:
            warn(last.problem)
    return last


def _take_json(take: Take, kept: int) -> dict[str, Any]:
    """The object of a take's line; `kept` counts the good takes so far."""
    from model.errors import as_text

    return {
        "type": "take",
        "number": take.number,
        "time": take.time,
        "start_s": round(take.start_s, 6),
        "duration_s": round(take.duration_s, 6),
        "level_dbfs": None if take.level_dbfs is None else round(take.level_dbfs, 2),
        "snr_db": None if take.snr_db is None else round(take.snr_db, 2),
        "reason": take.reason,
        "file": None if take.path is None else as_text(take.path),
        "kept": kept,
    }


def _on_screen(source: Source, folder: TakeFolder, plan: Plan) -> Snapshot:
    from monitor.app.record import RecordApp
    from monitor.app.run import run_app
    from monitor.recorders import make_recording
    from monitor.recording import recording_stream

    recording = make_recording(folder, plan)
    stream = recording_stream(source, recording)
    app = RecordApp(stream, recording)
    with _farewell(recording, to_stderr=False):
        run_app(app)
        if app.failure is not None:
            raise app.failure
    return stream.snapshot


@contextlib.contextmanager
def _farewell(recording: Recording, to_stderr: bool) -> Iterator[None]:
    """However it ends, say where the takes are; where there are none, the failure says enough."""
    from monitor.record_words import farewell

    is_well = False
    try:
        yield
        is_well = True
    finally:
        recording.folder.close()
        if is_well or recording.kept:
            click.echo("\n".join(farewell(recording)), err=to_stderr)
