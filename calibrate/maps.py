"""PaCMAP maps of the reference: pictures for a person; nothing that scores depends on them.

Wang, Huang, Rudin, Shaposhnik: Understanding how dimension reduction tools work (JMLR 2021).
"""

from __future__ import annotations

import logging
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray


def can_map() -> bool:
    """Whether pacmap, from the extra `maps`, is installed."""
    return find_spec("pacmap") is not None


def make_map(rows: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Coordinates, shape `(n, 2)`, of features or held-out error profiles, shape `(n, any)`."""
    from pacmap import PaCMAP

    # It warns that the seed is fixed, which is meant, and that there are few rows, which is told.
    logging.getLogger("pacmap").setLevel(logging.ERROR)
    embedding = PaCMAP(n_components=2, random_state=seed).fit_transform(rows.astype(np.float32))
    return np.asarray(embedding, np.float32)
