"""On a Dask cluster calibration says what it says at home, and loses nothing with a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offkey as door
from model.detector import Detector
from model.errors import InputError
from model.storage import read_model

Command = Callable[..., subprocess.CompletedProcess[str]]
ONE_FRONT_END = ("--features", "spectrum")
"""Where nothing hangs on the choice, which takes most of the time."""


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Start a scheduler and two worker processes on this machine alone."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as started:
        yield started


@pytest.fixture
def some_sixes(six_folder: Path, tmp_path: Path) -> Path:
    """Link to a thousand sixes: enough for a worker to be lost in the middle."""
    folder = tmp_path / "sixes"
    folder.mkdir()
    for path in sorted(six_folder.glob("*.flac"))[::3]:
        (folder / path.name).symlink_to(path)
    return folder


def calibrated(offkey: Command, folder: Path, model: Path, *more: str) -> Detector:
    """Calibrate in a process of its own and read what it wrote."""
    done = offkey("calibrate", folder, "-o", model, "--no-maps", "--replace", *more)
    assert done.returncode == 0, done.stderr
    return read_model(model)


def check_same(found: Detector, expected: Detector) -> None:
    """Compare everything that scores depend on; equal to 1e-9, verdicts exactly."""
    for name in ("isolation", "reconstruction"):
        values = getattr(found.conformity, name), getattr(expected.conformity, name)
        np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.subspace.components, expected.subspace.components, atol=1e-6)
    assert (found.forest.threshold == expected.forest.threshold).all()
    ours, theirs = (d.conformity.reference_p() <= d.false_alarm_rate for d in (found, expected))
    assert (ours == theirs).all()
    for name in ("reference_digest", "false_alarms", "skipped", "snr_range_db", "group_names"):
        assert getattr(found.card, name) == getattr(expected.card, name)


def test_a_cluster_gives_the_same_model(
    cluster: Any, words_folder: Path, offkey: Command, tmp_path: Path
) -> None:
    """Two workers read the words; held-out scores, forest, table and digest are those of home."""
    home = calibrated(offkey, words_folder, tmp_path / "home.offkey")
    for address in (cluster.scheduler_address, cluster.scheduler_address.removeprefix("tcp://")):
        away = calibrated(offkey, words_folder, tmp_path / "away.offkey", "--dask", address)
        check_same(away, home)


@pytest.mark.slow
def test_a_killed_worker_costs_time_only(
    cluster: Any, some_sixes: Path, offkey: Command, tmp_path: Path
) -> None:
    """A worker that is killed with work in hand changes nothing in the model."""
    home = calibrated(offkey, some_sixes, tmp_path / "home.offkey", *ONE_FRONT_END)
    model = tmp_path / "away.offkey"
    command = [str(Path(sys.executable).with_name("offkey")), "calibrate", str(some_sixes)]
    command += ["-o", str(model), "--no-maps", "--dask", cluster.scheduler_address]
    command += ONE_FRONT_END
    with cluster.get_client() as client, subprocess.Popen(command) as process:
        pids = client.run(os.getpid)
        busy: list[str] = []
        while not busy and process.poll() is None:
            busy = [worker for worker, tasks in client.processing().items() if tasks]
            time.sleep(0.005)
        assert busy, "the work was over before a worker was seen at it"
        os.kill(pids[busy[0]], signal.SIGKILL)
        assert process.wait(timeout=100) == 0
    check_same(read_model(model), home)


def test_nobody_at_the_address(words_folder: Path, offkey: Command, tmp_path: Path) -> None:
    """An address where nothing listens is told within some seconds, in one sentence."""
    pytest.importorskip("distributed")
    model = tmp_path / "m.offkey"
    done = offkey("calibrate", words_folder, "-o", model, "--no-maps", "--dask", "127.0.0.1:9")
    assert done.returncode == 2
    assert "No Dask scheduler answers at 127.0.0.1:9." in done.stderr
    assert "Traceback" not in done.stderr
    assert not model.exists()


@pytest.mark.parametrize("address", ["here", "a b:1", "http://x:1", ":8786", "x:", "x:1/y"])
def test_what_is_no_address_is_refused(address: str, offkey: Command, tmp_path: Path) -> None:
    """Without a try to connect."""
    done = offkey("calibrate", tmp_path, "-o", tmp_path / "m.offkey", "--dask", address)
    assert done.returncode == 2
    assert "is not HOST:PORT of a Dask scheduler" in done.stderr


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask is not installed, the error says what adds it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="not installed"), door.on_cluster("127.0.0.1:9"):
        pass


class FakeClient:
    """A cluster whose workers have these versions of offkey."""

    def __init__(self, versions: dict[str, str]) -> None:
        self.versions = versions

    def run(self, *_: object) -> dict[str, str]:
        """Give what every worker answers."""
        return self.versions


@pytest.mark.parametrize(
    ("versions", "told"), [({}, "has no workers"), ({"a": "0.0.1"}, "have 0.0.1; here it is")]
)
def test_other_workers_are_refused(versions: dict[str, str], told: str) -> None:
    """No workers, or workers of another version, are told before the work begins."""
    with pytest.raises(InputError, match=told):
        door._check_workers(FakeClient(versions), "h:1")
