"""`inspect`, `label`, `devices`, the door itself, and what every verb says of a damaged model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from model.detector import Detector
from model.storage import read_model
from model.summary import describe

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]

STRICT = {"PYTHONIOENCODING": "utf-8:strict"}
"""As in most people's locales; in the C locale Python lets bytes through that are not UTF-8."""


def refused(done: Outcome) -> str:
    """Check that a run was refused in one sentence with exit code 2; return the sentence."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("offkey: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith(".\n")
    return done.stderr


@pytest.fixture
def model(demo_model: Path, tmp_path: Path) -> Path:
    """Copy the model, to be written to."""
    return Path(shutil.copy(demo_model, tmp_path / "six.offkey"))


# --- inspect -------------------------------------------------------------------------------------


def test_inspect_tells_what_a_model_is_and_promises(
    run: Run, demo_model: Path, demo_detector: Detector
) -> None:
    """Components, the smallest p, the counts, and a false-alarm table of three rows are printed."""
    done = run("inspect", demo_model)
    text = done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(demo_detector.subspace.components)} components" in text
    assert re.search(r"smallest p\s+0\.0041 \(1 in 241\)", text)
    assert "240 used, 0 skipped" in text
    assert re.search(r"groups\s+30\b", text)
    assert demo_detector.digest[:16] in text
    rows = re.findall(r"^\s+(\d+)%\s+([\d.]+)%\s+([\d.]+)%\s+(\S.*?)\s+([\d.]+)%$", text, re.M)
    assert [int(row[0]) for row in rows] == [1, 5, 10]
    for row, known in zip(rows, demo_detector.card.false_alarms, strict=True):
        numbers = [float(row[i]) for i in (1, 2, 4)]
        expected = [100 * x for x in (known.mean, known.worst, known.in_sample)]
        assert numbers == pytest.approx(expected, abs=0.051)
        assert row[3] == known.worst_group


def test_inspect_tells_every_setting_of_the_gate(demo_detector: Detector) -> None:
    """In event mode another value of any setting shows, on lines of at most 80 characters."""
    cut = demo_detector.segmentation
    text = describe(demo_detector)
    for field in fields(cut.gate):
        other = replace(cut.gate, **{field.name: 3 * getattr(cut.gate, field.name)})
        changed = describe(replace(demo_detector, segmentation=replace(cut, gate=other)))
        assert changed != text, field.name
    longer = replace(demo_detector, segmentation=replace(cut, duration_s=7.5))
    about_gate = describe(longer).partition("noise floor")[2].partition("conditions")[0]
    assert "longest 7.5 s" in about_gate
    assert all(len(line) <= 80 for line in about_gate.splitlines()[1:])


def test_inspect_lists_every_cluster(run: Run, demo_model: Path, demo_detector: Detector) -> None:
    """Each cluster has a line with its number, name and size."""
    text = run("inspect", demo_model).stdout
    for i, size in enumerate(demo_detector.clusters.sizes):
        name = re.escape(demo_detector.clusters.name(i))
        share = f"{100 * demo_detector.clusters.anomalous_share[i]:.1f}"
        assert re.search(rf"^\s+{i}\s+[▁-█]+\s+{name}\s+{size:,}\s+{share} %$", text, re.M)


def test_inspect_keeps_to_eighty_columns(run: Run, mel_model: Path, mel_detector: Detector) -> None:
    """Whatever names clusters and groups have, no line is wider; but no path is cut in two."""
    text = run("inspect", mel_model).stdout
    card = mel_detector.card
    paths = {f"  {path}" for path in (*card.clipped, *card.offset)}
    assert {line for line in text.splitlines()[1:] if len(line) > 80} <= paths
    given = ["w" * 40, "late hiss, as of a valve that sticks", *[None] * 8]
    clusters = replace(
        mel_detector.clusters,
        suggested=("steadiness 7.0–8.0 kHz (1)",) * 10,
        given=tuple(given),
    )
    worst = tuple(
        replace(row, worst_group="a group of recordings " * 4)
        for row in mel_detector.card.false_alarms
    )
    card = replace(
        mel_detector.card,
        false_alarms=worst,
        groups=3,
        group_rule="by --group ^(?:[^_]*_){2}([^_]*)_.*$ as it was asked for",
        choice="chosen for a reason that takes " + "many words " * 9,
        marked=("one", "two"),
        cut=12,
        skipped=(("night/" * 20 + "evening.flac", "a copy of morning.flac"),),
        clipped=("noon.flac",),
        offset=("noon.flac",),
    )
    text = describe(replace(mel_detector, clusters=clusters, card=card))
    wide = [line for line in text.splitlines() if len(line) > 80]
    assert wide == [f"  {'night/' * 20}evening.flac: a copy of morning.flac"]
    assert text.count("steadiness 7.0–8.0 kHz (1)") == 10
    assert "late hiss, as of a valve that sticks" in text
    assert "w" * 37 in text


def test_inspect_takes_a_model_of_any_name(run: Run, model: Path) -> None:
    """A model whose name holds a newline and bytes that are not UTF-8 is inspected like others."""
    odd = Path(shutil.copy(model, model.with_name(os.fsdecode(b"six\n\xff.offkey"))))
    done = run("inspect", odd, env=STRICT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "six\\n\\xff.offkey" in done.stdout


# --- label ---------------------------------------------------------------------------------------


def test_a_name_stays_and_is_shown_by_every_verb(
    run: Run, parse: Parse, model: Path, demo_files: list[Path]
) -> None:
    """A name given to a cluster is in the model from then on, and changes nothing else."""
    before = parse(run("score", model, *demo_files[::6]).stdout)
    clusters = {line["cluster"] for line in before}
    chosen = before[0]["cluster"]
    done = run("label", model, str(chosen), "späte Härte")
    assert (done.returncode, done.stderr) == (0, "")
    assert "späte Härte" in done.stdout
    assert len(clusters) > 1
    for line, old in zip(parse(run("score", model, *demo_files[::6]).stdout), before, strict=True):
        name = "späte Härte" if line["cluster"] == chosen else old["cluster_name"]
        assert line == old | {"cluster_name": name}
    assert "späte Härte" in run("inspect", model).stdout


def test_an_empty_name_takes_the_name_away(run: Run, model: Path) -> None:
    """The cluster then has the name that it had at first."""
    first = read_model(model).clusters.name(1)
    run("label", model, "1", "hum")
    assert read_model(model).clusters.name(1) == "hum"
    run("label", model, "1", "")
    assert read_model(model).clusters.name(1) == first


def test_labelling_leaves_nothing_beside_the_model(run: Run, model: Path) -> None:
    """The model is replaced in one go: no temporary file stays, permissions stay."""
    model.chmod(0o640)
    run("label", model, "0", "hum")
    assert list(model.parent.iterdir()) == [model]
    assert model.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("cluster", ["10", "99", "-1", "x", "1.5"])
def test_a_cluster_that_is_none_is_refused(run: Run, model: Path, cluster: str) -> None:
    """A wrong number is exit 2 and leaves the model as it was."""
    before = model.read_bytes()
    done = run("label", model, "--", cluster, "name")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert model.read_bytes() == before


def test_a_cluster_beyond_the_last_is_told_which_there_are(run: Run, model: Path) -> None:
    """The refusal names the clusters that the model has."""
    assert "0 to 9" in refused(run("label", model, "10", "name"))


@pytest.mark.parametrize("name", [b"two\nlines", b"not \xff UTF-8"])
def test_no_name_breaks_what_is_printed(
    run: Run, parse: Parse, model: Path, demo_files: list[Path], name: bytes
) -> None:
    """A name with a newline or stray bytes is refused, or harmless wherever it shows."""
    plain = len(run("inspect", model).stdout.splitlines())
    done = run("label", model, "0", os.fsdecode(name), env=STRICT)
    if done.returncode:
        refused(done)
        return
    shown = run("inspect", model, env=STRICT)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert len(shown.stdout.splitlines()) == plain
    for option in ([], ["--csv"]):
        scored = run("score", model, *option, *demo_files[::6], env=STRICT)
        assert scored.returncode == 0
        assert scored.stderr.startswith("offkey: 40 recordings: ")
        assert len(scored.stderr.splitlines()) == 1
        assert len(scored.stdout.splitlines()) == len(demo_files[::6]) + len(option)


# --- damaged models ------------------------------------------------------------------------------

VERBS: dict[str, Callable[[Path, Path], list[str | Path]]] = {
    "monitor": lambda model, _: ["monitor", model, "--input", "-"],
    "monitor a device": lambda model, _: ["monitor", model, "--device", "none"],
    "replay": lambda model, sound: ["replay", model, sound],
    "score": lambda model, sound: ["score", model, sound],
    "inspect": lambda model, _: ["inspect", model],
    "label": lambda model, _: ["label", model, "0", "name"],
}


def cut(data: bytes) -> bytes:
    """Cut the second half off."""
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    """Flip one bit in the arrays."""
    at = len(data) * 3 // 4
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": cut,
    "altered": flip,
    "text": lambda _: b"This is not a model.\n",
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_by_every_verb(
    run: Run, model: Path, excerpt_file: Path, verb: str, damage: str
) -> None:
    """Whatever is wrong with the model, each verb says so in one sentence, exit 2, no line."""
    damaged = DAMAGES[damage](model.read_bytes())
    model.write_bytes(damaged)
    sentence = refused(run(*VERBS[verb](model, excerpt_file)))
    assert str(model) in sentence
    assert model.read_bytes() == damaged


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_model_is_refused_by_every_verb(
    run: Run, tmp_path: Path, excerpt_file: Path, verb: str
) -> None:
    """So is a model that is not there, with the way to make one."""
    sentence = refused(run(*VERBS[verb](tmp_path / "gone.offkey", excerpt_file)))
    assert "does not exist" in sentence
    assert "offkey calibrate" in sentence


def test_a_folder_and_a_recording_are_no_models(
    run: Run, tmp_path: Path, excerpt_file: Path
) -> None:
    """What is something else altogether is refused just so."""
    refused(run("inspect", tmp_path))
    refused(run("inspect", excerpt_file))


# --- the door ------------------------------------------------------------------------------------


def test_help_lists_the_verbs(run: Run) -> None:
    """`offkey --help` names every verb of this issue, and each has its own help."""
    verbs = ["demo", "calibrate", "monitor", "replay", "score", "inspect", "label", "devices"]
    verbs.append("report")
    text = run("--help").stdout
    assert all(re.search(rf"^\s+{verb}\s+\S", text, re.M) for verb in verbs)
    for verb in verbs[2:4]:
        done = run(verb, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "--false-alarm-rate" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["sing"], ["score"], ["replay", "m.offkey"], ["score", "--loud", "m", "f"], ["label", "m"]],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    """A wrong verb, option or number of arguments is told on stderr only."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr


def test_version_is_told(run: Run) -> None:
    """`offkey --version` gives the version that is installed."""
    assert re.fullmatch(r"offkey \d+\.\d+\.\d+\n", run("--version").stdout)


# --- devices -------------------------------------------------------------------------------------


def test_devices_are_listed_or_said_to_be_none(run: Run, tmp_path: Path) -> None:
    """Without a sound server there is no crash: devices on stdout, or one sentence on stderr."""
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = run("devices", env=nowhere | {"HOME": str(tmp_path)})
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) != bool(done.stderr)
    if done.stderr:
        assert len(done.stderr.splitlines()) == 1
    assert done.returncode in (0, 1)


def test_a_microphone_that_is_not_there_is_one_sentence(
    run: Run, demo_model: Path, tmp_path: Path
) -> None:
    """Monitoring without any such device ends at once, in one sentence that says where to look."""
    nowhere = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    device = ["--device", "no such microphone"]
    done = run("monitor", demo_model, *device, env=nowhere | {"HOME": str(tmp_path)})
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- what is loaded ------------------------------------------------------------------------------

WATCHED = """
import os, sys
started = []
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"):
        started.append(event)
sys.addaudithook(watch)
import offkey
try:
    offkey.main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"sklearn", "scipy", "pacmap", "textual", "calibrate"}
found = heavy & {name.partition(".")[0] for name in sys.modules}
print("LOADED", sorted(found), "STARTED", started, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "--jobs", "1"],
        ["score", "--jobs", "2"],
        ["score", "--jobs", "-1", "--csv"],
        ["replay", "--headless", "--save", "clips", "--false-alarm-rate", "0.9"],
    ],
)
def test_scoring_loads_nothing_heavy_and_starts_no_process(
    demo_model: Path, demo_files: list[Path], tmp_path: Path, arguments: list[str]
) -> None:
    """`score`, with any number of jobs, and `replay` stay in one process without scikit-learn."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments, demo_model, *demo_files[:8]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "LOADED [] STARTED []"


@pytest.mark.parametrize("words", [["--jobs", "-7"], ["--jobs", "0"], ["--jobs", "100000"]])
def test_a_number_of_jobs_that_cannot_be_is_refused(
    run: Run, demo_model: Path, excerpt_file: Path, words: list[str]
) -> None:
    """Absurd numbers of threads are told before any is started."""
    assert run("score", demo_model, excerpt_file, *words).returncode == 2


def test_what_is_said_may_go_nowhere(
    command: str, run: Run, demo_model: Path, excerpt_file: Path
) -> None:
    """With stderr closed from the start the lines and the exit code are the same."""
    plain = run("replay", demo_model, excerpt_file)
    line = [command, "replay", str(demo_model), str(excerpt_file)]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 2>&-', "sh", *line], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, plain.stdout)


def test_a_file_without_a_sound_is_told(run: Run, demo_model: Path, tmp_path: Path) -> None:
    """Silence replayed is no success without a word."""
    soundfile.write(tmp_path / "quiet.wav", np.zeros(16_000), 8000)
    done = run("replay", demo_model, tmp_path / "quiet.wav")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No sound stood out in" in done.stderr
