"""Which source files a Node program consists of: from the start command to its entry file, along its imports."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import processes, shell
from hardener.copied_sources import context_file, places
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

ENDINGS = (".js", ".ts", ".mjs", ".cjs", ".mts", ".cts", ".tsx", ".jsx")
# Programs whose first plain argument is the script; https://nodejs.org/api/cli.html and the tools' own pages.
INTERPRETERS = frozenset(
    ("node", "nodejs", "ts-node", "ts-node-dev", "tsx", "nodemon", "bun", "babel-node", "pm2-runtime", "deno")
)
RUNNERS = frozenset(("npm", "yarn", "pnpm", "bun"))
# Options whose value is a word of its own.
WITH_VALUE = frozenset(
    ("-r", "--require", "--import", "--loader", "--experimental-loader", "--watch", "-w", "--exec", "-x", "--project",
     "-P", "--name", "-i", "--ext", "-e", "--ignore", "--env-file")
)  # fmt: skip
MAXIMUM_DEPTH = 4
MAXIMUM_FILES = 400


def entries(project: Project, facts: StageFacts) -> tuple[PurePosixPath, ...]:
    """Return the entry files of the Node programs that the image starts; none where they are not found."""
    found: dict[PurePosixPath, None] = {}
    for command in processes.started(facts) or ():
        for file in entry_files(project, facts, command, 0):
            found[file] = None
    return tuple(found)


def entry_files(project: Project, facts: StageFacts, command: Command, depth: int) -> Iterator[PurePosixPath]:
    """Yield the entry files of one start command, through the scripts of package.json."""
    name = shell.program(command.name)
    folder = command.directory or facts.workdir or "/"
    words = [argument.text or "" for argument in command.arguments]
    for inner in script_commands(project, facts, command, folder) if depth < MAXIMUM_DEPTH else ():
        yield from entry_files(project, facts, inner, depth + 1)
    if name.rpartition("/")[2] not in INTERPRETERS:
        if name.endswith(ENDINGS) and "/" in name:
            words = [name]
        elif name in ("npx", "cross-env", "env-cmd", "dotenv") and words:
            words = list(after_tool(words))
        else:
            return
    skip = False
    for word in words:
        if skip or word.startswith("-") or not word or word in ("run", "start", "watch"):
            skip = not skip and word in WITH_VALUE
            continue
        file = source_file(project, facts, absolute(word, folder))
        if file is not None:
            yield file
        return


def after_tool(words: list[str]) -> Iterator[str]:
    """Yield the words behind the interpreter that `npx` or `cross-env` starts."""
    for position, word in enumerate(words):
        if word in INTERPRETERS:
            yield from words[position + 1 :]
            return


def script_commands(project: Project, facts: StageFacts, command: Command, folder: str) -> tuple[Command, ...]:
    """Return the commands of the package.json script that `npm start`, `yarn serve` and the like run."""
    script = script_of(project, facts, command, folder)
    if script is None:
        return ()
    try:
        return shell.commands(script[0].encode("utf-8", "surrogateescape"), 0, folder)
    except shell.ShellError:
        return ()


def script_of(project: Project, facts: StageFacts, command: Command, folder: str) -> tuple[str, PurePosixPath] | None:
    """Return the text of the package.json script that a command runs and that file, ``None`` where there is none."""
    if shell.program(command.name) not in RUNNERS:
        return None
    words = [argument.text or "" for argument in command.arguments]
    plain = [word for word in words if not word.startswith("-")]
    for flag in ("--prefix", "-C", "--cwd", "--dir"):
        if flag in words[:-1]:
            value = words[words.index(flag) + 1]
            folder = absolute(value, folder)
            plain = [word for word in plain if word != value]
    name = plain[1] if len(plain) > 1 and plain[0] in ("run", "run-script") else (plain[0] if plain else "")
    file = context_file(project, facts, posixpath.join(folder, "package.json"))
    if file is None:
        return None
    try:
        scripts = json.loads(project.read(file) or b"").get("scripts", {})
        script = scripts.get(name) or ("node server.js" if name == "start" else None)
    except (ValueError, AttributeError, RecursionError):
        return None
    return (script, file) if isinstance(script, str) else None


def source_file(project: Project, facts: StageFacts, path: str) -> PurePosixPath | None:
    """Return the source in the build context of the script at an absolute image path.

    A file that is there as such, else the one that a build step compiles it from: ``dist/main.js`` from
    ``src/main.ts``, where only one file can be meant.
    """
    for stage, there in places(project, facts, path):
        for candidate in (there, *(there + ending for ending in ENDINGS), *index_files(there)):
            file = context_file(project, stage, candidate)
            if file is not None:
                return file
        compiled = {file for one in before_compiling(there) if (file := context_file(project, stage, one)) is not None}
        if compiled:
            return compiled.pop() if len(compiled) == 1 else None
    return None


def index_files(path: str) -> Iterator[str]:
    """Yield the files that stand for a folder."""
    for ending in ENDINGS:
        yield f"{path}/index{ending}"


def before_compiling(path: str) -> Iterator[str]:
    """Yield the sources that TypeScript or Babel compile to ``path``."""
    match = re.fullmatch(r"(?P<root>.*/)(?:dist|build|out|lib|output|\.build)/(?P<rest>.+?)(?:\.[cm]?js)?", path)
    if match is None:
        return
    for ending in ENDINGS:
        if match["rest"].startswith("src/"):
            yield f"{match['root']}{match['rest']}{ending}"
        else:
            yield f"{match['root']}src/{match['rest']}{ending}"
            if ending in (".ts", ".mts", ".tsx"):
                yield f"{match['root']}{match['rest']}{ending}"


def imported(project: Project, file: PurePosixPath, name: str) -> PurePosixPath | None:
    """Return the file of the project that ``require(name)`` or ``import`` in ``file`` means, ``None`` for a package."""
    if not name.startswith("."):
        return None
    path = posixpath.normpath(posixpath.join(file.parent, name))
    stem = re.sub(r"\.[cm]?js$", "", path)
    for candidate in (path, *(path + one for one in ENDINGS), *(stem + one for one in ENDINGS), *index_files(path)):
        if candidate.endswith(ENDINGS) and project.read(PurePosixPath(candidate)) is not None:
            return PurePosixPath(candidate)
    return None


IMPORT = lazy_pattern(
    rb"\brequire\(\s*['\"](\.[^'\"\n]*)['\"]|\bfrom\s*['\"](\.[^'\"\n]*)['\"]"
    rb"|\bimport\s*\(?\s*['\"](\.[^'\"\n]*)['\"]"
)


def program_files(project: Project, entry: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the files of a program: its entry file and what it imports from the project, at most 400."""
    found: dict[PurePosixPath, None] = {entry: None}
    queue = [entry]
    while queue and len(found) < MAXIMUM_FILES:
        file = queue.pop()
        for match in IMPORT.finditer(project.read(file) or b""):
            name = next(group for group in match.groups() if group is not None).decode("utf-8", "surrogateescape")
            other = imported(project, file, name)
            if other is not None and other not in found:
                found[other] = None
                queue.append(other)
    return tuple(found)
