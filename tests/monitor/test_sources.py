"""Reading what may be anything: files as sources, and channels mixed down to one."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from model.audio import Block, Mixdown, read_recording
from model.errors import AudioError
from monitor.sources import AudioFile

Samples = NDArray[np.float32]


def encoded(kind: str, subtype: str, rate_hz: int = 16_000, channels: int = 2) -> bytes:
    """Make a small file of a kind, of noise."""
    noise = 0.1 * np.random.default_rng(0).normal(size=(2500, channels))
    file = io.BytesIO()
    soundfile.write(file, noise, rate_hz, format=kind, subtype=subtype)
    return file.getvalue()


KINDS = [
    encoded("WAV", "PCM_16"),
    encoded("WAV", "FLOAT"),
    encoded("WAV", "MS_ADPCM"),
    encoded("RF64", "PCM_24"),
    encoded("W64", "PCM_16"),
    encoded("FLAC", "PCM_16"),
    encoded("AIFF", "PCM_16"),
    encoded("AU", "PCM_16"),
    encoded("CAF", "PCM_16"),
    encoded("OGG", "VORBIS"),
]


def blocks_of(path: Path, speed: float = math.inf) -> Iterator[Block]:
    """Give all blocks of a file."""
    with AudioFile(str(path), speed) as source:
        yield from source.blocks(threading.Event(), threading.Event())


@settings(deadline=None, max_examples=150)
@given(
    kind=st.integers(0, len(KINDS) - 1),
    edits=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=4),
    header=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=4),
    keep=st.floats(0.3, 1.0),
)
def test_hostile_files_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory,
    kind: int,
    edits: list[tuple[int, int]],
    header: list[tuple[int, int]],
    keep: float,
) -> None:
    """A file with any bytes changed, cut anywhere, is read in order, or is an AudioError."""
    changed = dict(edits) | dict(header)
    data = bytes(changed.get(i, b) for i, b in enumerate(KINDS[kind]))
    path = tmp_path_factory.getbasetemp() / "hostile.bin"
    path.write_bytes(data[: round(len(KINDS[kind]) * keep)])
    end = 0
    try:
        for _, block in zip(range(100), blocks_of(path), strict=False):
            assert block.start == end
            assert np.isfinite(block.samples).all()
            end = block.end
    except AudioError as error:
        assert str(error).endswith(".")
        assert len(str(error).splitlines()) == 1
    try:
        recording = read_recording(path, 6800, 1.0)
        assert len(recording.samples) <= 6800
    except AudioError as error:
        assert str(path) in str(error)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=400))
def test_any_bytes_are_no_file_or_one(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Arbitrary bytes are refused with the one error that names the file."""
    path = tmp_path_factory.getbasetemp() / "bytes.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"bytes\.wav"):
        AudioFile(str(path))


@pytest.mark.parametrize("speed", [math.inf, 50.0])
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44_100, 2), (11_025, 8)])
def test_blocks_are_the_whole_file_in_order(
    tmp_path: Path, rate_hz: int, channels: int, speed: float
) -> None:
    """Blocks follow one another without gap or overlap: the mean of the channels, all of it."""
    rng = np.random.default_rng(1)
    frames = rng.uniform(-0.5, 0.5, size=(round(1.7 * rate_hz) + 1, channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", frames, rate_hz, subtype="FLOAT")
    blocks = list(blocks_of(tmp_path / "a.wav", speed))
    assert len(blocks) > 2
    assert blocks[0].start == 0
    assert all(before.end == after.start for before, after in pairwise(blocks))
    assert all(block.lost == 0 and block.cause is None for block in blocks)
    whole = np.concatenate([block.samples for block in blocks])
    np.testing.assert_allclose(whole, frames.mean(axis=1), atol=1e-6)


def test_a_file_knows_its_name_rate_and_length(tmp_path: Path) -> None:
    """What the screen shows of a file stands before its first block."""
    soundfile.write(tmp_path / "a\tb.flac", np.zeros(6000), 4000)
    with AudioFile(str(tmp_path / "a\tb.flac")) as source:
        assert source.name == f"{tmp_path}/a\tb.flac"
        assert (source.rate_hz, source.length_s) == (4000, 1.5)
        assert (source.is_live, source.began, source.problem) == (False, None, None)


def test_a_stop_ends_a_paced_file_at_once(tmp_path: Path) -> None:
    """A file of an hour at the speed of the real thing ends when it is asked to."""
    soundfile.write(tmp_path / "a.flac", np.zeros(3600 * 100), 100)
    stop = threading.Event()
    with AudioFile(str(tmp_path / "a.flac"), speed=1.0) as source:
        blocks = source.blocks(stop, threading.Event())
        next(blocks)
        stop.set()
        assert list(blocks) == []


def test_a_paused_file_stays_where_it_is(tmp_path: Path) -> None:
    """While paused only empty blocks come, at the place; afterwards nothing is missing."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 9000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    stop, paused = threading.Event(), threading.Event()
    with AudioFile(str(tmp_path / "a.wav"), speed=1e6) as source:
        blocks = source.blocks(stop, paused)
        first = next(blocks)
        paused.set()
        quiet = [next(blocks) for _ in range(3)]
        paused.clear()
        rest = list(blocks)
    assert [len(block.samples) for block in quiet] == [0, 0, 0]
    assert {block.start for block in quiet} == {first.end}
    heard = np.concatenate([first.samples, *(block.samples for block in rest)])
    np.testing.assert_array_equal(heard, samples)


def test_a_paced_file_is_not_faster_than_asked(tmp_path: Path) -> None:
    """Half a second at speed 2 takes at least a quarter of one; nothing is said of at most."""
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 8000)
    began = time.monotonic()
    list(blocks_of(tmp_path / "a.wav", speed=2.0))
    assert time.monotonic() - began >= 0.24


# --- channels ------------------------------------------------------------------------------------

FRAMES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 30), st.integers(1, 3)),
    elements=st.one_of(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        st.sampled_from([0.0, 0.5, -1.0, 1.0, 0.9921875, -0.9921875, 1.5]),
    ),
)


@pytest.mark.filterwarnings("error")
@settings(deadline=None)
@given(FRAMES, st.integers(0, 10**9))
@example(np.full((2, 2), 3e38, np.float32), 0)
def test_what_is_mixed_down_is_finite(frames: Samples, start: int) -> None:
    """Whatever the frames hold, the block is finite, and says where they were not."""
    block = Mixdown().push(frames, start)
    assert block.start == start
    assert block.samples.shape == (len(frames),)
    assert np.isfinite(block.samples).all()
    broken = [start + i for i, frame in enumerate(frames) if not np.isfinite(frame).all()]
    assert set(broken) <= set(block.not_finite.tolist())


def clipped_by_hand(frames: Samples) -> list[int]:
    """Look at each sample of each channel: over full scale, or held at it."""
    found = []
    for i, frame in enumerate(frames):
        for j, value in enumerate(frame):
            held = i > 0 and abs(value) >= 0.99 and value == frames[i - 1][j]
            if abs(value) > 1 or held:
                found.append(i)
                break
    return found


LEVELS = st.sampled_from([0.0, 0.3, 0.98, 0.9921875, 1.0, -1.0, -0.9921875, 1.25])


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 25), st.integers(1, 3)), elements=LEVELS),
    st.lists(st.integers(0, 25), max_size=4),
)
def test_clipping_is_seen_however_the_frames_are_cut(frames: Samples, cuts: list[int]) -> None:
    """A sample is clipped where it is over full scale or held there, across blocks too."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(frames)), len(frames)]
    mixdown = Mixdown()
    blocks = [mixdown.push(frames[a:b], a) for a, b in pairwise(edges)]
    assert [i for block in blocks for i in block.overloads.tolist()] == clipped_by_hand(frames)
    mono = np.concatenate([block.samples for block in blocks])
    np.testing.assert_allclose(mono, frames.mean(axis=1), atol=1e-6)


def test_what_was_held_before_a_loss_does_not_count(tmp_path: Path) -> None:
    """Two equal samples at full scale with a loss between them were not held."""
    full = np.ones((1, 1), np.float32)
    mixdown = Mixdown()
    mixdown.push(full, 0)
    assert mixdown.push(full, 1).overloads.tolist() == [1]
    assert mixdown.push(full, 10, lost=8, cause="overflow").overloads.tolist() == []
    mixdown.reset()
    assert mixdown.push(full, 11).overloads.tolist() == []


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_channel_is_heard_without_the_others(channel: int) -> None:
    """A chosen channel is neither mixed with nor clipped by another, nor made not finite by it."""
    frames = np.zeros((4, 3), np.float32)
    frames[:, channel] = [0.1, 0.2, 0.3, 0.4]
    others = [c for c in range(3) if c != channel]
    frames[1, others], frames[2, others] = np.nan, 5.0
    block = Mixdown(channel).push(frames, 0)
    np.testing.assert_array_equal(block.samples, frames[:, channel])
    assert block.overloads.tolist() == block.not_finite.tolist() == []
