"""Where the sources of a program call its own container, or show the port that it listens on to its clients."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import context, literal_patterns, node_program, processes, python_program
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute
from hardener.port_facts import listed
from hardener.program_sources import builds_with
from hardener.server_arguments import knowledge
from hardener.source_reading import place
from hardener.start_scripts import followed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from hardener.project import Project
    from hardener.stages import StageFacts

# The application that gunicorn, uvicorn and their like are given: `shop.main:app`.
APPLICATION = lazy_pattern(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(?:\(\))?")
IMPLIED = {80: r"(?::80)?", 443: r"(?::443)?"}
MAXIMUM_SIZE = 256 * 1024


def obstacle(project: Project, facts: StageFacts, port: int) -> str | None:
    """Return why a port may not move although its place is known: the program calls itself, or redirects to it."""
    calls = listed(dict.fromkeys(found(project, facts, port, "own_call")))
    if calls:
        return f"the container calls itself on it in {calls}"
    redirects = listed(dict.fromkeys(found(project, facts, port, "redirect")))
    return f"clients would see the new one by the redirect in {redirects}" if redirects else None


def shown(project: Project, facts: StageFacts, port: int) -> list[str]:
    """Return the places (``path:line``) where clients may get to see the number of the port."""
    return list(dict.fromkeys(found(project, facts, port, "shows_port")))


def found(project: Project, facts: StageFacts, port: int, kind: str) -> Iterator[str]:
    """Yield ``path:line`` of what one kind of table of ``ports.toml`` finds in the program's sources."""
    for table in knowledge()[kind]:
        if port not in table.get("ports", [port]):
            continue
        pattern, unless = compiled(table["pattern"], port), table.get("unless")
        for path, data in sources(project, facts):
            if path.suffix.removeprefix(".") not in table["languages"]:
                continue
            if unless is not None and (re.search(unless.encode(), data) or says(facts, unless)):
                return
            for match in pattern.finditer(data):
                line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
                if not re.match(rb"\s*(?:#|//|\*)", line):
                    yield place(path, data, match.start())


def says(facts: StageFacts, text: str) -> bool:
    """Whether a variable of the Dockerfile has a name that a pattern finds."""
    return any(re.search(text, name) for name in facts.variables)


@lru_cache(maxsize=64)
def compiled(pattern: str, port: int) -> re.Pattern[bytes]:
    """Return a pattern of ``ports.toml`` for one port."""
    return re.compile(pattern.replace("{port}", IMPLIED.get(port, f":{port}")).encode())


@lru_cache(maxsize=64)
def sources(project: Project, facts: StageFacts) -> tuple[tuple[PurePosixPath, bytes], ...]:
    """Return path and content of the source files of the program that a stage starts."""
    paths: dict[PurePosixPath, None] = {}
    for entry, top in python_program.entries(project, facts):
        paths |= dict.fromkeys(python_program.program_files(project, entry, top).values())
    for entry, top in applications(project, facts):
        paths |= dict.fromkeys(python_program.program_files(project, entry, top).values())
    for entry in node_program.entries(project, facts):
        paths |= dict.fromkeys(node_program.program_files(project, entry))
    if builds_with(project, facts, "go"):
        from hardener import go_program  # noqa: PLC0415  only for Go programs

        paths |= dict.fromkeys(go_program.program_files(project, facts))
    paths |= dict.fromkeys(literal_patterns.sources(project, facts))
    read = ((path, project.read(path) or b"") for path in paths)
    return tuple((path, data) for path, data in read if len(data) <= MAXIMUM_SIZE)


def applications(project: Project, facts: StageFacts) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield the module of each application that a server is given, and the folder of its imports."""
    first = processes.started(facts) or ()
    for command in (*first, *(inner for one in first for inner in followed(project, facts, one))):
        for argument in command.arguments:
            match = APPLICATION.fullmatch(argument.text or "")
            if match is None:
                continue
            folder = command.directory or facts.workdir or "/"
            name = match[1].replace(".", "/")
            for path in (f"{name}.py", f"{name}/__init__.py"):
                origin = context.origin(project, facts, absolute(path, folder))
                if origin is not None and origin.path is not None and origin.data is not None:
                    top = origin.path.parent
                    for _ in path.split("/")[1:]:
                        top = top.parent
                    yield origin.path, top
