"""The device picker: what it lists is what was measured; every key does what it says.

What measures is made up here; that it measures for real is tested in test_playback.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from monitor.app import picker
from monitor.app.picker import DevicePicker, loudness
from monitor.levels import InputLevel, Levels

KITCHEN = InputLevel("Kitchen mic", 2, 48_000, False, "heard", -20.0)
CELLAR = InputLevel("Cellar mic", 1, 44_100, True, "heard", None)
ATTIC = InputLevel("Attic mic", 1, 16_000, False, "failed", None, "Device unavailable")
HOUSE = (KITCHEN, CELLAR, ATTIC)
NOTHING_YET = Levels()


class FakeWatch:
    """Says what a test wants; remembers whether it was closed."""

    made: list[FakeWatch]
    newest = NOTHING_YET
    close_s = 0.0

    def __init__(self) -> None:
        self.is_closed = self.is_started = False
        FakeWatch.made.append(self)

    def start(self) -> None:
        """Begin."""
        self.is_started = True

    def close(self) -> None:
        """End."""
        time.sleep(self.close_s)
        self.is_closed = True


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> type[FakeWatch]:
    """Put the made-up levels in place: three inputs."""
    FakeWatch.made, FakeWatch.close_s = [], 0.0
    FakeWatch.newest = Levels(HOUSE)
    monkeypatch.setattr(picker, "LevelWatch", FakeWatch)
    return FakeWatch


class Host(App[None]):
    """An app that opens the picker and keeps its answers."""

    def __init__(self, current: str | None) -> None:
        super().__init__()
        self.current = current
        self.answers: list[str | None] = []

    def compose(self) -> ComposeResult:
        """Something below."""
        yield Static("below")

    def on_mount(self) -> None:
        """Open it."""
        self.push_screen(DevicePicker(self.current), self.answers.append)


Act = Callable[[Pilot[None], Host], Awaitable[None]]


def on_screen(
    act: Act, current: str | None = "Kitchen mic", size: tuple[int, int] = (80, 24)
) -> Host:
    """Open the picker and do something to it; afterwards all that measures is closed."""
    host = Host(current)

    async def run() -> None:
        async with host.run_test(size=size) as pilot:
            await until(pilot, lambda: isinstance(host.screen, DevicePicker))
            await pilot.pause()
            await act(pilot, host)

    asyncio.run(run())
    assert all(one.is_started and one.is_closed for one in FakeWatch.made)
    return host


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait until something holds, half a minute at most."""
    for _ in range(600):
        await pilot.pause(0.05)
        if holds():
            return
    raise AssertionError("waited in vain")


def lines_of(host: Host) -> list[str]:
    """All lines of the whole screen."""
    width, height = host.size
    strips = host.screen._compositor.render_strips()
    assert len(strips) == height
    return [strip.text[:width].rstrip() for strip in strips]


def text_of(host: Host) -> str:
    """The whole screen, its lines joined."""
    return "\n".join(lines_of(host))


def line_with(host: Host, text: str, below: int = 0) -> str:
    """The line that holds some text, or one below it."""
    lines = lines_of(host)
    [found] = [i for i, line in enumerate(lines) if text in line]
    return lines[found + below]


# --- what it shows -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 20), (80, 24), (120, 40), (200, 60)])
def test_every_input_is_listed_with_what_it_brings(size: tuple[int, int]) -> None:
    """Name, channels, rate, level in a bar, a number and a word; marks for default and current."""

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "Attic" in text_of(host))
        assert line_with(host, "Kitchen mic").strip("│ ").endswith("heard now")
        kitchen = line_with(host, "Kitchen mic", below=1)
        assert "2 channels · 48 kHz" in kitchen
        assert "█" in kitchen
        assert "−20 dBFS  sound" in kitchen
        assert line_with(host, "Cellar mic").strip("│ ").endswith("default")
        cellar = line_with(host, "Cellar mic", below=1)
        assert "1 channel · 44.1 kHz" in cellar
        assert "– dBFS  no signal" in cellar
        assert "█" not in cellar
        assert "! cannot be opened: de" in line_with(host, "Attic mic", below=1)
        keys = line_with(host, "look again")
        assert "use this input" in keys
        assert "esc back" in keys

    on_screen(look, size=size)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("waiting", "waiting"),
        ("opening", "opening it …"),
        ("mute", "! no sound arrives from it"),
        ("hung", "! cannot be opened: it does not answer"),
    ],
)
def test_every_state_has_words(watch: type[FakeWatch], state: str, words: str) -> None:
    """What is not heard yet, or not at all, is told in words."""
    problem = "it does not answer" if state == "hung" else None
    watch.newest = Levels((InputLevel("Mic", 1, 8000, True, state, None, problem),))

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: words in text_of(host))

    on_screen(look, current=None)


def test_levels_are_live(watch: type[FakeWatch]) -> None:
    """Another level is shown without any key, on the row that is highlighted and on others."""

    async def look(pilot: Pilot[None], host: Host) -> None:
        for level, word in [(-3.0, "−3 dBFS  loud"), (-0.04, " 0 dBFS  ! too loud")]:
            moved = InputLevel("Kitchen mic", 2, 48_000, False, "heard", level)
            other = InputLevel("Cellar mic", 1, 44_100, True, "heard", level)
            watch.newest = Levels((moved, other, ATTIC))
            await until(
                pilot,
                lambda word=word: all(  # type: ignore[misc]
                    word in line_with(host, name, below=1) for name in ("Kitchen", "Cellar")
                ),
            )

    on_screen(look)


@given(st.none() | st.floats(-200, 20))
def test_louder_is_never_worded_as_quieter(peak_dbfs: float | None) -> None:
    """The words come in one order, from no signal to too loud."""
    order = ["no signal", "silent", "quiet", "sound", "loud", "! too loud"]
    places = [order.index(loudness(p)[0]) for p in (None, -200.0, peak_dbfs, 20.0)]
    assert places[2] in (0, *range(places[1], places[3] + 1))
    if peak_dbfs is not None:
        assert places[2] <= order.index(loudness(peak_dbfs + 0.5)[0])


def test_the_device_that_is_heard_is_in_use_where_it_cannot_be_opened_twice() -> None:
    """Where nobody else may open the current one, that is no fault of it, and it can be kept."""

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "in use here" in text_of(host))
        assert "cannot be opened" not in text_of(host)
        await pilot.press("enter")
        await until(pilot, lambda: bool(host.answers))

    assert on_screen(look, current="Attic mic").answers == ["Attic mic"]


def test_foreign_names_do_no_harm(watch: type[FakeWatch]) -> None:
    """Markup, control characters, wide and endless names are shown as they are, on one line."""
    names = ["[bold red]x[/]", "a\x1b[2Jb\nc", "マイク" * 40, "[/]"]
    watch.newest = Levels(tuple(InputLevel(n, 1, 8000, False, "heard", -30.0) for n in names))

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "[bold red]x[/]" in text_of(host))
        assert r"a\x1b[2Jb\nc" in text_of(host)
        assert sum("−30 dBFS" in line for line in lines_of(host)) == 4
        await pilot.press("down", "enter")
        await until(pilot, lambda: bool(host.answers))

    assert on_screen(look, current=None).answers == [names[1]]


def test_however_many_there_are_the_keys_stay_in_sight(watch: type[FakeWatch]) -> None:
    """A long list scrolls to the highlighted one; what stands below it keeps its place."""
    many = tuple(InputLevel(f"mic {i:02}", 1, 8000, False, "heard", -30.0) for i in range(40))
    watch.newest = Levels(many)

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "mic 00" in text_of(host))
        await pilot.press("end")
        await until(pilot, lambda: "▸ mic 39" in text_of(host))
        assert "use this input" in text_of(host)
        assert "Make a sound" in text_of(host)

    on_screen(look, current=None)


# --- where there is nothing to choose ------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "sentence", "hint"),
    [
        (Levels(), "Looking for inputs …", ""),
        (Levels(()), "There is no sound device with an input.", "Plug one in, then look again."),
        (Levels(None, "The PortAudio library is missing.", "apt x"), "PortAudio library", "apt x"),
        (Levels(None, "It failed."), "It failed.", "Look again after a while."),
    ],
)
def test_without_inputs_a_sentence_says_what_to_do(
    watch: type[FakeWatch], levels: Levels, sentence: str, hint: str
) -> None:
    """The sentence and the next step; Enter is neither offered nor does it close the dialogue."""
    watch.newest = levels

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: sentence in text_of(host))
        assert hint in text_of(host)
        assert "use this input" not in text_of(host)
        await pilot.press("enter", "down", "up")
        assert not host.answers
        assert isinstance(host.screen, DevicePicker)

    on_screen(look)


def test_a_system_that_fails_later_takes_the_place_of_the_list(watch: type[FakeWatch]) -> None:
    """The list goes while there is a problem, and comes back with the same input highlighted."""

    async def look(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "Attic" in text_of(host))
        await pilot.press("down")
        watch.newest = Levels(None, "It failed.")
        await until(pilot, lambda: "It failed." in text_of(host))
        assert "Attic" not in text_of(host)
        watch.newest = Levels(HOUSE)
        await until(pilot, lambda: "▸ Cellar mic" in text_of(host))

    on_screen(look)


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "keys", "answer"),
    [
        ("Kitchen mic", ["enter"], "Kitchen mic"),
        ("Kitchen mic", ["down", "enter"], "Cellar mic"),
        ("Kitchen mic", ["down", "up", "enter", "enter"], "Kitchen mic"),
        (None, ["enter"], "Cellar mic"),
        ("gone since", ["up", "enter"], "Kitchen mic"),
        ("Kitchen mic", ["escape"], None),
        ("Kitchen mic", ["down", "escape", "escape"], None),
    ],
)
def test_keys_choose_or_leave(current: str | None, keys: list[str], answer: str | None) -> None:
    """It begins at the current input, else at the default; Enter gives its name, Escape None."""

    async def press(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.press(*keys)
        await until(pilot, lambda: bool(host.answers))

    assert on_screen(press, current).answers == [answer]


def test_one_that_cannot_be_opened_is_not_taken() -> None:
    """Enter says why instead; that goes when another one is highlighted."""

    async def press(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.press("end", "enter")
        said = "! Attic mic cannot be opened: device unavailable. Choose another one."
        await until(pilot, lambda: said in text_of(host))
        assert not host.answers
        await pilot.press("up")
        await until(pilot, lambda: said not in text_of(host))

    assert not on_screen(press).answers


def test_a_click_chooses() -> None:
    """A click on an input takes it."""

    async def press(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.click(OptionList, offset=(5, 3))
        await until(pilot, lambda: bool(host.answers))

    assert on_screen(press).answers == ["Cellar mic"]


def test_a_double_click_answers_once(watch: type[FakeWatch]) -> None:
    """However long it takes until the devices are free, the second click changes nothing."""
    watch.close_s = 0.5

    async def press(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.click(OptionList, offset=(5, 3), times=2)
        await until(pilot, lambda: bool(host.answers))
        await pilot.pause(1.0)
        assert not isinstance(host.screen, DevicePicker)

    assert on_screen(press).answers == ["Cellar mic"]


def test_looking_again_begins_anew(watch: type[FakeWatch]) -> None:
    """It closes what measured, shows what is there now, and keeps what was highlighted."""

    async def press(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.press("down")
        watch.newest = NOTHING_YET
        await pilot.press("r")
        await until(pilot, lambda: "Looking" in text_of(host))
        assert [one.is_closed for one in watch.made] == [True, False]
        await pilot.press("enter")
        new = InputLevel("Roof mic", 1, 8000, False, "heard", -30.0)
        watch.newest = Levels((new, *HOUSE))
        await until(pilot, lambda: "▸ Cellar mic" in text_of(host))
        assert "Roof mic" in text_of(host)

    assert not on_screen(press).answers


def test_another_size_keeps_everything(watch: type[FakeWatch]) -> None:
    """A terminal made narrower or wider has every row whole, the same one highlighted."""

    async def resize(pilot: Pilot[None], host: Host) -> None:
        await until(pilot, lambda: "▸" in text_of(host))
        await pilot.press("down")
        for size in [(64, 20), (120, 40)]:
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "▸ Cellar mic" in text_of(host))
            assert line_with(host, "Cellar mic").strip("│ ").endswith("default")
            assert "−20 dBFS  sound" in line_with(host, "Kitchen mic", below=1)

    on_screen(resize)
