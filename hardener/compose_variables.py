"""The variables of a Compose file's ``build``: their values by ``.env`` and default, and what may be meant without.

https://docs.docker.com/reference/compose-file/interpolation/, https://docs.docker.com/compose/how-tos/environment-variables/envvars-precedence/
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hardener.lazy_pattern import lazy_pattern
from hardener.repository_files import files
from hardener.small_files import content
from hardener.variables import expand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from hardener.compose import Service
    from hardener.project import Project

LINE = lazy_pattern(
    r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^\n]*?)[ \t]*(?:[ \t]#[^\n]*)?$", re.MULTILINE
)
REFERENCE = lazy_pattern(r"\$\w+|\$\{[^}]*\}+")
KEYS = ("context", "dockerfile", "target")
# The target of a build where a variable without a value decides it: any stage.
ANY_STAGE = "*"


@lru_cache(maxsize=256)
def values(root: Path, folder: PurePosixPath) -> dict[str, str | None]:
    """Return the variables that the ``.env`` of a folder, or of one above it, sets; the nearest wins."""
    found: dict[str, str | None] = {}
    for one in (*reversed(folder.parents), folder):
        text = content(root / one / ".env").decode("utf-8", "replace").replace("\r\n", "\n")
        for match in LINE.finditer(text):
            found[match[1]] = match[2][1:-1] if match[2][:1] == "'" else expand(match[2], found)
    return found


def resolved(root: Path, folder: PurePosixPath, table: dict[str, Any]) -> dict[str, Any]:
    """Return a ``build`` table with the variables of its paths and its target replaced where their values are known."""
    if not any("$" in str(table.get(key) or "") for key in KEYS):
        return table
    known = values(root, folder)
    found = {key: expand(str(table[key]), known) or str(table[key]) for key in KEYS if "$" in str(table.get(key) or "")}
    return {**table, **found}


def candidates(root: Path, folder: PurePosixPath, name: str, table: dict[str, Any]) -> Iterator[PurePosixPath]:
    """Yield the Dockerfiles that a build (of a service of that name) with an unknown path may mean.

    A variable stands for any path below; of several Dockerfiles, those in folders that are called like the service.
    """
    context, dockerfile = str(table.get("context") or "."), str(table.get("dockerfile") or "Dockerfile")
    if "$" not in context + dockerfile or "://" in context:
        return
    path = posixpath.normpath(posixpath.join(folder, REFERENCE.sub("\0", context), REFERENCE.sub("\0", dockerfile)))
    pattern = re.escape(path).replace("\0/", "(?:.*/)?").replace("\0", ".*")
    found = [one for one in files(root).dockerfiles if re.fullmatch(pattern, str(one))]
    called = [one for one in found if name in {*one.parent.parts, *one.name.lower().split(".")}]
    yield from called or found


def arguments(project: Project, service: Service) -> dict[str, str | None]:
    """Return the ``args`` of a service's ``build``; ``None`` for a value that is not decided here."""
    build = service.values.get("build")
    given = build.get("args") if isinstance(build, dict) else None
    pairs = [str(one).partition("=")[::2] for one in given] if isinstance(given, list) else []
    pairs += [(key, str(value)) for key, value in given.items() if value is not None] if isinstance(given, dict) else []
    known = values(project.root, service.file.parent) if project.root is not None else {}
    return {name: expand(value, known) if value else known.get(name) for name, value in pairs}
