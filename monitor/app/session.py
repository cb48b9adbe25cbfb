"""A stream with what the screen needs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.detector import Detector
from monitor.app.inputs import Inputs
from monitor.app.seek import NextAlarm
from monitor.budget import AlarmBudget
from monitor.history import History
from monitor.sinks import Sink
from monitor.sources import Source
from monitor.stream import Stream


@dataclass(frozen=True)
class Session:
    """One run of the screen."""

    stream: Stream
    history: History
    inputs: Inputs
    seeker: NextAlarm
    title: str
    """The model as a person named it."""

    @classmethod
    def of(
        cls,
        detector: Detector,
        sources: Sequence[Source],
        sinks: Sequence[Sink] = (),
        *,
        title: str,
        exit_on_loss: bool = False,
        budget: AlarmBudget | None = None,
    ) -> Session:
        """A session that is ready to run."""
        history, seeker, inputs = History(), NextAlarm(), Inputs(list(sources))
        all_sinks = [history, seeker, *sinks]
        stream = Stream(detector, inputs, all_sinks, exit_on_loss=exit_on_loss, budget=budget)
        return cls(stream, history, inputs, seeker, title)

    @property
    def model_path(self) -> str | None:
        """The model's file; None for a model that was never saved, as the demo's."""
        return self.title if self.stream.detector.digest else None
