"""The screen in a browser: who is let in, what a tab is, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from monitor import web

STREAM = Path(web.__file__).with_name("demo") / "stream.flac"
ALL = "0.0.0.0"  # noqa: S104
LIMIT_S = 40.0
"""How long a thing may take that takes a second: more than any noisy machine needs."""


@dataclass(frozen=True)
class Served:
    """A server, and where it is reached."""

    process: subprocess.Popen[bytes]
    url: str
    model: Path
    said: Path

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self.said.read_text()

    @property
    def tabs(self) -> list[int]:
        """Process ids of its tabs, whoever their parent is by now."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(self.model) in words and any(b"be_terminal" in w for w in words):
                    found.append(int(entry.name))
        return found

    def wait_for_tabs(self, n: int) -> None:
        """Wait until so many tabs have a process."""
        ends = time.monotonic() + LIMIT_S
        while len(self.tabs) != n:
            assert time.monotonic() < ends, f"{len(self.tabs)} tabs instead of {n}: {self.stderr}"
            time.sleep(0.05)


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture
def serve(command: str, demo_model: Path, tmp_path: Path) -> Serve:
    """Serve a rehearsal at any free port; in the end nothing of it is left."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("processes are found in /proc only")

    @contextlib.contextmanager
    def serve(*words: str) -> Iterator[Served]:
        model = Path(shutil.copy(demo_model, tmp_path / "six.offkey"))
        said = tmp_path / "stderr"
        line = [command, "monitor", str(model), "--rehearse", str(STREAM), "--web", "0", *words]
        with said.open("wb") as stderr, subprocess.Popen(line, stderr=stderr) as process:
            served = None
            try:
                served = Served(process, wait_for_address(process, said), model, said)
                yield served
            finally:
                process.kill()
                process.wait()
                for tab in served.tabs if served else []:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(tab, signal.SIGKILL)

    return serve


def wait_for_address(process: subprocess.Popen[bytes], said: Path) -> str:
    """Read the address that a server tells, by number: names may mean several."""
    ends = time.monotonic() + LIMIT_S
    while not (told := re.search(r"http://\S+:(\d+) ", said.read_text())):
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < ends
        time.sleep(0.05)
    return f"http://127.0.0.1:{told[1]}"


Browser = aiohttp.ClientWebSocketResponse


def in_tab(url: str, act: Callable[[Browser], Awaitable[None]]) -> None:
    """Open a tab as the page does, and do something in it."""

    async def run() -> None:
        address = f"{url.replace('http', 'ws')}/ws?width=120&height=40"
        async with (
            asyncio.timeout(LIMIT_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(address, headers={"Origin": url}) as browser,
        ):
            await act(browser)

    asyncio.run(run())


async def drawn_until(browser: Browser, text: str) -> None:
    """Wait until a text has been drawn. Fails when the tab is closed before."""
    drawn = ""
    async for message in browser:
        if message.type is aiohttp.WSMsgType.BINARY:
            drawn += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", message.data.decode())
            if text in drawn:
                return
    raise AssertionError(f"the tab was closed without {text!r}: {drawn[-500:]!r}")


async def wait_for_the_end(browser: Browser) -> None:
    """Read on until the server closes the tab."""
    async for _ in browser:
        pass
    assert browser.closed


def statuses(url: str, *asked: tuple[str, Mapping[str, str]]) -> list[int]:
    """Ask for paths with headers; give what HTTP says of each."""

    async def run() -> list[int]:
        async with aiohttp.ClientSession() as session, asyncio.timeout(LIMIT_S):
            found = []
            for path, headers in asked:
                async with session.get(url + path, headers=headers) as answer:
                    found.append(answer.status)
            return found

    return asyncio.run(run())


def test_pages_of_others_are_kept_out(serve: Serve) -> None:
    """Only a page of the server itself gets a tab, and only under a name of its own."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    evil = {"Host": "evil.example"}
    with serve() as served:
        assert statuses(
            served.url,
            ("/", {}),
            ("/", evil),
            ("/ws", upgrade),
            ("/ws", upgrade | {"Origin": "https://evil.example"}),
            ("/ws", upgrade | {"Origin": "null"}),
            ("/ws", upgrade | evil | {"Origin": "http://evil.example"}),
            ("/static/../web.py", {}),
        ) == [200, 403, 403, 403, 403, 403, 404]
        assert served.tabs == []
        assert "warning" not in served.stderr


def test_the_page_takes_everything_from_its_own_server(serve: Serve) -> None:
    """Each address on the page, and in its styles, is there and is the server's own."""

    async def load(url: str) -> None:
        async with aiohttp.ClientSession() as session, asyncio.timeout(LIMIT_S):
            async with session.get(url) as answer:
                page, rules = await answer.text(), answer.headers["Content-Security-Policy"]
            assert "offkey " in page
            assert "default-src 'self'" in rules
            assert set(re.findall(r"\w+://[^/;\s\"]+", page + rules)) == {url.replace("http", "ws")}
            paths = re.findall(r"/static/[^\"]+", page)
            assert len(paths) == 3
            for path in paths:
                async with session.get(url + path) as answer:
                    assert answer.status == 200

    with serve() as served:
        asyncio.run(load(served.url))


def test_a_tab_shows_the_screen_and_takes_keys(serve: Serve) -> None:
    """What is heard is drawn; p pauses; q ends that tab's process and its socket, no other's."""

    async def act(browser: Browser) -> None:
        await drawn_until(browser, "gate")
        await browser.send_json(["stdin", "p"])
        await drawn_until(browser, "PAUSED")
        await browser.send_str("no JSON")
        await browser.send_json(["resize", {"width": "wide"}])
        await browser.send_json(["ping", "1"])
        await browser.send_json(["stdin", "q"])
        await wait_for_the_end(browser)

    with serve() as served:
        in_tab(served.url, act)
        served.wait_for_tabs(0)
        assert served.process.poll() is None
        assert "Traceback" not in served.stderr


def test_a_closed_tab_ends_its_process(serve: Serve) -> None:
    """Nobody listens on for a page that is gone."""

    async def act(browser: Browser) -> None:
        await drawn_until(browser, "gate")
        assert len(served.tabs) == 1

    with serve() as served:
        in_tab(served.url, act)
        served.wait_for_tabs(0)
        assert served.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_its_tabs(serve: Serve, number: int) -> None:
    """Ctrl-C and the like end all with exit code 0, and every open tab is told."""

    async def act(browser: Browser) -> None:
        await drawn_until(browser, "gate")
        served.process.send_signal(number)
        await wait_for_the_end(browser)

    with serve() as served:
        in_tab(served.url, act)
        assert served.process.wait(LIMIT_S) == 0
        assert served.tabs == []
        said = served.stderr.splitlines()
        assert said[0].startswith("offkey: the screen is at")
        assert not [line for line in said if "Traceback" in line or "rror" in line]


def test_tabs_end_with_a_server_that_was_killed(serve: Serve) -> None:
    """No process keeps the microphone when the server could not say goodbye."""

    async def act(browser: Browser) -> None:
        await drawn_until(browser, "gate")
        served.process.kill()
        await wait_for_the_end(browser)

    with serve() as served:
        in_tab(served.url, act)
        served.wait_for_tabs(0)


def test_a_tab_that_cannot_begin_says_why(serve: Serve) -> None:
    """When the model is gone meanwhile, the page and the server's terminal say so."""

    async def act(browser: Browser) -> None:
        await drawn_until(browser, "does not exist")
        await wait_for_the_end(browser)

    with serve() as served:
        served.model.unlink()
        in_tab(served.url, act)
        served.wait_for_tabs(0)
        assert "does not exist" in served.stderr


def test_a_server_for_others_warns(serve: Serve) -> None:
    """Reachable from other machines, it says what that means, and answers to addresses."""
    with serve("--web-host", ALL) as served:
        warning = served.stderr.splitlines()[-1]
        assert warning.startswith("offkey: warning: other machines can reach port")
        names = ["192.0.2.7", "attic", "evil.example"]
        asked = [("/", {"Host": f"{name}:1"}) for name in names]
        assert statuses(served.url, *asked) == [200, 200, 403]
