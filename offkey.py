"""The front door: `offkey <verb>` hands each verb to its room, imported only when it is used.

Errors become one sentence on stderr and an exit code here. `demo` is here because it alone needs
two rooms: it calibrates and then monitors. So is the way to a Dask cluster, which both rooms may
use and `model` may not know: that makes this file longer than most.
"""

from __future__ import annotations

try:
    import contextlib
    import importlib
    import io
    import logging
    import os
    import re
    import signal
    import sys
    import threading
    from collections.abc import Iterator
    from concurrent.futures import CancelledError
    from difflib import get_close_matches
    from functools import partial
    from importlib.metadata import PackageNotFoundError, version
    from types import FrameType
    from typing import Any, NoReturn

    import click
except KeyboardInterrupt:  # a tenth of a second goes by here, in which somebody may think better
    raise SystemExit("offkey: interrupted; nothing was written.") from None

VERBS = {
    "demo": ("offkey:demo", "Calibrate on built-in recordings and watch a built-in stream."),
    "calibrate": ("calibrate.cli:calibrate", "Learn from recordings how a sound should be."),
    "record": ("monitor.record_cli:record", "Record a reference set, guided."),
    "monitor": ("monitor.cli:monitor", "Score a microphone, or a pipe, live."),
    "replay": ("monitor.cli:replay", "Play files through the detector as if they were live."),
    "score": ("monitor.score_cli:score", "Score many files, each as one recording."),
    "inspect": ("monitor.cli:inspect", "What a model is, was made of, and promises."),
    "report": ("calibrate.report.cli:report", "A page to see and hear what a model was made of."),
    "check": ("monitor.check_cli:check", "Whether a model's promise holds where it listens."),
    "room": ("monitor.room_cli:room", "Record the empty room, for calibrate --room."),
    "label": ("monitor.cli:label", "Give a cluster of a model a name."),
    "devices": ("monitor.cli:devices", "List the sound devices that can be monitored."),
}

ONE_BY_ONE = ("monitor", "replay", "score")
"""Verbs that score sounds one by one: sums so small that a library's threads only wait for one
another, and spin while they do. Read by OpenBLAS, MKL and Accelerate where numpy is imported."""

OUTGROWING = ("calibrate", "score")
"""Verbs whose work on recordings may go to a Dask cluster; they take it as `cluster`."""


def _cluster(_ctx: click.Context, _param: click.Parameter, address: str | None) -> Any:
    if address is None:
        return contextlib.nullcontext
    if not re.fullmatch(r"((tcp|tls)://)?(\[[0-9a-f:]+\]|[^\s/:]+):\d{1,5}", address):
        raise click.BadParameter(f"{address!r} is not HOST:PORT of a Dask scheduler.")
    return partial(on_cluster, address)


DASK = click.Option(
    ["--dask", "cluster"],
    metavar="ADDRESS",
    callback=_cluster,
    help="Read the recordings on a Dask cluster: HOST:PORT of its scheduler.",
)


@contextlib.contextmanager
def on_cluster(address: str) -> Iterator[None]:
    """While inside, joblib's tasks go to the Dask cluster whose scheduler is at `address`.

    A task whose worker is lost is done anew by another. Raises InputError where Dask is missing,
    nobody answers there within 5 s, or the workers are not offkey's; OffkeyError where it fails.
    """
    from model.errors import InputError, OffkeyError

    try:
        from dask import config
        from distributed import Client, KilledWorker
        from joblib import parallel_config
    except ImportError as error:
        hint = "The extra `dask` adds it (see the README)."
        raise InputError("--dask needs Dask, which is not installed.", hint) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it is told here, in a sentence
    config.set({"distributed.comm.timeouts.connect": "5s"})
    try:
        client: Any = Client(address, timeout=5, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        hint = "It takes the address of a running scheduler, as 192.168.0.2:8786."
        raise InputError(f"No Dask scheduler answers at {address}.", hint) from error
    with client:
        _check_workers(client, address)
        try:
            with parallel_config("dask", client=client):
                yield
        except (KilledWorker, CancelledError) as error:
            raise OffkeyError(
                f"The Dask cluster at {address} has lost the work.",
                "Look at its workers: memory may be short, or the scheduler is gone.",
            ) from error


def _check_workers(client: Any, address: str) -> None:
    """Raises InputError where there is no worker, or one has not this very version."""
    from model.errors import InputError

    ours = version("offkey")
    try:
        theirs = client.run(version, "offkey")
    except PackageNotFoundError:
        theirs = {"": "no offkey"}
    if not theirs:
        raise InputError(f"The Dask scheduler at {address} has no workers.", "Start some.")
    other = sorted(set(theirs.values()) - {ours})
    if other:
        raise InputError(
            f"The Dask workers at {address} have {other[0]}; here it is offkey {ours}.",
            "Install the same version for all of them.",
        )


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
        if cmd_name in ONE_BY_ONE:
            for limit in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
                os.environ.setdefault(limit, "1")
        command: click.Command = getattr(importlib.import_module(module), name)
        if cmd_name in OUTGROWING and DASK not in command.params:
            command.params.append(DASK)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verb = args[0]
        if verb in VERBS or verb.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = get_close_matches(verb, VERBS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"The verbs are {', '.join(VERBS)}."
        raise click.UsageError(f"There is no verb {verb!r}. {hint}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.MissingParameter as error:
            if isinstance(error.param, click.Argument) and error.param.name == "model":
                from monitor.welcome import without_model

                assert error.ctx is not None
                raise click.UsageError(without_model(error.ctx), error.ctx) from None
            raise
        except BrokenPipeError:
            _drop_stdout()
            return 0  # the reader has had enough: that is an end, not a failure

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(
    cls=_Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="offkey", message="offkey %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Listen for the sound that is off.

    Show offkey recordings of how a sound should be; it scores a microphone, files or a pipe, says
    how odd each sound is, in which way, and how sure it is. Begin with: offkey demo
    """
    if ctx.invoked_subcommand is None:
        from monitor.welcome import welcome

        click.echo(welcome())


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


def _leave(code: int) -> NoReturn:
    """End the process, also where something holds on.

    That is a screen that was cut off, a frozen sound server, or an import in a thread: it waits
    for ever for a module whose own import was interrupted here.
    """
    left = ("textual-", "offkey-portaudio", "offkey-import")
    if any(thread.name.startswith(left) for thread in threading.enumerate()):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> object:
    """Run the command line; gives its exit code, or what its verb returned."""
    from model.errors import OffkeyError

    _open_standard_streams()
    sys.stderr = _PatientStderr(sys.stderr.buffer, errors="backslashreplace", line_buffering=True)
    for name in ("SIGTERM", "SIGHUP"):  # what must end by itself: as after Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        return cli.main(prog_name="offkey", standalone_mode=False)
    except OffkeyError as error:
        click.echo(f"offkey: {error}", err=True)
        return error.exit_code
    except OSError as error:
        _drop_stdout()
        click.echo(f"offkey: The system says: {error.strerror}.", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        code = _run()
    except (click.Abort, KeyboardInterrupt):
        click.echo("offkey: interrupted; nothing was written.", err=True)
        code = 1
    _leave(code if isinstance(code, int) else 0)
