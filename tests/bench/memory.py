"""Peak memory of a command: the sum of PSS over its process tree, sampled while it runs. Linux."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def run_and_watch(command: Sequence[str], every_s: float = 0.05) -> tuple[float, float]:
    """Run a command to its end; gives its seconds and the largest sum of PSS, in MB.

    Raises SystemExit with what it said where it fails. Looking takes some time of its own: compare
    these seconds with each other only.
    """
    start, peak_kb = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            peak_kb = max(peak_kb, sum(map(_pss_kb, _tree(process.pid))))
            time.sleep(every_s)
        assert process.stderr is not None
        if process.returncode:
            raise SystemExit(process.stderr.read().decode())
    return time.perf_counter() - start, peak_kb / 1000


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # it has just ended
                continue
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    seconds, peak_mb = run_and_watch(sys.argv[1:])
    print(f"{seconds:.1f} s, {peak_mb:.0f} MB")
