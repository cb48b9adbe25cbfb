"""What can be seen of the recording screen, as stories."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from typing import Any, cast

import pytest

from model.errors import OffkeyError
from model.segment import Segmentation
from monitor.app import record
from monitor.app.engine import Engine
from monitor.app.record import RecordApp
from monitor.recorders import PIECE_S, PieceRecording, make_recording
from monitor.recording import Plan, Recording, Take
from monitor.stream import Stream
from monitor.takes import TakeFolder
from tests.monitor.app_sounds import still_detector
from tests.monitor.app_still import Stage, StillEngine, StillPlayer, StillStream
from tests.monitor.app_stories import Steps, Story

NOISE_DBFS = -62.0
TAKEN = (
    (None, 0.62, -24.0),
    (None, 0.58, -27.0),
    ("clipped", 0.66, -4.0),
    (None, 0.71, -23.0),
    ("too quiet", 0.55, -55.0),
    ("too short", 0.09, -30.0),
    (None, 0.64, -25.0),
    ("too long", 1.34, -28.0),
    ("cut off", 0.41, -26.0),
    ("gap", 0.52, -25.0),
)
"""Why a take is not kept, its length and its level."""


def take(number: int, of: tuple[str | None, float, float], kept: int) -> Take:
    """Make up a take."""
    reason, duration_s, level_dbfs = of
    path = Path("takes/anna") / f"{kept:04}.flac" if reason is None else None
    snr_db = None if duration_s == PIECE_S else level_dbfs - NOISE_DBFS
    return Take(number, None, 0.0, duration_s, level_dbfs, snr_db, reason, path)


def fill(recording: Recording, takes: list[Take]) -> None:
    """Have so many takes."""
    recording._takes = deque(takes, 200)
    recording._good = [one for one in takes if one.path is not None]
    recording._not_kept = Counter(one.reason for one in takes if one.reason)


def _app(goal: int, mode: str) -> RecordApp:
    plan = Plan(Segmentation(mode), goal)
    recording = make_recording(TakeFolder("takes", "anna"), plan)
    stream = StillStream(still_detector(mode))
    app = RecordApp(cast(Stream, stream), recording)
    app.engine = cast(Engine, StillEngine(stream))
    app._player = cast(Any, StillPlayer())
    return app


async def recording(stage: Stage) -> Steps:
    """Sounds, from the first quiet to the goal; what spoils them; pausing, playing, an end."""
    for part in (_first_sounds, _what_spoils_them, _interruptions, _goal):
        async for step in part(stage):
            yield step


async def _first_sounds(stage: Stage) -> Steps:
    await stage.show(source="USB Audio", rate_hz=48000)
    yield "opening"
    await stage.show(state="warming up", level_dbfs=-58.0, position_s=0.6)
    yield "warming up"
    await stage.show(state="live", floor_dbfs=-62.0, position_s=3.1)
    yield "ready"
    await stage.show(level_dbfs=-21.0, gate_open=True, position_s=4.0)
    yield "hearing"
    fill(
        stage.app._recording,
        [take(i, of, sum(not why for why, *_ in TAKEN[:i])) for i, of in enumerate(TAKEN, 1)],
    )
    await stage.show(level_dbfs=-58.0, gate_open=False, position_s=31.0)
    yield "takes"


async def _what_spoils_them(stage: Stage) -> Steps:
    recording = stage.app._recording
    recording._position_s, recording._clipped_s = 31.0, 30.0
    await stage.show(level_dbfs=-2.0, gate_open=True)
    yield "clipping"
    recording._clipped_s = 0.0
    await stage.show(level_dbfs=-30.0, gate_open=False, floor_dbfs=-32.0)
    yield "noisy"


async def _interruptions(stage: Stage) -> Steps:
    await stage.show(level_dbfs=-58.0, floor_dbfs=-62.0)
    await stage.press("p")
    await stage.show(state="paused")
    yield "paused"
    await stage.press("p")
    stage.app._listening = 3
    stage.app._hold()
    await stage.show(state="paused")
    yield "playing"
    stage.app._listening = 0
    stage.app._hold()
    await stage.show(state="reconnecting", detail="attempt 3 failed, next in 4 s")
    yield "reconnecting"
    await stage.show(state="live", detail="")
    stage.app._complain(OffkeyError("There is no sound output."))
    yield "complaint"
    await stage.calm()


async def _goal(stage: Stage) -> Steps:
    good = [take(i, (None, 0.55 + i / 100, -22.0 - i % 4), i) for i in range(1, 12)]
    fill(stage.app._recording, good)
    await stage.show(position_s=60.0)
    yield "all"
    await stage.end(problem="'USB Audio' was lost and has not come back.")
    yield "ended"


async def pieces(stage: Stage) -> Steps:
    """A steady sound, piece by piece."""
    recording = stage.app._recording
    assert isinstance(recording, PieceRecording)
    await stage.show(source="USB Audio", rate_hz=48000, state="live", level_dbfs=-31.0)
    yield "the first"
    fill(recording, [take(i, (None, PIECE_S, -31.0 + i % 2), i) for i in range(1, 4)])
    await stage.show(position_s=104.0)
    yield "some"


RECORD_STORIES = {
    "recording": Story(lambda: _app(10, "event"), recording),
    "pieces": Story(lambda: _app(20, "continuous"), pieces),
}


def make_record_still(patch: pytest.MonkeyPatch) -> None:
    """No loudspeaker, and no folder that is written to."""
    patch.setattr(record, "Player", StillPlayer)
