"""What can be seen of the monitor's dialogues, as stories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from textual.command import CommandList
from textual.widgets import Input

from model.errors import DeviceError
from monitor.app import compare, picker, table
from monitor.app.compare import CompareScreen
from monitor.app.dialogue import FailureDialogue
from monitor.app.naming import NameDialogue
from monitor.app.picker import DevicePicker
from monitor.levels import InputLevel, Levels
from tests.monitor.app_sounds import explanation, sound
from tests.monitor.app_still import Stage
from tests.monitor.app_stories import LONG, Steps, Story, after_sounds, live_app


async def dialogues(stage: Stage) -> Steps:
    """Why it cannot go on, naming, help, commands."""
    app = stage.app
    await after_sounds(stage)
    error = DeviceError(
        "'USB Audio' cannot be opened: device unavailable.", "offkey devices lists the choices."
    )
    app.push_screen(FailureDialogue(error))
    yield "failure"
    app.pop_screen()
    app.push_screen(NameDialogue(app.stream.detector, sound(12, 0.003, 4)))
    yield "name"
    await stage.look()
    app.screen.query_one(Input).value = "late hiss, as of a valve that does not close"
    yield "name, refused"
    app.screen.query_one(Input).value = ""
    yield "name, none"
    app.pop_screen()
    await stage.press("question_mark")
    yield "help"
    app.screen.query_one("#help").scroll_end(animate=False, immediate=True)
    yield "help, its end"
    await stage.press("escape")
    await stage.press("ctrl+p")
    await _listed(stage, 20)
    yield "commands"
    app.screen.query_one(Input).value = "alarm"
    await _listed(stage, 1)
    yield "commands, found"


async def _listed(stage: Stage, least: int) -> None:
    """Wait until the command palette has found so much."""
    for _ in range(2000):
        await stage.pilot.pause(0.005)
        found = stage.app.screen.query(CommandList)
        if found and found.first(CommandList).option_count >= least:
            stage.app.screen._show_busy = False
            return
    raise AssertionError("waited in vain")


async def comparing(stage: Stage) -> Steps:
    """The spectrum of a sound over what was expected of it."""
    await after_sounds(stage)
    await stage.press("c")
    yield "whole"
    await stage.press("1", "right")
    yield "closer"
    await stage.press("escape")
    nothing = np.empty(0, np.float32)
    stage.app.push_screen(CompareScreen(stage.app.stream.detector, sound(17, None), nothing))
    yield "nothing"


HOUSE = (
    InputLevel("USB Audio", 1, 48_000, False, "failed", None, "Device unavailable"),
    InputLevel("Kitchen mic", 2, 48_000, True, "heard", -20.0),
    InputLevel("Cellar mic", 1, 44_100, False, "heard", None),
    InputLevel("Attic mic", 1, 16_000, False, "failed", None, "Device unavailable"),
    InputLevel("Loud mic", 1, 16_000, False, "heard", -0.02),
    InputLevel("Quiet mic", 1, 16_000, False, "heard", -64.0),
    InputLevel(LONG, 16, 192_000, False, "mute"),
    InputLevel("Garage mic", 2, 48_000, False, "opening"),
    InputLevel("Roof mic", 2, 48_000, False, "waiting"),
)


class StillWatch:
    """Stands for what measures the inputs."""

    def __init__(self) -> None:
        self.newest = Levels()

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""


async def choosing(stage: Stage) -> Steps:
    """The device picker."""
    await after_sounds(stage)
    await stage.press("d")
    yield "looking"
    assert isinstance(stage.app.screen, DevicePicker)
    chooser: Any = stage.app.screen
    for name, levels in {
        "no sound system": Levels(None, "The sound system does not answer.", "Look again later."),
        "no inputs": Levels(()),
        "inputs": Levels(HOUSE),
    }.items():
        chooser._watch.newest = levels
        chooser._pull()
        yield name
    await stage.press("down", "down", "down")
    await stage.press("enter")
    yield "refused"
    await stage.press("end")
    yield "the last"


DIALOGUE_STORIES = {
    "dialogues": Story(live_app, dialogues),
    "comparing": Story(live_app, comparing),
    "choosing": Story(live_app, choosing),
}


def make_still(patch: pytest.MonkeyPatch) -> None:
    """Put what is made up in the place of what measures, computes or fades."""
    patch.setattr(picker, "LevelWatch", StillWatch)
    patch.setattr(picker, "_PULL_S", 1e6)
    patch.setattr(compare, "explain", lambda _, samples: explanation() if len(samples) else None)
    patch.setattr(table, "FLASH_S", 1e6)
