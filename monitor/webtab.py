"""One tab of `--web`: a process that draws, the browser that shows it, and what goes between.

The process speaks the protocol of Textual's WebDriver: packets of a letter, a length and as many
bytes; `D` is what a terminal reads and writes, `M` is JSON about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from aiohttp import web

END_LIMIT_S = 8.0
"""How long a process may take to end, its stream and sinks included, before it is killed."""
HELLO = b"__GANGLION__\n"
"""What Textual's WebDriver says before its first packet."""
_SIZES = {"width": (20, 80, 1000), "height": (8, 24, 400)}
"""Least, usual and most cells of a terminal."""


def size_of(asked: Mapping[str, Any]) -> dict[str, int]:
    """Width and height of a terminal in cells, whatever was asked for."""
    size = {}
    for side, (least, usual, most) in _SIZES.items():
        try:
            size[side] = min(max(int(asked[side]), least), most)
        except (KeyError, TypeError, ValueError, OverflowError):
            size[side] = usual
    return size


async def run_tab(
    command: Sequence[str], browser: web.WebSocketResponse, size: Mapping[str, int]
) -> None:
    """Run a process for a tab until one of the two has had enough."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=_environment(size),
        start_new_session=True,  # Ctrl-C is for the server, which ends its tabs in order
    )
    said = asyncio.create_task(_pass_on_stderr(process))
    screen = asyncio.create_task(_show(process, browser, said))
    keys = asyncio.create_task(_take_keys(browser, process))
    try:
        await asyncio.wait({screen, keys}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        keys.cancel()
        try:
            await _end(process, screen)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            screen.cancel()
            said.cancel()


def _environment(size: Mapping[str, int]) -> dict[str, str]:
    return os.environ | {
        "TEXTUAL_DRIVER": "monitor.app.tabdriver:TabDriver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM_PROGRAM": "textual",
        "COLUMNS": str(size["width"]),
        "ROWS": str(size["height"]),
    }


async def _end(process: Process, screen: asyncio.Task[None]) -> None:
    """Ask a process to end and wait a while; what it still draws is read, or it would wait too."""
    try:
        async with asyncio.timeout(END_LIMIT_S):
            await _send(process, b"M", b'{"type": "quit"}')
            await asyncio.wait({screen})
            await process.wait()
    except TimeoutError:
        click.echo("offkey: the process of a tab did not end and was stopped.", err=True)


async def _show(process: Process, browser: web.WebSocketResponse, said: asyncio.Task[str]) -> None:
    """Bring what a process draws to its tab, until it ends."""
    assert process.stdout is not None
    if await process.stdout.readline() != HELLO:
        await process.stdout.read()
        await _show_text(browser, await said)
        return
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await process.stdout.readexactly(5)
            payload = await process.stdout.readexactly(int.from_bytes(head[1:], "big"))
            if head[:1] == b"D":
                await _show_bytes(browser, payload)
    await said


async def _show_bytes(browser: web.WebSocketResponse, payload: bytes) -> None:
    """Where the tab was closed meanwhile, what is drawn for it leads nowhere."""
    with contextlib.suppress(ConnectionError, RuntimeError):
        await browser.send_bytes(payload)


async def _show_text(browser: web.WebSocketResponse, text: str) -> None:
    """Why a process could not begin."""
    lines = [line for line in text.splitlines() if line.strip()] or ["offkey could not begin."]
    await _show_bytes(browser, "\r\n".join(lines).encode())


async def _pass_on_stderr(process: Process) -> str:
    """Pass what a process says on stderr to the server's own; returns the end of it."""
    assert process.stderr is not None
    text = ""
    while part := (await process.stderr.read(4096)).decode(errors="backslashreplace"):
        text = (text + part)[-4096:]
        click.echo(part, err=True, nl=False)
    return text


async def _take_keys(browser: web.WebSocketResponse, process: Process) -> None:
    """Bring what a person does in a tab to its process, until the tab is closed."""
    from aiohttp import WSMsgType

    async for message in browser:
        if message.type is not WSMsgType.TEXT:
            continue
        try:
            kind, what = (*message.json(), None)[:2]
        except (TypeError, ValueError):
            continue  # not of our page
        if kind == "stdin" and isinstance(what, str):
            await _send(process, b"D", what.encode("utf-8", "replace"))
        elif kind == "resize" and isinstance(what, dict):
            await _send(process, b"M", json.dumps({"type": "resize", **size_of(what)}).encode())
        elif kind in ("focus", "blur"):
            await _send(process, b"M", json.dumps({"type": kind}).encode())
        elif kind == "ping":
            await browser.send_json(["pong", what])


async def _send(process: Process, kind: bytes, payload: bytes) -> None:
    """Send a packet; to a process that has ended, none."""
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError, RuntimeError):
        process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
        await process.stdin.drain()
