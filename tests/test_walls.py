"""The walls between the rooms, seen from fresh processes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.detector import Detector
from model.storage import write_model

HEAVY = {"scipy", "sklearn", "pacmap"}
SCREEN = {"textual", "sounddevice"}


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Top-level modules that a fresh process holds after a program, run outside the repository."""
    epilogue = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + epilogue, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in modules}


def importing(modules: list[str]) -> set[str]:
    """Top-level modules that a fresh process holds after importing these."""
    assert modules
    return loaded_by(
        "import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module(m)", *modules
    )


def using(*arguments: str) -> set[str]:
    """Top-level modules that a fresh process holds after running the command line."""
    program = (
        "import sys, offkey\n"
        "try: offkey.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
    )
    return loaded_by(program, *arguments)


def modules_of(root: Path, room: str) -> list[str]:
    """Names of all modules that lie in a room's folder."""
    package = room.replace("/", ".")
    files = sorted((root / room).glob("*.py"))
    return [package if f.stem == "__init__" else f"{package}.{f.stem}" for f in files]


def imports_anywhere(root: Path, room: str) -> set[str]:
    """Top-level names that a room's source imports, at its top or inside functions."""
    names: set[str] = set()
    for file in (root / room).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file} imports relatively"
                names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_model_loads_neither_heavy_libraries_nor_the_other_rooms(root: Path) -> None:
    """Importing all of `model` loads no scipy, scikit-learn, joblib, textual, sounddevice."""
    forbidden = HEAVY | SCREEN | {"joblib", "calibrate", "monitor", "click"}
    assert not importing(modules_of(root, "model")) & forbidden


def test_model_needs_four_libraries_only(root: Path) -> None:
    """No line of `model`, lazy imports included, names more than its four libraries."""
    foreign = imports_anywhere(root, "model") - set(sys.stdlib_module_names) - {"model"}
    assert foreign == {"numpy", "soxr", "soundfile", "safetensors"}


def test_calibrate_loads_neither_monitor_nor_what_only_monitor_needs(root: Path) -> None:
    """Importing all of `calibrate` loads no monitor, pacmap, plotly, sounddevice or textual."""
    modules = modules_of(root, "calibrate") + modules_of(root, "calibrate/report")
    assert not importing(modules) & (SCREEN | {"pacmap", "monitor", "plotly", "jinja2"})


def test_rooms_never_name_one_another(root: Path) -> None:
    """No line of `calibrate` imports `monitor`, none of `monitor` imports `calibrate`."""
    assert "monitor" not in imports_anywhere(root, "calibrate")
    assert not imports_anywhere(root, "monitor") & (HEAVY | {"calibrate"})


def test_calibrating_never_enters_monitor(words_folder: Path, tmp_path: Path) -> None:
    """A whole calibration without maps runs without monitor, pacmap, sounddevice and textual."""
    loaded = using("calibrate", str(words_folder), "-o", str(tmp_path / "m.offkey"), "--no-maps")
    assert "sklearn" in loaded
    assert not loaded & (SCREEN | {"pacmap", "monitor"})


def test_a_report_loads_neither_monitor_nor_what_fits(
    word_detector: Detector, words_folder: Path, tmp_path: Path
) -> None:
    """A whole report, with audio, runs without monitor, screen, scikit-learn and pacmap."""
    pytest.importorskip("plotly", reason="plotly is not installed")
    model, page = tmp_path / "m.offkey", tmp_path / "page.html"
    write_model(model, word_detector)
    loaded = using("report", str(model), "-o", str(page), "--reference", str(words_folder))
    assert "jinja2" in loaded
    assert not loaded & (SCREEN | {"sklearn", "pacmap", "monitor"})


def test_monitor_loads_neither_heavy_libraries_nor_calibrate(root: Path) -> None:
    """Importing all of `monitor`, its app included, loads no scikit-learn, scipy or calibrate."""
    modules = modules_of(root, "monitor") + modules_of(root, "monitor/app")
    assert not importing(modules) & (HEAVY | {"calibrate"})


def test_monitor_outside_its_app_loads_no_screen(root: Path) -> None:
    """Importing `monitor` without its app loads no textual."""
    assert "textual" not in importing(modules_of(root, "monitor"))


@pytest.mark.parametrize("verb", [["score"], ["replay", "--headless"]])
def test_scoring_never_loads_heavy_libraries(
    verb: list[str],
    word_detector: Detector,
    make_word: Callable[..., NDArray[np.float32]],
    tmp_path: Path,
) -> None:
    """`score` and `replay --headless` of a file load no scikit-learn, scipy or screen."""
    write_model(tmp_path / "m.offkey", word_detector)
    soundfile.write(tmp_path / "word.wav", make_word(1000), 8000)
    loaded = using(*verb, str(tmp_path / "m.offkey"), str(tmp_path / "word.wav"))
    assert not loaded & (HEAVY | {"textual", "calibrate"})


def test_help_loads_next_to_nothing() -> None:
    """`offkey --help` loads neither numpy nor textual."""
    assert not using("--help") & {"numpy", "textual", "scipy", "sklearn", "soundfile"}
