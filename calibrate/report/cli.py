"""The verb `report`: options and what is said. Heavy imports wait until there is work."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from calibrate.report.hearing import Heard

_path = click.Path(readable=False)  # what cannot be read is told where it is read


@click.command()
@click.argument("model", type=_path)
@click.option("-o", "--output", "page", required=True, type=_path, help="The page to write.")
@click.option(
    "--reference",
    metavar="FOLDER",
    multiple=True,
    type=_path,
    help="The recordings that the model was made of, to hear them and to draw their spectra.",
)
@click.option(
    "--room",
    metavar="FILE|-",
    help="With --reference: the room of a model that was calibrated with --room.",
)
@click.option("--no-audio", is_flag=True, help="Draw the spectra, but embed nothing to hear.")
@click.option("--log", metavar="FILE", type=_path, help="What monitor --log wrote: on the maps.")
def report(
    model: str,
    page: str,
    reference: tuple[str, ...],
    room: str | None,
    no_audio: bool,
    log: str | None,
) -> None:
    """Make a page to see and hear what a model was made of.

    One file that opens in any browser, also offline: maps of the recordings, the ways in which
    they are off, how often sounds alarm, and what the model is.
    """
    from calibrate.cli import Progress
    from calibrate.report.hearing import listen
    from calibrate.report.page import make_page
    from calibrate.report.session import read_session
    from calibrate.room import room_of
    from model.adaptation import as_calibrated
    from model.atomic import write_whole
    from model.errors import InputError, shown
    from model.storage import read_model

    _check(reference, room, no_audio)
    detector = as_calibrated(read_model(model))
    session = read_session(log, detector) if log else None
    heard = None
    if reference:
        if detector.gallery is None:
            raise InputError(
                f"{shown(model)} does not say which recordings it was made of.",
                "Calibrate anew, or leave --reference out.",
            )
        its_room = room_of(detector.card, room)
        with Progress() as progress:
            heard = listen(detector, reference, not no_audio, progress, its_room)
    content = make_page(shown(model), detector, heard, session).encode()
    write_whole(page, content)
    if heard is not None:
        _tell(heard)
    click.echo(f"{shown(page)} is written, {len(content) / 1e6:.1f} MB. Open it in a browser.")


def _check(reference: tuple[str, ...], room: str | None, no_audio: bool) -> None:
    from model.errors import InputError

    if room is not None and not reference:
        raise click.UsageError("--room belongs to --reference: it is mixed into the recordings.")
    if no_audio and not reference:
        raise click.UsageError("--no-audio belongs to --reference: without it nothing is heard.")
    missing = [name for name in ("jinja2", "plotly") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The page needs {' and '.join(missing)}.",
            "The extra `report` adds them (see the README).",
        )


def _tell(heard: Heard) -> None:
    """What of the reference could not be used, on stderr."""
    for n, what in (
        (heard.missing, "not found in the reference folder"),
        (heard.changed, "not as the model knows them: changed since, or other ones of that name"),
    ):
        if n:
            sounds = "1 sound is" if n == 1 else f"{n:,} sounds are"
            click.echo(f"offkey: {sounds} {what}; the page shows them without spectrum.", err=True)
