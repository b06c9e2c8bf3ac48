"""Which fixtures prove that each place of a port in ``port_rows.py`` moves, and what only looks like one stays."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import port_rows

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
GROUPS = ("move_port", "prepare_server", "pipeline", "outcome", "compose_privileges", "kubernetes_privileges")
SHOWN = 2


class Row(NamedTuple):
    """One kind of place, and the names of the cases (``group/case``) with a line that moves, and one that stays."""

    part: str
    kind: str
    moves: tuple[str, ...]
    stays: tuple[str, ...]


class Case(NamedTuple):
    """A fixture: its name, the lines (``path: line``) that are others afterwards, those that stay, and what is told."""

    name: str
    changed: tuple[str, ...]
    kept: tuple[str, ...]
    said: tuple[str, ...]


@lru_cache(maxsize=1)
def cases() -> tuple[Case, ...]:
    """Return every case of the fixers' fixtures."""
    folders = (folder for group in GROUPS for folder in sorted((FIXTURES / group).iterdir()) if folder.is_dir())
    return tuple(case_of(folder) for folder in folders)


def case_of(folder: Path) -> Case:
    """Return one case."""
    changed: list[str] = []
    kept: list[str] = []
    for file in sorted((folder / "before").rglob("*")):
        if not file.is_file():
            continue
        name = file.relative_to(folder / "before")
        after = folder / "after" / name
        lines = lines_of(file)
        left = Counter(lines_of(after) if after.is_file() else lines)
        for line in lines:
            (kept if left[line] > 0 else changed).append(f"{name.as_posix()}: {line}")
            left[line] -= 1
    return Case(
        f"{folder.parent.name}/{folder.name}", tuple(changed), tuple(kept), tuple(lines_of(folder / "findings.txt"))
    )


def lines_of(file: Path) -> list[str]:
    """Return the lines of a file."""
    return file.read_bytes().decode("utf-8", "replace").splitlines()


def rows() -> tuple[Row, ...]:
    """Return every row of the matrix with the cases that it finds."""
    found = []
    for table in port_rows.ROWS:
        moves, stays, says = (re.compile(table.get(key, ".")) for key in ("moves", "stays", "says"))
        told = [one for one in cases() if any(map(says.search, one.said))]
        within = told if "moves" not in table else cases()
        found.append(
            Row(
                table["part"],
                table["kind"],
                tuple(one.name for one in told if "moves" not in table or any(map(moves.search, one.changed))),
                tuple(one.name for one in within if any(map(stays.search, one.kept))),
            )
        )
    return tuple(found)


def table() -> str:
    """Return the matrix as a Markdown table."""
    head = ["| where | what | moves in | stays in |", "|---|---|---|---|"]
    return "\n".join(
        head + [f"| {row.part} | {row.kind} | {shown(row.moves)} | {shown(row.stays)} |" for row in rows()]
    )


def shown(names: tuple[str, ...]) -> str:
    """Return the first names, and how many there are besides."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:SHOWN]) + more
