"""The whole screen, at every size, in both themes and in every state; and in a real terminal."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from model.detector import Detector
from monitor.app.app import MonitorApp
from monitor.app.drawing import Drawing
from monitor.app.session import Session
from monitor.snapshot import Snapshot
from tests.monitor.app_quiet import Quiet
from tests.monitor.app_states import LIVE, SIZES, STATES, VERDICTS, heard_at

SMALL = [(100, 19), (64, 24), (50, 24), (80, 14), (80, 11), (50, 10), (40, 8)]

pytestmark = pytest.mark.usefixtures("own_settings")


def text_of(app: MonitorApp) -> str:
    """Everything that stands on the screen."""
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join("".join(piece.text for piece in strip) for strip in lines)


def pieces_of(app: MonitorApp) -> str:
    """The lines of each panel by itself."""
    drawings = app.query(Drawing).results(Drawing)
    lines = [w.render_line(y).text for w in drawings for y in range(w.size.height)]
    return "\n".join(lines)


def words_of(text: str) -> str:
    """Text without frames and line ends, so that what is wrapped is found."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def stands_still(app: MonitorApp) -> bool:
    """Whether the stream runs; then keep the app from showing what it brings."""
    runs = app.stream.snapshot.state == "warming up"
    if runs and app._pulls is not None:
        app._pulls.pause()
    return runs


def run(app: MonitorApp, size: tuple[int, int], act: Callable[[Pilot[Snapshot]], Any]) -> None:
    """Run the app without a terminal on a stream that brings nothing, and do something."""

    async def work() -> None:
        async with app.run_test(size=size) as pilot:
            while not stands_still(app):
                await pilot.pause(0.02)
            await act(pilot)

    asyncio.run(work())


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("size", SIZES)
def test_every_state_is_told_in_words(
    size: tuple[int, int], theme: str, demo_detector: Detector
) -> None:
    """At every size each state of the input stands on the screen, whole, in words."""
    app = MonitorApp(Session.of(demo_detector, [Quiet(is_live=True)], title="a/six.offkey"))
    app.theme = theme

    async def act(pilot: Pilot[Snapshot]) -> None:
        for name, (snapshot, expected) in STATES.items():
            app._show(snapshot, app._last, [])
            await pilot.pause()
            text = text_of(app)
            assert len(text.splitlines()) == size[1]
            for words in ["six.offkey", *expected]:
                assert words in text, name
            app.export_screenshot()

    run(app, size, act)


@pytest.mark.parametrize("size", SIZES)
def test_every_verdict_is_told_in_words(size: tuple[int, int], demo_detector: Detector) -> None:
    """Each kind of verdict is told with its reason, never by colour alone."""
    app = MonitorApp(Session.of(demo_detector, [Quiet(is_live=True)], title="six.offkey"))

    async def act(pilot: Pilot[Snapshot]) -> None:
        for number, (name, (heard, expected)) in enumerate(VERDICTS.items(), start=1):
            app.history.take(replace(heard, number=number))
            app._show(LIVE, app._last, app.take_new())
            await pilot.pause()
            for words in expected:
                assert words in words_of(text_of(app) + pieces_of(app)), name

    run(app, size, act)


@pytest.mark.parametrize("size", SMALL)
def test_panels_give_way_in_the_order_of_importance(
    size: tuple[int, int], demo_detector: Detector
) -> None:
    """However small the terminal, verdict and newest row are seen; no panel is cut."""
    app = MonitorApp(Session.of(demo_detector, [Quiet(is_live=True)], title="six.offkey"))

    async def act(pilot: Pilot[Snapshot]) -> None:
        app.history.take(heard_at(7, "anomalous"))
        app._show(LIVE, app._last, app.take_new())
        await pilot.pause()
        text = text_of(app)
        assert "▲ ANOMALOUS" in text
        assert app.table.size.height >= 2
        assert app.table.render_line(1).text.startswith("▲")
        for panel in app.query(".panel").results(Widget):
            whole = panel.region.intersection(app.screen.region) == panel.region
            assert whole or not panel.display
        assert "error profile" not in text or "isolation score" in text or size[0] < 60

    run(app, size, act)


TMUX = shutil.which("tmux")


class Terminal:
    """A real terminal of its own, in tmux."""

    def __init__(self, socket: Path, size: tuple[int, int]) -> None:
        self._tmux = [TMUX or "", "-S", str(socket), "-f", "/dev/null"]
        self(
            "new-session",
            "-d",
            "-c",
            str(socket.parent),
            "-x",
            str(size[0]),
            "-y",
            str(size[1]),
            "env PS1='$ ' sh -i",
        )
        self("set-option", "-g", "allow-rename", "on")

    def __call__(self, *command: str) -> str:
        """Run a command of tmux; gives what it prints."""
        done = subprocess.run([*self._tmux, *command], capture_output=True, text=True, check=False)
        return done.stdout

    def screen(self) -> str:
        """What stands on it."""
        return self("capture-pane", "-p")

    def until(self, holds: Callable[[str], bool]) -> str:
        """Wait until something holds of what stands on it, half a minute at most."""
        for _ in range(300):
            text = self.screen()
            if holds(text):
                return text
            time.sleep(0.1)
        raise AssertionError(f"waited in vain:\n{text}")


@pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
def test_a_real_terminal_is_typed_on_and_left_as_it_was(
    tmp_path: Path, command: str, demo_model: Path, excerpt_file: Path
) -> None:
    """In tmux keys do what they say; afterwards the shell, its screen and its modes are back."""
    terminal = Terminal(tmp_path / "tmux", (80, 24))
    try:
        terminal.until(lambda text: "$" in text)
        terminal("send-keys", "stty -a > before; echo was here", "Enter")
        terminal.until(lambda text: text.count("was here") == 2)
        line = f"{command} replay '{demo_model}' '{excerpt_file}' --speed 8; echo left $?"
        terminal("send-keys", line, "Enter")
        text = terminal.until(lambda text: "ENDED" in text and "The input has ended" in text)
        assert "✓ NORMAL" in text or "▲ ANOMALOUS" in text
        terminal("send-keys", "Up", "Up")
        terminal.until(lambda text: "f follows again" in text)
        terminal("send-keys", "/")
        terminal("send-keys", "anomalous", "Enter")
        terminal.until(lambda text: "only anomalous:" in text)
        terminal("send-keys", "?")
        terminal.until(lambda text: "what can be done" in text)
        terminal("send-keys", "q")
        terminal.until(lambda text: "what can be done" not in text)
        assert "offkey" in terminal("display-message", "-p", "#{pane_title}")
        terminal("send-keys", "q")
        text = terminal.until(lambda text: "left 0" in text)
        assert "was here" in text
        assert "ENDED" not in text
        modes = "#{alternate_on}#{mouse_any_flag}#{cursor_flag}#{bracket_paste_flag}"
        assert terminal("display-message", "-p", modes).strip() in ("001", "0010")
        assert "offkey" not in terminal("display-message", "-p", "#{pane_title}")
        terminal("send-keys", "stty -a > after; cmp before after && echo same modes", "Enter")
        terminal.until(lambda text: text.count("same modes") == 2)
    finally:
        terminal("kill-server")
