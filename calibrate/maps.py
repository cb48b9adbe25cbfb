"""PaCMAP maps of the reference: pictures for a person; nothing that scores depends on them.

Wang, Huang, Rudin, Shaposhnik: Understanding how dimension reduction tools work (JMLR 2021).
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from model.features import Features


def can_map() -> bool:
    """Whether pacmap, from the extra `maps`, is installed."""
    return find_spec("pacmap") is not None


def make_maps(
    features: Features, profiles: NDArray[np.float64], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Coordinates of the features and of the held-out error profiles, each of shape `(n, 2)`."""
    return {"features": _embed(features, seed), "profiles": _embed(profiles, seed)}


def _embed(rows: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    from pacmap import PaCMAP

    embedding = PaCMAP(n_components=2, random_state=seed).fit_transform(rows.astype(np.float32))
    return np.asarray(embedding, np.float32)
