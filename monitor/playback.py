"""A segment to the loudspeaker: one at a time, and never at the cost of what is monitored.

A process of its own plays (helper.py says why, loudspeaker.py is what it runs).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable

import numpy as np

from model.audio import Samples
from model.errors import DeviceError
from monitor import helper
from monitor.loudspeaker import IDLE, PLAYED

QUIET_DBFS = -40.0
"""What peaks below this is raised: nobody would hear it."""
RAISED_TO_DBFS = -20.0
_ANSWER_S = 5.0
"""Longer than the sound itself: then the output hangs."""
_LOUDSPEAKER = "monitor.loudspeaker"


class Player:
    """Plays through the default output. All calls return at once, from any thread.

    What goes wrong is known only later: `problem` has it then, and `on_problem` is called with it,
    on another thread.
    """

    def __init__(self, on_problem: Callable[[DeviceError], None] | None = None) -> None:
        self.problem: DeviceError | None = None
        """Why the newest sound could not be played; None while all is well."""
        self.raised_db = 0.0
        """By how much the newest sound was made louder; below 0 where it would have clipped."""
        self._on_problem = on_problem
        self._lock = threading.Lock()
        self._job: _Job | None = None
        self._spare: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def is_playing(self) -> bool:
        """Whether a sound is played, or about to be."""
        job = self._job
        return job is not None and not job.is_done

    def play(self, samples: Samples, rate_hz: int) -> float:
        """Play mono samples, shape `(n,)`; what played before ends. Gives `raised_db`."""
        audible, raised_db = make_audible(samples)
        job = _Job(audible, rate_hz)
        with self._lock:
            before, self._job = self._job, job
            self.problem, self.raised_db = None, raised_db
        if before is not None:
            before.stop()
        threading.Thread(
            target=self._work, args=(job,), name="offkey-playback", daemon=True
        ).start()
        return raised_db

    def stop(self) -> None:
        """End what plays."""
        if self._job is not None:
            self._job.stop()

    def close(self) -> None:
        """End what plays, and what waits to play the next sound."""
        with self._lock:
            self._is_closed = True
            spare, self._spare = self._spare, None
        self.stop()
        if spare is not None:
            helper.end(spare)

    def _work(self, job: _Job) -> None:
        problem = None
        try:
            # One that waited for too long has left in the meantime: then another one plays.
            while job.run(self._take_process()) == IDLE:
                pass
        except DeviceError as error:
            problem = error
        except OSError as error:
            problem = DeviceError(f"The sound cannot be played: {error.strerror}.")
        finally:
            job.is_done = True
        with self._lock:
            if problem is None or job is not self._job or self._is_closed:
                return
            self.problem = problem
        if self._on_problem is not None:
            self._on_problem(problem)

    def _take_process(self) -> subprocess.Popen[bytes]:
        """A process that is ready to play; another one gets ready for the next sound."""
        with self._lock:
            process, self._spare = self._spare, None
        process = process or helper.start(_LOUDSPEAKER)
        with contextlib.suppress(OSError):
            self._keep(helper.start(_LOUDSPEAKER))
        return process

    def _keep(self, spare: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if not self._is_closed and self._spare is None:
                self._spare = spare
                return
        helper.end(spare)


class _Job:
    """A sound and the process that plays it."""

    def __init__(self, samples: Samples, rate_hz: int) -> None:
        header = json.dumps({"rate_hz": rate_hz}).encode() + b"\n"
        self._data = header + samples.astype("<f4").tobytes()
        self._limit_s = len(samples) / rate_hz + _ANSWER_S
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self.is_done = False

    def stop(self) -> None:
        """End it."""
        with self._lock:
            self._is_stopped = self.is_done = True
            if self._process is not None:
                self._process.kill()

    def run(self, process: subprocess.Popen[bytes]) -> int:
        """Play to the end; gives how the process ended. Raises DeviceError."""
        with self._lock:
            self._process = process
            if self._is_stopped:
                process.kill()
        try:
            said, _ = process.communicate(self._data, self._limit_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise DeviceError(
                "The sound output does not answer.", "Look whether other programs can play sound."
            ) from error
        if self._is_stopped:
            return PLAYED
        if process.returncode not in (PLAYED, IDLE):
            raise _told(said)
        return process.returncode


def make_audible(samples: Samples) -> tuple[Samples, float]:
    """Samples as they are to be played, and by how many dB they were raised.

    What is too quiet is raised to a peak of −20 dBFS; what exceeds full scale is lowered to it.
    """
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    peak = float(np.abs(finite).max(initial=0.0))
    if peak > 1:
        gain = 1 / peak
    elif 0 < peak < 10 ** (QUIET_DBFS / 20):
        gain = 10 ** (RAISED_TO_DBFS / 20) / peak
    else:
        return finite, 0.0
    return (finite * np.float64(gain)).astype(np.float32), 20 * float(np.log10(gain))


def _told(said: bytes) -> DeviceError:
    """What the process said before it ended."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(said)
        return DeviceError(told["sentence"], told["hint"])
    return DeviceError("The sound cannot be played: the sound system failed.")
