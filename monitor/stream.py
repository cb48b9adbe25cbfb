"""The live path: source, resample, segment, score, sinks; immutable snapshots for the screen.

A stream is a plain loop on the thread that calls `run`: the main thread headless, a worker of the
app on screen. Files and live sources take the same path, so that they give the same scores. It is
longer than most files because the order of everything that is told is decided here, in one place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from model.audio import OFFSET, Block, Resampler, input_state, level_dbfs, too_low
from model.detector import NOT_SCORED, Detector
from model.errors import AudioError, shown
from model.segment import Segment
from model.segmenter import make_segmenter
from monitor.alarms import SoundAlarms, WindowAlarms
from monitor.budget import AlarmBudget
from monitor.events import Event, Gap, Heard, StateChange
from monitor.ledger import Ledger
from monitor.sinks import Sink
from monitor.snapshot import InputWatch, Snapshot
from monitor.sources import AudioFile, Source
from monitor.steering import Steered


class Stream(Steered):
    """Runs sources one after the other through a detector."""

    def __init__(
        self,
        detector: Detector,
        sources: Sequence[Source],
        sinks: Sequence[Sink] = (),
        warn: Callable[[str], None] = lambda _: None,
        *,
        exit_on_loss: bool = False,
        budget: AlarmBudget | None = None,
    ) -> None:
        super().__init__(detector, budget)
        self._sources = sources
        self._sinks = sinks
        self._warn = warn
        self._told_offset = False
        self._exit_on_loss = exit_on_loss

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
                    self._settle()
                    del self._resampler  # soxr complains of one that outlives it
        return self._snapshot

    def _begin(self, source: Source) -> None:
        """A new source starts with nothing remembered of the one before."""
        segmentation, rate_hz = self.detector.segmentation, self.detector.front_end.rate_hz
        self._check_rate(source)
        self._source = source
        self._player = source if isinstance(source, AudioFile) else None
        self._next: int | None = None
        self._heard_before = self._snapshot.segments
        self._resampler = Resampler(source.rate_hz, rate_hz)
        self._segmenter = make_segmenter(segmentation, rate_hz)
        continuous = segmentation.mode == "continuous"
        self._alarms = WindowAlarms(segmentation.alarm) if continuous else SoundAlarms()
        self._was_paused = False
        self._settled = self._snapshot.account
        self._ledger, self._watch = Ledger(source.rate_hz), InputWatch(source.rate_hz)
        self._publish(
            source=source.name,
            rate_hz=source.rate_hz,
            length_s=source.length_s,
            position_s=0.0,
            state="opening",
        )

    def _check_rate(self, source: Source) -> None:
        needed_hz = self.detector.front_end.rate_hz
        if source.rate_hz < needed_hz:
            raise AudioError(shown(source.name), too_low(source.rate_hz, needed_hz))

    def _run_source(self) -> None:
        given_up = False
        try:
            for block in self._source.blocks(self._stop, self._pause):
                self._hear(block)
                if self._exit_on_loss and self._source.state in ("stalled", "reconnecting"):
                    given_up = True
                    self._stop.set()
        except AudioError as error:
            self._complain(str(error))
        problem = self._source.problem
        if given_up:
            problem = f"{shown(self._source.name)!r} was lost; --exit-on-loss ends the run."
        if problem is not None:
            self._complain(problem)
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
        if block.lost:
            self._break(block)
        if not self._hold(block) and len(block.samples):
            self._process(block)
        if self._source.detail != self._snapshot.detail:
            self._publish(detail=self._source.detail)
        self._enter(self._current_state())

    def _settle(self) -> None:
        """Nothing more comes of this source, or at this rate."""
        self._settled += self._ledger.account
        self._ledger = Ledger(self._source.rate_hz)
        self._watch = InputWatch(self._source.rate_hz)
        self._publish(account=self._settled)

    def _break(self, block: Block) -> None:
        """Samples were lost: what was heard before them ends there; then the gap is told."""
        rate_hz, cause = self._source.rate_hz, block.cause or "overflow"
        has_new_rate = rate_hz != self._resampler.rate_in_hz
        if has_new_rate:
            self._check_rate(self._source)
            self._segment(self._resampler.flush())
            self._resampler = Resampler(rate_hz, self.detector.front_end.rate_hz)
        if not self._was_paused:
            for resampled in self._resampler.push(replace(block, samples=block.samples[:0])):
                self._segment(resampled)
        if has_new_rate:
            self._settle()
        self._ledger.lose(block.start, block.lost, cause)
        self._publish(account=self._settled + self._ledger.account)
        self._watch.reset()
        self._tell(Gap((block.start - block.lost) / rate_hz, block.lost / rate_hz, cause))

    def _hold(self, block: Block) -> bool:
        """While paused nothing is heard; afterwards the stream starts anew at its place."""
        paused = self._pause.is_set()
        if paused and not self._was_paused:
            self._flush()
        self._was_paused = paused
        if paused:
            self._ledger.pause(block.start, len(block.samples))
            self._enter("paused")
            self._publish(
                position_s=block.end / self._source.rate_hz,
                gate_open=False,
                account=self._settled + self._ledger.account,
            )
        return paused

    def _process(self, block: Block) -> None:
        rate_hz = self._source.rate_hz
        if self._player is not None and self._next not in (None, block.start):
            self._flush()  # somebody went to another place of the file
            self._settle()
        if rate_hz != self._resampler.rate_in_hz:  # a header that came late says so
            self._check_rate(self._source)
            self._resampler = Resampler(rate_hz, self.detector.front_end.rate_hz)
            self._settle()
        self._next = block.end
        for sink in self._sinks:
            sink.hear(block, rate_hz)
        self._ledger.hear(block.start, len(block.samples))
        if len(block.not_finite):
            broken_s = len(block.not_finite) / rate_hz
            self._publish(not_finite_s=self._snapshot.not_finite_s + broken_s)
        if block.lost:  # told by now
            block = replace(block, lost=0)
        for resampled in self._resampler.push(block):
            for segment in self._segmenter.push(resampled):
                self._enter(self._current_state())
                self._score(segment)
        self._watch_input(block)
        self._publish(
            position_s=block.end / rate_hz,
            level_dbfs=level_dbfs(block.samples),
            input_state=input_state(block.samples),
            floor_dbfs=self._segmenter.floor_dbfs,
            gate_open=self._segmenter.is_open,
            account=self._settled + self._ledger.account,
        )

    def _watch_input(self, block: Block) -> None:
        self._watch.push(block)
        offset = self._watch.offset
        if offset is not None and abs(offset) > OFFSET and not self._told_offset:
            self._told_offset = True
            self._warn(
                f"{shown(self._source.name)} is off its zero line by {100 * abs(offset):.1f} % of "
                "full scale: that hides what is odd. A high-pass filter before offkey removes it."
            )

    def _current_state(self) -> str:
        if self._was_paused:
            return "paused"
        if self._source.state != "live":
            return self._source.state
        event_mode = self.detector.segmentation.mode == "event"
        if event_mode and self._segmenter.floor_dbfs is None:
            return "warming up"
        if not self._source.is_live:
            return "playing"
        return self._watch.state or "live"

    def _enter(self, state: str) -> None:
        if state == self._snapshot.state:
            return
        self._publish(state=state)
        if state == "reconnecting":
            self._end_alarm()
        if self._source.is_live:
            self._tell(StateChange(_iso(self._source.now), state))

    def _segment(self, block: Block | None) -> None:
        if block is not None:
            for segment in self._segmenter.push(block):
                self._score(segment)

    def _flush(self) -> None:
        """Nothing more comes of this source, or not at once: give what is still open."""
        self._segment(self._resampler.flush())
        for segment in self._segmenter.flush():
            self._score(segment)
        self._end_alarm()
        for sink in self._sinks:
            sink.flush()

    def _end_alarm(self) -> None:
        """What comes later is not the same alarm any more."""
        alarm = self._alarms.flush()
        if alarm is not None:
            self._tell(alarm)

    def _score(self, segment: Segment) -> None:
        self._keep_budget(self._settled + self._ledger.account)
        score = self.detector.score(segment)
        self._ledger.take(segment.start_s, segment.duration_s, score.verdict != NOT_SCORED)
        began = self._source.began
        time = None if began is None else _iso(began + timedelta(seconds=segment.start_s))
        number = self._snapshot.segments + 1
        heard = self._alarms.judge(Heard(self._source.name, time, segment, score, number))
        self._publish(
            segments=number,
            not_scored=self._snapshot.not_scored + (score.verdict == NOT_SCORED),
            alarms=self._snapshot.alarms + heard.alarm,
        )
        self._tell(heard)
        alarm = self._alarms.finished()
        if alarm is not None:
            self._tell(alarm)

    def _tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink.take(event)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
