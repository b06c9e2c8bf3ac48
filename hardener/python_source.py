"""Ports that a Python program binds, located by LibCST; nothing is printed from its tree.

Asked only for the program that an image starts, so a project without one never imports LibCST.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import libcst

from hardener import python_program
from hardener.lazy_pattern import lazy_pattern
from hardener.python_module import BINDERS, FIRST, LISTENERS, POSITIONAL, Module
from hardener.python_values import Reader
from hardener.source_reading import Reading

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from hardener.edit import Span
    from hardener.project import Project

MAY_LISTEN = lazy_pattern(
    b"(?:" + b"|".join(sorted(one.encode() for one in LISTENERS | BINDERS | POSITIONAL | FIRST)) + rb")\s*\("
)
ERRORS = (libcst.ParserSyntaxError, SyntaxError, ValueError, LookupError, RecursionError, MemoryError)


def read(project: Project, entry: PurePosixPath, top: PurePosixPath) -> Reading:
    """Return what decides the port of the program that starts with ``entry``; ``top`` heads its import path."""
    paths = python_program.program_files(project, entry, top)
    return reading_of(Modules({name: (path, project.read(path) or b"") for name, path in paths.items()}), top)


class Modules:
    """The modules of a program by dotted name, each parsed when it is asked for."""

    def __init__(self, files: dict[str, tuple[PurePosixPath, bytes]]) -> None:
        self.files = files

    def get(self, name: str) -> Module | None:
        """Return one module, ``None`` without it or where it is no Python."""
        return parsed(*self.files[name]) if name in self.files else None

    def matching(self, pattern: re.Pattern[bytes]) -> Iterator[Module]:
        """Yield the modules whose text has a pattern."""
        for path, data in self.files.values():
            module = parsed(path, data) if pattern.search(data) else None
            if module is not None:
                yield module


def reading_of(modules: Modules, top: PurePosixPath) -> Reading:
    """Return what decides the port of a program of these modules."""
    reading = Reading()
    reader = Reader(modules, top, reading)
    for module in modules.matching(MAY_LISTEN):
        for call, port in module.listeners():
            reader.follow(port, module, call)
    reader.look_for_other_uses()
    return reading


@lru_cache(maxsize=256)
def parsed(path: PurePosixPath, data: bytes) -> Module | None:
    """Return one file, parsed; ``None`` for what is no Python."""
    try:
        return Module(path, data)
    except ERRORS:
        return None


@lru_cache(maxsize=64)
def bound_ports(source: bytes) -> tuple[tuple[int, Span], ...]:
    """Return each port literal that a program of one file binds, with its byte span; none where it is not valid."""
    path = PurePosixPath("program.py")
    reading = reading_of(Modules({"__main__": (path, source)}), path.parent)
    return tuple((one.port, one.span) for one in reading.literals if one not in reading.shared)
