"""The absolute paths that a program writes to at run time, as its ENV, its services and its copied sources name them.

Only what is certain by its form: the call that makes a directory or opens a file for writing, with the path as a
literal; a variable of a telling name.  The forms are data, in ``written_paths.toml``.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hardener import compose
from hardener.context import build_context, copied_sources, copies_context, copy_arguments, flag
from hardener.lazy_pattern import lazy_pattern
from hardener.small_files import content
from hardener.variables import assignments, expand
from hardener.written_settings import (
    COMMENT,
    Written,
    clean,
    in_settings,
    knowledge,
    line_of,
    of_setting,
    of_value,
    of_variable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from hardener.project import Project
    from hardener.stages import StageFacts

SKIPPED = frozenset(
    ("node_modules", "vendor", "venv", ".venv", "dist", "build", "target", "tests", "test", "spec", "__tests__", "docs",
     "examples", "example", "scripts", "migrations", "static", "e2e", "testing", "testdata", "benchmarks",
     "site-packages")
)  # fmt: skip
TEST = lazy_pattern(r"^test_|[._-](?:test|tests|spec)\.|^conftest\.py$|\.min\.js$|\.d\.ts$|\.config\.\w+$")
# The finished archive of a Maven or Gradle module:
# https://maven.apache.org/guides/introduction/introduction-to-the-standard-directory-layout.html
BUILT = lazy_pattern(r"(?:\./|/)?(?P<module>(?:[\w.-]+/)*?)(?:target|build/libs)/[^/]*\.?(?:jar|war|\*)$")
MAXIMUM_FILES = 300
MAXIMUM_SIZE = 128 * 1024


@lru_cache(maxsize=256)
def written_paths(project: Project, facts: StageFacts) -> tuple[Written, ...]:
    """Return the absolute paths that ENV, Compose and the sources of the build context say are written, each once."""
    found = {
        one.path: one for one in (*of_environment(facts), *of_services(project, facts), *of_sources(project, facts))
    }
    return tuple(found.values())


def of_environment(facts: StageFacts) -> Iterator[Written]:
    """Yield what ENV names as a place to write, by the variable's name or by a database URL."""
    for step in facts.steps:
        if step.instruction.keyword != "ENV":
            continue
        for name, value in assignments(step.instruction, step.variables).items():
            if value and facts.variables.get(name) == value:  # not set again later
                yield from of_value(name, value, f"line {step.instruction.line}")


def of_services(project: Project, facts: StageFacts) -> Iterator[Written]:
    """Yield what the ``environment`` of the Compose services that run the stage names as a place to write."""
    for service in compose.services_of(project, facts.stage):
        table = service.values.get("environment") or {}
        pairs = table.items() if isinstance(table, dict) else (str(one).partition("=")[::2] for one in table)
        for name, value in pairs:
            yield from of_value(name, str(value or ""), f"{service.file}:{service.line}")


def of_sources(project: Project, facts: StageFacts) -> Iterator[Written]:
    """Yield what the sources that COPY takes from the build context write, and those of the archives it takes."""
    for top in source_tops(project, facts):
        assert project.root is not None
        yield from below(project.root / top, project.root)


def source_tops(project: Project, facts: StageFacts) -> tuple[PurePosixPath, ...]:
    """Return the files and folders of the project (as seen from its root) that have the copied program's sources."""
    if project.root is None:
        return ()
    context = build_context(project)
    tops = [context / source for source in copied_sources(project)]
    if copies_context(project) and context == project.context:
        tops = [context]
    return tuple(dict.fromkeys((*tops, *(context / one for one in modules(facts)))))


def modules(facts: StageFacts) -> Iterator[str]:
    """Yield the sources of the modules whose finished archive, such as ``shop/target/*.jar``, is copied."""
    for step in facts.steps:
        if step.instruction.keyword not in ("COPY", "ADD") or flag(step.instruction, "from") is not None:
            continue
        for word in copy_arguments(step.instruction)[0]:
            archive = BUILT.match(expand(word, step.variables) or "")
            if archive is not None:
                yield posixpath.join(archive["module"] or "", "src/main")


@lru_cache(maxsize=256)
def below(top: Path, root: Path) -> tuple[Written, ...]:
    """Return what the source and settings files at or below a path write; they are named as seen from ``root``."""
    endings = tuple({ending for one in knowledge()["source"] for ending in one["endings"]})
    found: list[Written] = []
    count = 0
    for file in sources(top, endings):
        is_settings = re.match(knowledge()["settings"]["files"], file.name) is not None
        count += not is_settings
        if count > MAXIMUM_FILES and not is_settings:
            continue
        name, data = os.path.relpath(file, root), content(file, MAXIMUM_SIZE)
        found += in_source(name, data)
        found += in_settings(name, data) if is_settings else ()
    return tuple(found)


def sources(top: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the source and settings files at or below a path, without tests and dependencies, in order."""
    settings = re.compile(knowledge()["settings"]["files"])
    if top.is_file():
        yield from [top] if top.name.endswith(endings) or settings.match(top.name) else []
        return
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and name[0] != ".")
        for name in sorted(names):
            if (name.endswith(endings) and not TEST.search(name)) or settings.match(name):
                yield Path(folder, name)


def in_source(name: str, data: bytes) -> Iterator[Written]:
    """Yield what one source file writes; a line that is a comment says nothing."""
    for one in (*knowledge()["source"], *knowledge()["url"]):
        if (one["endings"] and not name.endswith(one["endings"])) or not any(word in data for word in one["may"]):
            continue
        for match in re.finditer(one["pattern"], data):
            start = data.rfind(b"\n", 0, match.start()) + 1
            if COMMENT.match(data, start):
                continue
            where = f"{name}:{line_of(data, match.start('path'))}"
            path = clean(match["path"])
            if one["makes"] == "variable":
                known = tuple(of_variable(match["name"].decode(), path, where))
                yield from known or of_setting(match["name"].decode(), path, where)
            elif one["makes"] == "constant":
                yield from of_setting(match["name"].decode(), path, where, both=True)
            else:
                yield Written(path, one["makes"], where)
