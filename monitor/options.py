"""Arguments and options that verbs of this room share. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete_model(
    _ctx: click.Context, _argument: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from monitor.welcome import complete_model

    return complete_model(incomplete)


PATH = click.Path(readable=False)  # what cannot be read is told where it is read
model_argument = click.argument("model", type=PATH, shell_complete=_complete_model)
rate_option = click.option(
    "--false-alarm-rate", type=float, help="Largest p that alarms, instead of the model's own."
)
