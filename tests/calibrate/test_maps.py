"""Maps are pictures: they are there, they repeat, and nothing that scores depends on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibrate.fitting import Settings, calibrate
from calibrate.maps import Draughtsman, choose_rows
from model.storage import read_model, write_model
from model.subspace import Subspace


def test_all_sounds_go_on_the_maps_where_they_are_few() -> None:
    """Up to the limit nobody is left out."""
    assert choose_rows(np.zeros(50, bool), 42, largest=50).tolist() == list(range(50))


@pytest.mark.parametrize("odd", [0, 7, 60, 200])
def test_a_sample_keeps_every_anomalous_sound(odd: int) -> None:
    """Beyond the limit a sample is drawn, the same for a seed, with all anomalous ones in it."""
    anomalous = np.zeros(1000, bool)
    anomalous[np.random.default_rng(0).choice(1000, odd, replace=False)] = True
    rows = choose_rows(anomalous, 42, largest=100)
    assert anomalous[rows].sum() == odd
    assert len(rows) == max(100, odd) == len(set(rows.tolist()))
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, choose_rows(anomalous, 42, largest=100))
    if odd < 100:
        assert rows.tolist() != choose_rows(anomalous, 43, largest=100).tolist()


def test_maps_are_stored_repeat_and_leave_the_scores_alone(
    words_folder: Path, tmp_path: Path
) -> None:
    """Both maps have a place for every recording, the same each time, and no score changes."""
    pytest.importorskip("pacmap", reason="pacmap is not installed")
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
    assert saved.gallery is not None
    assert saved.gallery.mapped.tolist() == list(range(60))
    assert saved.gallery.map_s is not None
    assert saved.gallery.agreement is not None
    assert saved.gallery.agreement.plane is not None


@pytest.mark.parametrize("largest", [40, 5000])
def test_maps_drawn_at_the_end_are_those_drawn_ahead(
    monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    """When they are drawn says nothing about them; what is not wanted is never drawn."""
    pytest.importorskip("pacmap", reason="pacmap is not installed")
    monkeypatch.setattr("calibrate.maps.LARGEST", largest)
    rng = np.random.default_rng(0)
    rows, profiles, odd = rng.normal(size=(60, 30)), rng.normal(size=(60, 64)), np.arange(60) < 3
    subspace = Subspace(rows.mean(axis=0), np.eye(30)[:12])
    found = []
    for wanted, ahead in ((True, True), (True, False), (False, True), (False, False)):
        maps = Draughtsman(wanted, 42, ahead=ahead)
        maps.begin(subspace, rows, np.arange(60))
        maps.go_on(profiles, odd)
        found.append(maps.result())
    first, second, *none = found
    assert none == [None, None]
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.rows, second.rows)
    assert set(first.places) == set(second.places) == {"features", "profiles"}
    for name in first.places:
        np.testing.assert_array_equal(first.places[name], second.places[name])


def test_beyond_the_limit_the_maps_show_a_sample(
    words_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sounds on the maps are stored, and only they have a place."""
    pytest.importorskip("pacmap", reason="pacmap is not installed")
    monkeypatch.setattr("calibrate.maps.LARGEST", 40)
    detector = calibrate([str(words_folder)], Settings(maps=True))
    assert detector.gallery is not None
    assert len(detector.gallery.mapped) == 40
    assert {len(places) for places in detector.maps.values()} == {40}
    odd = np.flatnonzero(detector.conformity.reference_p() <= detector.false_alarm_rate)
    assert set(odd) <= set(detector.gallery.mapped.tolist())
