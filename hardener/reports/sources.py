"""Who says so: the rows of the knowledge files, by what they name and by the reason that they give."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.processes import knowledge as of_processes
from hardener.root_tools import knowledge as of_tools
from hardener.runtime.dangers import knowledge as of_dangers

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fact(NamedTuple):
    """One row: what it is about (programs, packages, options), why that matters, what to do, and who says so."""

    names: tuple[str, ...]
    reason: str
    way_out: str
    source: str


@lru_cache(maxsize=1)
def facts() -> tuple[Fact, ...]:
    """Return every row that gives a reason."""
    rows = (of_processes()["program"], of_processes()["package"], of_tools()["tool"])
    return (*(fact for table in rows for fact in of_rows(table)), *dangers())


def of_rows(rows: list[dict[str, Any]]) -> Iterator[Fact]:
    """Yield the facts of one table of programs, packages or tools."""
    for row in rows:
        names = row.get("names") or row.get("commands") or [row.get("shown") or ""]
        yield Fact(tuple(names) if isinstance(names, list) else (names,), row["reason"], row["way_out"], row["source"])


def dangers() -> Iterator[Fact]:
    """Yield the facts of ``dangers.toml``, whose sections have one source each."""
    for section, table in of_dangers().items():
        if isinstance(table, list):
            yield from (Fact((row["path"],), row["danger"], row["instead"], row["source"]) for row in table)
            continue
        if "danger" in table:
            yield Fact((section,), table["danger"], table["instead"], table["source"])
            continue
        for name, row in table.items():
            if isinstance(row, dict) and "danger" in row:
                yield Fact((name,), row["danger"], row["instead"], row.get("source") or table["source"])


def named(word: str) -> tuple[Fact, ...]:
    """Return the rows about a program, a package or an option, in whatever case it is written."""
    plain = word.lower().removeprefix("cap_").removeprefix("cap_add ")
    return tuple(one for one in facts() if plain in (name.lower() for name in one.names))


def behind(text: str) -> str:
    """Return the source of the reason that a text gives, ``""`` where no knowledge file has it."""
    return next((one.source for one in facts() if one.reason in text), "")
