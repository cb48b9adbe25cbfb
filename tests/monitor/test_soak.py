"""Ten minutes of sound leave no memory, thread or descriptor behind. A day: tests/bench/soak.py."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.audio import Block
from model.detector import Detector
from monitor.microphone import Microphone
from monitor.rehearsal import Fault, RehearsedDevice
from monitor.sinks import Sink
from monitor.sources import AudioFile, Source
from monitor.stream import Stream

Samples = NDArray[np.float32]
MINUTES = 10
STATUS = Path("/proc/self/status")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.exists(), reason="there is no /proc here"),
]


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory, demo_stream: Samples) -> Path:
    """Write the demo's stream ten times over."""
    path = tmp_path_factory.mktemp("soak") / "long.flac"
    minute = demo_stream[: 60 * 8000]
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_16") as file:
        for _ in range(MINUTES):
            file.write(minute)
    return path


def resident_mb() -> float:
    """Memory of this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def held() -> tuple[set[str], int]:
    """Names of threads, and the number of descriptors."""
    gc.collect()
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("offkey")}
    return names, len(list(Path("/proc/self/fd").iterdir()))


@dataclass
class Scales(Sink):
    """Weighs the process once a minute of sound."""

    minutes_mb: list[float] = field(default_factory=list)

    def hear(self, block: Block, rate_hz: int) -> None:
        """Look whether another minute has begun."""
        if block.end / rate_hz >= 60 * (len(self.minutes_mb) + 1):
            gc.collect()
            self.minutes_mb.append(resident_mb())


def _microphone(path: Path) -> Source:
    """Rehearse a microphone that is lost every half minute."""
    faults = [Fault("unplug", at_s, 2.0) for at_s in range(30, 60 * MINUTES, 30)]
    return Microphone(None, None, RehearsedDevice(str(path), float("inf"), faults))


@pytest.mark.parametrize("source", [lambda path: AudioFile(str(path)), _microphone])
def test_nothing_grows_and_nothing_is_left_over(
    demo_detector: Detector, long_file: Path, source: Callable[[Path], Source]
) -> None:
    """Memory grows by less than 2 MB after the first minute; threads and descriptors go back."""
    before, scales = held(), Scales()
    last = Stream(demo_detector, [source(long_file)], [scales]).run()
    assert last.account.total_s == pytest.approx(60 * MINUTES, abs=0.1)
    assert len(scales.minutes_mb) >= MINUTES - 1
    assert max(scales.minutes_mb) - scales.minutes_mb[0] < 2
    assert held() == before
