"""A real Chromium that reaches nothing but this machine, through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

LIMIT_S = 60.0
"""How long a thing may take that takes a second or two: more than any noisy machine needs."""
OPTIONS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--mute-audio"),
    *("--window-size=1400,1000", "--remote-debugging-port=0"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


class Page:
    """A page in Chromium."""

    def __init__(self, socket: Any) -> None:
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
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until a line of JavaScript is true."""
        ends = time.monotonic() + LIMIT_S
        while not await self.value(expression):
            assert time.monotonic() < ends, expression
            await asyncio.sleep(0.1)

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or let go."""
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def click(self, x: float, y: float) -> None:
        """Move the mouse there and click."""
        await self.drag((x, y))

    async def drag(self, *places: tuple[float, float]) -> None:
        """Press at the first place, move over the others, let go at the last."""
        button: dict[str, Any] = {"button": "left", "clickCount": 1}
        await self.mouse("mouseMoved", *places[0])
        await asyncio.sleep(0.2)
        await self.mouse("mousePressed", *places[0], **button)
        for place in places[1:]:
            await self.mouse("mouseMoved", *place, button="left")
            await asyncio.sleep(0.05)
        await self.mouse("mouseReleased", *places[-1], **button)

    async def picture(self) -> bytes:
        """What is to be seen, as PNG: an empty page has 5,000 bytes."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The events of a method so far."""
        return [event["params"] for event in self.events if event["method"] == method]


AnyPage = TypeVar("AnyPage", bound=Page)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[str]:
    """Run Chromium; give the address of its DevTools. Skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    line = [found, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
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
async def first_page(devtools: str, kind: type[AnyPage]) -> AsyncIterator[AnyPage]:
    """Chromium's first page, as a `kind` of it, which keeps what happens from now on."""
    import aiohttp

    async with asyncio.timeout(3 * LIMIT_S), aiohttp.ClientSession() as session:
        async with session.get(f"{devtools}/json") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        where = pages[0]["webSocketDebuggerUrl"]
        async with session.ws_connect(where, max_msg_size=0) as socket:
            page = kind(socket)
            for domain in ("Page", "Network", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
            yield page
