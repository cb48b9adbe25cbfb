"""The folder of clips: a limit that drops the least odd first, and touches nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clipfolder import ClipFolder

Line = dict[str, Any]
ROOMY = 10**9


def described(p: float, error: float = 1e-3) -> Line:
    """Describe an alarm of this p and reconstruction error as a clip's JSON does."""
    clip = {"rate_hz": 8000, "segment_offset_s": 0.5}
    return {"type": "segment", "p": p, "reconstruction_error": error, "clip": clip}


def stem(number: int) -> str:
    """Name a clip; a later number is a later second."""
    return f"2026-01-02T0304{number // 60:02}_{number:06}"


def size_of(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in path.iterdir())


def stems(path: Path) -> list[str]:
    """List the clips in a folder; each has both of its files, and there is nothing else."""
    names = sorted(file.name for file in path.iterdir())
    found = sorted({name.partition(".")[0] for name in names})
    assert names == sorted(f"{name}{suffix}" for name in found for suffix in (".flac", ".json"))
    return found


def p_of(path: Path) -> list[float]:
    """Read the p of every clip in a folder, sorted."""
    return sorted(json.loads(file.read_text())["p"] for file in path.glob("*.json"))


def kept_by_the_plain_way(alarms: list[tuple[float, int]], limit: int, more: int) -> list[str]:
    """Say what is to be left of alarms, each a p and a number of bytes, one after the other."""
    left: list[tuple[float, int, int]] = []
    for number, (p, size) in enumerate(alarms):
        oddest_first = sorted([*left, (p, -number, size + more)])
        while sum(entry[2] for entry in oddest_first) > limit:
            entry = oddest_first.pop()
            if entry[1] == -number:
                oddest_first = left
        left = oddest_first
    return sorted(stem(-entry[1]) for entry in left)


@settings(deadline=None, max_examples=60)
@given(
    alarms=st.lists(
        st.tuples(st.sampled_from([0.001, 0.002, 0.003, 0.004, 0.005]), st.integers(1, 3000)),
        max_size=25,
    ),
    restarts=st.sets(st.integers(0, 24)),
)
def test_the_limit_holds_and_the_oddest_stay(
    alarms: list[tuple[float, int]], restarts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After every alarm the folder is within the limit, and holds what the plain way leaves.

    Over any number of runs: the least odd go first, among equals the older; a clip for which only
    odder ones could make room is not saved, and then no other goes.
    """
    path, limit = tmp_path_factory.mktemp("clips"), 6000
    folder = ClipFolder(str(path), limit)
    more = len(json.dumps(described(0.001), indent=1)) + 1
    for number, (p, size) in enumerate(alarms):
        if number in restarts:
            folder = ClipFolder(str(path), limit)
        saved = folder.add(stem(number), described(p), b"x" * size)
        assert saved == (stem(number) in stems(path))
        assert size_of(path) <= limit
        assert stems(path) == kept_by_the_plain_way(alarms[: number + 1], limit, more)


def test_among_equal_p_the_smaller_reconstruction_error_goes_first(tmp_path: Path) -> None:
    """Where p tells no difference the reconstruction error does, and then the age."""
    folder = ClipFolder(str(tmp_path), 4 * 1000)
    for number, error in enumerate((0.3, 0.1, 0.2, 0.1)):
        folder.add(stem(number), described(0.01, error), b"x" * 800)
    gone = []
    for number in range(4, 7):
        before = stems(tmp_path)
        folder.add(stem(number), described(0.01, 0.9), b"x" * 800)
        gone += [name for name in before if name not in stems(tmp_path)]
    assert gone == [stem(1), stem(3), stem(2)]
    assert folder.dropped == 3


def test_a_clip_larger_than_the_limit_empties_nothing(tmp_path: Path) -> None:
    """A single clip beyond the limit is not saved, however odd it is, and no other goes for it."""
    folder = ClipFolder(str(tmp_path), 10_000)
    for number in range(5):
        folder.add(stem(number), described(0.01), b"x" * 500)
    assert not folder.add(stem(5), described(0.0001), b"x" * 10_000)
    assert stems(tmp_path) == [stem(number) for number in range(5)]
    assert folder.dropped == 1


def test_a_smaller_limit_holds_at_once(tmp_path: Path) -> None:
    """What an earlier run saved under a larger limit is cut to the new one, the least odd first."""
    folder = ClipFolder(str(tmp_path), ROOMY)
    for number in range(20):
        folder.add(stem(number), described(0.001 + number / 1e4), b"x" * 800)
    folder = ClipFolder(str(tmp_path), 5000)
    assert size_of(tmp_path) <= 5000
    assert stems(tmp_path) == [stem(number) for number in range(20 - folder.dropped)]
    assert folder.dropped <= 16


def test_nothing_but_clips_is_ever_removed(tmp_path: Path) -> None:
    """Whatever else lies in the folder stays as it is: only name and content make a clip."""
    nested = tmp_path / f"{stem(1)}.json"
    nested.mkdir()
    (nested / "inside").write_text("mine")
    whole = json.dumps(described(0.9))
    (tmp_path / "elsewhere").write_text(whole)
    (tmp_path / f"{stem(2)}.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / f"{stem(3)}.json")
    others = {
        "notes.json": whole,
        f"{stem(4)}.json.bak": whole,
        f"my {stem(5)}.json": whole,
        f"{stem(6)}.json": "[1, 2]",
        f"{stem(7)}.json": whole[:-10],
        f"{stem(8)}.json": whole.replace("0.9", "NaN"),
        f"{stem(9)}.json": json.dumps({"type": "segment", "p": 0.9, "clip": {}}),
        f"{stem(10)}.json": json.dumps(described(0.9) | {"clip": "none"}),
        f"{stem(11)}.json": "[" * 100_000,
        f"{stem(12)}.flac": "a recording",
    }
    for name, text in others.items():
        (tmp_path / name).with_suffix(".flac").write_text("a recording")
        (tmp_path / name).write_text(text)
    paths = set(tmp_path.rglob("*"))
    contents = {path: path.read_text() for path in paths if path.is_file()}
    folder = ClipFolder(str(tmp_path), 1200)
    for number in range(20, 25):
        assert folder.add(stem(number), described(0.01), b"x" * 800)
    assert folder.dropped == 4
    assert set(tmp_path.rglob("*")) > paths
    assert {path: path.read_text() for path in contents} == contents


def test_a_crash_between_the_two_files_breaks_no_later_run(tmp_path: Path) -> None:
    """A JSON whose audio never got its name counts, and goes in its turn, as any other clip."""
    (tmp_path / f"{stem(1)}.json").write_text(json.dumps(described(0.9)))
    (tmp_path / f".{stem(1)}.flac.part").write_bytes(b"x" * 500)
    (tmp_path / f".{stem(2)}.json.part").write_text(json.dumps(described(0.9))[:20])
    folder = ClipFolder(str(tmp_path), 2100)
    assert folder.add(stem(1), described(0.01), b"x" * 900)
    assert (tmp_path / f"{stem(1)}_2.flac").exists()
    assert folder.add(stem(2), described(0.01), b"x" * 900)
    assert folder.dropped == 1
    assert p_of(tmp_path) == [0.01, 0.01]


def test_what_cannot_be_written_costs_no_other_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk no clip is dropped for one that cannot be saved, and nothing half is left."""
    folder = ClipFolder(str(tmp_path), 3000)
    for number in range(3):
        folder.add(stem(number), described(0.01), b"x" * 800)
    before = stems(tmp_path)
    write = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        folder.add(stem(3), described(0.001), b"x" * 800)
    monkeypatch.undo()
    assert stems(tmp_path) == before
    assert folder.add(stem(3), described(0.001), b"x" * 800)
    assert stem(3) in stems(tmp_path)
    assert folder.dropped == 1


def test_clips_that_somebody_took_away_leave_room(tmp_path: Path) -> None:
    """Clips moved elsewhere during the run count no more, neither as bytes nor as dropped."""
    folder = ClipFolder(str(tmp_path), 3500)
    for number in range(3):
        folder.add(stem(number), described(0.001), b"x" * 800)
    for file in tmp_path.iterdir():
        file.unlink()
    for number in range(3, 6):
        assert folder.add(stem(number), described(0.01), b"x" * 800)
    assert folder.dropped == 0


def test_a_name_is_never_taken_twice(tmp_path: Path) -> None:
    """Clips of the same second and number all stay, in the order in which they came."""
    for run in range(4):
        ClipFolder(str(tmp_path), ROOMY).add(stem(1), described(0.01), b"%d" % run)
    names = [stem(1), *(f"{stem(1)}_{i}" for i in (2, 3, 4))]
    assert stems(tmp_path) == names
    assert [(tmp_path / f"{name}.flac").read_bytes() for name in names] == [b"0", b"1", b"2", b"3"]
