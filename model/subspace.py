"""PCA as arrays: what of a sound the reference set can explain, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import Features


@dataclass(frozen=True)
class Subspace:
    """The principal subspace of the reference features.

    Both arrays hold single-precision values in double precision: as saved, so that a saved model
    scores exactly like a fresh one, and wide, so that the sums do not depend on their order.
    """

    mean: NDArray[np.float64]
    """Shape `(n_features,)`."""
    components: NDArray[np.float64]
    """Orthonormal rows, shape `(n_components, n_features)`."""

    def reconstruct(self, features: Features) -> NDArray[np.float64]:
        """The nearest point of the subspace; `features` of shape `(..., n_features)`."""
        centred = features - self.mean
        reconstruction: NDArray[np.float64] = (centred @ self.components.T) @ self.components
        return reconstruction + self.mean

    def error_profile(self, features: Features) -> NDArray[np.float64]:
        """Absolute difference per feature to the reconstruction, same shape as `features`."""
        return np.abs(features - self.reconstruct(features))


def reconstruction_error(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference from error profiles of shape `(..., n_features)`."""
    error: NDArray[np.float64] = np.mean(np.square(profile), axis=-1)
    return error
