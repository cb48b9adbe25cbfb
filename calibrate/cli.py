"""The verb `calibrate`: options, progress, summary. Heavy imports wait until there is work."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from calibrate.fitting import Settings
    from calibrate.reference import Cluster
    from model.detector import Detector
    from model.marks import MarkedSound


_MOST_DIGITS = 100
"""Python reads no number of thousands of digits."""


def _clusters(_ctx: click.Context, _option: click.Parameter, text: str) -> int | None:
    """How many clusters; None for `auto`."""
    if text == "auto":
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) >= 1:
        return int(text)
    raise click.UsageError("--clusters takes auto, or how many, at least 1.")


@click.command()
@click.argument("reference", nargs=-1, required=True, type=click.Path(readable=False))
@click.option(
    "-o", "--output", "model", required=True, type=click.Path(), help="The model to write."
)
@click.option(
    "--group", metavar="REGEX", help="One capture: what recordings share, as the speaker."
)
@click.option(
    "--features",
    type=click.Choice(["auto", "spectrum", "mel"]),
    default="auto",
    show_default=True,
    help="Front end; auto: the one that hears more. spectrum: the reference method.",
)
@click.option(
    "--components",
    type=float,
    help="Share of variance to explain.  [default: 0.99; with mel 0.9]",
)
@click.option(
    "--clusters",
    default="10",
    metavar="N|auto",
    show_default=True,
    callback=_clusters,
    help="Clusters of error profiles; auto: as many as both halves of the recordings agree on.",
)
@click.option("--false-alarm-rate", type=float, help="Largest p that alarms.  [default: 0.01]")
@click.option(
    "--mode", type=click.Choice(["event", "continuous"]), default="event", show_default=True
)
@click.option("--duration", default=1.0, show_default=True, help="Longest sound, or window, in s.")
@click.option("--hop", type=float, help="Continuous mode: s between windows.  [default: half]")
@click.option(
    "--alarm-after",
    metavar="K/M",
    help="Continuous mode: an alarm takes K anomalous windows of the last M.  [default: 2/3]",
)
@click.option(
    "--room",
    metavar="FILE|-",
    help="The empty room, mixed into every recording; -: WAV from standard input.",
)
@click.option(
    "--snr",
    type=float,
    metavar="DB",
    help="With --room: sounds so far above it.  [default: both as recorded]",
)
@click.option("--seed", default=42, show_default=True, help="Of the forest, k-means and the maps.")
@click.option(
    "--jobs",
    type=click.IntRange(-1, 64),
    default=-1,
    show_default=True,
    help="Files read at once; -1: all cores.",
)
@click.option("--no-maps", is_flag=True, help="Do not draw PaCMAP maps.")
@click.option("--replace", is_flag=True, help="Overwrite the model; names of clusters move along.")
@click.option(
    "--add-marked",
    is_flag=True,
    help="Take in the sounds that were marked as normal while monitoring with the model.",
)
def calibrate(
    reference: tuple[str, ...], model: str, cluster: Cluster = nullcontext, **options: Any
) -> None:
    """Learn from recordings how a sound should be.

    REFERENCE are audio files and folders of them, of the sound as it should be.
    """
    from dataclasses import replace

    from calibrate.fitting import calibrate as calibrate_on
    from calibrate.settings import AUTO
    from model.errors import as_word, shown
    from model.storage import check_writable, read_model, write_model
    from model.summary import describe

    _check(options)
    settings = _settings(options)
    check_writable(model, options["replace"])
    marked = _marked(model) if options["add_marked"] else ()
    if marked and os.path.exists(model):
        heard_by = read_model(model)
        _refuse_without_room(heard_by, settings, model)
        if settings.features == AUTO:  # the marks may have a lower rate than another one needs
            settings = replace(settings, features=heard_by.front_end.name)
    with Progress() as progress:
        detector = calibrate_on(reference, settings, progress, marked, cluster)
    detector, lost_names = _keep_names(detector, model)
    detector = write_model(model, detector, options["replace"])
    click.echo(describe(detector))
    _tell_fewer_clusters(settings.n_clusters, detector)
    if lost_names:
        click.echo(f"\nnames without a cluster now: {', '.join(lost_names)}")
    if not (settings.maps or options["no_maps"]):
        click.echo(
            "\nno maps: the extra `maps` adds pacmap, which draws them: pipx install '.[maps]'"
        )
    _tell_marks(detector, model)
    click.echo(f"\n{shown(model)} is written. Try: offkey replay {as_word(model)} FILE")


def _check(options: dict[str, Any]) -> None:
    from model.errors import InputError

    if options["alarm_after"] is not None and options["mode"] == "event":
        raise click.UsageError("--alarm-after belongs to continuous mode: add --mode continuous.")
    if options["components"] is not None and not 0 < options["components"] < 1:
        raise InputError("--components is a share of the variance between 0 and 1, such as 0.99.")
    if options["jobs"] == 0:
        raise InputError("--jobs takes -1 for all cores, or a number of them.")
    if not 0 <= options["seed"] < 2**32:
        raise InputError("--seed takes a whole number from 0 to 4294967295.")
    if options["hop"] is not None and options["mode"] == "event":
        raise InputError("--hop belongs to continuous mode.", "Add --mode continuous.")


def _settings(options: dict[str, Any]) -> Settings:
    from calibrate.fitting import Settings
    from calibrate.groups import check_group_pattern
    from calibrate.maps import can_map
    from calibrate.room import check_room_options, read_room
    from model.alarms import AlarmRule
    from model.conformity import check_false_alarm_rate
    from model.segment import Gate, Segmentation

    check_room_options(options["room"], options["snr"])
    check_false_alarm_rate(options["false_alarm_rate"])
    duration_s, hop_s, alarm = options["duration"], options["hop"], options["alarm_after"]
    return Settings(
        segmentation=Segmentation(
            options["mode"],
            duration_s,
            duration_s / 2 if hop_s is None else hop_s,
            gate=Gate(shortest_s=min(Gate().shortest_s, duration_s / 2)),
            alarm=AlarmRule() if alarm is None else AlarmRule.parse(alarm),
        ),
        group=check_group_pattern(options["group"]),
        features=options["features"],
        explained_variance=options["components"],
        n_clusters=options["clusters"],
        false_alarm_rate=options["false_alarm_rate"],
        seed=options["seed"],
        jobs=options["jobs"],
        room=None
        if options["room"] is None
        else read_room(options["room"], options["snr"], options["seed"]),
        maps=not options["no_maps"] and can_map(),
    )


def _keep_names(detector: Any, path: str) -> tuple[Any, tuple[str, ...]]:
    """Names that a person gave in the model that is replaced; none where that cannot be read."""
    from dataclasses import replace
    from pathlib import Path

    from model.errors import ModelError
    from model.storage import read_model

    if not Path(path).exists():
        return detector, ()
    try:
        old = read_model(path)
    except ModelError as error:
        click.echo(f"No names are kept from the old model: {error}", err=True)
        return detector, ()
    clusters, lost = detector.clusters.named_like(old.clusters)
    return replace(detector, clusters=clusters), lost


def _refuse_without_room(detector: Detector, settings: Settings, path: str) -> None:
    """Marks of a model with a room have its noise: recordings without it would lie beside them."""
    from model.errors import InputError, as_word, shown

    room = detector.card.room
    if room is None or settings.room is not None:
        return
    snr = "" if room.snr_db is None else f" --snr {room.snr_db:g}"
    raise InputError(
        f"{shown(path)} was calibrated in the room {shown(room.name)}, and its marks were heard in "
        "one: the recordings need it, too.",
        f"Add --room {as_word(room.name)}{snr}, or another room.",
    )


def _marked(path: str) -> tuple[MarkedSound, ...]:
    """The marked sounds of a model. Raises InputError where there are none."""
    from model.errors import InputError, shown
    from model.marks import marked_folder, read_marks

    marked = read_marks(path)
    if not marked:
        raise InputError(
            f"Nothing is marked as normal for {shown(path)}: "
            f"{shown(marked_folder(path))} holds no marked sounds.",
            "While monitoring with a model, the key m marks a sound. Or leave --add-marked out.",
        )
    return marked


def _tell_fewer_clusters(asked: int | None, detector: Detector) -> None:
    """Where a number of clusters was asked for that so few sounds do not give: how many there are.

    Not where it was nobody's wish but the default.
    """
    source = click.get_current_context().get_parameter_source("clusters")
    n = len(detector.clusters)
    if asked is not None and asked > n and source is click.core.ParameterSource.COMMANDLINE:
        click.echo(f"\nclusters: {n:,} of {asked:,} asked for; ten different sounds take one")


def _tell_marks(detector: Detector, path: str) -> None:
    """What became of the marks beside the model, where there are any."""
    from model.errors import OffkeyError, shown
    from model.marks import find_marks, marked_folder

    try:
        n, taken = len(find_marks(path)), len(detector.card.marked)
    except OffkeyError:
        return
    folder = shown(marked_folder(path))
    if taken:
        click.echo(
            f"\nThe marked sounds stay in {folder}: the next calibration needs them, "
            "and --add-marked, again."
        )
    elif n:
        sounds = "1 marked sound was" if n == 1 else f"{n:,} marked sounds were"
        click.echo(f"\n{sounds} not taken in from {folder}: --add-marked does that.")


class Progress:
    """A bar on stderr for each step of the work; only its name where that is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._step = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of a step are done."""
        if step != self._step:
            self._close()
            self._step = step
            if not sys.stderr.isatty():
                click.echo(step, err=True)
                return
            self._bar = click.progressbar(length=total, label=f"{step:<8}", file=sys.stderr)
            self._bar.__enter__()
        if self._bar is not None:
            self._bar.update(done - self._bar.pos)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
