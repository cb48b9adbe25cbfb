"""The one resampler, for files and live sound: soxr, quality HQ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from model.blocks import NONE, Block, Indices, Samples


class Resampler:
    """Blocks at one rate to blocks at another; equals one-shot resampling to the last bit.

    soxr, quality HQ. After a loss the stream starts anew at the block's own place.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self.rate_in_hz = rate_in_hz
        self.rate_out_hz = rate_out_hz
        self.reset()

    def reset(self) -> None:
        """Start anew with the next block."""
        self._stream = soxr.ResampleStream(
            self.rate_in_hz, self.rate_out_hz, 1, dtype="float32", quality="HQ"
        )
        self._next: int | None = None
        self._first = 0
        self._ahead = [NONE, NONE]

    def push(self, block: Block) -> Iterator[Block]:
        """Resample one block; before a loss, what the filter still holds comes first."""
        if block.lost and self._next is not None:
            yield self._out(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
            self.reset()
        lost = 0
        if self._next is None:
            self._next = self._first = self._index(block.start)
            lost = self._index(block.lost)
        yield self._out(self._stream.resample_chunk(block.samples), lost, block)

    def flush(self) -> Block | None:
        """The end of the stream: what the filter still holds."""
        if self._next is None:
            return None
        block = self._out(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        self.reset()
        return block

    def _index(self, index: int) -> int:
        return -(-index * self.rate_out_hz // self.rate_in_hz)

    def _out(self, samples: Samples, lost: int = 0, source: Block | None = None) -> Block:
        assert self._next is not None
        start, self._next = self._next, self._next + len(samples)
        if source is None:
            # Rounding may put what was marked at the very end behind the last sample.
            beyond = [np.minimum(ahead, self._next - 1) for ahead in self._still_ahead()]
            return Block(samples, start, lost, None, *beyond)
        marked = [  # rounding may put what was marked at the very beginning before the first sample
            np.maximum(marks * self.rate_out_hz // self.rate_in_hz, self._first)
            for marks in (source.overloads, source.not_finite)
        ]
        self._ahead = [np.append(*pair) for pair in zip(self._ahead, marked, strict=True)]
        self._ahead = self._still_ahead()
        return Block(samples, start, lost, source.cause, *marked)

    def _still_ahead(self) -> list[Indices]:
        """Places that were told as marked, and whose samples the filter has not given yet."""
        given = self._next or 0
        return [marks[marks >= given] for marks in self._ahead]


def resample(samples: Samples, rate_in_hz: int, rate_out_hz: int) -> Samples:
    """One-shot soxr HQ resampling of mono `samples`, shape `(n,)`."""
    if not len(samples):
        return samples
    resampled: Samples = soxr.resample(samples, rate_in_hz, rate_out_hz, quality="HQ")
    return resampled
