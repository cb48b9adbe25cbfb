"""What a model keeps of each reference sound so that a person can look at it; no score needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import as_text

_PREFIX = "gallery_"
_NONE: NDArray[np.uint64] = np.empty(0, np.uint64)


@dataclass(frozen=True)
class Agreement:
    """How much the clusters depend on chance: adjusted Rand indices, 1 for the same, 0 for none.

    Hubert, Arabie: Comparing partitions (Journal of Classification 2, 1985).
    """

    seeds: float
    """Mean over other seeds, each against the model's clusters."""
    halves: float
    """Mean over splits of the sounds: clusters of one half against those of the other."""
    plane: float | None = None
    """With k-means on the map of error profiles; None without maps."""
    tried: tuple[tuple[int, float], ...] = ()
    """Where the number was chosen: each number of clusters with its agreement over halves."""


@dataclass(frozen=True)
class GroupAlarms:
    """How often sounds of a group alarm when the group was not heard before."""

    name: str
    sounds: int
    share: float


@dataclass(frozen=True)
class Gallery:
    """The reference sounds that have held-out scores, in the order of those."""

    names: tuple[str, ...]
    """Paths of the recordings as valid Unicode."""
    groups: tuple[str, ...]
    """All groups, sorted; empty where every recording is a group by itself."""
    group_of: NDArray[np.int32]
    """Index into `groups` of each recording, shape `(n_recordings,)`; −1 without groups."""
    recording: NDArray[np.int32]
    """Index into `names` of each sound, shape `(n,)`."""
    part: NDArray[np.int32]
    """Which of its recording's usable segments a sound is, from 0, shape `(n,)`."""
    isolation: NDArray[np.float32]
    """In-sample scores: by the detector that was fitted on the sound too, shape `(n,)`."""
    reconstruction: NDArray[np.float32]
    """The same for the reconstruction error, shape `(n,)`."""
    p: NDArray[np.float32]
    """Joint p among the held-out scores of the other folds, shape `(n,)`."""
    profiles: NDArray[np.float16]
    """Held-out error profiles, shape `(n, 64)`."""
    cluster: NDArray[np.int16]
    """Nearest cluster of each, shape `(n,)`."""
    mapped: NDArray[np.int32]
    """Indices of the sounds that stand on the maps, ascending, shape `(m,)`."""
    map_s: tuple[float, float] | None
    """Seconds that the maps took, and how many of those were waited for; None without maps."""
    agreement: Agreement | None
    sound: NDArray[np.uint64] = field(default_factory=_NONE.copy)
    """Digest of each recording's samples, to know it again, shape `(n_recordings,)`; empty in older
    models."""

    def has_learnt(self, digest: int) -> bool:
        """Whether a recording with this digest of its samples is in the reference."""
        return bool((self.sound == np.uint64(digest)).any())

    def group(self, sound: int) -> str | None:
        """The group of a sound; None where every recording is a group by itself."""
        return self.groups[self.group_of[self.recording[sound]]] if self.groups else None

    def group_index(self) -> NDArray[np.int32]:
        """Index into `groups` of each sound, shape `(n,)`."""
        return self.group_of[self.recording]

    def alarms_by_group(self, rate: float, n_marked: int = 0) -> list[GroupAlarms]:
        """How often sounds of each group have a held-out p of at most `rate`, the most first.

        Without the marked sounds, the last recordings: a person chose them, mostly because they
        alarmed. None where every recording is a group by itself.
        """
        if not self.groups:
            return []
        index = self.group_index()[self.recording < len(self.names) - n_marked]
        odd = self.p[: len(index)] <= np.float32(rate)
        sounds = np.bincount(index, minlength=len(self.groups))
        alarms = np.bincount(index, odd, minlength=len(self.groups))
        found = [
            GroupAlarms(name, int(n), float(alarm / n))
            for name, n, alarm in zip(self.groups, sounds, alarms, strict=True)
            if n
        ]
        return sorted(found, key=lambda group: (-group.share, group.name))


_ARRAYS = (
    *("group_of", "recording", "part", "isolation", "reconstruction"),
    *("p", "profiles", "cluster", "mapped"),
)


def gallery_arrays(gallery: Gallery | None) -> dict[str, NDArray[Any]]:
    """The arrays for the model file; none without a gallery."""
    if gallery is None:
        return {}
    return {f"{_PREFIX}{name}": getattr(gallery, name) for name in (*_ARRAYS, "sound")}


def gallery_json(gallery: Gallery | None) -> dict[str, Any] | None:
    """All that is no array, for the model's description."""
    if gallery is None:
        return None
    return {
        "names": [as_text(name) for name in gallery.names],
        "groups": gallery.groups,
        "map_s": gallery.map_s,
        "agreement": asdict(gallery.agreement) if gallery.agreement else None,
    }


def gallery_from(
    arrays: Mapping[str, NDArray[Any]], described: dict[str, Any] | None
) -> Gallery | None:
    """The gallery of a model file; None for an older model, which has none."""
    if described is None:
        return None
    agreement = described["agreement"]
    if agreement is not None:
        tried = tuple((int(n), float(value)) for n, value in agreement["tried"])
        agreement = Agreement(**{**agreement, "tried": tried})
    map_s = described["map_s"]
    return Gallery(
        names=tuple(described["names"]),
        groups=tuple(described["groups"]),
        map_s=(map_s[0], map_s[1]) if map_s else None,
        agreement=agreement,
        sound=arrays.get(f"{_PREFIX}sound", _NONE),
        **{name: arrays[f"{_PREFIX}{name}"] for name in _ARRAYS},
    )
