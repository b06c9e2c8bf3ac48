"""Files that deploy an image, and commands that reach into its container: where they name its port.

The patterns are in ``deploy_ports.toml``.  What they find is not moved, since these files mean more than one image can
know of them: it keeps the port where it is, and is named.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tomli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from hardener.project import Project


class Pattern(NamedTuple):
    """How one kind of file states one port; ``values`` is asked of the chart's values, where a template names them."""

    files: tuple[str, ...]
    found: re.Pattern[str]
    unless: re.Pattern[str] | None
    values: re.Pattern[str] | None


@lru_cache(maxsize=1)
def knowledge() -> list[dict[str, object]]:
    """Return the tables of ``deploy_ports.toml``."""
    text = Path(__file__).with_name("deploy_ports.toml").read_text(encoding="utf-8")
    tables: list[dict[str, object]] = tomli.loads(text)["use"]
    return tables


@lru_cache(maxsize=16)
def patterns(port: int) -> tuple[Pattern, ...]:
    """Return every pattern for a port."""
    found: list[Pattern] = []
    for table in knowledge():
        if port not in table.get("ports", [port]):  # type: ignore[operator]
            continue
        unless, values = (compiled(table.get(key), port) for key in ("unless", "values"))
        joined = re.compile("|".join(f"(?:{filled(one, port)})" for one in table["patterns"]))  # type: ignore[attr-defined]
        found.append(Pattern(tuple(table["files"]), joined, unless, values))  # type: ignore[arg-type]
    return tuple(found)


def filled(pattern: str, port: int) -> str:
    """Return a pattern with the number in it, its flags taken to the group that it becomes."""
    text = pattern.replace("{port}", str(port))
    flags = re.match(r"\(\?([im]+)\)", text)
    return f"(?{flags[1]}:{text[flags.end() :]})" if flags is not None else text


def compiled(pattern: object, port: int) -> re.Pattern[str] | None:
    """Return a key of a table as a pattern, ``None`` without it."""
    return re.compile(filled(pattern, port)) if isinstance(pattern, str) else None


def offsets(project: Project, path: PurePosixPath, text: str, port: int) -> Iterator[int]:
    """Yield where a file, relative to the root, names a port of what it deploys, as offsets in its text."""
    name = str(path)
    for one in patterns(port):
        if not any(fnmatchcase(path.name, glob) or fnmatchcase(name, glob) for glob in one.files):
            continue
        if one.unless is not None and one.unless.search(text):
            continue
        if one.values is not None and not stated_by_values(project, path, one.values):
            continue
        for match in one.found.finditer(text):
            yield match.end() - 1 if "\n" in match[0] else match.start()


def stated_by_values(project: Project, template: PurePosixPath, values: re.Pattern[str]) -> bool:
    """Whether the values of the chart that a template belongs to say what is looked for."""
    chart = next((one.parent for one in template.parents if one.name == "templates"), None)
    data = project.read(chart / "values.yaml") if chart is not None else None
    return data is not None and values.search(data.decode("utf-8", "replace")) is not None
