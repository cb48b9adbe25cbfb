"""The log: whole lines, a limit that holds, and no failure that ends the run."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.alarms import Alarm
from model.detector import Score
from model.errors import InputError
from model.segment import Segment
from monitor.events import Event, Gap, Heard, StateChange
from monitor.logfile import LogFile
from monitor.sinks import json_line

LARGE = 1_000_000


def heard(number: int) -> Heard:
    """Make a segment of this number, from a source of that name; its line has some 500 bytes."""
    return Heard(str(number), None, Segment(np.zeros(0, np.float32), 0.0, 0.0), Score("normal"))


def parts(path: Path) -> list[Path]:
    """List the files of a log, the oldest first."""
    older = [path.with_name(f"{path.name}.{i}") for i in range(99, 0, -1)]
    return [part for part in [*older, path] if part.exists()]


def numbers(path: Path) -> list[int]:
    """Read the numbers of all segments in a log, the oldest first; every line is whole."""
    text = "".join(part.read_text() for part in parts(path))
    assert not text or text.endswith("\n")
    return [int(json.loads(line)["source"]) for line in text.splitlines()]


def size_of(path: Path) -> int:
    """Bytes of a log with all its parts."""
    return sum(part.stat().st_size for part in parts(path))


@contextlib.contextmanager
def no_file_beyond(size_bytes: int) -> Iterator[None]:
    """Let the system refuse what goes beyond, taking a part of it: like a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- lines ---------------------------------------------------------------------------------------


def test_every_event_is_appended_as_its_line(tmp_path: Path) -> None:
    """A log holds the lines of all runs in order, each of them there as soon as it is taken."""
    path = tmp_path / "log.jsonl"
    events: list[Event] = [
        heard(1),
        Gap(1.0, 0.5, "device"),
        StateChange("now", "live"),
        Alarm(0.0, 1.0, 0.001, 3),
        replace(heard(2), source="größe\n六"),
    ]
    for i in range(2):
        log = LogFile(str(path), LARGE, pytest.fail)
        for j, event in enumerate(events, 1):
            log.take(event)
            assert path.read_text().count("\n") == len(events) * i + j
        log.close()
    assert path.read_text().splitlines() == [json_line(event) for event in events] * 2


def test_a_line_that_a_crash_left_half_spoils_no_other(tmp_path: Path) -> None:
    """After a half-written line the next one begins on a line of its own."""
    path = tmp_path / "log.jsonl"
    whole = json_line(heard(1))
    path.write_text(f"{whole}\n{whole[:100]}")
    LogFile(str(path), LARGE, pytest.fail).take(heard(2))
    assert path.read_text() == f"{whole}\n{whole[:100]}\n{json_line(heard(2))}\n"


# --- the limit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit_bytes", [3000, 8000, 30_000, 100_000])
def test_the_limit_holds_and_the_newest_lines_stay(tmp_path: Path, limit_bytes: int) -> None:
    """After every line all parts together are within the limit, and hold the newest lines."""
    path = tmp_path / "log.jsonl"
    log = LogFile(str(path), limit_bytes, pytest.fail)
    for number in range(300):
        log.take(heard(number))
        assert size_of(path) <= limit_bytes
    kept = numbers(path)
    assert kept == list(range(300 - len(kept), 300))
    assert size_of(path) > limit_bytes / 2
    assert len(parts(path)) <= 10


def test_a_smaller_limit_holds_for_an_earlier_run_too(tmp_path: Path) -> None:
    """What an earlier run wrote under a larger limit is cut to the new one at once, and told."""
    path = tmp_path / "log.jsonl"
    log = LogFile(str(path), 200_000, pytest.fail)
    for number in range(600):
        log.take(heard(number))
    assert size_of(path) > 150_000
    warnings: list[str] = []
    log = LogFile(str(path), 50_000, warnings.append)
    assert size_of(path) <= 50_000
    assert numbers(path)[-1] == 599
    for number in range(600, 640):
        log.take(heard(number))
        assert size_of(path) <= 50_000
    kept = numbers(path)
    assert kept == list(range(640 - len(kept), 640))
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "removed" in warnings[0]


def test_a_link_leads_to_the_log_for_good(tmp_path: Path) -> None:
    """Where the path is a link, it stays one, and the older parts lie beside what it leads to."""
    far, link = tmp_path / "far", tmp_path / "link"
    far.mkdir()
    (far / "log.jsonl").touch()
    link.symlink_to(far / "log.jsonl")
    log = LogFile(str(link), 10_000, pytest.fail)
    for number in range(100):
        log.take(heard(number))
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [far, link]
    assert size_of(far / "log.jsonl") <= 10_000
    assert numbers(far / "log.jsonl")[-1] == 99


# --- failures ------------------------------------------------------------------------------------


def test_a_full_disk_is_one_warning_and_writing_goes_on(tmp_path: Path) -> None:
    """Lines that have no room are counted; then every line but the half-written one is whole."""
    path = tmp_path / "log.jsonl"
    warnings: list[str] = []
    log = LogFile(str(path), LARGE, warnings.append)
    log.take(heard(0))
    before = path.stat().st_size
    with no_file_beyond(before + 100):
        for number in range(1, 6):
            log.take(heard(number))
    assert path.stat().st_size == before + 100
    log.take(heard(6))
    log.take(heard(7))
    log.close()
    first, half, *others = path.read_text().splitlines()
    assert half == json_line(heard(1))[:100]
    assert [first, *others] == [json_line(heard(number)) for number in (0, 6, 7)]
    assert warnings == [
        f"The log {path} cannot be written: File too large.",
        f"Lines not written to the log {path}: 5.",
    ]


def test_a_rotation_that_fails_is_tried_again(tmp_path: Path) -> None:
    """While something bars the way of the oldest part lines are counted, and no other is lost."""
    path, bar = tmp_path / "log.jsonl", tmp_path / "log.jsonl.9"
    warnings: list[str] = []
    written = []
    log = LogFile(str(path), 10_000, warnings.append)
    for number in range(60):
        if number == 40:
            bar.unlink()
            (bar / "inside").mkdir(parents=True)
        if number == 50:
            (bar / "inside").rmdir()
            bar.rmdir()
        failed = log.failed
        log.take(heard(number))
        if log.failed == failed:
            written.append(number)
    assert log.failed > 5
    assert len(warnings) == 1
    assert numbers(path) == written[-len(numbers(path)) :]
    assert size_of(path) <= 10_000


def test_a_log_that_was_taken_away_begins_anew(tmp_path: Path) -> None:
    """A log that is deleted or moved during the run is made anew for the next line."""
    path = tmp_path / "log.jsonl"
    log = LogFile(str(path), LARGE, pytest.fail)
    log.take(heard(1))
    path.rename(tmp_path / "moved")
    log.take(heard(2))
    path.unlink()
    log.take(heard(3))
    assert numbers(path) == [3]
    assert numbers(tmp_path / "moved") == [1]


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _full(path: Path) -> None:
    path.symlink_to("/dev/full")


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _recording(path: Path) -> None:
    path.write_bytes(b"RIFF0000WAVE")


def _foreign_part(path: Path) -> None:
    path.write_text(json_line(heard(1)) + "\n")
    path.with_name(f"{path.name}.3").write_text("mine\n")


def _folder_as_part(path: Path) -> None:
    path.with_name(f"{path.name}.9").mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_folder, "is a folder"),
        (_fifo, "not a plain file"),
        (_full, "not a plain file"),
        (_dangling, "dangling link"),
        (_recording, "not a log of offkey"),
        (_foreign_part, "log.jsonl.3 exists and is not a log"),
        (_folder_as_part, "log.jsonl.9 is a folder"),
    ],
)
def test_what_cannot_be_a_log_is_refused_at_once(tmp_path: Path, make: object, says: str) -> None:
    """A path that cannot be a log, or would cost a file, is told before anything begins.

    Nothing is made or changed, and a FIFO without a reader does not hang.
    """
    path = tmp_path / "log.jsonl"
    assert callable(make)
    make(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=says) as caught:
        LogFile(str(path), LARGE, pytest.fail)
    assert "log.jsonl" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("no/such/log.jsonl", "No such file or directory"),
        ("file/log.jsonl", "Not a directory"),
        ("new/", "Is a directory"),
        ("", "is a folder"),
    ],
)
def test_a_place_that_is_none_is_refused_at_once(tmp_path: Path, place: str, says: str) -> None:
    """A log in a folder that does not exist, or is a file, or without a name, is told at once."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"The log .* {says}"):
        LogFile(str(tmp_path) + "/" + place, LARGE, pytest.fail)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_a_loss_of_power_leaves_is_still_a_log(tmp_path: Path) -> None:
    """A log that a crash of the system left empty or full of zeros does not stop the next run."""
    for i, content in enumerate((b"", b"\0" * 4096, b"\n", b'{"ty')):
        path = tmp_path / f"log {i}"
        path.write_bytes(content)
        LogFile(str(path), LARGE, pytest.fail).take(heard(1))
        assert path.read_bytes().splitlines()[-1] == json_line(heard(1)).encode()
