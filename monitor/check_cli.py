"""The verb `check`: normal sound of the site against a model, and `--adapt` to it."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from monitor.options import PATH, model_argument, parse_speed, rate_option

if TYPE_CHECKING:
    from model.detector import Detector, Score
    from model.known import Known
    from monitor.check import Agreement, SiteSound
    from monitor.sinks import Sink


@click.command()
@model_argument
@click.argument("files", metavar="[FILE|FOLDER...]", nargs=-1, type=PATH)
@click.option("--device", metavar="NAME", help="Input device, by part of its name.")
@click.option("--channel", type=int, metavar="N", help="Listen to this channel only, from 1.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to listen.")
@click.option("--rehearse", metavar="FILE", help="Play FILE as if it were the microphone.")
@click.option(
    "--speed", callback=parse_speed, metavar="N|max", help="With --rehearse: times real time; 1."
)
@rate_option
@click.option(
    "--adapt", is_flag=True, help="Rank sounds among these from now on; what is learnt stays."
)
@click.option("--forget", is_flag=True, help="Rank them among the reference again.")
def check(model: str, files: tuple[str, ...], **options: Any) -> None:
    """Whether a model's promise holds where it listens.

    Let the sound be as it should for a minute at the microphone, or give FILES of it: one up to the
    model's duration is one sound, in a longer one sounds are found as the monitor finds them.
    """
    from model.known import recognise
    from model.storage import read_model
    from monitor import check_words
    from monitor.check import measure

    _check_options(files, options)
    detector = read_model(model)
    if options["forget"]:
        _forget(model)
        return
    detector = detector.with_false_alarm_rate(options["false_alarm_rate"])
    sounds, source = _from_files(files, detector) if files else _live(detector, options)
    scores = [sound.score for sound in sounds]
    _refuse_nothing(scores, files)
    known = recognise(detector, scores, [sound.digest for sound in sounds])
    _refuse_known(scores, known)
    is_adaptable = _mind_the_gate(sounds, detector, options["adapt"])
    new = [sound for sound, is_new in zip(sounds, known.is_new, strict=True) if is_new]
    found = measure(detector, new)
    lines = check_words.describe(found, known, detector)
    if not options["adapt"]:
        heard_by = _heard_by(files, options)
        lines += check_words.what_to_do(found, detector, model, heard_by, is_adaptable)
        click.echo("\n".join(lines))
        return
    # First the work, then the words: a reader that has gone takes nothing away.
    try:
        lines += ["", *_adapt(model, detector, sounds, found, source)]
    finally:
        click.echo("\n".join(lines))


def _check_options(files: Sequence[str], options: dict[str, Any]) -> None:
    from monitor.listening import check_seconds

    if options["adapt"] and options["forget"]:
        raise click.UsageError("--adapt and --forget exclude each other.")
    if options["adapt"] and options["false_alarm_rate"] is not None:
        raise click.UsageError("--adapt keeps the model's own rate: leave --false-alarm-rate out.")
    live = [name for name in ("device", "channel", "rehearse", "speed") if options[name]]
    if options["forget"] and (files or live):
        raise click.UsageError("--forget takes the model alone: nothing is listened to.")
    if files and live:
        raise click.UsageError(f"FILES and --{live[0]} exclude each other.")
    check_seconds(options["seconds"])


def _mind_the_gate(sounds: Sequence[SiteSound], detector: Detector, adapt: bool) -> bool:
    """In a room the gate cuts sounds otherwise than a short file does, which is taken whole.

    Says whether the model can be adapted to these sounds; raises InputError where it is asked to
    and cannot.
    """
    from model.errors import InputError
    from monitor.session import warn

    room = detector.card.room
    n_whole = sum(sound.digest is not None for sound in sounds)
    if room is None or room.missed is None or not n_whole:
        return True
    files = "1 short file is" if n_whole == 1 else f"{n_whole:,} short files are"
    better = "One long recording of the sounds there, or --device NAME"
    if adapt:
        raise InputError(
            f"{files} taken whole, and in the room of this model the gate cuts sounds otherwise: "
            "ranked among these, what a monitor hears would alarm.",
            f"{better}, can be adapted to.",
        )
    warn(
        f"{files} taken whole, as score takes them; in the room of this model a monitor's gate "
        f"cuts sounds otherwise. {better}, tells how it fares."
    )
    return False


def _refuse_nothing(scores: Sequence[Score], files: Sequence[str]) -> None:
    from model.errors import InputError

    if any(score.p is not None for score in scores):
        return
    reasons = sorted({score.reason for score in scores if score.reason})
    why = f" What was there could not be scored: {', '.join(reasons)}." if reasons else ""
    hint = "" if files else "Let the sound come as usual while it listens, or listen longer."
    raise InputError(f"Nothing that can be scored was heard.{why}", hint)


def _refuse_known(scores: Sequence[Score], known: Known) -> None:
    from model.errors import InputError
    from monitor.check_words import known_ones

    pairs = zip(scores, known.is_new, strict=True)
    if any(is_new and score.p is not None for score, is_new in pairs):
        return
    raise InputError(
        f"Nothing new was heard: {known_ones(known)}.",
        "Whether the model's promise holds, other sounds can tell, as they should be.",
    )


def _live(detector: Detector, options: dict[str, Any]) -> tuple[list[SiteSound], str]:
    """What is heard at the microphone, and its name."""
    from model.errors import OffkeyError
    from monitor.listening import TimeLimit, place_source
    from monitor.session import warn
    from monitor.stream import Stream
    from monitor.terminal import quiet_libraries, stop_on_signals

    sounds: list[SiteSound] = []
    limit = TimeLimit(options["seconds"])
    with quiet_libraries():
        source = place_source(options)
        stream = Stream(detector, [source], [_collector(sounds, warn), limit], warn)
        limit.stream = stream
        warn(f"listening for {options['seconds']:g} s: let all sound as it should. Ctrl-C: enough.")
        with stop_on_signals(stream.stop) as came:
            last = stream.run()
    if options["adapt"] and any(number != signal.SIGINT for number in came):
        raise OffkeyError(
            "Ended before its time: nothing was changed.", "Ctrl-C ends it early and adapts."
        )
    if last.problem is not None and not sounds:
        sys.exit(1)
    warn(f"heard {limit.heard_s:,.0f} s of {source.name}")
    return sounds, source.name


def _from_files(paths: Sequence[str], detector: Detector) -> tuple[list[SiteSound], str]:
    """The sounds of files and folders; a bad one is told and left out."""
    from model.errors import AudioError, InputError
    from model.files import find_recordings
    from monitor.session import warn

    found = find_recordings(paths)
    if not found.paths:
        raise InputError("No audio files were found there.")
    sounds: list[SiteSound] = []
    bad: dict[str, list[str]] = {}
    for path in found.paths:
        try:
            sounds += _from_file(path, detector)
        except AudioError as error:
            bad.setdefault(error.what, []).append(str(error))
    for what, errors in bad.items():
        warn(errors[0] if len(errors) == 1 else f"{len(errors):,} files: each {what}.")
    n = len(found.paths)
    return sounds, "1 file" if n == 1 else f"{n:,} files"


def _from_file(path: str, detector: Detector) -> list[SiteSound]:
    """A short file is one sound, as calibration takes it; a long one is heard as if live."""
    from model.audio import AudioReader, read_recording, sound_digest
    from model.segmenter import cut_recording
    from monitor.check import SiteSound
    from monitor.session import warn
    from monitor.sources import AudioFile
    from monitor.stream import Stream

    cut = detector.segmentation
    with AudioReader(path) as reader:
        is_one_sound = cut.mode == "event" and reader.duration_s <= cut.duration_s
    if is_one_sound:
        recording = read_recording(path, detector.front_end.rate_hz)
        segments = cut_recording(recording, cut)
        scores, digest = detector.score_batch(segments), sound_digest(recording.samples)
        pairs = zip(segments, scores, strict=True)
        return [SiteSound(score, segment.snr_db, digest) for segment, score in pairs]
    sounds: list[SiteSound] = []
    Stream(detector, [AudioFile(path)], [_collector(sounds, warn)], warn).run()
    return sounds


def _collector(sounds: list[SiteSound], warn: Callable[[str], None]) -> Sink:
    """A sink that keeps sounds, and says once of each trouble that the input is in it."""
    from monitor.check import SiteSound
    from monitor.events import Event, Heard, StateChange
    from monitor.sinks import Sink

    told = {"opening", "warming up", "live", "silent"}  # between sounds silence is all right

    class Collector(Sink):
        """Keeps score and conditions of every segment."""

        def take(self, event: Event) -> None:
            """Keep it."""
            if isinstance(event, Heard):
                sounds.append(SiteSound(event.score, event.segment.snr_db))
            elif isinstance(event, StateChange) and event.state not in told:
                told.add(event.state)
                warn(f"input: {event.state}")

    return Collector()


def _heard_by(files: Sequence[str], options: dict[str, Any]) -> list[str]:
    """The words of the command by which the sounds were heard, to be typed."""
    from model.errors import as_word

    live = [(name, options[name]) for name in ("device", "channel", "rehearse", "speed")]
    texts = [(name, "max" if value == math.inf else str(value)) for name, value in live if value]
    words = (word for name, text in texts for word in (f"--{name}", as_word(text)))
    return [*map(as_word, files), *words]


def _adapt(
    path: str, detector: Detector, sounds: Sequence[SiteSound], found: Agreement, source: str
) -> list[str]:
    """Write the model with new held-out scores; names that it was given meanwhile are kept.

    What that changed, in words.
    """
    from model.adaptation import adapted
    from model.errors import OffkeyError, shown
    from model.storage import read_model, write_model
    from monitor.adapt_words import compare
    from monitor.naming import is_same_calibration

    now = datetime.now(UTC).isoformat(timespec="seconds")
    stored = read_model(path)
    if not is_same_calibration(stored, detector):
        raise OffkeyError(
            f"{shown(path)} was calibrated anew meanwhile: it is not adapted.",
            "Check the new model.",
        )
    scores, digests = [one.score for one in sounds], [one.digest for one in sounds]
    made = write_model(path, adapted(stored, scores, source, now, digests))
    return compare(found, detector, made, path)


def _forget(path: str) -> None:
    from model.adaptation import forgotten
    from model.errors import shown
    from model.storage import read_model, write_model

    made = write_model(path, forgotten(read_model(path)))
    click.echo(
        f"{shown(path)} ranks sounds among the {made.conformity.n:,} of its reference again."
    )
