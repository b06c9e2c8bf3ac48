"""What a program writes in its working directory, by a relative path, which fails where that stays root's.

A working directory of the system's, most often ``/`` because no WORKDIR was written, cannot be given away.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import servers
from hardener.paths import is_fixed
from hardener.written_paths import MAXIMUM_FILES, MAXIMUM_SIZE, source_tops, sources
from hardener.written_settings import COMMENT, knowledge, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hardener.project import Project
    from hardener.stages import StageFacts

ABSOLUTE = r"(?P<path>/[\w./-]+)"
RELATIVE = r"(?P<path>(?:\./)?\w[\w./-]*)"
DATABASE = r"(?P<path>(?:\./)?\w[\w./-]*\.(?:db|sqlite3?|mdb))"
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  paths of the image


class Relative(NamedTuple):
    """A relative path that is written: as it stands there, and ``file:line``."""

    path: str
    where: str


def relative_write(project: Project, facts: StageFacts) -> Relative | None:
    """Return what a copied source writes in the working directory, where that has to stay root's."""
    server = servers.server_of(facts)
    if project.root is None or facts.workdir is None or not is_fixed(facts.workdir) or facts.workdir in TEMPORARY:
        return None
    if server is not None and server.only_reads:
        return None
    for top in source_tops(project, facts):
        found = next(iter(below(project.root / top, project.root)), None)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=256)
def below(top: Path, root: Path) -> tuple[Relative, ...]:
    """Return the relative paths that the source files at or below a path write; named as seen from ``root``."""
    endings = tuple({ending for _, table in patterns() for ending in table})
    found: list[Relative] = []
    for count, file in enumerate(sources(top, endings)):
        if count > MAXIMUM_FILES:
            break
        try:
            if file.stat().st_size <= MAXIMUM_SIZE:
                found += in_source(os.path.relpath(file, root), file.read_bytes())
        except OSError:
            continue
    return tuple(found)


def in_source(name: str, data: bytes) -> Iterator[Relative]:
    """Yield what one source file writes at a relative path; a line that is a comment says nothing."""
    for pattern, endings in patterns():
        for match in pattern.finditer(data) if name.endswith(endings) else ():
            if not COMMENT.match(data, data.rfind(b"\n", 0, match.start()) + 1):
                path = match["path"].decode("utf-8", "replace")
                yield Relative(path, f"{name}:{line_of(data, match.start('path'))}")


@lru_cache(maxsize=1)
def patterns() -> tuple[tuple[re.Pattern[bytes], tuple[str, ...]], ...]:
    """Return the forms of ``written_paths.toml`` for a relative path, and those that it has for it alone."""
    found: list[tuple[re.Pattern[bytes], tuple[str, ...]]] = []
    for one in (*knowledge()["source"], *knowledge()["relative"]):
        text = one["pattern"].decode()
        if one["makes"] in ("directory", "file", "database") and (ABSOLUTE in text or "RELATIVE" in text):
            kind = DATABASE if one["makes"] == "database" else RELATIVE
            text = text.replace(ABSOLUTE, kind).replace("RELATIVE", kind)
            found.append((re.compile(text.encode()), tuple(one["endings"])))
    return tuple(found)
