"""The live path: source, resample, segment, score, sinks; immutable snapshots for the screen.

A stream is a plain loop on the thread that calls `run`: the main thread headless, a worker of the
app on screen. Files and live sources take the same path, so that they give the same scores.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from model.audio import Block, Resampler, input_state, level_dbfs, too_low
from model.detector import NOT_SCORED, Detector
from model.errors import AudioError, shown
from model.segment import Segment
from model.segmenter import make_segmenter
from monitor.alarms import SoundAlarms, WindowAlarms
from monitor.events import Event, Gap, Heard, StateChange
from monitor.sinks import Sink
from monitor.sources import Source
from monitor.terminal import Stop

RECENT = 500


@dataclass(frozen=True)
class Snapshot:
    """Everything that the screen shows, as of one moment."""

    source: str = ""
    state: str = "opening"
    """`opening`, `warming up`, `live`, `playing`, `paused`, `stalled`, `ended`."""
    rate_hz: int = 0
    position_s: float = 0.0
    """How far the source has been heard."""
    length_s: float | None = None
    """Length of a file; None for a live source."""
    level_dbfs: float | None = None
    """RMS of the last block; None for digital zero."""
    floor_dbfs: float | None = None
    gate_open: bool = False
    input_state: str | None = None
    """`digital zero`, `silent` or None, of the last block."""
    segments: int = 0
    not_scored: int = 0
    alarms: int = 0
    lost_s: float = 0.0
    recent: tuple[Heard, ...] = ()
    """The newest segments, oldest first."""
    finished: bool = False
    problem: str | None = None
    """One sentence where something went wrong."""


class Stream:
    """Runs sources one after the other through a detector."""

    def __init__(
        self,
        detector: Detector,
        sources: Sequence[Source],
        sinks: Sequence[Sink] = (),
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.detector = detector
        self._sources = sources
        self._sinks = sinks
        self._warn = warn
        self._stop = Stop()
        self._pause = threading.Event()
        self._recent: deque[Heard] = deque(maxlen=RECENT)
        self._snapshot = Snapshot()

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot; may be asked for from any thread."""
        return self._snapshot

    def stop(self) -> None:
        """Ask the stream to end, with everything flushed; may be called from any thread."""
        self._stop.set()

    def pause(self, paused: bool) -> None:
        """Hold a file where it is; leave unheard what a live source brings meanwhile."""
        (self._pause.set if paused else self._pause.clear)()

    @property
    def is_paused(self) -> bool:
        """Whether the stream is asked to pause."""
        return self._pause.is_set()

    def run(self) -> Snapshot:
        """Run all sources to their ends or until `stop`; returns the last snapshot.

        Raises OffkeyError where a source cannot be opened.
        """
        with contextlib.ExitStack() as last:
            last.callback(self._publish, finished=True, state="ended", gate_open=False)
            for sink in self._sinks:
                last.callback(sink.close)
            for source in self._sources:
                if self._stop.is_set():
                    break
                with source:
                    self._begin(source)
                    self._run_source()
                    del self._resampler  # soxr complains of one that outlives it
        return self._snapshot

    def _begin(self, source: Source) -> None:
        """A new source starts with nothing remembered of the one before."""
        segmentation, rate_hz = self.detector.segmentation, self.detector.front_end.rate_hz
        if source.rate_hz < rate_hz:
            raise AudioError(shown(source.name), too_low(source.rate_hz, rate_hz))
        self._source = source
        self._heard_before = self._snapshot.segments
        self._resampler = Resampler(source.rate_hz, rate_hz)
        self._segmenter = make_segmenter(segmentation, rate_hz)
        self._alarms = WindowAlarms() if segmentation.mode == "continuous" else SoundAlarms()
        self._was_paused = False
        self._publish(
            source=source.name,
            rate_hz=source.rate_hz,
            length_s=source.length_s,
            position_s=0.0,
            state="opening",
        )

    def _run_source(self) -> None:
        try:
            for block in self._source.blocks(self._stop, self._pause):
                self._hear(block)
                if self._stop.is_set():
                    break
        except AudioError as error:
            self._complain(str(error))
        if self._source.problem is not None:
            self._complain(self._source.problem)
        self._flush()
        if self._snapshot.segments == self._heard_before and not self._source.is_live:
            self._tell_nothing_heard()

    def _tell_nothing_heard(self) -> None:
        if not self._stop.is_set():
            name = shown(self._source.name)
            self._warn(f"No sound stood out in {name}. offkey score takes a file as it is.")

    def _complain(self, sentence: str) -> None:
        """The source failed before its end; what came before is kept."""
        self._publish(problem=sentence)
        self._warn(sentence)

    def _hear(self, block: Block) -> None:
        if self._source.rate_hz != self._resampler.rate_in_hz:
            self._segment(self._resampler.flush())
            self._resampler = Resampler(self._source.rate_hz, self.detector.front_end.rate_hz)
        if self._hold(block):
            return
        if block.lost:
            self._tell_gap(block)
        if len(block.samples):
            self._process(block)
        self._enter(self._current_state())

    def _hold(self, block: Block) -> bool:
        """While paused nothing is heard; afterwards the stream starts anew at its place."""
        paused = self._pause.is_set()
        if paused and not self._was_paused:
            self._flush()
        self._was_paused = paused
        if paused:
            self._enter("paused")
            self._publish(position_s=block.end / self._source.rate_hz, gate_open=False)
        return paused

    def _tell_gap(self, block: Block) -> None:
        rate_hz = self._source.rate_hz
        lost_s = block.lost / rate_hz
        self._publish(lost_s=self._snapshot.lost_s + lost_s)
        self._tell(Gap((block.start - block.lost) / rate_hz, lost_s, block.cause or "overflow"))

    def _process(self, block: Block) -> None:
        rate_hz = self._source.rate_hz
        for sink in self._sinks:
            sink.hear(block, rate_hz)
        for resampled in self._resampler.push(block):
            self._segment(resampled)
        self._publish(
            position_s=block.end / rate_hz,
            level_dbfs=level_dbfs(block.samples),
            input_state=input_state(block.samples),
            floor_dbfs=self._segmenter.floor_dbfs,
            gate_open=self._segmenter.is_open,
        )

    def _current_state(self) -> str:
        if self._source.state != "live":
            return self._source.state
        event_mode = self.detector.segmentation.mode == "event"
        if event_mode and self._segmenter.floor_dbfs is None:
            return "warming up"
        return "live" if self._source.is_live else "playing"

    def _enter(self, state: str) -> None:
        if state == self._snapshot.state:
            return
        self._publish(state=state)
        if self._source.is_live:
            self._tell(StateChange(_iso(datetime.now(UTC)), state))

    def _segment(self, block: Block | None) -> None:
        if block is not None:
            for segment in self._segmenter.push(block):
                self._score(segment)

    def _flush(self) -> None:
        """Nothing more comes of this source, or not at once: give what is still open."""
        self._segment(self._resampler.flush())
        for segment in self._segmenter.flush():
            self._score(segment)
        alarm = self._alarms.flush()
        if alarm is not None:
            self._tell(alarm)
        for sink in self._sinks:
            sink.flush()

    def _score(self, segment: Segment) -> None:
        self._enter(self._current_state())
        score = self.detector.score(segment)
        began = self._source.began
        time = None if began is None else _iso(began + timedelta(seconds=segment.start_s))
        number = self._snapshot.segments + 1
        heard = self._alarms.judge(Heard(self._source.name, time, segment, score, number))
        self._recent.append(heard)
        self._publish(
            segments=number,
            not_scored=self._snapshot.not_scored + (score.verdict == NOT_SCORED),
            alarms=self._snapshot.alarms + heard.alarm,
            recent=tuple(self._recent),
        )
        self._tell(heard)
        alarm = self._alarms.finished()
        if alarm is not None:
            self._tell(alarm)

    def _tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink.take(event)

    def _publish(self, **changes: Any) -> None:
        self._snapshot = replace(self._snapshot, **changes)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
