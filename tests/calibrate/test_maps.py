"""Maps are pictures: they are there, they repeat, and nothing that scores depends on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibrate.fitting import Settings, calibrate
from model.storage import read_model, write_model

pytest.importorskip("pacmap", reason="pacmap is not installed")


def test_maps_are_stored_repeat_and_leave_the_scores_alone(
    words_folder: Path, tmp_path: Path
) -> None:
    """Both maps have a place for every recording, the same each time, and no score changes."""
    plain = calibrate([str(words_folder)], Settings(maps=False))
    first, second = (calibrate([str(words_folder)], Settings(maps=True)) for _ in range(2))
    write_model(tmp_path / "mapped.offkey", first)
    saved = read_model(tmp_path / "mapped.offkey")
    assert set(saved.maps) == {"features", "profiles"}
    for name, places in saved.maps.items():
        assert places.shape == (plain.card.recordings, 2)
        assert np.isfinite(places).all()
        np.testing.assert_array_equal(places, second.maps[name])
    np.testing.assert_array_equal(first.conformity.isolation, plain.conformity.isolation)
    np.testing.assert_array_equal(first.conformity.reconstruction, plain.conformity.reconstruction)
