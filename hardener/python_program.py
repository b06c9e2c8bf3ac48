"""Which source files a Python program consists of: from the start command to its entry module, along its imports."""

from __future__ import annotations

import posixpath
import re
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import context, processes, start_files
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

IMPORT = lazy_pattern(
    rb"(?m)^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+([^#\n]+|\([^)]*\))|import[ \t]+([\w., \t]+))"
)
MAXIMUM_FILES = 200


def entries(project: Project, facts: StageFacts) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield each Python file that the image starts, and the folder that its imports are searched in."""
    commands = list(processes.started(facts) or ())
    commands += [inner for one in start_files.start_files(project, facts) for inner in one.commands]
    for command in commands:
        for path in started_files(command, facts.workdir or "/"):
            found = context.origin(project, facts, path)
            if found is not None and found.path is not None and found.data is not None:
                yield found.path, top_folder(command, found.path)


def started_files(command: Command, workdir: str) -> Iterator[str]:
    """Yield the image paths of the Python files that a command may start."""
    words = [command.name, *(argument.text or "" for argument in command.arguments)]
    folder = command.directory or workdir
    if not any("python" in word or word.endswith("/pypy3") for word in words):
        if command.name.endswith(".py"):
            yield absolute(command.name, folder)
        return
    for before, word in pairwise(words):
        if before == "-m":
            module = word.replace(".", "/")
            yield absolute(f"{module}.py", folder)
            yield absolute(f"{module}/__main__.py", folder)
            return
        if word.endswith(".py"):
            yield absolute(word, folder)
            return


def top_folder(command: Command, file: PurePosixPath) -> PurePosixPath:
    """Return the folder at the head of ``sys.path``: the script's own, or that of the package of ``-m``."""
    words = [argument.text or "" for argument in command.arguments]
    if "-m" not in words[:-1]:
        return file.parent
    parts = words[words.index("-m") + 1].split(".")
    up = len(parts) if file.name == "__main__.py" else len(parts) - 1
    folder = file.parent
    for _ in range(up):
        folder = folder.parent
    return folder


def program_files(project: Project, entry: PurePosixPath, top: PurePosixPath) -> dict[str, PurePosixPath]:
    """Return the modules of a program by their dotted names, the entry as ``__main__``, at most 200."""
    found = {"__main__": entry}
    queue = [entry]
    while queue and len(found) < MAXIMUM_FILES:
        file = queue.pop()
        for match in IMPORT.finditer(project.read(file) or b""):
            for name in imported_names(match, file, top):
                for path in (f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__init__.py"):
                    module = PurePosixPath(posixpath.normpath(top / path))
                    if name not in found and module != entry and project.read(module) is not None:
                        found[name] = module
                        queue.append(module)
    return found


def imported_names(match: re.Match[bytes], file: PurePosixPath, top: PurePosixPath) -> Iterator[str]:
    """Yield the dotted names that one import may mean, from the top folder."""
    if match[3] is not None:
        yield from (part.split()[0] for part in match[3].decode("latin-1").split(",") if part.split())
        return
    module = absolute_module(match[1].decode("latin-1"), file, top)
    if module is None:
        return
    if module:
        yield module
    for part in re.findall(r"\w+", match[2].decode("latin-1")):
        yield f"{module}.{part}" if module else part


def absolute_module(name: str, file: PurePosixPath, top: PurePosixPath) -> str | None:
    """Return a module's dotted name from the top folder, dots in front of it resolved; ``None`` outside of it."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    folder = file.parent
    for _ in range(dots - 1):
        folder = folder.parent
    if folder != top and not folder.is_relative_to(top):
        return None
    parts = [part for part in folder.relative_to(top).parts if part != "."]
    return ".".join([*parts, *([name.lstrip(".")] if name.lstrip(".") else [])])
