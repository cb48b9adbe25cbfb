"""The live input of a running session, and how another device takes its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Self

from model.audio import Block
from model.errors import OffkeyError
from monitor.sources import Flag, Source
from monitor.terminal import Stop

_LOOK_S = 0.1


class _Either:
    """Set when either of two is."""

    def __init__(self, first: Flag, second: Flag) -> None:
        self._first, self._second = first, second

    def is_set(self) -> bool:
        return self._first.is_set() or self._second.is_set()

    def wait(self, timeout: float) -> bool:
        while timeout > 0 and not self._second.is_set():
            if self._first.wait(min(timeout, _LOOK_S)):
                return True
            timeout -= _LOOK_S
        return self.is_set()


class LiveInput:
    """A live source that can be ended by itself, while the stream goes on with the next one."""

    is_live = True
    length_s = None

    def __init__(self, source: Source, following: Callable[[], Source] | None = None) -> None:
        """`following` makes the source that takes the place of `source`, once that is closed."""
        self.source = source
        self.is_open = False
        self.refused: OffkeyError | None = None
        """Why the one that was asked for could not be opened; then the one before goes on."""
        self._following = following
        self._over = Stop()

    def end(self) -> None:
        """End it; may be called from any thread."""
        self._over.set()

    @property
    def name(self) -> str:
        """The device."""
        return self.source.name

    @property
    def rate_hz(self) -> int:
        """Its rate."""
        return self.source.rate_hz

    @property
    def state(self) -> str:
        """What state it is in."""
        return self.source.state

    @property
    def detail(self) -> str:
        """More of its state in a few words."""
        return self.source.detail

    @property
    def problem(self) -> str | None:
        """What ended it; nothing where a person did."""
        return None if self._over.is_set() else self.source.problem

    @property
    def began(self) -> datetime | None:
        """UTC of index 0."""
        return self.source.began

    @property
    def now(self) -> datetime:
        """UTC time of day on its clock."""
        return self.source.now

    def __enter__(self) -> Self:
        before = self.source
        if self._following is not None:
            try:
                self.source = self._following()
                self.source.__enter__()
                self.is_open = True
                return self
            except OffkeyError as error:
                self.refused, self.source = error, before
        self.source.__enter__()
        self.is_open = True
        return self

    def __exit__(self, *exc: object) -> None:
        self.source.__exit__(*exc)

    def blocks(self, stop: Flag, paused: Flag) -> Iterator[Block]:
        """Blocks until it is ended, or the stream is."""
        return self.source.blocks(_Either(stop, self._over), paused)


class Inputs(list[Source]):
    """The sources of a stream; a live one can be changed while the stream runs."""

    def __init__(self, sources: list[Source]) -> None:
        is_microphone = len(sources) == 1 and _is_microphone(sources[0])
        super().__init__(LiveInput(source) if is_microphone else source for source in sources)

    @property
    def live(self) -> LiveInput | None:
        """The microphone that is heard, or will be next; None where there is none."""
        last = self[-1] if self else None
        return last if isinstance(last, LiveInput) else None

    def change(self, device: str) -> LiveInput:
        """Go on with another device, by name, and with the same channel of it."""
        before = self.live
        if before is None:
            raise OffkeyError("This input has no devices to choose from.")
        channel = _channel_of(before.source)
        following = LiveInput(before.source, lambda: _microphone(device, channel))
        self.append(following)  # the stream iterates over this very list
        before.end()
        return following


def _channel_of(source: Source) -> int | None:
    from monitor.microphone import Microphone

    return source.channel if isinstance(source, Microphone) else None


def _microphone(device: str, channel: int | None) -> Source:
    """A device that may be new since the program began: nothing is open while this looks."""
    from monitor.microphone import Microphone
    from monitor.portaudio import PortAudio

    driver = PortAudio()
    driver.refresh(threading.Event())
    return Microphone(device, channel, driver)


def _is_microphone(source: Source) -> bool:
    if not source.is_live:
        return False
    from monitor.microphone import Microphone

    return isinstance(source, Microphone)
