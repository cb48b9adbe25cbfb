"""Recording a reference set: takes are the sounds as a monitor cuts them, good ones are kept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Static

from calibrate.reference import read_reference
from model.audio import Samples
from model.errors import DeviceError, InputError, OffkeyError
from model.features import Spectrum
from model.files import find_recordings
from model.segment import Segmentation
from monitor.app.dialogue import FailureDialogue
from monitor.app.drawing import Drawing
from monitor.app.record import RecordApp
from monitor.app.recordview import Count, Level, Takes, Top
from monitor.demo import STREAM
from monitor.devices import Device, find_device
from monitor.listening import place_source
from monitor.microphone import Microphone
from monitor.portaudio import PortAudio
from monitor.recorders import make_recording
from monitor.recording import Plan, Recording, recording_stream
from monitor.rehearsal import RehearsedDevice, parse_fault
from monitor.snapshot import Snapshot
from monitor.stream import Stream
from monitor.takes import TakeFolder, read_take

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
Parse = Callable[[str], list[dict[str, Any]]]
Start = Callable[..., contextlib.AbstractContextManager[subprocess.Popen[bytes]]]
Act = Callable[[Pilot[Snapshot]], Awaitable[None]]
Word = Callable[..., NDArray[np.float32]]

RATE_HZ = 16_000
FAST = ("--headless", "--speed", "max")


def quiet(seconds: float, seed: int = 0, level: float = 1e-4) -> Samples:
    """Make up the noise of a quiet place."""
    noise = np.random.default_rng(seed).normal(size=round(seconds * RATE_HZ)) * level
    return noise.astype(np.float32)


@pytest.fixture(scope="session")
def words(make_word: Word) -> Callable[[int], Samples]:
    """Make so many words, each after 2 s of quiet, and quiet at the end; word i ends at 2.5 i."""

    def make(n: int) -> Samples:
        parts = [part for i in range(n) for part in (quiet(2, i), make_word(i, RATE_HZ))]
        return np.concatenate([*parts, quiet(2, n)])

    return make


@pytest.fixture
def rehearse(tmp_path: Path) -> Callable[..., Microphone]:
    """Play samples as if they came from a microphone, as fast as it goes unless asked otherwise."""

    def make(samples: Samples, *faults: str, speed: float = math.inf) -> Microphone:
        path = tmp_path / "heard.wav"
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
        device = RehearsedDevice(str(path), speed, [parse_fault(fault) for fault in faults])
        return Microphone(None, None, device)

    return make


@pytest.fixture
def recording_of(tmp_path: Path) -> Callable[..., tuple[Stream, Recording]]:
    """Make a recording of a microphone into `takes/anna`."""

    def make(
        microphone: Microphone, goal: int = 50, mode: str = "event", stops: bool = False
    ) -> tuple[Stream, Recording]:
        plan = Plan(Segmentation(mode), goal, stops)
        recording = make_recording(TakeFolder(str(tmp_path / "takes"), "anna"), plan)
        return recording_stream(microphone, recording), recording

    return make


def files_in(folder: Path) -> list[str]:
    """Names of all that lies there."""
    return sorted(path.name for path in folder.iterdir())


def on_screen(app: RecordApp, act: Act, size: tuple[int, int] = (120, 40)) -> None:
    """Run the app without a terminal and do something to it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await act(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[Snapshot], holds: Callable[[], bool]) -> None:
    """Wait until something holds, half a minute at most."""
    for _ in range(1500):
        await pilot.pause(0.02)
        if holds():
            return
    raise AssertionError("waited in vain")


def text_of(widget: Drawing) -> str:
    """All lines of a widget as they stand on the screen."""
    lines = [widget.render_line(y) for y in range(widget.size.height)]
    return "\n".join("".join(piece.text for piece in line) for line in lines)


def static(app: RecordApp, name: str) -> str:
    """What a line of text says; nothing where it is hidden."""
    widget = app.screen_stack[0].query_one(f"#{name}", Static)
    return str(widget.content) if widget.display else ""


class SilentPlayer:
    """Stands for the loudspeaker."""

    def __init__(self) -> None:
        self.played: list[tuple[Samples, int]] = []
        self.is_playing = self.is_closed = False
        self.problem: DeviceError | None = None
        self.fails = False

    def play(self, samples: Samples, rate_hz: int) -> float:
        """Play, or fail."""
        self.played.append((samples, rate_hz))
        self.is_playing = not self.fails
        self.problem = DeviceError("There is no sound output.") if self.fails else None
        return 0.0

    def stop(self) -> None:
        """End it."""
        self.is_playing = False

    def close(self) -> None:
        """End it for good."""
        self.is_closed = True


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch) -> SilentPlayer:
    """Give the app a loudspeaker that is none."""
    silent = SilentPlayer()
    monkeypatch.setattr("monitor.app.record.Player", lambda: silent)
    return silent


@pytest.fixture(scope="session")
def demo_takes(
    tmp_path_factory: pytest.TempPathFactory, run: Run, parse: Parse
) -> tuple[Path, list[dict[str, Any]], Outcome]:
    """Record the demo's stream into `takes`, as two people; the lines are those of the second."""
    home = tmp_path_factory.mktemp("record")
    samples, rate_hz = soundfile.read(STREAM, dtype="float32")
    soundfile.write(home / "softer.wav", samples * np.float32(0.8), rate_hz, subtype="PCM_24")
    for name, path in (("anna", home / "softer.wav"), ("ben", STREAM)):
        done = run("record", "-o", "takes", "--name", name, "--rehearse", path, *FAST, cwd=home)
        assert done.returncode == 0, done.stderr
    return home, parse(done.stdout), done


def test_takes_are_the_sounds_that_a_monitor_scores(
    demo_takes: tuple[Path, list[dict[str, Any]], Outcome],
    run: Run, parse: Parse, demo_model: Path,
) -> None:  # fmt: skip
    """There is one take for each sound of a replay, and as a file it scores like the sound."""
    home, lines, done = demo_takes
    replayed = parse(run("replay", "--headless", demo_model, STREAM).stdout)
    sounds = [line for line in replayed if line["type"] == "segment"]
    scored = parse(run("score", demo_model, *(home / line["file"] for line in lines)).stdout)
    assert len(sounds) == len(lines) == len(scored) == 40
    for take, sound, score in zip(lines, sounds, scored, strict=True):
        for name in ("start_s", "duration_s", "level_dbfs", "snr_db"):
            assert take[name] == sound[name]
        assert score["reconstruction_error"] == pytest.approx(
            sound["reconstruction_error"], rel=1e-3
        )
        assert score["verdict"] == sound["verdict"]
    assert [line["kept"] for line in lines] == list(range(1, 41))
    assert "40 of 50: good" in done.stderr
    assert "40 takes are in takes/ben." in done.stderr


def test_the_command_that_is_printed_calibrates_on_all_takes(
    demo_takes: tuple[Path, list[dict[str, Any]], Outcome], run: Run
) -> None:
    """The last line names a command that uses every take, in a group for each name."""
    home, _, done = demo_takes
    last = done.stderr.splitlines()[-1]
    words = shlex.split(last.removeprefix("Next: "))
    assert words[0] == "offkey"
    calibrated = run(*words[1:], "--no-maps", cwd=home)
    assert calibrated.returncode == 0, calibrated.stderr
    assert "80 used, 0 skipped" in calibrated.stdout
    assert re.search(r"groups +2, by folder", calibrated.stdout)


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
def test_a_file_holds_the_device_s_own_samples(
    run: Run, parse: Parse, words: Callable[[int], Samples], tmp_path: Path, rate_hz: int
) -> None:
    """A take is the stretch of the source from its start on, sample by sample, at its rate."""
    soundfile.write(tmp_path / "in.wav", words(2), rate_hz, subtype="PCM_24")
    source, _ = soundfile.read(tmp_path / "in.wav", dtype="float32")
    folder = tmp_path / "takes"
    done = run("record", "-o", folder, "--rehearse", tmp_path / "in.wav", "--duration", "3", *FAST)
    lines = parse(done.stdout)
    assert len(lines) == 2
    for line in lines:
        info = soundfile.info(line["file"])
        assert (info.samplerate, info.format, info.subtype) == (rate_hz, "FLAC", "PCM_24")
        samples, _ = soundfile.read(line["file"], dtype="float32")
        first = round(line["start_s"] * rate_hz)
        assert len(samples) == pytest.approx(line["duration_s"] * rate_hz, abs=2)
        np.testing.assert_array_equal(samples, source[first : first + len(samples)])


def test_what_is_not_good_is_counted_with_its_reason(
    words: Callable[[int], Samples],
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
) -> None:
    """Clipped, faint, endless, torn and cut-off sounds are not kept; each says why, once."""
    samples = words(7)
    word = [slice(round(s * RATE_HZ), round((s + 0.5) * RATE_HZ)) for s in np.arange(7) * 2.5 + 2]
    samples[word[1]] = np.clip(samples[word[1]] * 50, -1, 1)
    samples[word[2]] *= 10 ** (-60 / 20)
    samples[word[2]] += quiet(0.5, 99, 1e-4 * 10 ** (13 / 20))
    long = slice(word[3].start, word[3].start + round(1.9 * RATE_HZ))
    samples[long] += 0.05 * np.sin(np.arange(long.stop - long.start)).astype(np.float32)
    at_s = word[4].start / RATE_HZ + 0.2
    cut = samples[: word[6].stop - 2000]
    stream, recording = recording_of(rehearse(cut, f"overflow@{at_s}:0.1"))
    stream.run()
    reasons = [take.reason for take in recording.takes]
    assert reasons[:4] == [None, "clipped", "too quiet", "too long"]
    assert set(reasons[4:-2]) == {"gap"}
    assert reasons[-2:] == [None, "cut off"]
    assert recording.not_kept == Counter(reason for reason in reasons if reason)
    assert files_in(recording.folder.path) == ["0001.flac", "0002.flac"]
    assert [take.path is None for take in recording.takes] == [r is not None for r in reasons]


def test_a_sound_under_way_when_hearing_begins_is_no_take(
    words: Callable[[int], Samples],
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
) -> None:
    """What sounds at the very start is heard in part only; the next sound is good."""
    stream, recording = recording_of(rehearse(words(2)[round(2.1 * RATE_HZ) :]))
    stream.run()
    assert [take.reason for take in recording.takes] == ["cut off", None]


def test_a_sound_of_nearly_the_longest_is_kept_whole(
    make_word: Word,
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
) -> None:
    """A sound whose tail goes a little beyond the maximum is one take of that length."""
    long = np.concatenate([make_word(0, RATE_HZ), make_word(1, RATE_HZ)])
    samples = np.concatenate([quiet(2), long, quiet(6)])
    stream, recording = recording_of(rehearse(samples))
    stream.run()
    (take,) = recording.takes
    assert take.reason is None
    assert take.path is not None
    assert soundfile.info(take.path).frames == RATE_HZ


def test_a_goal_is_met_exactly(
    words: Callable[[int], Samples],
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
) -> None:
    """Where recording stops at the goal, no take comes after it, whatever is still heard."""
    stream, recording = recording_of(rehearse(words(4)), goal=2, stops=True)
    stream.run()
    assert recording.kept == len(recording.takes) == 2
    assert len(files_in(recording.folder.path)) == 2


def test_nothing_is_ever_overwritten(
    words: Callable[[int], Samples],
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
    tmp_path: Path,
) -> None:
    """A second session of the same name goes on after the highest number, and leaves the rest."""
    folder = tmp_path / "takes" / "anna"
    folder.mkdir(parents=True)
    for name in ("0007.flac", "notes.txt"):
        (folder / name).write_text(name)
    stream, recording = recording_of(rehearse(words(3)))
    (folder / "0009.flac").write_text("0009.flac")  # another session, at the same time
    stream.run()
    kept = [take.path.name for take in recording.takes if take.path]
    assert kept == ["0008.flac", "0010.flac", "0011.flac"]
    for name in ("0007.flac", "0009.flac", "notes.txt"):
        assert (folder / name).read_text() == name


def test_the_last_takes_can_be_thrown_away(
    words: Callable[[int], Samples],
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
) -> None:
    """Takes go one by one from the newest on, file and count; then there is none left to go."""
    stream, recording = recording_of(rehearse(words(2)))
    stream.run()
    for left in (1, 0):
        gone = recording.throw_away()
        assert gone is not None
        assert gone.reason == "thrown away"
        assert recording.kept == left
        assert len(files_in(recording.folder.path)) == left
    assert recording.throw_away() is None
    assert recording.last is None
    assert recording.not_kept == {"thrown away": 2}
    recording.folder.close()
    assert not recording.folder.path.parent.exists()


def test_a_steady_sound_is_recorded_in_pieces(
    make_machine: Callable[[int, float], Samples], run: Run, parse: Parse, tmp_path: Path
) -> None:
    """Pieces of 30 s follow one another, a loss ends one, and calibrate takes them as they are."""
    soundfile.write(tmp_path / "machine.wav", make_machine(0, 80.0), 8000, subtype="PCM_24")
    arguments = ("--mode", "continuous", "--duration", "0.5", "--name", "pump", *FAST)
    done = run(
        "record", "-o", "takes", "--rehearse", "machine.wav", *arguments,
        "--inject", "overflow@40:1", cwd=tmp_path,
    )  # fmt: skip
    source, _ = soundfile.read(tmp_path / "machine.wav", dtype="float32")
    lines = parse(done.stdout)
    assert [line["duration_s"] for line in lines[:1]] == [30.0]
    assert [line["start_s"] for line in lines] == pytest.approx([0, 30, 41, 71], abs=0.1)
    for line in lines:
        samples, rate_hz = soundfile.read(tmp_path / line["file"], dtype="float32")
        first = round(line["start_s"] * rate_hz)
        np.testing.assert_array_equal(samples, source[first : first + len(samples)])
    command = shlex.split(done.stderr.splitlines()[-1].partition(": ")[2])
    assert command[3:7] == ["--mode", "continuous", "--duration", "0.5"]
    found = find_recordings([str(tmp_path / command[2])])
    settings = Segmentation("continuous", 0.5, 0.25)
    reference = read_reference(found, Spectrum(0.5), settings, 1, lambda *_: None)
    assert [Path(name).stem for name in reference.names] == ["0001", "0002", "0003", "0004"]
    assert not reference.skipped


def test_a_piece_that_clips_or_is_silent_is_not_kept(
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
    make_machine: Callable[[int, float], Samples],
) -> None:
    """Of three pieces the clipped and the dead one are counted, the good one is a file."""
    samples = np.repeat(make_machine(0, 90.0), 2)
    samples[5 * RATE_HZ : 5 * RATE_HZ + 9] = 1.0
    samples[30 * RATE_HZ : 60 * RATE_HZ] = 0.0
    stream, recording = recording_of(rehearse(samples), mode="continuous")
    stream.run()
    assert [take.reason for take in recording.takes] == ["clipped", "digital zero", None]
    assert len(files_in(recording.folder.path)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("-o", "a.txt"), 2, "Not a directory"),
        (("-o", "made/anna", "--name", "a.txt"), 2, "a file has that name"),
        (("-o", "new", "--name", "../x"), 2, "--name cannot be"),
        (("-o", "new", "--name", ".x"), 2, "cannot begin with a dot"),
        (("-o", "new", "--name", " "), 2, "--name cannot be"),
        (("-o", "new", "--name", "x" * 300), 2, "longer than"),
        (("-o", "new", "--rehearse", "missing.wav"), 2, "does not exist"),
        (("-o", "new", "--rehearse", "a.txt"), 2, "is not an audio file"),
        (("-o", "new", "--rehearse", STREAM, "--channel", "2"), 2, "no channel 2"),
        (("-o", "new", "--rehearse", STREAM, "--device", "x"), 2, "exclude each other"),
        (("-o", "new", "--duration", "11"), 2, "outside 0.05 to 10"),
        (("-o", "new", "--speed", "2"), 2, "go with --rehearse"),
        (("-o", "new", "--takes", "0"), 2, "takes"),
        ((), 2, "Missing option"),
    ],
)
def test_what_cannot_be_used_is_said_and_leaves_nothing(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """One sentence names what is wrong, the exit code is right, and no folder is left behind."""
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "made" / "anna").mkdir(parents=True)
    (tmp_path / "made" / "anna" / "a.txt").write_text("a")
    before = sorted(tmp_path.rglob("*"))
    done = run("record", *arguments, "--headless", cwd=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("devices", "name", "kind", "says"),
    [
        ([], None, DeviceError, "no sound device.*--rehearse FILE"),
        ([("USB Audio", True)], "hdmi", InputError, "called 'hdmi'. There are 'USB Audio'"),
        ([("USB Audio", False)], None, InputError, "no default input"),
    ],
)
def test_a_missing_device_is_said_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch,
    devices: list[tuple[str, bool]],
    name: str | None,
    kind: type[OffkeyError],
    says: str,
) -> None:
    """Without a device, or with a wrong name, one sentence says what there is or what to do."""
    known = [Device(i, n, 1, 48_000, "ALSA", default) for i, (n, default) in enumerate(devices)]
    monkeypatch.setattr(PortAudio, "find", lambda _, wanted: find_device(wanted, known))
    options = {"device": name, "channel": None, "rehearse": None, "inject": (), "speed": None}
    with pytest.raises(kind, match=says):
        place_source(options)


def test_a_disk_that_takes_no_more_ends_it_and_keeps_what_is_there(
    command: str, tmp_path: Path, parse: Parse
) -> None:
    """One sentence, exit code 1, no half file; the takes before it are there and are told of."""
    shell = 'ulimit -f 6; exec "$0" record -o takes --name anna --rehearse "$1" --speed max'
    done = subprocess.run(
        ["bash", "-c", shell, command, str(STREAM)],  # noqa: S607
        capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    kept = [line["file"] for line in parse(done.stdout)]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("offkey: A take cannot be saved in takes/anna: ")
    assert f"{len(kept)} take" in done.stderr
    assert [f"takes/anna/{name}" for name in files_in(tmp_path / "takes" / "anna")] == kept
    assert kept
    for name in kept:
        soundfile.read(tmp_path / name)


def test_ctrl_c_ends_it_with_the_takes_kept(start: Start, tmp_path: Path) -> None:
    """After the first take Ctrl-C ends with exit code 0, and says how many are missing."""
    arguments = ("-o", tmp_path / "takes", "--rehearse", STREAM, "--headless", "--speed", "4")
    with start("record", *arguments) as process:
        assert process.stdout is not None
        assert b'"kept": 1' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(list((tmp_path / "takes").rglob("*.flac"))) >= 1
    assert re.search(rb"At least 1[0-9] more takes are needed", said)


def test_a_device_that_is_lost_at_the_end_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    """Takes so far stay; that the input was lost is said and is the exit code."""
    arguments = ("--rehearse", STREAM, *FAST, "--inject", "unplug@10:999")
    done = run("record", "-o", "takes", "--name", "anna", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "has not come back" in done.stderr
    assert "takes are in takes/anna" in done.stderr
    assert len(files_in(tmp_path / "takes" / "anna")) == 6


@pytest.fixture
def app_of(
    rehearse: Callable[..., Microphone],
    recording_of: Callable[..., tuple[Stream, Recording]],
    player: SilentPlayer,
) -> Callable[..., RecordApp]:
    """Make an app that records samples."""

    def make(samples: Samples, *faults: str, speed: float = math.inf, **plan: Any) -> RecordApp:
        stream, recording = recording_of(rehearse(samples, *faults, speed=speed), **plan)
        return RecordApp(stream, recording)

    return make


def recorded(app: RecordApp) -> Recording:
    """Give what an app records."""
    return app._recording


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12)])
@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
def test_the_screen_shows_every_take(
    app_of: Callable[..., RecordApp],
    words: Callable[[int], Samples],
    size: tuple[int, int],
    theme: str,
) -> None:
    """At every size the count, the newest takes with their verdicts and what to do are there."""
    samples = words(3)
    samples[RATE_HZ * 9 // 2 : RATE_HZ * 5] *= 40
    app = app_of(samples)
    app.theme = theme

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: "has ended" in static(app, "notice"))
        for widget in app.query(Drawing):
            assert all(
                widget.render_line(y).cell_length == widget.size.width
                for y in range(widget.size.height)
            )
        if size == (40, 12):
            return
        for drawing in app.query(Drawing):
            drawn = drawing.draw(*drawing.size)
            assert all(sum(cell_len(t) for t, _ in line) <= drawing.size.width for line in drawn)
        assert "2 of 50 good takes" in text_of(app.query_one(Count))
        assert "not kept: 1 clipped" in text_of(app.query_one(Count))
        rows = text_of(app.query_one(Takes)).splitlines()[1:4]
        expected = ["✓ good, 0002.flac", "✗ not kept: too loud, it clipped", "✓ good, 0001.flac"]
        assert all(verdict in row for verdict, row in zip(expected, rows, strict=True))
        assert "anna" in text_of(app.query_one(Top))
        assert "ENDED" in text_of(app.query_one(Top))

    on_screen(app, act, size)


@pytest.mark.parametrize("key", ["u", "backspace"])
def test_a_key_throws_the_last_take_away(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples], key: str
) -> None:
    """The file goes, the row says so; with nothing left the key says that."""
    app = app_of(words(1))

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: app.engine.is_done)
        await pilot.press(key)
        await until(pilot, lambda: "thrown away" in text_of(app.query_one(Takes)))
        assert files_in(recorded(app).folder.path) == []
        assert "0 of 50" in text_of(app.query_one(Count))
        await pilot.press(key)
        await until(pilot, lambda: len(app._notifications) == 2)
        assert "no take to throw away" in list(app._notifications)[1].message

    on_screen(app, act)


def test_space_plays_the_last_take_and_records_nothing_meanwhile(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples], player: SilentPlayer
) -> None:
    """The file's own samples are played, recording waits for the end of it, then goes on."""
    quiet = 1e-4 * np.random.default_rng(0).normal(size=30 * RATE_HZ)
    app = app_of(np.concatenate([quiet, np.tile(words(4), 20)]), speed=10.0)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await pilot.press("space")
        assert not player.played
        await until(pilot, lambda: recorded(app).kept >= 1)
        app.simulate_key("space")
        await until(pilot, lambda: app.engine.stream.snapshot.state == "paused")
        take = recorded(app).last
        assert take is not None
        assert take.path is not None
        samples, rate_hz = read_take(take.path)
        np.testing.assert_array_equal(player.played[0][0], samples)
        assert player.played[0][1] == rate_hz == RATE_HZ
        heard, kept = len(recorded(app).takes), recorded(app).kept
        await pilot.pause(0.5)
        assert len(recorded(app).takes) == heard
        assert "Playing the last take" in static(app, "now")
        player.is_playing = False
        await until(pilot, lambda: recorded(app).kept > kept)
        for is_playing in (True, False):
            app.simulate_key("space")
            await until(pilot, lambda expected=is_playing: player.is_playing == expected)  # type: ignore[misc]
        await pilot.press("q")

    on_screen(app, act)
    assert player.is_closed


def test_a_missing_loudspeaker_is_told(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples], player: SilentPlayer
) -> None:
    """Where nothing can be played the reason is shown, and recording goes on."""
    player.fails = True
    app = app_of(np.tile(words(4), 20), speed=10.0)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: recorded(app).kept >= 1)
        await pilot.press("space")
        await until(pilot, lambda: bool(app._notifications))
        assert next(iter(app._notifications)).message == "! There is no sound output."
        assert not app.engine.stream.is_paused
        await pilot.press("escape")

    on_screen(app, act)
    assert app.return_code == 0


def test_p_pauses_and_goes_on(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples]
) -> None:
    """While paused nothing is recorded and the screen says so; the same key goes on."""
    app = app_of(np.tile(words(4), 20), speed=10.0)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: recorded(app).kept >= 1)
        await pilot.press("p")
        await until(pilot, lambda: "Paused" in static(app, "now"))
        heard, kept = len(recorded(app).takes), recorded(app).kept
        await pilot.pause(0.4)
        assert len(recorded(app).takes) == heard
        await pilot.press("p")
        await until(pilot, lambda: recorded(app).kept > kept)
        await pilot.press("q")

    on_screen(app, act)


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c"])
def test_a_key_ends_it(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples], key: str
) -> None:
    """The stream ends, what was recorded stays, and the last snapshot is returned."""
    app = app_of(words(2), speed=1.0)

    async def act(pilot: Pilot[Snapshot]) -> None:
        await until(pilot, lambda: "One moment of quiet" in static(app, "now"))
        await pilot.press(key)

    on_screen(app, act)
    assert app.engine.is_done
    assert app.return_value == app.engine.stream.snapshot
    assert app.return_code == 0


def test_reaching_the_goal_is_said(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples]
) -> None:
    """With all takes that were asked for, the screen says so and goes on recording."""
    app = app_of(words(12), speed=20.0, goal=2)

    async def act(pilot: Pilot[Snapshot]) -> None:
        # A busy machine may look when there is a third take already.
        await until(pilot, lambda: " good takes: " in static(app, "notice"))
        assert re.match(r"2 good takes: that is all|\d+ good takes: 2 asked", static(app, "notice"))
        await until(pilot, lambda: recorded(app).kept > 2)
        await until(pilot, lambda: " good takes: 2 asked for" in static(app, "notice"))
        await pilot.press("u", "u")
        await pilot.press("q")

    on_screen(app, act)


def test_clipping_noise_and_a_lost_device_are_told_in_words(
    app_of: Callable[..., RecordApp], words: Callable[[int], Samples]
) -> None:
    """Each of them has its sentence, and the level its noise and gate."""
    samples = words(12)
    clipped = slice(2 * RATE_HZ, round(2.5 * RATE_HZ))
    samples[clipped] = np.clip(samples[clipped] * 50, -1, 1)
    noisy = slice(7 * RATE_HZ, 20 * RATE_HZ)
    samples[noisy] += quiet(13, 5, 0.03)
    # Long enough for a busy machine to look while the device is gone, before the file ends.
    app = app_of(np.append(samples, quiet(240)), "unplug@22:300", speed=12.0)
    seen: set[str] = set()

    async def act(pilot: Pilot[Snapshot]) -> None:
        def watch() -> bool:
            level = text_of(app.query_one(Level))
            seen.update(w for w in ("gate open", "gate closed") if w in level)
            seen.add(static(app, "warning")[:10])
            return "microphone is gone" in static(app, "now")

        await until(pilot, watch)
        assert "RECONNECTING" in text_of(app.query_one(Top))
        await pilot.press("q")

    on_screen(app, act)
    assert seen >= {"gate open", "gate closed", "! Too loud", "! It is no"}


def test_a_take_that_cannot_be_saved_is_a_dialogue(
    app_of: Callable[..., RecordApp],
    words: Callable[[int], Samples],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk is told with the folder; the exit code is 1."""

    def fail(*_: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(TakeFolder, "_write", fail)
    app = app_of(words(1))

    async def act(pilot: Pilot[Snapshot]) -> None:
        def said_so_far() -> str:
            return " ".join(str(widget.content) for widget in app.screen.query(Static))

        await until(pilot, lambda: isinstance(app.screen, FailureDialogue))
        await until(pilot, lambda: "No space left on device" in said_so_far())
        said = said_so_far()
        assert "anna" in said
        await pilot.press("enter")

    on_screen(app, act)
    assert app.return_code == 1


def test_the_screen_runs_in_a_terminal_and_leaves_the_next_command(
    command: str, tmp_path: Path
) -> None:
    """On a terminal there is a screen; `q` ends it, and what is printed then names calibrate."""
    outer, inner = pty.openpty()
    arguments = ["record", "-o", "takes", "--name", "anna", "--rehearse", str(STREAM)]
    process = subprocess.Popen(
        [command, *arguments, "--speed", "8"],
        stdin=inner, stdout=inner, stderr=inner, cwd=tmp_path,
        env=os.environ | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(inner)
    written, asked = b"", False
    with contextlib.suppress(OSError):
        while data := os.read(outer, 65536):
            written += data
            if not asked and b"0001.flac" in written:
                asked = True
                os.write(outer, b"q")
    os.close(outer)
    assert process.wait(30) == 0
    after = written.rpartition(b"\x1b[?1049l")[2].decode()
    assert "in takes/anna" in after
    assert "offkey calibrate takes -o takes.offkey" in after
    assert (tmp_path / "takes" / "anna" / "0001.flac").exists()


def test_recording_needs_no_screen_unless_asked() -> None:
    """Importing the verb and its engine loads no textual."""
    program = (
        "import sys, monitor.record_cli, monitor.recorders, monitor.record_words\n"
        "assert 'textual' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
