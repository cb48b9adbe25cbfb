"""What an input has been for some time is told in the right word."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.audio import Block
from monitor.snapshot import DEAD_S, InputWatch

RATE_HZ = 8000
Samples = NDArray[np.float32]


def watched(samples: Samples, size: int, not_finite: bool = False) -> InputWatch:
    """Look at samples in blocks of a size."""
    watch = InputWatch(RATE_HZ)
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        broken = np.arange(start, start + len(part)) if not_finite else np.empty(0, np.int64)
        watch.push(Block(part, start, not_finite=broken))
    return watch


@pytest.mark.parametrize("size", [160, 4000, 100_000])
@pytest.mark.parametrize(
    ("sound", "state"),
    [(0.0, "digital zero"), (1e-6, "silent"), (1e-3, None)],
)
def test_a_dead_input_is_named_after_two_seconds(
    sound: float, state: str | None, size: int
) -> None:
    """Zeros and what is below -90 dBFS are told, quiet noise is not, whatever the blocks."""
    rng = np.random.default_rng(0)
    samples = (sound * rng.uniform(-1, 1, round(2.5 * RATE_HZ))).astype(np.float32)
    assert watched(samples, size).state == state
    assert watched(samples[: round((DEAD_S - 0.1) * RATE_HZ)], size).state is None


def test_broken_values_are_not_called_a_dead_input() -> None:
    """Where the values themselves are broken, the zeros that stand for them are not the news."""
    zeros = np.zeros(3 * RATE_HZ, np.float32)
    assert watched(zeros, 160, not_finite=True).state == "not finite"


def test_the_first_sound_ends_the_state() -> None:
    """A dead input is alive again with the block that brings a sound, and dead after two more."""
    watch = watched(np.zeros(3 * RATE_HZ, np.float32), 160)
    watch.push(Block(np.array([0.1, -0.1], np.float32), 3 * RATE_HZ))
    assert watch.state is None
    for i in range(101):
        watch.push(Block(np.zeros(160, np.float32), 3 * RATE_HZ + 2 + 160 * i))
    assert watch.state == "digital zero"


@pytest.mark.parametrize("offset", [0.0, 0.02, -0.3])
def test_an_offset_is_measured(offset: float) -> None:
    """The mean of two seconds is the offset, whatever sounds over it."""
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    watch = watched((offset + 0.1 * np.sin(2 * np.pi * 200 * t)).astype(np.float32), 160)
    assert watch.offset == pytest.approx(offset, abs=1e-4)
