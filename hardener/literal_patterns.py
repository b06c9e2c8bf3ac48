"""Ports that Java, Kotlin, C#, PHP and Ruby programs bind in calls that leave no doubt.

Comments are blanked first, with strings respected, so that only code can match; the calls are data:
literal_ports.toml.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import tomli

from hardener import jvm_settings, processes, shell
from hardener.copied_sources import context_file, context_folder, contributing
from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute
from hardener.references import files_below
from hardener.source_reading import Literal, Reading, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts

SLASHES = lazy_pattern(
    rb'"""[\s\S]*?"""|@"(?:[^"]|"")*"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*[\s\S]*?\*/'
)
HASHES = lazy_pattern(rb'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|#(?!\{)[^\n]*')
PHP = lazy_pattern(rb'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|//[^\n]*|#(?!\[)[^\n]*|/\*[\s\S]*?\*/')
COMMENTS = {"java": SLASHES, "kt": SLASHES, "cs": SLASHES, "json": SLASHES, "php": PHP, "rb": HASHES}
MAXIMUM_SIZE = 256 * 1024


@lru_cache(maxsize=1)
def patterns() -> dict[str, list[tuple[re.Pattern[bytes], bool]]]:
    """Return the calls of ``literal_ports.toml`` by language; the second value tells whether they only may bind."""
    text = Path(__file__).with_name("literal_ports.toml").read_text(encoding="utf-8")
    found: dict[str, list[tuple[re.Pattern[bytes], bool]]] = {}
    for one in tomli.loads(text)["literal"]:
        for language in one["languages"]:
            for key, unclear in (("patterns", False), ("unclear", True)):
                regexes = [re.compile(pattern.encode()) for pattern in one.get(key, ())]
                found.setdefault(language, []).extend((regex, unclear) for regex in regexes)
    return found


def reading(project: Project, facts: StageFacts) -> Reading:
    """Return what the calls of ``literal_ports.toml`` say in the sources of the program that a stage starts."""
    found = Reading()
    for path in dict.fromkeys(sources(project, facts)):
        language = path.suffix.removeprefix(".")
        data = project.read(path) or b""
        if language not in patterns() or len(data) > MAXIMUM_SIZE:
            continue
        code: bytes | None = None
        for pattern, unclear in patterns()[language]:
            if not pattern.search(data):
                continue
            code = without_comments(data, language) if code is None else code
            for match in pattern.finditer(code):
                if unclear:
                    found.blocking[place(path, data, match.start())] = None
                    continue
                span = Span(match.start("port"), match.end("port"))
                found.literals[Literal(int(match["port"]), path, span)] = None
    return found


def without_comments(data: bytes, language: str) -> bytes:
    """Return source code with its comments blanked; every other byte is where it was."""

    def blanked(match: re.Match[bytes]) -> bytes:
        text = match[0]
        return text if text[:1] in b"\"'@" else re.sub(rb"[^\n]", b" ", text)

    return COMMENTS[language].sub(blanked, data)


def sources(project: Project, facts: StageFacts) -> Iterator[PurePosixPath]:
    """Yield the sources of the program that an image starts, for the languages that have patterns."""
    for command in processes.started(facts) or ():
        name = shell.program(command.name)
        folder = command.directory or facts.workdir or "/"
        words = [argument.text or "" for argument in command.arguments]
        for word in (command.name, *words):
            if word.endswith((".php", ".rb")):
                file = context_file(project, facts, absolute(word, folder))
                if file is not None:
                    yield file
        if name in ("puma", "rails", "bundle"):
            options = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-C", "--config")]
            for one in options or ["config/puma.rb"]:
                file = context_file(project, facts, absolute(one, folder))
                if file is not None:
                    yield file
        if name == "dotnet":
            yield from dotnet_sources(project, facts)
            if words[:1] in (["run"], ["watch"]) and "--no-launch-profile" not in words:
                settings = context_file(project, facts, absolute("Properties/launchSettings.json", folder))
                if settings is not None:
                    yield settings
        if name == "java":
            for module in dict.fromkeys(jvm_settings.modules(project, facts)):
                yield from below(project, module / "src/main", (".java", ".kt"))


def dotnet_sources(project: Project, facts: StageFacts) -> Iterator[PurePosixPath]:
    """Yield the C# sources and settings of the project that `dotnet publish` builds."""
    for stage in contributing(project, facts):
        for step, command in stage.run_commands:
            words = [argument.text or "" for argument in command.arguments]
            if shell.program(command.name) != "dotnet" or not words or words[0] not in ("publish", "build"):
                continue
            after = (word for before, word in pairwise(words) if not before.startswith("-"))
            path = next((word for word in after if not word.startswith("-")), ".")
            there = absolute(path.replace("\\", "/"), command.directory or step.workdir or "/")
            folder = context_folder(project, stage, posixpath.dirname(there) if there.endswith("proj") else there)
            if folder is not None:
                yield from below(project, folder, (".cs", "appsettings.json", "appsettings.Production.json"))


def below(project: Project, folder: PurePosixPath, endings: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Yield the files below a folder of the context that have one of the endings, tests left out."""
    if project.root is None:
        return
    for file in source_files(project, folder):
        if file.name.endswith(endings) and not any("test" in part.lower() for part in file.parts):
            yield file


@lru_cache(maxsize=64)
def source_files(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the text files below a folder of the project, relative to its root."""
    assert project.root is not None
    root = project.root
    return tuple(PurePosixPath(posixpath.relpath(file, root)) for file in files_below(root / folder))
