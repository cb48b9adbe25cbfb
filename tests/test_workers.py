"""Worker processes of `score` and `calibrate`: their order, their end, and who may end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread

import pytest

from model import workers
from model.detector import Detector
from model.errors import OffkeyError
from model.storage import write_model
from model.workers import in_order

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are threads")


def slow_square(n: int) -> tuple[int, int]:
    """Take longer for the earlier ones, and say which process it was."""
    time.sleep(0.01 * (n % 3 == 0))
    return n * n, os.getpid()


def test_results_come_in_order_from_several_processes() -> None:
    """Whoever is faster, the order is that of the batches; none is lost."""
    found = list(in_order(slow_square, list(range(200)), 3, Event()))
    assert [square for square, _ in found] == [n * n for n in range(200)]
    assert len({pid for _, pid in found} - {os.getpid()}) > 1


def test_nothing_is_begun_after_a_stop() -> None:
    """Once asked to stop, what is under way comes still, in order, and no more."""
    stop, found = Event(), []
    for square, _ in in_order(slow_square, list(range(1000)), 2, stop):
        found.append(square)
        if len(found) == 10:
            stop.set()
    assert found == [n * n for n in range(len(found))]
    assert 10 <= len(found) < 30


def test_one_job_needs_no_process() -> None:
    """With one worker, or one batch, the work is done here."""
    for batches, jobs in ((range(5), 1), (range(1), 4)):
        pids = {pid for _, pid in in_order(slow_square, list(batches), jobs, Event())}
        assert pids == {os.getpid()}


def test_an_iterator_that_is_left_ends_its_workers() -> None:
    """Closing it early waits for the workers' end."""
    results = in_order(slow_square, list(range(1000)), 2, Event())
    _, pid = next(results)
    results.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_worker_ends_by_a_signal_however_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is told to end before it has its own handlers does not go by the command's."""
    keep, handled = workers._keep, []

    def keep_late(task: workers.Task[int, object]) -> None:
        time.sleep(1)
        keep(task)

    def end_a_worker() -> None:
        wait_for(active_children)
        os.kill(active_children()[0].pid or 0, signal.SIGTERM)

    monkeypatch.setattr(workers, "_keep", keep_late)
    before = signal.signal(signal.SIGTERM, lambda *_: handled.append(1))
    ending = Thread(target=end_a_worker)
    ending.start()
    try:
        with pytest.raises(OffkeyError, match="worker process was killed"):
            list(in_order(slow_square, list(range(50)), 2, Event()))
        os.kill(os.getpid(), signal.SIGTERM)
        assert handled == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
        ending.join()


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


@pytest.fixture(scope="module")
def many(words_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six thousand recordings, of sixty words."""
    folder = tmp_path_factory.mktemp("many")
    words = sorted(words_folder.rglob("*.wav"))
    for i in range(6000):
        os.link(words[i % len(words)], folder / f"{i:04}.wav")
    return folder


@pytest.fixture(params=["score", "calibrate"])
def working(
    request: pytest.FixtureRequest, many: Path, word_detector: Detector, tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Score, or calibrate on, six thousand recordings in a process group of its own."""
    model, new = tmp_path / "words.offkey", tmp_path / "new.offkey"
    write_model(model, word_detector)
    arguments = {
        "score": ["score", str(model), str(many)],
        "calibrate": ["calibrate", str(many), "-o", str(new), "--no-maps"],
    }
    command = Path(sys.executable).with_name("offkey")
    process = subprocess.Popen(
        [command, *arguments[request.param], "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    says = process.stdout if request.param == "score" else process.stderr
    assert says is not None
    says.readline()
    wait_for(lambda: len(workers_of(process.pid)) == 2)
    yield process
    assert process.poll() is not None
    assert not new.exists()


def test_a_killed_command_leaves_no_worker(working: subprocess.Popen[bytes]) -> None:
    """When the command is killed its workers end too."""
    workers = workers_of(working.pid)
    working.kill()
    working.communicate(timeout=60)
    wait_for(lambda: all(gone(pid) for pid in workers))


def test_a_killed_worker_is_one_sentence(working: subprocess.Popen[bytes]) -> None:
    """When a worker is killed the command says so and fails; no traceback."""
    os.kill(workers_of(working.pid)[0], signal.SIGKILL)
    _, errors = working.communicate(timeout=60)
    assert working.returncode == 1
    assert errors.decode().splitlines()[-1] == (
        "offkey: A worker process was killed. --jobs 1 does without; memory may be short."
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_them_is_an_end(
    working: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Ctrl-C reaches the workers too, and so does a service's end: one sentence, no half line."""
    is_score = b"score" in Path(f"/proc/{working.pid}/cmdline").read_bytes()
    os.killpg(working.pid, number)
    lines, errors = working.communicate(timeout=60)
    assert working.returncode == (0 if is_score else 1)
    assert lines.endswith(b"}\n") if is_score else not lines
    said = errors.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith(b"offkey: interrupted")
