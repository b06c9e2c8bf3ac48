"""Which source files a Go program consists of: from the `go build` that makes it to the packages it imports."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import processes
from hardener.context import build_context
from hardener.copied_sources import context_file, context_folder, contributing
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute
from hardener.references import files_below

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

PACKAGE_MAIN = lazy_pattern(rb"^package\s+main\b", re.MULTILINE)
MODULE = lazy_pattern(rb"^module\s+[\"']?([^\s\"']+)", re.MULTILINE)
IMPORT = lazy_pattern(rb"^\s*(?:import\s+)?(?:[\w.]+\s+)?\"([^\"\n]+)\"", re.MULTILINE)
# Options of `go build` that take a word of their own (https://pkg.go.dev/cmd/go#hdr-Compile_packages_and_dependencies).
WITH_VALUE = frozenset(
    ("-o", "-ldflags", "-tags", "-gcflags", "-asmflags", "-mod", "-modfile", "-p", "-buildmode", "-installsuffix",
     "-pkgdir", "-toolexec", "-overlay", "-C", "-gccgoflags", "-compiler", "-covermode", "-coverpkg", "-pgo")
)  # fmt: skip
MAXIMUM_FILES = 600


def program_files(project: Project, facts: StageFacts) -> tuple[PurePosixPath, ...]:
    """Return the files of the one Go program that the image starts, its own packages first; none if not certain."""
    folder = main_folder(project, facts)
    return () if folder is None else package_files(project, folder)


def main_folder(project: Project, facts: StageFacts) -> PurePosixPath | None:
    """Return the folder of the ``main`` package, relative to the root, ``None`` where it is not certain.

    It is what `go build` or `go run` names; where no such command is understood, the only such package there is.
    """
    named: dict[str, PurePosixPath | None] = {}
    builds = False
    for stage in contributing(project, facts):
        commands = [command for _, command in stage.run_commands]
        commands += (processes.started(stage) or ()) if stage is facts else ()
        for command in commands:
            built = built_package(command)
            if built is None:
                continue
            builds = True
            output, package = built
            path = absolute(package, command.directory or stage.workdir or "/")
            if path.endswith(".go"):
                file = context_file(project, stage, path)
                named[output] = file.parent if file is not None else None
            else:
                named[output] = context_folder(project, stage, path)
    started = {word.rpartition("/")[2] for command in processes.started(facts) or () for word in [command.name]}
    if len(named) > 1:
        named = {output: folder for output, folder in named.items() if output in started}
    found = set(named.values())
    if len(found) == 1:
        folder = found.pop()
        if folder is not None and has_main(project, folder):
            return folder
    return None if builds and named else only_main(project)


def built_package(command: Command) -> tuple[str, str] | None:
    """Return the name of the program and the package (or file) that a `go build` makes it from."""
    words = [argument.text or "" for argument in command.arguments]
    if command.name.rpartition("/")[2] != "go" or not words or words[0] not in ("build", "install", "run"):
        return None
    output, plain, skip = "", [], False
    for position, word in enumerate(words[1:], 1):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in WITH_VALUE
            if word == "-o" and position + 1 < len(words):
                output = words[position + 1]
        else:
            plain.append(word)
    package = plain[0] if plain else "."
    if package.endswith("...") or "" in plain:
        return None
    name = posixpath.basename(output.rstrip("/")) or posixpath.basename(package.removesuffix(".go").rstrip("/."))
    return name, package


def has_main(project: Project, folder: PurePosixPath) -> bool:
    """Whether a folder holds a ``main`` package."""
    return any(PACKAGE_MAIN.search(project.read(file) or b"") for file in folder_files(project, folder))


def only_main(project: Project) -> PurePosixPath | None:
    """Return the folder of the only ``main`` package of the build context."""
    if project.root is None:
        return None
    context = build_context(project)
    folders = set()
    for file in files_below(project.root / context):
        if file.name.endswith(".go") and not file.name.endswith("_test.go"):
            relative = PurePosixPath(posixpath.relpath(file, project.root))
            if relative.parent not in folders and PACKAGE_MAIN.search(project.read(relative) or b""):
                folders.add(relative.parent)
    return folders.pop() if len(folders) == 1 else None


def folder_files(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the Go files of one folder, without tests."""
    if project.root is None:
        return ()
    from hardener.project import entries  # noqa: PLC0415

    names = sorted(entries(str(project.root / folder)))
    return tuple(folder / name for name in names if name.endswith(".go") and not name.endswith("_test.go"))


def package_files(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the files of a package and of the packages of the same module that it imports."""
    module = module_of(project, folder)
    found: dict[PurePosixPath, None] = {}
    queue = [folder]
    seen = {folder}
    while queue and len(found) < MAXIMUM_FILES:
        for file in folder_files(project, queue.pop()):
            found[file] = None
            for match in IMPORT.finditer(project.read(file) or b"") if module is not None else ():
                name = match[1].decode("utf-8", "replace")
                assert module is not None
                if name != module[1] and not name.startswith(module[1] + "/"):
                    continue
                package = PurePosixPath(posixpath.normpath(posixpath.join(module[0], name[len(module[1]) + 1 :])))
                if package not in seen:
                    seen.add(package)
                    queue.append(package)
    return tuple(found)


def module_of(project: Project, folder: PurePosixPath) -> tuple[PurePosixPath, str] | None:
    """Return folder and name of the Go module that a folder belongs to."""
    for parent in (folder, *folder.parents):
        match = MODULE.search(project.read(parent / "go.mod") or b"")
        if match is not None:
            return parent, match[1].decode("utf-8", "replace")
    return None
