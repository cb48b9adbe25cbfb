"""`offkey score --dask`: the same lines from a cluster, also when a worker is killed on the way.

A cluster of two worker processes on loopback, as anybody would start it, away from the folder that
the command runs in.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra `dask` is not installed")

from distributed import Client

from monitor.archive import ModelOnDisk

Outcome = subprocess.CompletedProcess[str]
Run = Callable[..., Outcome]
QUIET = {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"}


class Cluster:
    """A scheduler with two workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self._scheduler = self._start("scheduler", "--host", f"tcp://{self.address}", "--no-show")
        self.workers = [self.add_worker() for _ in range(2)]
        with Client(self.address, timeout=60) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker, without a nurse that would start it again."""
        return self._start(
            "worker", f"tcp://{self.address}", "--no-nanny", "--nthreads", "1", "--no-dashboard"
        )

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        dask = Path(sys.executable).with_name("dask")
        return subprocess.Popen(
            [dask, *words],
            cwd=self._folder,
            env=os.environ | QUIET,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> None:
        """End all of it."""
        for process in (*self.workers, self._scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_files: list[Path]) -> Path:
    """Lay out 600 recordings: links to those of the demo, one of them dangling."""
    folder = tmp_path_factory.mktemp("archive")
    for i in range(600):
        (folder / f"{i:03}.flac").symlink_to(demo_files[i % len(demo_files)])
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    return folder


@pytest.fixture(scope="module")
def local(run: Run, demo_model: Path, folder: Path) -> str:
    """Score them here."""
    return run("score", demo_model, ".", cwd=folder).stdout


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Start a cluster for one test, which may break it."""
    started = Cluster(tmp_path)
    yield started
    started.end()


def same(ours: str, theirs: str) -> None:
    """Compare lines: order, verdicts and p exactly, scores as two processors may differ."""
    pairs = list(zip(ours.splitlines(), theirs.splitlines(), strict=True))
    assert len(pairs) == 601
    for one, other in pairs:
        a, b = json.loads(one), json.loads(other)
        for name in ("source", "verdict", "reason", "p", "cluster"):
            assert a[name] == b[name]
        if a["reason"] is None:
            for name in ("isolation_score", "reconstruction_error"):
                assert a[name] == pytest.approx(b[name], rel=1e-6, abs=1e-9)


def test_a_cluster_gives_the_lines_of_this_machine(
    run: Run, cluster: Cluster, demo_model: Path, folder: Path, local: str
) -> None:
    """Paths that start here are found there; lines come in the same order, problems are told."""
    done = run("score", demo_model, ".", "--dask", cluster.address, cwd=folder)
    assert done.returncode == 0, done.stderr
    same(local, done.stdout)
    assert len(done.stderr.splitlines()) == 2  # the account is the second
    assert "gone.wav is a dangling link." in done.stderr


def test_a_killed_worker_costs_time_only(
    cluster: Cluster, command: str, demo_model: Path, folder: Path, local: str, tmp_path: Path
) -> None:
    """Once lines come, one of two workers is killed: all lines come all the same, each once."""
    words = [command, "score", str(demo_model), ".", "--dask", cluster.address]
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen(words, cwd=folder, stdout=out, stderr=subprocess.PIPE) as process,
    ):
        limit = time.monotonic() + 60
        while not (tmp_path / "out").stat().st_size:
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.005)
        assert process.poll() is None
        cluster.workers[0].send_signal(signal.SIGKILL)
        _, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    same(local, (tmp_path / "out").read_text())


def test_a_cluster_goes_on_where_a_run_ended(
    run: Run, cluster: Cluster, demo_model: Path, folder: Path, local: str, tmp_path: Path
) -> None:
    """Both options together: only what is missing is sent."""
    target = tmp_path / "scores.jsonl"
    begun = run("score", demo_model, ".", cwd=folder).stdout
    target.write_text(begun[: len(begun) // 2])
    words = ("score", demo_model, ".", "--dask", cluster.address, "--resume", target)
    assert run(*words, cwd=folder).returncode == 0
    same(local, target.read_text())


def test_workers_must_find_the_same_model(cluster: Cluster, demo_model: Path) -> None:
    """Where a path means another model to a worker, it says so instead of scoring."""
    other = ModelOnDisk(str(demo_model), "0" * 64, None)
    with Client(cluster.address) as client:  # type: ignore[no-untyped-call]
        future = client.submit(other.detector)
        assert "another model" in str(future.exception(timeout=30))
