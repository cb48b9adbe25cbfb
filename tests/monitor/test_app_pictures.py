"""Every state of the screen, cell by cell: characters, colours and attributes.

What is compared with tests/monitor/pictures is what Textual would write on a terminal, in two
themes at three sizes, and at the smallest also without colours and in the terminal's own sixteen.
Everything on the screen is made up (app_still.py, app_sounds.py), so that nothing of it hangs on a
clock, a processor or a fit. When the screen was changed on purpose:

    python -m pytest tests/monitor/test_app_pictures.py -m '' --update-pictures

then look at what `git diff tests/monitor/pictures` says before it is committed. The pictures were
made with the version of Textual that pictures/textual.txt names. Another version may draw frames,
keys or theme colours otherwise: then the comparison is skipped and says so. Look at the
differences with --update-pictures; where they are Textual's alone, keep them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import textual
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual import constants
from textual.color import Color
from textual.screen import Screen

from monitor.app.colours import contrast
from tests.monitor.app_dialogue_stories import DIALOGUE_STORIES, make_still
from tests.monitor.app_record_stories import RECORD_STORIES, make_record_still
from tests.monitor.app_states import SIZES
from tests.monitor.app_still import Stage
from tests.monitor.app_stories import STORIES, Steps, Story, after_sounds, live_app
from tests.monitor.pictures import (
    Picture,
    Row,
    Told,
    cells_of,
    differences,
    joined,
    read,
    together,
    write,
)

FOLDER = Path(__file__).parent / "pictures"
MADE_WITH = FOLDER / "textual.txt"
ALL = STORIES | DIALOGUE_STORIES | RECORD_STORIES
PLAIN = STORIES | RECORD_STORIES
"""Stories without a dialogue, behind which everything is faint."""
THEMES = {"dark": "textual-dark", "light": "textual-light"}
MOST_TOLD = 3
AT_THE_SMALLEST = {"no colour": "textual-dark", "ansi": "ansi-dark"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="time zones cannot be set there")


@pytest.fixture(autouse=True)
def _the_same_everywhere(tmp_path: Path) -> Iterator[None]:
    """Leave nothing of the machine, the terminal, the time or the person on the screen."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "TEXTUAL", "COLUMNS", "LINES"):
            patch.delenv(name, raising=False)
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLORTERM", "truecolor")
        patch.setenv("TZ", "UTC")
        patch.setenv("XDG_CONFIG_HOME", "config")
        patch.setattr(constants, "FILTERS", "")
        patch.setattr(Screen, "_compositor_refresh", _drawing_nothing(Screen._compositor_refresh))
        patch.chdir(tmp_path)
        time.tzset()
        make_still(patch)
        make_record_still(patch)
        yield
    time.tzset()


def _drawing_nothing(refresh: Callable[[Screen[Any]], None]) -> Callable[[Screen[Any]], None]:
    """Leave out what would be drawn between two looks, which nobody sees."""

    def refresh_others(screen: Screen[Any]) -> None:
        if screen is screen.app.screen:
            screen._dirty_widgets.clear()
        else:
            refresh(screen)

    return refresh_others


def file_of(story: str, size: tuple[int, int]) -> Path:
    """Where a story's pictures are stored."""
    return FOLDER / f"{story.replace(' ', '_')}_{size[0]}x{size[1]}.txt"


def tell(story: Story, size: tuple[int, int], theme: str) -> Told:
    """Go through a story and look at every step."""
    pictures = {}
    app = story.app()
    app.theme, app.animation_level, app.NOTIFICATION_TIMEOUT = theme, "none", 1e6

    async def run() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            app._pulls.pause()
            stage = Stage(app, pilot)
            async for name in story.steps(stage):
                pictures[name] = await stage.look()

    asyncio.run(run())
    return Told(("",), pictures)


def tell_all(story: Story, size: tuple[int, int]) -> Told:
    """Go through a story in every colouring."""
    drawn = {}
    for colouring, theme in (THEMES | (AT_THE_SMALLEST if size == SIZES[0] else {})).items():
        with pytest.MonkeyPatch.context() as patch:
            if colouring == "no colour":
                patch.setenv("NO_COLOR", "1")
            drawn[colouring] = tell(story, size, theme)
    return together(drawn)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(size, id=f"{size[0]}x{size[1]}", marks=[pytest.mark.slow] * (size == SIZES[1]))
        for size in SIZES
    ],
)
@pytest.mark.parametrize("story", ALL)
def test_every_state_looks_as_it_did(
    story: str, size: tuple[int, int], pytestconfig: pytest.Config
) -> None:
    """Each cell of each picture has the character, colours and attributes that are stored."""
    told, path = tell_all(ALL[story], size), file_of(story, size)
    if pytestconfig.getoption("--update-pictures", default=False):
        write(path, f"{story}, {size[0]}x{size[1]}", told)
        MADE_WITH.write_text(f"{textual.__version__}\n")
        return
    stored = read(path)
    report = "\n".join(
        [f"{path.name} is otherwise; see --update-pictures", *compared(stored, told)]
    )
    if stored == told:
        return
    if MADE_WITH.read_text().strip() != textual.__version__:
        pytest.skip(f"stored with Textual {MADE_WITH.read_text().strip()}: {report}")
    pytest.fail(report, pytrace=False)


def compared(stored: Told, told: Told) -> list[str]:
    """What is otherwise in a story, in all of its pictures; where it is in the first few."""
    report, names = [], list(stored.pictures)
    if names != list(told.pictures) or stored.colourings != told.colourings:
        report.append(f"the pictures were {', '.join(names)}")
    changed = [n for n in names if n in told.pictures and stored.pictures[n] != told.pictures[n]]
    for name in changed[:MOST_TOLD]:
        found = differences(stored.pictures[name], told.pictures[name], told.colourings)
        report.append("\n  ".join([name, *found]))
    more = ", ".join(changed[MOST_TOLD:])
    return [*report, f"also otherwise: {more}"] if more else report


def stored_stories(names: Iterable[str]) -> Iterator[tuple[str, Told]]:
    """What is stored of some stories at every size, by the names of the files."""
    for name, size in product(names, SIZES):
        path = file_of(name, size)
        yield path.name, read(path)


def letters_of(told: Told) -> Iterator[tuple[str, str, str]]:
    """Picture, colouring and look of all letters and digits."""
    for name, picture in told.pictures.items():
        looks = {looks for row in picture for cell, looks in cells_of(row) if cell.isalnum()}
        for look in looks:
            yield from ((name, *pair) for pair in zip(told.colourings, look, strict=True))


def colours_of(look: str) -> tuple[str, str]:
    """What colour letters have, and on which."""
    words, _, ground = look.partition("on ")
    colour = words.split()[-1]
    return (ground, colour) if "reverse" in words else (colour, ground)


def test_pictures_are_stored_as_they_would_be_written(tmp_path: Path) -> None:
    """There is a file for each story and size and no other; writing it again changes nothing."""
    expected = {file_of(*one).name for one in product(ALL, SIZES)} | {MADE_WITH.name}
    assert {path.name for path in FOLDER.iterdir()} == expected
    for name, told in stored_stories(ALL):
        title = (FOLDER / name).read_text(encoding="utf-8").partition("\n")[0]
        write(tmp_path / name, title, told)
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_words_stand_out_in_every_theme() -> None:
    """No letter is fainter than a contrast of 4.5, or of 3.5 where it is bold."""
    for file, told in stored_stories(PLAIN):
        for name, colouring, look in letters_of(told):
            if colouring in THEMES:
                found = contrast(*map(Color.parse, colours_of(look)))
                assert found >= (3.5 if "bold" in look else 4.45), (file, name, colouring, look)


def test_no_word_vanishes_where_there_are_fewer_colours() -> None:
    """On terminals of 16 and of 256 colours letters never have the colour that they stand on."""
    for file, told in stored_stories(ALL):
        for name, colouring, look in letters_of(told):
            for system in (ColorSystem.STANDARD, ColorSystem.EIGHT_BIT):
                if colouring in THEMES:
                    colour, ground = (
                        RichColor.parse(one).downgrade(system) for one in colours_of(look)
                    )
                    assert colour != ground, (file, name, colouring, look)


def test_without_colours_there_are_none_and_an_alarm_stands_out() -> None:
    """With NO_COLOR everything is a shade of grey, and nothing is brighter than an alarm."""
    for file, told in stored_stories(ALL):
        for name, colouring, look in letters_of(told):
            if colouring == "no colour":
                for colour in map(Color.parse, colours_of(look)):
                    assert len(set(colour.rgb)) == 1, (file, name, look)
    told = read(file_of("verdicts", SIZES[0]))
    at = told.colourings.index("no colour")
    for row in told.pictures["alarm, pinned"]:
        start = row.text.find("▲")
        if start >= 0:
            cells = cells_of(row)
            brightest = max(Color.parse(colours_of(c[1][at])[0]).rgb for c in cells if c[0].strip())
            assert Color.parse(colours_of(cells[start][1][at])[0]).rgb == brightest
            assert "bold" in cells[start][1][at]


@given(data=st.data())
def test_one_other_cell_is_found_and_told(data: st.DataObject) -> None:
    """Whichever cell has another character or look, its row and column are told, and no other."""
    told = read(file_of("listening", SIZES[0]))
    picture = told.pictures["live"]
    y = data.draw(st.integers(0, len(picture) - 1))
    cells = cells_of(picture[y])
    x = data.draw(st.integers(0, len(cells) - 1))
    text, looks = cells[x]
    if data.draw(st.booleans()):
        cells[x] = ("!" if text != "!" else "?", looks)
    else:
        i = data.draw(st.integers(0, len(looks) - 1))
        cells[x] = (text, (*looks[:i], "bold blink red on blue", *looks[i + 1 :]))
    row = Row("".join(cell for cell, _ in cells), joined((1, looks) for _, looks in cells))
    changed: Picture = (*picture[:y], row, *picture[y + 1 :])
    (found,) = differences(picture, changed, told.colourings)
    assert found.startswith(f"row {y + 1}, columns {x + 1} to {x + 1}: {text!r}")


def test_the_key_for_colours_makes_of_the_dark_picture_the_light_one() -> None:
    """T draws everything anew: nothing keeps the colours of the theme before."""

    async def steps(stage: Stage) -> Steps:
        await after_sounds(stage)
        yield "before"
        await stage.press("t")
        yield "after"

    dark, light = (tell(Story(live_app, steps), SIZES[0], theme) for theme in THEMES.values())
    assert dark.pictures["before"] != dark.pictures["after"] == light.pictures["before"]
    assert light.pictures["after"] == dark.pictures["before"]
