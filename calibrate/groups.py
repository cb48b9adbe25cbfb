"""What recordings share that a new one will not: the speaker, the session, the machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from model.errors import InputError, shown

MARKED_GROUP = "marked"


@dataclass(frozen=True)
class Groups:
    """What recordings share that a new one will not."""

    of_recording: tuple[str, ...]
    rule: str

    @property
    def names(self) -> tuple[str, ...]:
        """All groups in sorted order."""
        return tuple(sorted(set(self.of_recording)))

    def with_marked(self, n: int) -> Groups:
        """The same groups, and one of `n` marked sounds after all others.

        They may be takes of one thing: held out together, none is judged by one that knows another.
        """
        return Groups((*self.of_recording, *[MARKED_GROUP] * n), self.rule)


def check_group_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """Compile `--group`. Raises InputError unless it has exactly one capture group."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group is not a regular expression: {error}.") from error
    if compiled.groups != 1:
        raise InputError(
            f"--group needs exactly one group in parentheses, not {compiled.groups}.",
            r"For example: --group '_(\d+)_'",
        )
    return compiled


def group_recordings(names: Sequence[str], pattern: re.Pattern[str] | None = None) -> Groups:
    """Group recordings by `pattern`, else by their names, else by folder, else each by itself.

    Raises InputError where the pattern does not match a name.
    """
    if pattern is not None:
        matches = [pattern.search(name) for name in names]
        unmatched = [name for name, match in zip(names, matches, strict=True) if not match]
        if unmatched:
            raise InputError(
                f"--group does not match {len(unmatched):,} of {len(names):,} names, "
                f"for example {shown(unmatched[0])}."
            )
        found = tuple(match[1] or "" for match in matches if match)
        return _unless_single(found, f"by --group {pattern.pattern}", names)
    second = _second_fields(names)
    if second is not None:
        return Groups(second, "by the second field of the file names (a_b_c)")
    folders = tuple(str(PurePath(name).parent) for name in names)
    return _unless_single(folders, "by folder", names)


def _second_fields(names: Sequence[str]) -> tuple[str, ...] | None:
    fields = [PurePath(name).stem.split("_") for name in names]
    if not all(len(parts) == 3 and all(parts) for parts in fields):
        return None
    second = tuple(parts[1] for parts in fields)
    return second if 5 <= len(set(second)) <= len(names) / 2 else None


def _unless_single(groups: tuple[str, ...], rule: str, names: Sequence[str]) -> Groups:
    if len(set(groups)) > 1:
        return Groups(groups, rule)
    return Groups(tuple(names), "each recording by itself")
