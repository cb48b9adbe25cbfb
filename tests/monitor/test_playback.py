"""Playback: what a loudspeaker is given, the process that gives it, and PulseAudio for real.

The process that plays finds a made-up `sounddevice` on its path, which writes what it is given to a
file and ends when the test lets it.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.audio import resample
from model.errors import DeviceError
from monitor import helper, playback
from monitor.levels import LevelWatch
from monitor.loudspeaker import IDLE, LEAD_S, make_frames
from monitor.playback import Player, make_audible

Samples = NDArray[np.float32]
RATE_HZ = 6800
DEVICE_HZ = 48_000
LIMIT_S = 60.0

FAKE = """
import os, time
import numpy as np
from types import SimpleNamespace

FOLDER = os.environ["FAKE_FOLDER"]

class PortAudioError(Exception):
    pass

HOW = os.environ.get("FAKE_HOW", "")
if HOW == "missing":
    raise OSError("PortAudio library not found")
default = SimpleNamespace(device=[-1, -1 if HOW == "no output" else 0])

def query_devices(index):
    return {"index": index, "default_samplerate": 48000.0, "max_output_channels": 6}

class OutputStream:
    latency = 0.5
    silence = None
    def __init__(self, **asked):
        assert asked["samplerate"] == 48000 and asked["channels"] == 2
        if HOW == "refuses":
            raise PortAudioError("Error opening OutputStream: Device unavailable [PaErrorCode 1]")
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def write(self, frames):
        if self.silence is None:
            self.silence = np.zeros((24000, 2), "f4")
        else:
            assert np.array_equal(frames, self.silence)
            return
        name = os.path.join(FOLDER, f"{os.getpid()}")
        np.save(name + ".part.npy", frames)
        os.rename(name + ".part.npy", name + ".npy")
        while not os.path.exists(os.path.join(FOLDER, "release")):
            time.sleep(0.02)
"""


def noise(seed: int, seconds: float = 0.5) -> Samples:
    """Make up noise with a peak of 0.5."""
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, round(RATE_HZ * seconds))
    return values.astype(np.float32)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait, for a minute at most, until something holds."""
    until = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc/self/stat").exists():
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended meanwhile
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Loudspeaker:
    """The made-up output of the processes that play."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def heard(self) -> dict[int, Samples]:
        """What was begun to be played, by the process that did."""
        return {int(path.stem): np.load(path) for path in self.folder.glob("[0-9]*[0-9].npy")}

    def release(self) -> None:
        """Let everything end."""
        (self.folder / "release").touch()


@pytest.fixture
def loudspeaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loudspeaker:
    """Put the made-up sounddevice where the processes look first."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sounddevice.py").write_text(FAKE)
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("FAKE_FOLDER", str(tmp_path / "out"))
    return Loudspeaker(tmp_path / "out")


@pytest.fixture
def problems() -> list[DeviceError]:
    """Collect what a player tells."""
    return []


@pytest.fixture
def player(
    problems: list[DeviceError], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Player, list[int]]]:
    """Make a player, and a list of the processes it starts; none of them is left at the end."""
    started: list[int] = []
    start = helper.start

    def note(module: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = start(module, *arguments)
        started.append(process.pid)
        return process

    monkeypatch.setattr(helper, "start", note)
    player = Player(problems.append)
    yield player, started
    player.close()
    wait_until(lambda: not any(is_running(pid) for pid in started))


Playing = tuple[Player, list[int]]


# --- what is played ------------------------------------------------------------------------------


@given(st.floats(-120, 30), st.integers(1, 400))
def test_what_is_played_is_audible_and_never_clips(peak_dbfs: float, n: int) -> None:
    """Peaks from −40 to 0 dBFS stay as they are, others move to −20 or 0 dBFS, and that is told."""
    samples = np.linspace(-1, 0.5, n) * 10 ** (peak_dbfs / 20)
    audible, raised_db = make_audible(samples.astype(np.float32))
    played_dbfs = 20 * np.log10(np.abs(audible).max())
    if -39.99 < peak_dbfs < -0.01:
        assert raised_db == 0
        assert np.array_equal(audible, samples.astype(np.float32))
    elif abs(peak_dbfs + 40) > 0.01 and abs(peak_dbfs) > 0.01:
        assert played_dbfs == pytest.approx(-20 if peak_dbfs < -40 else 0, abs=1e-4)
        assert raised_db == pytest.approx(played_dbfs - peak_dbfs, abs=1e-3)
    assert np.abs(audible).max() <= 1


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_nothing_is_raised_from_nothing(value: float) -> None:
    """Digital silence and broken samples are played as silence."""
    audible, raised_db = make_audible(np.full(100, value, np.float32))
    assert not audible.any()
    assert raised_db == 0


def test_an_output_gets_the_sound_between_two_silences_on_every_channel() -> None:
    """Every channel gets the resampled sound, with silence around it and no step at its ends."""
    samples = np.full(RATE_HZ, 0.5, np.float32)
    frames = make_frames(samples, RATE_HZ, DEVICE_HZ, 2)
    lead = round(LEAD_S * DEVICE_HZ)
    assert frames.shape == (DEVICE_HZ + 2 * lead, 2)
    assert np.array_equal(frames[:, 0], frames[:, 1])
    assert not frames[:lead].any()
    assert not frames[-lead:].any()
    assert np.abs(np.diff(frames[:, 0])).max() < 0.02
    middle = frames[lead + 4800 : -lead - 4800, 0]
    assert np.allclose(middle, 0.5, atol=1e-3)


def test_what_resampling_lets_overshoot_does_not_clip() -> None:
    """A full-scale square, which overshoots between its samples, comes out within full scale."""
    square = np.sign(np.sin(np.arange(RATE_HZ) * 0.9)).astype(np.float32)
    assert np.abs(resample(square, RATE_HZ, DEVICE_HZ)).max() > 1.05
    assert np.abs(make_frames(square, RATE_HZ, DEVICE_HZ, 1)).max() <= 1


def test_an_empty_sound_can_be_played() -> None:
    """Without samples there is only the silence around them."""
    frames = make_frames(np.empty(0, np.float32), RATE_HZ, DEVICE_HZ, 2)
    assert not frames.any()


# --- the process that plays ----------------------------------------------------------------------


def test_playing_goes_on_by_itself_until_the_sound_has_ended(
    loudspeaker: Loudspeaker, player: Playing
) -> None:
    """The call returns while the output still plays; it gets the frames, then the player rests."""
    one, _ = player
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 1)
    assert one.is_playing
    [frames] = loudspeaker.heard().values()
    assert np.allclose(frames, make_frames(noise(1), RATE_HZ, DEVICE_HZ, 2), atol=1e-6)
    loudspeaker.release()
    wait_until(lambda: not one.is_playing)
    assert one.problem is None


def test_a_new_sound_ends_the_one_before(loudspeaker: Loudspeaker, player: Playing) -> None:
    """Once another sound is played the process of the first is gone, and nothing is wrong."""
    one, _ = player
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 1)
    [first] = loudspeaker.heard()
    one.play(noise(2), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 2)
    wait_until(lambda: not is_running(first))
    assert one.is_playing
    assert one.problem is None
    second = next(frames for pid, frames in loudspeaker.heard().items() if pid != first)
    assert np.allclose(second, make_frames(noise(2), RATE_HZ, DEVICE_HZ, 2), atol=1e-6)


def test_stop_ends_the_sound(loudspeaker: Loudspeaker, player: Playing) -> None:
    """After a stop nothing plays, nothing is wrong, and the next sound can be played."""
    one, _ = player
    one.stop()
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 1)
    one.stop()
    assert not one.is_playing
    [first] = loudspeaker.heard()
    wait_until(lambda: not is_running(first))
    assert one.problem is None
    one.play(noise(2), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 2)


def test_many_sounds_at_once_leave_only_the_last(loudspeaker: Loudspeaker, player: Playing) -> None:
    """Of a dozen sounds in a row the last one plays, and the processes of all others end."""
    one, started = player
    for seed in range(12):
        one.play(noise(seed), RATE_HZ)
    last = make_frames(noise(11), RATE_HZ, DEVICE_HZ, 2)
    wait_until(lambda: any(np.allclose(f, last, atol=1e-6) for f in loudspeaker.heard().values()))
    # The one that plays, and at most one that waits for the next sound.
    wait_until(lambda: sum(is_running(pid) for pid in started) <= 2)
    assert one.is_playing


def test_a_quiet_sound_is_told_to_be_raised(loudspeaker: Loudspeaker, player: Playing) -> None:
    """A sound with a peak of −54 dBFS is played with one of −20, and the 34 dB are told."""
    one, _ = player
    hum = np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    quiet = hum / np.abs(hum).max() * np.float32(10 ** (-54 / 20))
    assert one.play(quiet, RATE_HZ) == one.raised_db == pytest.approx(34, abs=1e-3)
    wait_until(lambda: len(loudspeaker.heard()) == 1)
    [frames] = loudspeaker.heard().values()
    assert 20 * np.log10(np.abs(frames).max()) == pytest.approx(-20, abs=0.1)


@pytest.mark.parametrize(
    ("how", "sentence", "hint"),
    [
        ("missing", "The PortAudio library is missing.", "apt install"),
        ("no output", "There is no sound output to play it on.", "headphones"),
        ("refuses", "The sound cannot be played: Device unavailable.", ""),
    ],
)
def test_what_keeps_a_sound_from_being_played_is_told(
    loudspeaker: Loudspeaker,
    player: Playing,
    problems: list[DeviceError],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    sentence: str,
    hint: str,
) -> None:
    """It is one sentence and, where there is one, the next step; told once, and then it rests."""
    monkeypatch.setenv("FAKE_HOW", how)
    one, _ = player
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: bool(problems))
    assert not one.is_playing
    assert problems == [one.problem]
    assert problems[0].sentence == sentence
    assert hint in problems[0].hint


def test_an_output_that_hangs_is_given_up(
    loudspeaker: Loudspeaker,
    player: Playing,
    problems: list[DeviceError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the sound does not end in time its process is ended, and that is told."""
    monkeypatch.setattr(playback, "_ANSWER_S", 1.0)
    one, _ = player
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: bool(problems))
    assert problems[0].sentence == "The sound output does not answer."
    assert not one.is_playing
    assert not any(is_running(pid) for pid in loudspeaker.heard())


def test_one_that_has_waited_for_too_long_is_replaced(
    loudspeaker: Loudspeaker, player: Playing
) -> None:
    """Where the process that waited for the next sound has left, another one plays it."""
    one, _ = player
    gone = subprocess.Popen(
        [sys.executable, "-c", f"raise SystemExit({IDLE})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    gone.wait(LIMIT_S)
    one._spare = gone
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 1)


def test_a_process_without_a_sound_leaves_with_whoever_started_it() -> None:
    """Once its stdin is closed it ends by itself, and says that it has played nothing."""
    process = helper.start("monitor.loudspeaker")
    assert process.communicate(timeout=LIMIT_S)[0] == b""
    assert process.returncode == IDLE


def test_a_folder_with_modules_of_the_same_name_is_no_danger(
    loudspeaker: Loudspeaker, player: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `model.py` or `json.py` in the current folder does not get into the process that plays."""
    for name in ("model", "monitor", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    one, _ = player
    one.play(noise(1), RATE_HZ)
    wait_until(lambda: len(loudspeaker.heard()) == 1 or not one.is_playing)
    assert one.problem is None


# --- for real ------------------------------------------------------------------------------------

MISSING = [tool for tool in ("pulseaudio", "pactl", "paplay", "parec") if not shutil.which(tool)]
if not ctypes.util.find_library("portaudio"):
    MISSING.append("libportaudio2")
needs_pulse = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
ALSA_NAME = 'pcm.{0} {{ type pulse device "{0}.monitor" hint {{ show on description "x" }} }}\n'


@pytest.fixture
def pulse(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Run a sound server with two null sinks, which are inputs by name too; give its process."""
    folder = tmp_path_factory.mktemp("pa")
    socket = folder / "pa.sock"
    (folder / ".asoundrc").write_text("".join(map(ALSA_NAME.format, ("kitchen", "cellar"))))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{socket}")
    form = "rate=48000 format=float32le channels=1 channel_map=mono norewinds=1"
    sinks = [f"module-null-sink sink_name={name} {form}" for name in ("kitchen", "cellar")]
    loads = [f"module-native-protocol-unix auth-anonymous=1 socket={socket}", *sinks]
    options = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    server = subprocess.Popen(
        [shutil.which("pulseaudio") or "", *options, *(f"--load={load}" for load in loads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        control = [shutil.which("pactl") or "", "set-default-sink", "kitchen"]
        until = time.monotonic() + LIMIT_S
        while subprocess.run(control, capture_output=True, check=False).returncode:
            if server.poll() is not None or time.monotonic() > until:
                pytest.skip("PulseAudio does not start here")
            time.sleep(0.1)
        yield server.pid
    finally:
        server.send_signal(signal.SIGCONT)
        server.kill()
        server.wait(LIMIT_S)


def record(file: Path, act: Callable[[], None]) -> Samples:
    """What a null sink plays from before something is done until a second after it."""
    command = [shutil.which("parec") or "", "--device=kitchen.monitor", "--format=float32le"]
    with file.open("wb") as out:
        recorder = subprocess.Popen(
            [*command, "--rate=48000", "--channels=1", "--latency-msec=50"], stdout=out
        )
    try:
        wait_until(lambda: file.stat().st_size > 4 * 4800)
        act()
        until_bytes = file.stat().st_size + 4 * 48_000
        wait_until(lambda: file.stat().st_size > until_bytes)
    finally:
        recorder.kill()
        recorder.wait(LIMIT_S)
    data = file.read_bytes()
    return np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float32)


def find(sound: Samples, recorded: Samples) -> Samples:
    """The part of a recording that is most like a sound."""
    n = 1 << (len(recorded) + len(sound)).bit_length()
    spectrum = np.fft.rfft(recorded, n) * np.conj(np.fft.rfft(sound, n))
    at = int(np.argmax(np.fft.irfft(spectrum, n)[: len(recorded)]))
    return recorded[at : at + len(sound)]


@needs_pulse
def test_what_is_played_is_what_a_sound_server_gets(
    pulse: int, player: Playing, problems: list[DeviceError], tmp_path: Path
) -> None:
    """What a null sink got correlates with the sound by more than 0.99, at the same level."""
    one, _ = player
    played = make_frames(noise(3, 1.0), RATE_HZ, 48_000, 1)[:, 0]
    for _ in range(5):  # a busy machine may play or record badly

        def play() -> None:
            one.play(noise(3, 1.0), RATE_HZ)
            wait_until(lambda: not one.is_playing)

        heard = find(played, record(tmp_path / "recorded.raw", play))
        correlation = np.corrcoef(heard, played[: len(heard)])[0, 1]
        print(f"correlation {correlation:.4f}")
        if correlation > 0.99:
            break
    assert not problems
    assert correlation > 0.99
    assert np.abs(heard).max() == pytest.approx(np.abs(played).max(), rel=0.1)


@needs_pulse
def test_the_sound_of_one_room_is_seen_at_its_own_input(pulse: int, tmp_path: Path) -> None:
    """With a tone in the cellar its level is seen there, and the kitchen has no signal."""
    import soundfile

    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 30) / 48_000)
    soundfile.write(tmp_path / "tone.wav", tone.astype(np.float32), 48_000, subtype="FLOAT")
    playing = subprocess.Popen(
        [shutil.which("paplay") or "", "--device=cellar", str(tmp_path / "tone.wav")]
    )
    watch = LevelWatch()
    try:
        watch.start()

        def peak(name: str) -> float | None:
            inputs = {one.name: one for one in watch.newest.inputs or ()}
            return inputs[name].peak_dbfs if name in inputs else None

        wait_until(lambda: peak("cellar") is not None)
        wait_until(lambda: abs((peak("cellar") or 0) + 20) < 1)
        states = {one.name: one.state for one in watch.newest.inputs or ()}
        assert states["kitchen"] == "heard"
        assert peak("kitchen") is None
    finally:
        watch.close()
        playing.kill()
        playing.wait(LIMIT_S)


@needs_pulse
def test_a_frozen_sound_server_holds_nobody_up(pulse: int) -> None:
    """A server that answers nobody is told within seconds, and closing ends the process."""
    os.kill(pulse, signal.SIGSTOP)
    watch = LevelWatch()
    watch.start()
    wait_until(lambda: watch.newest.problem is not None)
    assert watch.newest.problem == "The sound system does not answer."
    assert watch._process is not None
    watch.close()
    wait_until(lambda: watch._process is not None and not is_running(watch._process.pid))
