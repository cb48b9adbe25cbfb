"""Recordings read by processes that hand over their features in memory they share."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from calibrate.handover import read_in_processes
from calibrate.readfile import read_files
from model.features import make_front_end
from model.segment import Segmentation


@pytest.mark.parametrize("names", [("spectrum",), ("mel",), ("spectrum", "mel")])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_processes_read_what_one_reads(
    jobs: int, names: tuple[str, ...], words_folder: Path, tmp_path: Path
) -> None:
    """Bit by bit and in order, over many more batches than have a place; bad files among them."""
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF, but no more")
    words = [str(path) for path in sorted(words_folder.rglob("*.wav"))]
    paths = [*words[:5], str(bad), *words[5:], str(bad)]
    front_ends = [make_front_end(name, 1.0, 8000) for name in names]
    read = partial(read_files, front_ends=front_ends, segmentation=Segmentation())
    batches = [paths[start : start + 3] for start in range(0, len(paths), 3)]
    widths = [front_end.n_features for front_end in front_ends]
    read_there = read_in_processes(read, batches, widths if len(names) > 1 else widths[0], jobs)
    found = [file for part in read_there for file in part]
    expected = read(paths)
    assert [file.skipped is None for file in found] == [
        path != str(bad) for path in paths for _ in names
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.features[: one.n_segments].tobytes() == other.features.tobytes()
        assert (one.digest, one.snr_db, one.skipped) == (other.digest, other.snr_db, other.skipped)
    assert np.ptp(found[0].features) > 0
