"""PCA as arrays: what of a sound the reference set can explain, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.features import Features

_SMALL = 2e-3
"""Up to this share of a sound's power, what is left over is found in double precision."""


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

    @cached_property
    def _narrow(self) -> tuple[Features, Features]:
        return self.mean.astype(np.float32), self.components.astype(np.float32)

    def difference(self, features: Features) -> NDArray[np.float64]:
        """Features less their reconstruction, both of shape `(n_features,)`: one sound, quickly.

        In single precision, which takes half the memory traffic. Rounding then costs the
        reconstruction error up to `4e-8 / sqrt(share)` of itself, where `share` is that of the
        difference in the power about the mean: where that is small, double precision is used. So
        the error agrees with double precision better than to 1e-6 of itself. A sound's number
        never depends on what else is scored: there is no faster way for many that rounds otherwise.
        """
        mean, components = self._narrow
        centred = features - mean
        rest = centred - (components @ centred) @ components
        if np.dot(rest, rest) < _SMALL * np.dot(centred, centred):
            return features - self.reconstruct(features)
        return rest.astype(np.float64)


def reconstruction_error(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference from error profiles of shape `(..., n_features)`."""
    error: NDArray[np.float64] = np.mean(np.square(profile), axis=-1)
    return error
