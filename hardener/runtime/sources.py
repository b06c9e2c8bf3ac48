"""The project's own files in an image, to be read for what they do at run time: copied sources and start scripts."""

from __future__ import annotations

import os
import posixpath
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hardener.context import build_context, copy_arguments, flag, is_remote, origin
from hardener.processes import started
from hardener.start_scripts import followed, script_path
from hardener.written_paths import TEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts

# A project with more is not read to its end, and nothing is said of what it writes.
MAXIMUM_FILES = 2000
MAXIMUM_SIZE = 512 * 1024
# Tests do not run in the image; of other people's code `hardener.runtime.stage_writes` asks by what is imported.
SKIPPED = frozenset(
    ("node_modules", "vendor", "venv", ".venv", "site-packages", "tests", "test", "spec", "__tests__", "e2e", "docs",
     "testdata")
)  # fmt: skip
# What is no program, however it is used.
DATA = (
    ".md", ".txt", ".rst", ".html", ".htm", ".css", ".scss", ".less", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".ico",
    ".webp", ".woff", ".woff2", ".ttf", ".eot", ".otf", ".map", ".lock", ".sum", ".csv", ".pdf", ".po", ".mo",
    ".mp3", ".mp4", ".wav", ".webm", ".jinja", ".j2", ".tmpl", ".ejs", ".hbs", ".pug", ".graphql", ".proto", ".sql",
    ".json", ".yml", ".yaml", ".toml", ".ini", ".cfg", ".conf", ".env", ".example", ".xml", ".http", ".snap", ".log",
)  # fmt: skip


class Copied(NamedTuple):
    """``read`` are path (relative to the project's root) and bytes of the files; ``unread`` says what could not be."""

    read: tuple[tuple[str, bytes], ...]
    unread: str


@lru_cache(maxsize=64)
def copied_files(project: Project) -> Copied:
    """Return every file of the build context that a stage of the Dockerfile takes, tests and data aside."""
    if project.root is None:
        return Copied((), "the build context is not here")
    context = build_context(project)
    read: dict[str, bytes] = {}
    unread = ""
    for stage in project.dockerfile.stages:
        for instruction in stage.instructions:
            if instruction.keyword not in ("COPY", "ADD") or flag(instruction, "from") is not None:
                continue
            for word in copy_arguments(instruction)[0]:
                source = word.strip("\"'")
                if source.startswith("<<"):
                    continue
                if "$" in source or is_remote(source):
                    unread = unread or f"{project.dockerfile_path}:{instruction.line}: {source} is not here to be read"
                    continue
                for file in files_below(project.root / context / source.lstrip("/")):
                    name = os.path.relpath(file, project.root)
                    if name in read:
                        continue
                    data = content(file)
                    if data is None or len(read) >= MAXIMUM_FILES:
                        unread = unread or f"{name} is too large to be read"
                        continue
                    read[name] = data
    return Copied(tuple(read.items()), unread)


def files_below(top: Path) -> Iterator[Path]:
    """Yield the files at or below a path or a pattern, without tests, dependencies and data, in order."""
    if any(mark in top.name for mark in "*?["):
        tops = sorted(top.parent.glob(top.name)) if top.parent.is_dir() else []
    else:
        tops = [top]
    for one in tops:
        if one.is_file():
            yield one
        for folder, folders, names in os.walk(one):
            folders[:] = sorted(name for name in folders if name[0] != "." and name not in SKIPPED)
            for name in sorted(names):
                if not TEST.search(name) and name[0] != "." and not name.lower().endswith(DATA):
                    yield Path(folder, name)


def content(file: Path) -> bytes | None:
    """Return the bytes of a file, ``None`` for a large one or one that cannot be read."""
    try:
        return file.read_bytes() if file.stat().st_size <= MAXIMUM_SIZE else None
    except OSError:
        return None


def start_texts(project: Project, facts: StageFacts) -> Iterator[tuple[str, bytes]]:
    """Yield the Dockerfile's start instructions and the scripts that they lead to, each with its path."""
    for step in (facts.entrypoint, facts.command):
        if step is not None:
            span = step.instruction.span
            padding = b"\n" * (step.instruction.line - 1)  # so that a place in it has the file's line
            yield str(project.dockerfile_path), padding + step.dockerfile.data[span.start : span.stop]
    for command in started(facts) or ():
        for one in (command, *followed(project, facts, command)):
            path = script_path(one)
            source = origin(project, facts, path) if path is not None else None
            if source is not None and source.data is not None:
                yield posixpath.basename(path or ""), source.data
