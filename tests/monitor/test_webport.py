"""The options of `--web`: what a tab is asked to run, what is refused, and who is let in."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import InputError
from monitor import web
from monitor.cli import monitor
from monitor.webport import is_own_name, listen
from monitor.webtab import size_of

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
STREAM = Path(web.__file__).with_name("demo") / "stream.flac"
ALL = "0.0.0.0"  # noqa: S104
LIMIT_S = 40.0
"""How long a thing may take that takes a second: more than any noisy machine needs."""


# --- the same command anew -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--rehearse", "a b.flac", "--speed", "max", "--inject", "unplug@1:2", "--web-host", "::"],
        ["--speed", "0.5", "--inject=zeros@1:2", "--inject", "rate@3:8000", "--exit-on-loss"],
        ["--log", "--web", "--save", "-x", "--false-alarm-rate", "0.05", "--channel", "2"],
    ],
)
@pytest.mark.parametrize("model", ["six.offkey", "--odd", "é ü.offkey"])
def test_a_tab_runs_what_was_asked_for(words: list[str], model: str) -> None:
    """The words for a tab mean the same as those given, but for the options of the web."""
    given_ = monitor.make_context("monitor", [*words, "--web", "8000", "--", model])
    verb, *tab = web.same_command(given_)
    again = monitor.make_context(verb, tab)
    assert again.params == given_.params | {"web": None, "web_host": None}


def test_only_what_was_asked_for_is_passed_on() -> None:
    """A default is not passed on: its place is in the tab's own process."""
    context = monitor.make_context("monitor", ["m.offkey", "--web", "1"])
    assert web.same_command(context) == ["monitor", "--", "m.offkey"]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "because"),
    [
        (["--web", "0", "--input", "-"], "pipe can be read only once"),
        (["--web", "0", "--headless"], "--headless shows none"),
        (["--web-host", ALL], "goes with --web"),
        (["--web", "70000"], "70000"),
        (["--web", "0", "--rehearse", "gone.wav"], "gone.wav does not exist"),
        (["--web", "0", "--rehearse", str(STREAM), "--web-host", "no.such.invalid"], "no address"),
        (["--web", "0", "--rehearse", str(STREAM), "--web-host", "192.0.2.1"], "no address"),
    ],
)
def test_what_cannot_be_served_is_refused(
    run: Run, demo_model: Path, words: list[str], because: str
) -> None:
    """It is told before anything is served, with exit code 2."""
    done = run("monitor", demo_model, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert because in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_sentence(run: Run, demo_model: Path) -> None:
    """It says so and what to do, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("monitor", demo_model, "--rehearse", STREAM, "--web", port)
    assert done.returncode == 2
    assert done.stderr == f"offkey: Port {port} is in use. Choose another one with --web PORT.\n"


def test_a_port_for_administrators_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their rights, a port below 1024 is refused with those that are free to take."""

    def refuse(*_: Any, **__: Any) -> socket.socket:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(InputError, match=r"Port 80 needs .* 1024 to 65535"):
        listen("localhost", 80)


def test_without_textual_serve_the_extra_is_named(demo_model: Path) -> None:
    """What is missing is one sentence that says how to get it."""
    program = "import sys; sys.modules['textual_serve'] = None; import offkey; offkey.main()"
    words = ["monitor", str(demo_model), "--rehearse", str(STREAM), "--web", "0"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "textual-serve" in done.stderr
    assert "pipx install --force '.[web]'" in done.stderr


# --- who is let in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "host", "is_open", "is_own"),
    [
        ("localhost", "localhost", False, True),
        ("127.0.0.1", "localhost", False, True),
        ("::1", "localhost", False, True),
        ("evil.example", "localhost", False, False),
        ("localhost.evil.example", "localhost", False, False),
        ("192.168.1.5", "localhost", False, False),
        ("192.168.1.5", ALL, True, True),
        ("attic", ALL, True, True),
        ("attic.local", ALL, True, True),
        ("attic.example", "attic.example", True, True),
        ("evil.example", ALL, True, False),
    ],
)
def test_a_name_of_others_is_not_answered(
    name: str, host: str, is_open: bool, is_own: bool
) -> None:
    """A page that lets its own name lead to this machine learns nothing from it."""
    assert is_own_name(name, host, is_open) == is_own


@given(st.dictionaries(st.sampled_from(["width", "height"]), st.none() | st.integers() | st.text()))
def test_a_terminal_has_a_size_whatever_is_asked_for(asked: dict[str, Any]) -> None:
    """No number or text from a page makes it larger or smaller than a terminal can be."""
    size = size_of(asked)
    assert 20 <= size["width"] <= 1000
    assert 8 <= size["height"] <= 400


# --- the options ----------------------------------------------------------------------------------


def test_web_is_documented_in_the_help(run: Run) -> None:
    """`monitor --help` names both options."""
    text = run("monitor", "--help").stdout
    assert "--web PORT" in text
    assert "--web-host HOST" in text


def test_click_knows_the_options_as_the_web_does() -> None:
    """Options that only the server is to have begin with --web: so a tab never gets one."""
    named = {p.name for p in monitor.params if isinstance(p, click.Option) and "web" in str(p.name)}
    assert named == {"web", "web_host"}
