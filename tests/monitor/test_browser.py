"""`--web` in a real Chromium that reaches nothing but this machine: seen, typed into, clicked."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from monitor import web
from tests.chromium import LIMIT_S, Page, chromium, first_page

STREAM = Path(web.__file__).with_name("demo") / "stream.flac"
KEEP_TERMINAL = """
Object.defineProperty(Object.prototype, "fitAddon", { configurable: true, set(addon) {
  window.tab = this;
  Object.defineProperty(this, "fitAddon", { value: addon, writable: true });
} });"""
"""The page keeps its terminal to itself; this keeps it where a test finds it, too."""
READ = """(() => {
  const terminal = window.tab?.terminal, buffer = terminal?.buffer.active, lines = [];
  for (let i = 0; i < (terminal?.rows ?? 0); i++)
    lines.push(buffer.getLine(i)?.translateToString(true) ?? "");
  return lines;
})()"""
CELL = """(() => {
  const cell = window.tab.terminal._core._renderService.dimensions.css.cell;
  return [cell.width, cell.height];
})()"""


class Tab(Page):
    """The page with the screen in a terminal."""

    async def lines_with(self, text: str) -> list[str]:
        """Wait until the terminal shows a text; give its lines."""
        ends = time.monotonic() + LIMIT_S
        while True:
            lines: list[str] = await self.value(READ)
            if any(text in line for line in lines):
                return lines
            assert time.monotonic() < ends, "\n".join([f"no {text!r} on the screen:", *lines])
            await asyncio.sleep(0.1)

    async def press(self, letter: str) -> None:
        """Press and let go a key."""
        code = {"key": letter, "code": f"Key{letter.upper()}"}
        number = ord(letter.upper())
        for kind, text in (("keyDown", {"text": letter}), ("keyUp", {})):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, windowsVirtualKeyCode=number, **code, **text
            )

    async def click_on(self, text: str) -> None:
        """Click on a text that the terminal shows, where it stands lowest."""
        lines = await self.lines_with(text)
        row = max(i for i, line in enumerate(lines) if text in line)
        width, height = await self.value(CELL)
        await self.click((lines[row].index(text) + 0.5) * width, (row + 0.5) * height)


@pytest.fixture
def address(command: str, demo_model: Path, tmp_path: Path) -> Iterator[str]:
    """Serve a rehearsal, and give the address as it is told."""
    said = tmp_path / "stderr"
    line = [command, "monitor", str(demo_model), "--rehearse", str(STREAM), "--web", "0"]
    with said.open("wb") as stderr, subprocess.Popen(line, stderr=stderr) as process:
        try:
            ends = time.monotonic() + LIMIT_S
            while not (told := re.search(r"(http://\S+:\d+) ", said.read_text())):
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < ends
                time.sleep(0.05)
            yield told[1]
            process.terminate()
            assert process.wait(LIMIT_S) == 0
            assert "Traceback" not in said.read_text()
        finally:
            process.kill()


@pytest.fixture
def devtools(tmp_path: Path) -> Iterator[str]:
    """Start Chromium; give the address of its DevTools."""
    with chromium(tmp_path / "profile") as where:
        yield where


def in_chromium(devtools: str, address: str, act: Callable[[Tab], Awaitable[None]]) -> None:
    """Do something on the page at an address."""

    async def run() -> None:
        async with first_page(devtools, Tab) as tab:
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_TERMINAL)
            await tab.call("Page.navigate", url=address)
            await act(tab)

    asyncio.run(run())


def test_the_page_shows_the_screen_and_takes_keys_and_clicks(devtools: str, address: str) -> None:
    """The screen is drawn, p pauses, a click on its word goes on; q ends it, a click begins anew.

    All that is loaded comes from the server itself, and nothing on the page fails.
    """

    async def act(page: Tab) -> None:
        await page.lines_with("p pause")
        lines = await page.lines_with("normal")
        assert lines[0].startswith(" offkey  six.offkey")
        assert len(await page.picture()) > 25_000
        await page.press("p")
        await page.lines_with("PAUSED")
        await page.click_on("p go on")
        await page.lines_with("p pause")
        await page.press("q")
        await page.wait_for("document.body.classList.contains('-closed')")
        box = await page.value(
            "(b => [b.x + b.width / 2, b.y + b.height / 2])"
            "(document.querySelector('#end button').getBoundingClientRect())"
        )
        await page.click(*box)
        await page.lines_with("p pause")
        loaded = {e["request"]["url"] for e in page.seen("Network.requestWillBeSent")}
        loaded |= {e["url"] for e in page.seen("Network.webSocketCreated")}
        assert len(loaded) >= 5
        assert {urlsplit(url).netloc for url in loaded} == {urlsplit(address).netloc}
        assert page.seen("Network.loadingFailed") == []
        assert page.seen("Runtime.exceptionThrown") == []
        logged = [e["entry"] for e in page.seen("Log.entryAdded")]
        assert [entry for entry in logged if entry["source"] in ("network", "security")] == []
        await page.wait_for("[...document.fonts].map(font => font.status).join() === 'loaded'")

    in_chromium(devtools, address, act)
