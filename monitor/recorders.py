"""Where takes are cut: sounds by the gate, a steady sound into pieces. At the source's own rate."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from model.audio import Block, Samples, input_state, level_dbfs
from model.segment import Segment
from monitor.events import Event, Gap, Heard
from monitor.recording import LEAST_SNR_DB, Plan, Recording, Take, Tell, nobody
from monitor.takes import TakeFolder

PIECE_S = 30.0
SHORTEST_PIECE_S = 5.0
_MARGIN_S = 4.0
"""A segment is known only after its hang-over and the delay of the resampler."""


class SoundRecording(Recording):
    """Event mode: the sounds that the gate cuts out."""

    def __init__(self, folder: TakeFolder, plan: Plan, tell: Tell = nobody) -> None:
        super().__init__(folder, plan, tell)
        self._blocks: deque[Block] = deque()
        self._rate_hz = 0
        self._begun_s = 0.0
        self._waiting: Heard | None = None
        """As long as can be: whether it goes on is not known yet."""
        gate, self._longest_s = plan.segmentation.gate, plan.segmentation.duration_s
        self._decided_s = self._longest_s + gate.tail_s + gate.hang_over_s + _MARGIN_S / 2

    def hear(self, block: Block, rate_hz: int) -> None:
        """Keep the last seconds."""
        super().hear(block, rate_hz)
        if not self._blocks:
            self._begun_s = block.start / rate_hz
        self._blocks.append(block)
        self._rate_hz = rate_hz
        kept_s = 2 * self._longest_s + self._decided_s + _MARGIN_S
        while self._blocks[0].end / rate_hz < self._position_s - kept_s:
            self._blocks.popleft()
        if self._waiting and self._position_s > _end_s(self._waiting.segment) + self._decided_s:
            self._settle()

    def take(self, event: Event) -> None:
        """A sound is judged; one of full length only when it is known whether it goes on."""
        if isinstance(event, Gap):
            self.flush()
        elif isinstance(event, Heard):
            segment = event.segment
            goes_on = segment.continues and self._waiting is not None
            self._settle("too long" if goes_on else None)
            if segment.continues:
                return
            if segment.duration_s > self._longest_s - 1e-3 and segment.reason is None:
                self._waiting = event
            else:
                self._judge(event, segment.reason)

    def flush(self) -> None:
        """Nothing that came before goes on."""
        self._settle()
        self._blocks.clear()

    def _settle(self, reason: str | None = None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._judge(waiting, reason)

    def _judge(self, heard: Heard, reason: str | None) -> None:
        segment, snr_db = heard.segment, heard.segment.snr_db
        if reason is None and self._is_cut_off(segment):
            reason = "cut off"
        if reason is None and segment.clipped:
            reason = "clipped"
        if reason is None and snr_db is not None and snr_db < LEAST_SNR_DB:
            reason = "too quiet"
        samples = None if reason else self._cut(segment)
        if reason is None and samples is None:
            reason = "gap"
        take = Take(
            number=0,
            time=heard.time,
            start_s=segment.start_s,
            duration_s=segment.duration_s,
            level_dbfs=segment.level_dbfs,
            snr_db=snr_db,
            reason=reason,
        )
        self._judged(take, samples, self._rate_hz)

    def _is_cut_off(self, segment: Segment) -> bool:
        """Whether hearing began in the middle of it, or ended there, as when somebody pauses."""
        gate = self.plan.segmentation.gate
        quiet_s = gate.hang_over_s - gate.post_roll_s  # has to follow until the gate closes
        is_early = segment.start_s < self._begun_s + gate.frame_s
        return is_early or self._position_s < _end_s(segment) + quiet_s - gate.frame_s

    def _cut(self, segment: Segment) -> Samples | None:
        """The samples of a segment at the source's rate; None where some are no longer there."""
        first = round(segment.start_s * self._rate_hz)
        end = first + math.floor(segment.duration_s * self._rate_hz + 1e-6)
        parts = [
            block.samples[max(0, first - block.start) : end - block.start]
            for block in self._blocks
            if block.start < end and block.end > first
        ]
        samples: Samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
        return samples if len(samples) == end - first else None


class PieceRecording(Recording):
    """Continuous mode: pieces of a steady sound, one after the other; none spans a loss."""

    def __init__(self, folder: TakeFolder, plan: Plan, tell: Tell = nobody) -> None:
        super().__init__(folder, plan, tell)
        self._blocks: list[Block] = []
        self._rate_hz = 0
        self._heard = 0

    @property
    def piece_s(self) -> float:
        """How much of the present piece there is."""
        return self._heard / self._rate_hz if self._rate_hz else 0.0

    def hear(self, block: Block, rate_hz: int) -> None:
        """Add to the piece; it ends a little after its length, with a block."""
        super().hear(block, rate_hz)
        self._blocks.append(block)
        self._rate_hz = rate_hz
        self._heard += len(block.samples)
        if self._heard >= PIECE_S * rate_hz:
            self._end()

    def take(self, event: Event) -> None:
        """A loss ends the piece before it."""
        if isinstance(event, Gap):
            self._end("gap")

    def flush(self) -> None:
        """The piece ends here."""
        self._end()

    def _end(self, cause: str | None = None) -> None:
        """A short rest is not worth a word, unless a loss cut it short."""
        blocks, self._blocks, self._heard = self._blocks, [], 0
        if not blocks:
            return
        is_short = sum(len(block.samples) for block in blocks) < SHORTEST_PIECE_S * self._rate_hz
        if is_short and cause is None:
            return
        samples = np.concatenate([block.samples for block in blocks])
        duration_s = len(samples) / self._rate_hz
        reason = input_state(samples)
        if any(len(block.not_finite) for block in blocks):
            reason = "not finite"
        elif is_short:
            reason = cause
        elif any(len(block.overloads) for block in blocks):
            reason = "clipped"
        start_s = blocks[0].start / self._rate_hz
        take = Take(0, None, start_s, duration_s, level_dbfs(samples), None, reason)
        self._judged(take, samples, self._rate_hz)


def make_recording(folder: TakeFolder, plan: Plan, tell: Tell = nobody) -> Recording:
    """Record sounds or pieces, by the plan."""
    return (PieceRecording if plan.is_pieces else SoundRecording)(folder, plan, tell)


def _end_s(segment: Segment) -> float:
    return segment.start_s + segment.duration_s
