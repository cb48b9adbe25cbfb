"""A made-up model and made-up sounds, whose numbers could all be: p are those among the reference.

Every number is made by the four operations and square roots on small whole numbers, so that no
picture of it hangs on a processor, on a version of numpy or on a fit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.card import ModelCard
from model.conformity import Conformity
from model.detector import ANOMALOUS, NORMAL, NOT_SCORED, Detector, Score
from model.explanation import Explanation
from model.features import Spectrum
from model.isolation import IsolationForest
from model.profiles import ProfileClusters
from model.segment import Segment, Segmentation
from model.subspace import Subspace
from monitor.events import Heard

N = 3000
BEGAN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
CENTRES = (6, 14, 27, 40, 52, 60)
"""The band in which the sounds of each cluster are off."""
NAMES = ("50–640 Hz", "0.5–1.1 kHz", "1.2–1.8 kHz", "1.9–2.4 kHz", "late hiss", "2.9–3.4 kHz")


def bump(centre: float, width: float, n: int = 64) -> NDArray[np.float64]:
    """A smooth hill of height 1."""
    away = (np.arange(n) - centre) / width
    return 1 / (1 + away * away)


def _isolation_at(share: Any) -> Any:
    """The isolation score that such a share of the reference reaches."""
    return 0.095 - 0.2 * share + 1e-4 / (share + 0.002)


def _reconstruction_at(share: Any) -> Any:
    """The reconstruction error that such a share of the reference reaches."""
    return 4e-5 / (share + 0.08) + 1e-6 / (share + 0.002)


def still_detector(mode: str = "event") -> Detector:
    """Make up a model of 3,000 sounds and six clusters, the fifth of them named by a person."""
    i = np.arange(N)
    isolation = _isolation_at((i + 1) / N)
    reconstruction = _reconstruction_at((i * 1237 % N + 1) / N)
    zero, nodes = np.zeros(3400), np.zeros(1, np.int32)
    return Detector(
        Spectrum(),
        Segmentation(mode),
        Subspace(zero, np.zeros((1, 3400))),
        IsolationForest(nodes, nodes, np.zeros(1), np.zeros((1, 2), np.int32), zero[:1], 1, 1.0, 0),
        Conformity(isolation, reconstruction),
        ProfileClusters(
            np.array([0.02 * bump(centre, 5.3) for centre in CENTRES]),
            np.full(6, 0.05),
            (900, 700, 500, 400, 300, 200),
            (0.004, 0.006, 0.01, 0.02, 0.05, 0.0),
            tuple("2.5–3.0 kHz" if name == "late hiss" else name for name in NAMES),
            tuple(name if name == "late hiss" else None for name in NAMES),
        ),
        0.01,
        ModelCard(
            "2026-01-02T03:04:05Z", {}, N, N, 60, "by name", (), 5, (), (), 0, 0, "", 1, 0.99,
            (20.0, 60.0),
        ),
        {},
        "made up",
    )  # fmt: skip


_REFERENCE = still_detector().conformity


def sound(
    number: int,
    p: float | None,
    cluster: int = 0,
    *,
    is_live: bool = True,
    by_one: bool = False,
    **more: Any,
) -> Heard:
    """Make up a sound: how odd it is follows from p, in which way from its cluster.

    Its p are those that its scores have among the reference. The joint p is nearly twice the
    smaller of them; with `by_one` the isolation score alone is as if nothing was odd. `more`
    changes what its segment or its score says.
    """
    parts = {name: more.pop(name) for name in list(more) if name in Segment.__annotations__}
    segment = Segment(np.zeros(3400, np.float32), 7.0 * number, 0.4 + number * 37 % 50 / 100)
    score = Score(NOT_SCORED, "gap")
    if p is not None:
        hill = bump(CENTRES[cluster] + number % 3 - 1, 4.3 + number % 2)
        share = 1 - math.sqrt(1 - p)
        isolation = float(_isolation_at(0.4 if by_one else 1.3 * share))
        reconstruction = float(_reconstruction_at(share))
        ps = _REFERENCE.p_of_one(isolation, reconstruction)
        score = Score(
            ANOMALOUS if ps[2] <= 0.01 else NORMAL,
            isolation_score=isolation,
            reconstruction_error=reconstruction,
            isolation_p=ps[0],
            reconstruction_p=ps[1],
            p=ps[2],
            cluster=cluster,
            cluster_name=NAMES[cluster],
            cluster_distance=0.62,
            unlike_any=False,
            profile=tuple((hill * (0.03 if p > 0.01 else 0.09)).tolist()),
        )
    at = (BEGAN + timedelta(seconds=7 * number)).isoformat(timespec="milliseconds")
    heard = Heard("USB Audio", at if is_live else None, replace(segment, **parts), score, number)
    score = replace(score, **more)
    return replace(heard, score=score, alarm=score.verdict == ANOMALOUS)


def sounds(n: int, *, is_live: bool = True) -> list[Heard]:
    """Make up sounds: every twelfth alarms, the rest are as they should be.

    Of those of a microphone one has a gap, and is not scored.
    """
    ps = (0.62, 0.34, 0.81, 0.12, 0.47, 0.93, 0.25, 0.58, 0.071, 0.76, 0.39)

    def one(i: int) -> Heard:
        if i % 12 == 0:
            return sound(i, 0.002 + i / 9000, 4, is_live=is_live)
        is_lost = is_live and i == 17
        return sound(i, None if is_lost else ps[i % 11], i * 7 % 6, is_live=is_live)

    return [one(i) for i in range(1, n + 1)]


def windows(n: int) -> list[Heard]:
    """Make up windows of a second, one every half second: the last of them alarms."""
    found = []
    for heard in sounds(n):
        start_s = heard.number / 2
        at = (BEGAN + timedelta(seconds=start_s)).isoformat(timespec="milliseconds")
        segment = replace(heard.segment, start_s=start_s, duration_s=1.0)
        found.append(replace(heard, time=at, segment=segment))
    return found


def explanation() -> Explanation:
    """Make up what is to be compared: three hills, one of which the reference does not know."""
    known = 0.9 * bump(700, 90, 3400) + 0.5 * bump(1500, 60, 3400)
    heard = known / 1.25 + bump(2400, 25, 3400) * (1 + np.arange(3400) % 7 / 20) / 1.3
    heard = heard / heard.max()
    error = np.abs(heard - known)
    front_end = Spectrum()
    return Explanation(
        front_end.frequencies_hz(),
        heard,
        known,
        error,
        front_end.parts,
        ("too much at 2.4 kHz",),
        ("more at 2.4 kHz",),
    )
