"""The screen in a browser: a small web server that runs the same command anew for every tab.

textual-serve brings what the page needs, a terminal and a font. Its own server is not used: it
lets any page that is open in the same browser connect, loads a font from the internet and waits
without end for its processes.
"""

from __future__ import annotations

import asyncio
import html
import io
import math
import secrets
import socket
import string
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from model.errors import InputError, shown
from monitor.terminal import stop_on_signals
from monitor.webport import is_loopback, is_own_name, listen, shown_host
from monitor.webtab import run_tab, size_of

if TYPE_CHECKING:
    from aiohttp import web

MOST_TABS = 16
"""Every tab is a process of some 140 MB."""
_PROGRAM = "import monitor.web, offkey; monitor.web.be_terminal(); offkey.main()"
_RULES = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "script-src 'self' 'nonce-{nonce}'; connect-src {websocket}; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'none'"
)
"""What the page may load: nothing from elsewhere. xterm.js sets styles as it runs."""


def be_terminal() -> None:
    """In the process of a tab: what leads to a browser's terminal is one, so show the screen."""
    sys.stdout = _Terminal(sys.stdout.buffer, encoding="utf-8", errors="backslashreplace")


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def check_options(web: int | None, host: str | None, headless: bool, pipe: str | None) -> None:
    """Refuse what does not go together. Raises UsageError."""
    if web is None and host is not None:
        raise click.UsageError("--web-host goes with --web PORT.")
    if web is not None and headless:
        raise click.UsageError("--web shows the screen, --headless shows none.")
    if web is not None and pipe is not None:
        raise click.UsageError(
            "A pipe can be read only once, and with --web every tab listens by itself: "
            "use a microphone or --rehearse FILE."
        )


def same_command(context: click.Context) -> list[str]:
    """The words that run a verb again as it was given, without its options `--web…`."""
    words: list[str] = [context.info_name or ""]
    arguments: list[str] = []
    for parameter in context.command.params:
        key, name = parameter.name or "", parameter.opts[0]
        is_given = context.get_parameter_source(key) is ParameterSource.COMMANDLINE
        if not is_given or name.startswith("--web"):
            continue
        value = context.params[key]
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(parameter, click.Argument):
            arguments += values
        elif value is True:
            words.append(name)
        else:
            words += [f"{name}={'max' if v == math.inf else v}" for v in values]
    return [*words, "--", *arguments]


def serve(words: Sequence[str], title: str, port: int, host: str) -> None:
    """Serve `offkey` with these words until a signal ends it. Raises InputError."""
    files = _page_files()
    sockets = listen(host, port)
    port = sockets[0].getsockname()[1]
    is_open = not all(is_loopback(one.getsockname()[0]) for one in sockets)
    _say(
        f"the screen is at http://{shown_host(host)}:{port} (Ctrl-C ends it). Every tab listens by "
        "itself while it is open; without one nothing is heard."
    )
    if is_open:
        _say(
            f"warning: other machines can reach port {port}. Who does sees every verdict and can "
            "press every key; there is no password and no encryption."
        )
    command = [sys.executable, "-P", "-c", _PROGRAM, *words]
    asyncio.run(_Server(command, title, files, host, is_open).run(sockets))


def _say(sentence: str) -> None:
    click.echo(f"offkey: {sentence}", err=True)


def _page_files() -> Path:
    """Where textual-serve keeps the terminal and the font. Raises InputError without it."""
    try:
        import aiohttp  # noqa: F401
        import textual_serve
    except ImportError as error:
        raise InputError(
            "--web needs textual-serve, which is not installed.",
            "The extra `web` brings it: pipx install --force '.[web]'",
        ) from error
    return Path(textual_serve.__path__[0]) / "static"


class _Server:
    """Serves the page, and a process of its own to each tab."""

    def __init__(
        self, command: Sequence[str], title: str, files: Path, host: str, is_open: bool
    ) -> None:
        self._command = command
        self._title = title
        self._files = files
        self._host = host
        self._is_open = is_open
        self._tabs: set[asyncio.Task[Any]] = set()

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until a signal comes; then end the process of every tab."""
        from aiohttp import web

        app = web.Application()
        app.add_routes([web.get("/", self._page), web.get("/ws", self._tab)])
        app.add_routes([web.static("/static", self._files)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def ask_to_stop() -> None:
            loop.call_soon_threadsafe(stop.set)

        with stop_on_signals(ask_to_stop):
            await runner.setup()
            for one in sockets:
                await web.SockSite(runner, one).start()
            await stop.wait()
            for tab in self._tabs:
                tab.cancel()
            await asyncio.gather(*self._tabs, return_exceptions=True)
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        from aiohttp import web

        self._check_name(request)
        websocket = f"{'wss' if request.secure else 'ws'}://{request.host}/ws"
        page = string.Template(Path(__file__).with_name("web.html").read_text("utf-8"))
        nonce = secrets.token_urlsafe(16)
        text = page.substitute(
            title=html.escape(f"offkey {shown(self._title)}"),
            websocket=html.escape(websocket),
            nonce=nonce,
        )
        rules = _RULES.format(websocket=websocket, nonce=nonce)
        headers = {"Content-Security-Policy": rules, "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _tab(self, request: web.Request) -> web.WebSocketResponse:
        from aiohttp import web

        self._check_name(request)
        if urlsplit(request.headers.get("Origin", "")).netloc != request.host:
            raise web.HTTPForbidden(text="Only offkey's own page may connect.")
        if len(self._tabs) >= MOST_TABS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_TABS} tabs are open already.")
        tab = asyncio.current_task()
        assert tab is not None
        self._tabs.add(tab)
        try:
            browser = web.WebSocketResponse(heartbeat=15)
            await browser.prepare(request)
            await run_tab(self._command, browser, size_of(request.query))
            await browser.close()
        finally:
            self._tabs.discard(tab)
        return browser

    def _check_name(self, request: web.Request) -> None:
        from aiohttp import web

        name = urlsplit(f"//{request.host}").hostname or ""
        if not is_own_name(name, self._host, self._is_open):
            raise web.HTTPForbidden(
                text=f"{name} is not a name of this server; --web-host {name} makes it one."
            )
