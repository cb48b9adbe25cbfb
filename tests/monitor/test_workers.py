"""Worker processes of `score`: their order, their end, and who may end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.terminal import Stop
from monitor.workers import in_order

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are threads")


def slow_square(n: int) -> tuple[int, int]:
    """Take longer for the earlier ones, and say which process it was."""
    time.sleep(0.01 * (n % 3 == 0))
    return n * n, os.getpid()


def test_results_come_in_order_from_several_processes() -> None:
    """Whoever is faster, the order is that of the batches; none is lost."""
    found = list(in_order(slow_square, list(range(200)), 3, Stop()))
    assert [square for square, _ in found] == [n * n for n in range(200)]
    assert len({pid for _, pid in found} - {os.getpid()}) > 1


def test_nothing_is_begun_after_a_stop() -> None:
    """Once asked to stop, what is under way comes still, in order, and no more."""
    stop, found = Stop(), []
    for square, _ in in_order(slow_square, list(range(1000)), 2, stop):
        found.append(square)
        if len(found) == 10:
            stop.set()
    assert found == [n * n for n in range(len(found))]
    assert 10 <= len(found) < 30


def test_one_job_needs_no_process() -> None:
    """With one worker, or one batch, the work is done here."""
    for batches, jobs in ((range(5), 1), (range(1), 4)):
        pids = {pid for _, pid in in_order(slow_square, list(batches), jobs, Stop())}
        assert pids == {os.getpid()}


def test_an_iterator_that_is_left_ends_its_workers() -> None:
    """Closing it early waits for the workers' end."""
    results = in_order(slow_square, list(range(1000)), 2, Stop())
    _, pid = next(results)
    results.close()
    assert not Path(f"/proc/{pid}").exists()


def workers_of(pid: int) -> list[int]:
    """Give the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process has ended, be it unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for something, and fail after half a minute."""
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def scoring(
    command: str, demo_model: Path, demo_files: list[Path], tmp_path: Path
) -> subprocess.Popen[bytes]:
    """Score 6,000 recordings in a process group of its own; nobody reads its lines yet."""
    for i in range(6000):
        (tmp_path / f"{i:04}.flac").symlink_to(demo_files[i % len(demo_files)])
    process = subprocess.Popen(
        [command, "score", str(demo_model), str(tmp_path), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert len(workers_of(process.pid)) == 2
    return process


def test_killed_score_leaves_no_worker(scoring: subprocess.Popen[bytes]) -> None:
    """When the command is killed its workers end too."""
    workers = workers_of(scoring.pid)
    scoring.kill()
    scoring.communicate(timeout=60)
    wait_for(lambda: all(gone(pid) for pid in workers))


def test_a_killed_worker_is_one_sentence(scoring: subprocess.Popen[bytes]) -> None:
    """When a worker is killed the command says so and fails; no traceback."""
    os.kill(workers_of(scoring.pid)[0], signal.SIGKILL)
    _, errors = scoring.communicate(timeout=60)
    assert scoring.returncode == 1
    assert errors.decode() == (
        "offkey: A worker process was killed. --jobs 1 does without; memory may be short.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_them_is_an_end(
    scoring: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Ctrl-C reaches the workers too, and so does a service's end: whole lines, exit 0."""
    os.killpg(scoring.pid, number)
    lines, errors = scoring.communicate(timeout=60)
    assert scoring.returncode == 0
    assert lines.endswith(b"}\n")
    assert errors.startswith(b"offkey: interrupted: ")
    assert len(errors.splitlines()) == 1
