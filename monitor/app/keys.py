"""Every action of the screen with its key; the file in which a person gives them other keys."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """Something that a person can ask of the screen."""

    id: str
    """Its name in the settings file."""
    keys: str
    """Its keys, separated by commas."""
    call: str
    """What Textual calls."""
    label: str
    """A word or two for the line of keys at the bottom."""
    help: str
    group: str
    shown: bool = False
    """Whether it stands in that line."""


_LOOK, _SOUND, _TEACH = "look", "this segment", "teach"
_ALARM, _INPUT, _APP = "alarms", "input", "offkey"

ACTIONS = (
    Action("pause", "p", "pause(True)", "pause", "Pause the input.", _INPUT, True),
    Action("pause", "p", "pause(False)", "go on", "Go on after a pause.", _INPUT, True),
    Action("follow", "f", "follow", "follow", "Follow the newest segment again.", _LOOK, True),
    Action("up", "up", "choose(-1)", "row", "Choose the row above.", _LOOK, True),
    Action("down", "down", "choose(1)", "choose", "Choose the row below.", _LOOK),
    Action("page_up", "pageup", "page(-1)", "page up", "Choose a row a page above.", _LOOK),
    Action("page_down", "pagedown", "page(1)", "page down", "Choose a row a page below.", _LOOK),
    Action("first", "home", "end(-1)", "first", "Choose the first row.", _LOOK),
    Action("last", "end", "end(1)", "last", "Choose the last row.", _LOOK),
    Action("filter", "slash", "filter", "filter", "List only what is asked for.", _LOOK, True),
    Action("sort", "s", "sort", "sort", "Sort by time, p, either score, length.", _LOOK),
    Action("listen", "space", "listen", "play", "Listen to the segment.", _SOUND, True),
    Action("compare", "c", "compare", "compare", "Compare it with what was expected.", _SOUND),
    Action(
        "export",
        "e",
        "export",
        "export",
        "Export it: WAV and JSON, into the folder offkey runs in.",
        _SOUND,
    ),
    Action("name", "n", "name", "name", "Name the nearest cluster.", _TEACH, True),
    Action(
        "mark",
        "m",
        "mark",
        "mark",
        "Mark the segment as normal; again takes the mark back.",
        _TEACH,
        True,
    ),
    Action("acknowledge", "a", "acknowledge", "seen", "Put the pinned alarm away.", _ALARM),
    Action("mute", "x", "mute", "mute", "Mute the nearest cluster, or no more.", _ALARM),
    Action("bell", "b", "toggle_bell", "bell", "Ring for alarms, or not.", _ALARM),
    Action("more_alarms", "plus", "rate(1)", "more alarms", "Higher false-alarm rate.", _ALARM),
    Action("fewer_alarms", "minus", "rate(-1)", "fewer alarms", "Lower false-alarm rate.", _ALARM),
    Action("device", "d", "device", "device", "Listen to another device.", _INPUT, True),
    Action("slower", "left_square_bracket", "speed(-1)", "slower", "Play slower.", _INPUT),
    Action("faster", "right_square_bracket", "speed(1)", "faster", "Play faster.", _INPUT),
    Action("back", "left", "jump(-5)", "back", "Five seconds back.", _INPUT),
    Action("ahead", "right", "jump(5)", "ahead", "Five seconds on.", _INPUT),
    Action(
        "next_alarm", "full_stop", "next_alarm", "next alarm", "Fast to the next alarm.", _INPUT
    ),
    Action("model", "i", "model", "model", "What the model is, and what it can hear.", _APP),
    Action("help", "question_mark", "help", "help", "This help.", _APP, True),
    Action("commands", "ctrl+p", "commands", "commands", "All commands, by name.", _APP),
    Action("colours", "t", "colours", "colours", "Light or dark colours.", _APP),
    Action("quit", "q", "quit", "quit", "End with everything finished.", _APP, True),
)
GROUPS = (_LOOK, _SOUND, _TEACH, _ALARM, _INPUT, _APP)
_SYMBOLS = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "full_stop": ".",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pageup": "page up",
    "pagedown": "page down",
}


def bindings() -> list[BindingType]:
    """What Textual is to know of the actions; Ctrl-C quits whatever a person changes."""
    shown = {"up": "↑↓"}
    found: list[BindingType] = [
        Binding(
            action.keys,
            action.call,
            action.label,
            show=action.shown,
            priority=action.id == "filter",  # at once: the next key is for the field already
            id=action.id,
            key_display=shown.get(action.id, key_text(action.keys)),
        )
        for action in ACTIONS
    ]
    return [*found, Binding("ctrl+c", "quit", show=False, priority=True)]


def key_text(keys: str) -> str:
    """Keys as a person reads them."""
    return " or ".join(_SYMBOLS.get(key.strip(), key.strip()) for key in keys.split(","))


def settings_path() -> Path:
    """The settings file, whether it is there or not."""
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "offkey" / "keys.toml"


@dataclass(frozen=True)
class Keys:
    """The keys in force."""

    changed: dict[str, str]
    """Action id to the keys that a person gave it."""
    problems: tuple[str, ...] = ()
    """What of the settings file cannot be used, a sentence each."""

    def text(self, action_id: str) -> str:
        """The keys of an action as a person reads them."""
        own = next(action.keys for action in ACTIONS if action.id == action_id)
        return key_text(self.changed.get(action_id, own))


def read_keys(path: Path) -> Keys:
    """The keys of a settings file; what is wrong with it is told and left out."""
    try:
        asked = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return Keys({})
    except OSError as error:
        return Keys({}, (f"{path} cannot be read: {error.strerror}.",))
    except ValueError:
        return Keys({}, (f"{path} is not TOML; the usual keys are in force.",))
    if not isinstance(asked, dict):
        return Keys({}, (f"{path}: [keys] must be a table.",))
    return _checked(asked, path.name)


def _checked(asked: dict[str, object], file: str) -> Keys:
    changed: dict[str, str] = {}
    problems = []
    own = {action.id: action.keys for action in ACTIONS}
    for action_id, keys in asked.items():
        if "." in action_id and action_id in _elsewhere():
            changed[action_id] = str(keys)
        elif action_id not in own:
            problems.append(f"{file}: there is no action {action_id!r}; the help lists them.")
        elif not isinstance(keys, str) or not keys.strip():
            problems.append(f"{file}: the key of {action_id} must be a text.")
        else:
            changed[action_id] = keys
    for action_id in own.keys() & changed.keys():
        in_force = own | changed
        others = [other for other in own if other != action_id]
        clash = [o for o in others if _split(in_force[o]) & _split(changed[action_id])]
        if clash:
            problems.append(f"{file}: {changed[action_id]} is the key of {clash[0]} already.")
            del changed[action_id]
    return Keys(changed, tuple(problems))


def _elsewhere() -> set[str]:
    """Actions of the screens that have keys of their own."""
    from monitor.app.compare import CompareScreen
    from monitor.app.picker import DevicePicker

    found = [*CompareScreen.BINDINGS, *DevicePicker.BINDINGS]
    return {b.id for b in found if isinstance(b, Binding) and b.id is not None}


def _split(keys: str) -> set[str]:
    names = {symbol: name for name, symbol in _SYMBOLS.items()}
    return {names.get(key.strip(), key.strip()) for key in keys.split(",")}


def unique(actions: Sequence[Action] = ACTIONS) -> list[Action]:
    """Each action once."""
    return list({action.id: action for action in reversed(actions)}.values())[::-1]
