"""What is said to those who come without a model, and what the current folder offers them."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import as_word
from model.files import AUDIO_SUFFIXES

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

LONGEST_NAME = 24
"""Longer names of models would push the examples off the line."""
LEAST_RECORDINGS = 20
"""What calibrating takes at least."""
MOST_SEEN, MOST_FOLDERS = 5000, 50
"""Where the look for recordings ends: entries of a folder, and folders."""


def welcome() -> str:
    """What offkey is, its uses, and the next step from the current folder."""
    models = _models_here()
    model = models[0] if models and len(models[0]) <= LONGEST_NAME else "my.offkey"
    uses = [
        ("offkey demo", "see it work, without a microphone"),
        ("offkey record -o recordings/", "record how a sound should be"),
        ("offkey calibrate recordings/ -o my.offkey", "learn it from those, 20 or more"),
        (f"offkey monitor {model}", "listen to a microphone"),
        (f"offkey replay {model} evening.flac", "or to a file, as if it were live"),
    ]
    found, command = _next_step(models)
    return f"""\
offkey listens for the sound that is off. Show it recordings of how a sound
should be; it then says how odd each new sound is, how, and how sure it is.

{_columns(uses)}

{found}Next: {command}

offkey --help lists every verb, offkey VERB --help all that a verb takes."""


def _next_step(models: Sequence[str]) -> tuple[str, str]:
    """What lies in the current folder, as a sentence, and the command to go on with."""
    if models:
        several = f"{len(models)} models, the newest " if len(models) > 1 else ""
        return f"In this folder: {several}{models[0]}. ", f"offkey monitor {models[0]}"
    folder, n = _recordings_here()
    if n:
        place = "In this folder" if folder == "." else f"In {folder}"
        many = f"more than {n:,}" if n == MOST_SEEN else f"{n:,}"
        return f"{place}: {many} recordings. ", f"offkey calibrate {folder} -o my.offkey"
    return "", "offkey demo"


def without_model(ctx: click.Context) -> str:
    """What is missing where a verb was given no model, and where to get one."""
    models = _models_here()
    begin = []
    if models:
        what = "the model in this folder" if len(models) == 1 else "the newest model in this folder"
        pieces = ctx.command.collect_usage_pieces(ctx)[1:]
        words = [models[0] if piece == "MODEL" else piece for piece in pieces]
        begin = [(f"{ctx.command_path} {' '.join(words)}", what)]
    others = [
        ("offkey demo", "needs no model and no microphone"),
        ("offkey calibrate recordings/ -o my.offkey", "makes one of 20 or more recordings"),
    ]
    return "MODEL is missing: the file in which offkey keeps how a sound should be.\n\n" + _columns(
        [*begin, *others]
    )


def complete_model(incomplete: str) -> list[CompletionItem]:
    """Models that a word begins, for shell completion, and folders that may hold more.

    What a shell would not take as it stands is left to its own completion of files.
    """
    from click.shell_completion import CompletionItem

    own = [CompletionItem(incomplete, type="file")]
    folder, start = os.path.split(incomplete)
    if shlex.quote(incomplete or "x") != (incomplete or "x"):
        return own
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                if _is_model(entry):
                    names.append(entry.name)
                elif entry.is_dir():
                    names.append(f"{entry.name}/")
    if not any(name.endswith(".offkey") for name in names):
        return [CompletionItem(incomplete, type="dir")]
    if any(shlex.quote(name) != name for name in names):
        return own
    return [CompletionItem(os.path.join(folder, name)) for name in sorted(names)]


def _is_model(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix == ".offkey" and entry.is_file()


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Commands and, beside them, what they do."""
    width = max(len(command) for command, _ in rows)
    return "\n".join(f"  {command:<{width}}   {text}" for command, text in rows)


def _models_here() -> list[str]:
    """Models in the current folder as words of a command line, the newest first."""
    with contextlib.suppress(OSError):
        with os.scandir() as entries:
            models = [entry for entry in entries if _is_model(entry)]
        models.sort(key=lambda model: model.stat().st_mtime, reverse=True)
        return [as_word(model.name) for model in models]
    return []


def _recordings_here() -> tuple[str, int]:
    """The current folder, or the first in it, with enough recordings to calibrate; how many."""
    with contextlib.suppress(OSError):
        if (n := _recordings_in(".")) >= LEAST_RECORDINGS:
            return ".", n
        with os.scandir() as entries:
            folders = sorted(e.name for e in islice(entries, MOST_SEEN) if _is_folder(e))
        for folder in folders[:MOST_FOLDERS]:
            if (n := _recordings_in(folder)) >= LEAST_RECORDINGS:
                return f"{as_word(folder)}/", n
    return "", 0


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir()


def _recordings_in(folder: str) -> int:
    """Recordings that lie in a folder itself: a look that takes no time, not a search."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        suffixes = (Path(entry.name).suffix.lower() for entry in islice(entries, MOST_SEEN))
        return sum(suffix in AUDIO_SUFFIXES for suffix in suffixes)
    return 0
