"""The model panel of the screen: what a model can hear, by a key and by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from model.detector import Detector
from model.hearing import describe_hearing
from monitor.app.app import MonitorApp
from monitor.app.modelview import ModelScreen
from monitor.app.session import Session
from monitor.sources import AudioFile

Steps = Callable[[MonitorApp, "Pilot[object]"], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave the settings of whoever runs the tests out."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def watch(detector: Detector, root: Path, steps: Steps, size: tuple[int, int] = (120, 40)) -> None:
    """Do something on the screen of a session over the demo's stream."""
    file = root / "monitor" / "demo" / "stream.flac"
    app = MonitorApp(Session.of(detector, [AudioFile(str(file))], title="six.offkey"))

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await steps(app, pilot)  # type: ignore[arg-type]

    asyncio.run(run())


def text_of(app: MonitorApp) -> str:
    """What the panel says."""
    return str(app.screen.query_one("#model Static", Static).content)


def test_the_panel_shows_what_the_model_can_hear(demo_detector: Detector, root: Path) -> None:
    """`i` shows the table of damages first, and each line of the summary once; escape closes it."""

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        assert isinstance(app.screen, ModelScreen)
        said = text_of(app)
        assert said.startswith("what this model can hear")
        assert said.count("half from") == 1
        assert "smallest p" in said
        await pilot.press("escape")
        assert not isinstance(app.screen, ModelScreen)

    watch(demo_detector, root, steps)


def test_a_model_without_the_table_says_so(demo_detector: Detector, root: Path) -> None:
    """An older model, of which nothing was measured, is told what to do."""
    older = replace(demo_detector, card=replace(demo_detector.card, hearing=None))

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        assert "calibrate anew" in text_of(app).splitlines()[0]

    watch(older, root, steps)


def test_the_table_fits_into_eighty_columns(demo_detector: Detector, root: Path) -> None:
    """On 80 by 24 cells the table of damages is seen whole, without scrolling aside."""

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        box = app.screen.query_one("#model")
        table = describe_hearing(demo_detector.card)
        assert max(map(len, table)) <= box.scrollable_content_region.width

    watch(demo_detector, root, steps, (80, 24))


@pytest.mark.parametrize("width", [80, 84, 85, 120])
@pytest.mark.parametrize("front_end", ["spectrum", "mel"])
def test_every_word_is_seen_at_eighty_columns(
    demo_detector: Detector, mel_detector: Detector, root: Path, front_end: str, width: int
) -> None:
    """From 80 columns on the whole summary is read by scrolling down alone, to its last line."""
    detector = {"spectrum": demo_detector, "mel": mel_detector}[front_end]
    card = detector.card
    clipped, offset = (tuple(Path(p).name for p in paths) for paths in (card.clipped, card.offset))
    detector = replace(detector, card=replace(card, clipped=clipped, offset=offset))

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        box = app.screen.query_one("#model")
        lines = text_of(app).splitlines()
        assert {"steadiness" in line for line in lines} >= {front_end == "mel"}
        assert max(map(len, lines)) <= box.scrollable_content_region.width
        assert box.max_scroll_x == 0
        assert box.max_scroll_y + box.scrollable_content_region.height >= len(lines)
        seen = box.scrollable_content_region.height
        assert f"lines 1–{seen} of {len(lines)} ·" in str(box.border_subtitle)
        for _ in range(len(lines) // 10 + 1):
            await pilot.press("pagedown")
        await pilot.pause()
        told = f"lines {len(lines) - seen + 1}–{len(lines)} of {len(lines)} ·"
        assert told in str(box.border_subtitle)

    watch(detector, root, steps, (width, 24))


def test_a_path_wider_than_the_screen_can_be_read(demo_detector: Detector, root: Path) -> None:
    """Where a skipped file has a long path, the panel tells of the keys that bring its end."""
    path = "night/" * 20 + "evening.flac"
    card = replace(demo_detector.card, skipped=((path, "a copy of morning.flac"),))

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        await pilot.pause()
        box = app.screen.query_one("#model")
        assert "↑↓ ←→ scroll" in str(box.border_subtitle)
        for _ in range(20):
            await pilot.press("right")
        end = len(path) + len("  : a copy of morning.flac")
        assert box.scroll_offset.x + box.scrollable_content_region.width >= end

    watch(replace(demo_detector, card=card), root, steps, (80, 24))


def test_small_screens_scroll_to_its_end(demo_detector: Detector, root: Path) -> None:
    """On 40 by 12 cells every line can be reached."""

    async def steps(app: MonitorApp, pilot: Pilot[object]) -> None:
        await pilot.press("i")
        box = app.screen.query_one("#model")
        for _ in range(30):
            await pilot.press("pagedown")
        assert box.scroll_offset.y == box.max_scroll_y > 0
        for _ in range(20):
            await pilot.press("right")
        assert box.scroll_offset.x == box.max_scroll_x > 0

    watch(demo_detector, root, steps, (40, 12))
