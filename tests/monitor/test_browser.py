"""`--web` in a real Chromium that reaches nothing but this machine: seen, typed into, clicked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from monitor import web

STREAM = Path(web.__file__).with_name("demo") / "stream.flac"
LIMIT_S = 60.0
"""How long a thing may take that takes a second or two: more than any noisy machine needs."""
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1400,900",
    "--remote-debugging-port=0",
]
ONLY_THIS_MACHINE = "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"

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


class Page:
    """A page in Chromium, through its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and give its result; what happens meanwhile is kept."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            message: dict[str, Any] = await self._socket.receive_json()
            if message.get("id") == self._calls:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def value(self, expression: str) -> Any:
        """What a line of JavaScript gives."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def lines_with(self, text: str) -> list[str]:
        """Wait until the terminal shows a text; give its lines."""
        ends = time.monotonic() + LIMIT_S
        while True:
            lines: list[str] = await self.value(READ)
            if any(text in line for line in lines):
                return lines
            assert time.monotonic() < ends, "\n".join([f"no {text!r} on the screen:", *lines])
            await asyncio.sleep(0.1)

    async def wait_for(self, expression: str) -> None:
        """Wait until a line of JavaScript is true."""
        ends = time.monotonic() + LIMIT_S
        while not await self.value(expression):
            assert time.monotonic() < ends, expression
            await asyncio.sleep(0.1)

    async def press(self, letter: str) -> None:
        """Press and let go a key."""
        code = {"key": letter, "code": f"Key{letter.upper()}"}
        number = ord(letter.upper())
        for kind, text in (("keyDown", {"text": letter}), ("keyUp", {})):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, windowsVirtualKeyCode=number, **code, **text
            )

    async def click(self, x: float, y: float) -> None:
        """Move the mouse there and click."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    async def click_on(self, text: str) -> None:
        """Click on a text that the terminal shows, where it stands lowest."""
        lines = await self.lines_with(text)
        row = max(i for i, line in enumerate(lines) if text in line)
        width, height = await self.value(CELL)
        await self.click((lines[row].index(text) + 0.5) * width, (row + 0.5) * height)

    async def picture(self) -> bytes:
        """What is to be seen, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The events of a method so far."""
        return [event["params"] for event in self.events if event["method"] == method]


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
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        pytest.skip("Chromium is not installed")
    profile = tmp_path / "profile"
    line = [chromium, *OPTIONS, f"--user-data-dir={profile}"]
    line += [f"--host-resolver-rules={ONLY_THIS_MACHINE}", "about:blank"]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            ends, port = time.monotonic() + LIMIT_S, profile / "DevToolsActivePort"
            while not (port.exists() and port.read_text().count("\n")):
                assert process.poll() is None, "Chromium does not start"
                assert time.monotonic() < ends
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        finally:
            process.terminate()
            try:
                process.wait(LIMIT_S)
            finally:
                process.kill()


@contextlib.asynccontextmanager
async def opened(devtools: str, address: str) -> AsyncIterator[Page]:
    """Open the address in Chromium's first page."""
    async with asyncio.timeout(3 * LIMIT_S), aiohttp.ClientSession() as session:
        async with session.get(f"{devtools}/json") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        where = pages[0]["webSocketDebuggerUrl"]
        async with session.ws_connect(where, max_msg_size=0) as socket:
            page = Page(socket)
            for domain in ("Page", "Network", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_TERMINAL)
            await page.call("Page.navigate", url=address)
            yield page


def in_chromium(devtools: str, address: str, act: Callable[[Page], Awaitable[None]]) -> None:
    """Do something on the page."""

    async def run() -> None:
        async with opened(devtools, address) as page:
            await act(page)

    asyncio.run(run())


def test_the_page_shows_the_screen_and_takes_keys_and_clicks(devtools: str, address: str) -> None:
    """The screen is drawn, p pauses, a click on its word goes on; q ends it, a click begins anew.

    All that is loaded comes from the server itself, and nothing on the page fails.
    """

    async def act(page: Page) -> None:
        await page.lines_with("p pause")
        lines = await page.lines_with("normal")
        assert lines[0].startswith(" offkey  six.offkey")
        assert len(await page.picture()) > 25_000  # an empty page has 5,000 bytes
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
