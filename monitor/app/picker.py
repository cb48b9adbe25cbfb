"""The dialogue in which an input device is chosen, by its name and by what it brings."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from monitor.app import words
from monitor.app.drawing import Line, meter
from monitor.levels import InputLevel, Levels, LevelWatch

_PULL_S = 0.2
_LOWEST_DBFS = -80.0
_SILENT_DBFS = -90.0
_QUIET_DBFS = -50.0
_LOUD_DBFS = -6.0
_FULL_DBFS = -0.1
_METER, _LEAST_METER, _LONGEST_WORD = 16, 4, len("! too loud")
_WIDTH, _BESIDE, _AROUND = 76, 5, 9
"""Cells of the dialogue; cells beside its rows; lines above and below its list."""
_STYLES = {
    "strong": "bold",
    "muted": "$text-muted",
    "good": "$text-success bold",
    "warn": "$text-warning bold",
    "bad": "$text-error bold",
}
_MEANING = (
    "The level is the highest peak of the last half second. "
    "Make a sound to see which input hears it."
)
_LOOKING = "Looking for inputs …"
_NONE = "There is no sound device with an input.\nPlug one in, then look again."


class DevicePicker(ModalScreen[str | None]):
    """Lists the inputs with their levels; gives the name of the chosen one, or None.

    `current` is the device that is heard now. When this closes, the devices that it looked at are
    free again; the chosen one may be new since the program began.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "use this input",
            key_display="enter",
            priority=True,
            id="picker.choose",
        ),
        Binding("r", "look_again", "look again", id="picker.look_again"),
        Binding("escape", "leave", "back", id="picker.leave"),
    ]
    DEFAULT_CSS = """
    DevicePicker {
        align: center middle;

        #picker {
            width: 76;
            margin: 0 2;
            max-width: 100%;
            height: auto;
            max-height: 94%;
            border: round $primary;
            border-title-color: $text-primary;
            background: $surface;
        }
        #picker-inputs {
            height: auto;
            border: none;
            padding: 0;
            scrollbar-gutter: stable;
            background: $surface;
            background-tint: transparent;
            overflow-x: hidden;
            scrollbar-background: $surface;
            scrollbar-color: $foreground 25%;
            scrollbar-size-vertical: 1;
        }
        #picker-inputs > .option-list--option {
            padding: 0 1;
        }
        #picker-said {
            height: auto;
            min-height: 3;
            padding: 1 1 0 1;
        }
        Footer {
            dock: none;
            margin-top: 1;
            background: $surface;
        }
        FooterKey {
            background: $surface;
        }
    }
    """

    def __init__(self, current: str | None) -> None:
        super().__init__()
        self._current = current
        self._watch = LevelWatch()
        self._shown: tuple[InputLevel, ...] = ()
        self._drawn: list[tuple[InputLevel, bool]] = []
        self._list = OptionList(id="picker-inputs", markup=False)
        self._list.display = False
        self._said = Static("", id="picker-said", markup=False)
        self._refusal: str | None = None
        self._is_closing = False

    def compose(self) -> ComposeResult:
        """The inputs, what is to be said of them, the keys."""
        with Vertical(id="picker") as box:
            box.border_title = Content("choose an input")
            yield self._list
            yield self._said
            yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to measure."""
        self._watch.start()
        self._pull()
        self.set_interval(_PULL_S, self._pull)

    async def on_unmount(self) -> None:
        """Whatever closed the dialogue, the devices are free again."""
        await asyncio.to_thread(self._watch.close)

    def on_resize(self) -> None:
        """Another size: lay out anew, and leave room for what stands below the list."""
        self._list.styles.max_height = max(2, self.size.height - _AROUND)
        self.call_after_refresh(lambda: self._list_anew(self._shown))

    def on_option_list_option_highlighted(self) -> None:
        """Another one: what was said of the last one is no longer meant."""
        self._refusal = None
        self._draw()
        self._said.update(self._words(self._watch.newest))

    def on_option_list_option_selected(self) -> None:
        """A click chooses, too."""
        self.run_worker(self.action_choose())

    def _pull(self) -> None:
        levels = self._watch.newest
        if levels.inputs is not None:
            self._show(levels.inputs)
        is_there = bool(self._shown) and levels.problem is None
        if is_there is not self._list.display:
            self._list.display = is_there
            self.refresh_bindings()
            if is_there:
                self._list.focus()
        self._said.update(self._words(levels))

    def _words(self, levels: Levels) -> str:
        if levels.problem is not None:
            said = f"{levels.problem}\n{levels.hint or 'Look again after a while.'}"
            return "\n".join(words.printable(line) for line in said.splitlines())
        if levels.inputs is None:
            return _LOOKING
        return (self._refusal or _MEANING) if levels.inputs else _NONE

    def _show(self, inputs: tuple[InputLevel, ...]) -> None:
        before, self._shown = self._shown, inputs
        if [one.name for one in before] != [one.name for one in inputs]:
            self._list_anew(inputs)
        elif inputs != before:
            self._draw()

    def _draw(self) -> None:
        """Draw those rows anew that have changed."""
        rows = [(one, i == self._list.highlighted) for i, one in enumerate(self._shown)]
        before, self._drawn = self._drawn, rows
        if len(rows) == len(before) == self._list.option_count:
            for i, row in enumerate(rows):
                if row != before[i]:
                    self._list.replace_option_prompt_at_index(i, self._row(*row))

    def _list_anew(self, inputs: tuple[InputLevel, ...]) -> None:
        """Other devices: the highlighted one stays so, at first the one that is heard now."""
        at = self._list.highlighted
        kept = self._current if at is None else self._list.get_option_at_index(at).id
        self._list.clear_options()
        self._drawn = [(one, False) for one in inputs]
        self._list.add_options([Option(self._row(*row), row[0].name) for row in self._drawn])
        names = [one.name for one in inputs]
        default = next((i for i, one in enumerate(inputs) if one.is_default), 0)
        self._list.highlighted = names.index(kept) if kept in names else default if names else None

    def _row(self, one: InputLevel, is_highlighted: bool) -> Content:
        """Two lines; plain on the highlight, where the colours could not be read."""
        width = max(40, min(_WIDTH, self.size.width - 4) - _BESIDE)
        marks = [("heard now", one.name == self._current), ("default", one.is_default)]
        marked = " · ".join(word for word, holds in marks if holds)
        name = words.shorten(words.printable(one.name), width - cell_len(marked) - 4)
        name = f"{'▸' if is_highlighted else ' '} {name}"
        gap = " " * (width - cell_len(name) - cell_len(marked))
        kind = f"{words.plural(one.channels, 'channel')} · {words.rate_text(one.rate_hz)}"
        lines: list[tuple[str, str]] = [(name, "strong"), (gap, ""), (f"{marked}\n", "")]
        lines += [(f"    {kind:<24}", "muted"), *self._level(one, width - 28)]
        styles = {} if is_highlighted else _STYLES
        return Content.assemble(*((text, styles.get(role, "")) for text, role in lines))

    def _level(self, one: InputLevel, room: int) -> Line:
        if one.state == "waiting":
            return [("waiting", "muted")]
        if one.state == "opening":
            return [("opening it …", "muted")]
        if one.state == "mute":
            return [("! no sound arrives from it", "warn")]
        if one.state != "heard":
            if one.name == self._current:
                return [("in use here", "")]
            why = f"! cannot be opened: {_why(one)}"
            return [(words.clip(why, room), "warn")]
        word, role = loudness(one.peak_dbfs)
        share = 0.0 if one.peak_dbfs is None else 1 - one.peak_dbfs / _LOWEST_DBFS
        whole = None if one.peak_dbfs is None else round(one.peak_dbfs) + 0.0  # no minus zero
        level = f"  {words.level_text(whole)} dBFS  "
        bar = max(_LEAST_METER, min(_METER, room - cell_len(level) - _LONGEST_WORD))
        return [*meter(share, None, bar), (level, ""), (word, role)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Only where there are inputs one can be chosen."""
        return action != "choose" or self._list.display

    async def action_choose(self) -> None:
        """Take the highlighted one, unless it cannot be opened."""
        at = self._list.highlighted
        if at is None or at >= len(self._shown):
            return
        one = self._shown[at]
        if one.state in ("failed", "hung") and one.name != self._current:
            name = words.printable(one.name)
            self._refusal = f"! {name} cannot be opened: {_why(one)}. Choose another one."
            self._pull()
            return
        await self._close(one.name)

    async def action_leave(self) -> None:
        """Change nothing."""
        await self._close(None)

    async def _close(self, chosen: str | None) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        await asyncio.to_thread(self._watch.close)
        self.dismiss(chosen)

    async def action_look_again(self) -> None:
        """Look anew which inputs there are."""
        await asyncio.to_thread(self._watch.close)
        self._shown, self._refusal = (), None
        self._watch = LevelWatch()
        self._watch.start()
        self._pull()


def _why(one: InputLevel) -> str:
    """What is wrong with an input, as the rest of a sentence; names in capitals stay so."""
    why = words.printable(one.problem or "")
    return why if why[1:2].isupper() else why[:1].lower() + why[1:]


def loudness(peak_dbfs: float | None) -> tuple[str, str]:
    """A peak level in a word, and the role that it is drawn in."""
    if peak_dbfs is None:
        return "no signal", "warn"
    if peak_dbfs < _SILENT_DBFS:
        return "silent", "warn"
    if peak_dbfs < _QUIET_DBFS:
        return "quiet", ""
    if peak_dbfs < _LOUD_DBFS:
        return "sound", "good"
    if peak_dbfs < _FULL_DBFS:
        return "loud", "good"
    return "! too loud", "bad"
