"""Arguments and options that verbs of this room share. Nothing heavy is imported here."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete_model(
    _ctx: click.Context, _argument: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from monitor.welcome import complete_model

    return complete_model(incomplete)


def parse_speed(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """`max`, or how many times real time, as a number; infinite for `max`."""
    if text is None or text == "max":
        return None if text is None else math.inf
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise click.UsageError("--speed takes max, or how many times real time, such as 1.")


PATH = click.Path(readable=False)  # what cannot be read is told where it is read
model_argument = click.argument("model", type=PATH, shell_complete=_complete_model)
rate_option = click.option(
    "--false-alarm-rate", type=float, help="Largest p that alarms, instead of the model's own."
)
