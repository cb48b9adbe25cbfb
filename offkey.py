"""The front door: `offkey <verb>` hands each verb to its room, imported only when it is used.

Errors become one sentence on stderr and an exit code here. `demo` is here because it alone needs
two rooms: it calibrates and then monitors.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

VERBS = {
    "demo": ("offkey:demo", "Calibrate on built-in recordings and watch a built-in stream."),
    "calibrate": ("calibrate.cli:calibrate", "Learn from recordings how a sound should be."),
    "monitor": ("monitor.cli:monitor", "Score a microphone, or a pipe, live."),
    "replay": ("monitor.cli:replay", "Play files through the detector as if they were live."),
    "score": ("monitor.cli:score", "Score many files, each as one recording."),
    "inspect": ("monitor.cli:inspect", "What a model is, was made of, and promises."),
    "label": ("monitor.cli:label", "Give a cluster of a model a name."),
    "devices": ("monitor.cli:devices", "List the sound devices that can be monitored."),
}


class _Verbs(click.Group):
    """Lists all verbs without importing their rooms."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name][0].split(":")
        if module == "offkey":
            return demo
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_stdout()
            return 0  # the reader has had enough: that is an end, not a failure

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="offkey", message="offkey %(version)s")
def cli() -> None:
    """Listen for the sound that is off.

    Show offkey recordings of how a sound should be; it scores a microphone, files or a pipe, says
    how odd each sound is, in which way, and how sure it is. Begin with: offkey demo
    """


@click.command()
@click.option("--headless", is_flag=True, help="JSON lines on stdout instead of the screen.")
def demo(headless: bool) -> None:
    """Calibrate on built-in recordings and watch a built-in stream: no microphone, no download."""
    from calibrate.cli import Progress
    from calibrate.fitting import Settings, calibrate
    from monitor.demo import REFERENCE
    from monitor.demo import run as watch

    with Progress() as progress:
        detector = calibrate([str(REFERENCE)], Settings(maps=False), progress)
    watch(detector, headless)


class _PatientStderr(io.TextIOWrapper):
    """What is said to a person; when nobody reads it any more, the work goes on all the same."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def _drop_stdout() -> None:
    """Python would complain once more when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _open_standard_streams() -> None:
    """Where one was closed before the start, the next file to be opened would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode))
            setattr(sys, f"__{name}__", getattr(sys, name))  # kept: it closes what it loses


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    from model.errors import OffkeyError

    _open_standard_streams()
    sys.stderr = _PatientStderr(sys.stderr.buffer, errors="backslashreplace", line_buffering=True)
    for name in ("SIGTERM", "SIGHUP"):  # what must end by itself: as after Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        code = cli.main(prog_name="offkey", standalone_mode=False)
    except OffkeyError as error:
        click.echo(f"offkey: {error}", err=True)
        code = error.exit_code
    except OSError as error:
        _drop_stdout()
        click.echo(f"offkey: The system says: {error.strerror}.", err=True)
        code = 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("offkey: interrupted; nothing was written.", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
