"""The front door: what offkey says to those who come without a verb or a model, and completes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import offkey
from offkey import VERBS

Outcome = subprocess.CompletedProcess[str]
At = Callable[..., Outcome]

FEW, ENOUGH = 19, 20
"""Recordings that are too few to calibrate, and just enough."""


@pytest.fixture
def at(tmp_path: Path) -> At:
    """Run the installed command in an empty folder of its own, perhaps with an environment."""
    command = Path(sys.executable).with_name("offkey")
    if not command.exists():
        pytest.skip(f"offkey is not installed beside {sys.executable}")

    def run(*arguments: str, env: dict[str, str] | None = None) -> Outcome:
        return subprocess.run(
            [command, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=os.environ | (env or {}),
        )

    return run


def commands_in(text: str) -> list[str]:
    """Find the lines, or parts of lines, that are commands to be typed."""
    return re.findall(r"(?:^ {2}|Next: )(offkey .*?)(?: {3}.*)?$", text, re.MULTILINE)


def make_models(folder: Path, *names: str) -> None:
    """Make files that are called like models, each newer than the one before."""
    for age, name in enumerate(reversed(names)):
        (folder / name).touch()
        os.utime(folder / name, (1e9 - age, 1e9 - age))


# --- without a verb ------------------------------------------------------------------------------


def test_without_a_verb_the_uses_are_shown(at: At) -> None:
    """The demo comes first and is the next step; every command is a verb's; the exit code is 0."""
    done = at()
    assert (done.returncode, done.stderr) == (0, "")
    commands = commands_in(done.stdout)
    assert commands[0] == commands[-1] == "offkey demo"
    verbs = [command.split()[1] for command in commands[1:-1]]
    assert verbs == ["record", "calibrate", "monitor", "replay"]
    assert set(verbs) <= set(VERBS)
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_a_model_in_the_folder_is_the_next_step(at: At, tmp_path: Path) -> None:
    """The command to type names the model, whatever it is called, as one word."""
    make_models(tmp_path, "late night's.offkey")
    assert shlex.split(commands_in(at().stdout)[-1]) == ["offkey", "monitor", "late night's.offkey"]


def test_of_several_models_the_newest_is_the_next_step(at: At, tmp_path: Path) -> None:
    """It is named, also in the examples, and the number of models is told."""
    make_models(tmp_path, "a.offkey", "c.offkey", "b.offkey")
    text = at().stdout
    assert commands_in(text)[-1] == "offkey monitor b.offkey"
    assert "3 models" in text
    assert "offkey replay b.offkey" in text


@pytest.mark.parametrize("place", [".", "sixes/"])
@pytest.mark.parametrize("n", [FEW, ENOUGH])
def test_recordings_in_the_folder_are_offered_to_calibrate_on(
    at: At, tmp_path: Path, place: str, n: int
) -> None:
    """Enough of them, here or in a folder here, make calibrating the next step; fewer do not."""
    (tmp_path / place).mkdir(exist_ok=True)
    for i in range(n):
        (tmp_path / place / f"{i}.WAV").touch()
    next_step = commands_in(at().stdout)[-1]
    assert next_step == (f"offkey calibrate {place} -o my.offkey" if n == ENOUGH else "offkey demo")


def test_the_door_loads_next_to_nothing(tmp_path: Path) -> None:
    """With a model in the folder, too, `offkey` loads no library but click: it answers at once."""
    make_models(tmp_path, "six.offkey")
    program = (
        "import sys, offkey\n"
        "try: offkey.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert "click" in loaded
    assert not loaded & {"numpy", "textual", "rich", "soundfile", "soxr", "sounddevice", "aiohttp"}


# --- a wrong verb, or no model -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("moniter", "monitor"), ("mon", "monitor"), ("scores", "score"), ("calib", "calibrate")],
)
def test_a_verb_that_was_nearly_right_is_offered(at: At, typed: str, meant: str) -> None:
    """An unknown verb is exit code 2, and what was likely meant is named."""
    done = at(typed, "six.offkey")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Did you mean '{meant}'?" in done.stderr


def test_a_verb_like_no_other_is_told_which_there_are(at: At) -> None:
    """Where nothing is near, all verbs are listed."""
    said = at("xyzzy").stderr
    assert "'xyzzy'" in said
    assert all(verb in said for verb in VERBS)


@pytest.mark.parametrize("verb", ["monitor", "replay", "score", "inspect", "label"])
def test_without_a_model_the_demo_is_offered(at: At, tmp_path: Path, verb: str) -> None:
    """A verb that was given no model says so with exit code 2, and names one that lies here."""
    for models in ([], ["six.offkey"]):
        make_models(tmp_path, *models)
        done = at(verb)
        assert (done.returncode, done.stdout) == (2, "")
        assert "MODEL is missing" in done.stderr
        commands = commands_in(done.stderr)
        named = [command for command in commands if "six.offkey" in command]
        assert [command.split()[1:3] for command in named] == [[verb, *m.split()] for m in models]
        assert "offkey demo" in commands
        assert all(len(line) <= 80 for line in done.stderr.splitlines())


# --- shell completion ----------------------------------------------------------------------------


def completed(at: At, shell: str, line: str) -> set[str]:
    """Ask as a shell does what the last word of a line may become."""
    words = line.split(" ")
    place = words[-1] if shell == "fish" else str(len(words) - 1)
    asked = {"_OFFKEY_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": place}
    done = at(env=asked)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return {f"{kind},{value}" for kind, value in zip(lines[::3], lines[1::3], strict=True)}
    return {line.partition("\t")[0] for line in lines}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_options_and_models(at: At, tmp_path: Path, shell: str) -> None:
    """Of files, a model's place takes models, and folders that may hold some."""
    make_models(tmp_path, "six.offkey", ".hidden.offkey")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "six.wav").touch()
    assert completed(at, shell, "offkey rep") == {"plain,replay", "plain,report"}
    assert "plain,--device" in completed(at, shell, "offkey monitor six.offkey --d")
    assert completed(at, shell, "offkey inspect s") == {"plain,six.offkey", "plain,sounds/"}
    assert completed(at, shell, "offkey replay six.offkey s") == {"file,s"}


def test_models_are_found_in_folders(at: At, tmp_path: Path) -> None:
    """Where only folders begin like the word, they are completed, and then the models in them."""
    make_models(tmp_path, "six.offkey")
    (tmp_path / "sounds").mkdir()
    make_models(tmp_path / "sounds", "b.offkey")
    assert completed(at, "bash", "offkey monitor so") == {"dir,so"}
    assert completed(at, "bash", "offkey monitor sounds/") == {"plain,sounds/b.offkey"}


def test_names_that_need_quotes_are_left_to_the_shell(at: At, tmp_path: Path) -> None:
    """A model whose name holds a space is completed by the shell, which knows how to quote it."""
    make_models(tmp_path, "my six.offkey")
    assert completed(at, "bash", "offkey monitor m") == {"file,m"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_one_that_the_shell_reads(at: At, shell: str) -> None:
    """What a shell is given to evaluate is without an error of syntax."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = at(env={"_OFFKEY_COMPLETE": f"{shell}_source"})
    assert script.returncode == 0
    assert "_OFFKEY_COMPLETE" in script.stdout
    read = subprocess.run(
        [shutil.which(shell) or shell, "-n"],
        input=script.stdout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (read.returncode, read.stderr) == (0, "")


# --- interrupted at once -------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["click", "difflib"])
def test_interrupted_while_it_is_loaded_it_says_so(at: At, tmp_path: Path, place: str) -> None:
    """Ctrl-C before a verb is known is one sentence and exit code 1, no traceback."""
    (tmp_path / f"{place}.py").write_text("raise KeyboardInterrupt")
    done = at("inspect", "six.offkey", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == "offkey: interrupted; nothing was written.\n"


def test_interrupted_before_its_work_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the streams are looked at is told like any other."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(offkey, "_open_standard_streams", interrupted)
    with pytest.raises(SystemExit) as end:
        offkey.main()
    assert end.value.code == 1
    assert capsys.readouterr().err == "offkey: interrupted; nothing was written.\n"
