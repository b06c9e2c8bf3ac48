"""Where a built image writes at run time, as far as that is known completely.

Its sources are read for calls that write (``writes.toml``).  One whose path is not a literal, a language that is not
read, somebody else's server or library: then the list is not complete, and the reason is returned in its place.
"""

from __future__ import annotations

import posixpath
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from hardener import server_configuration, server_needs, server_start
from hardener.context import flag, origin
from hardener.directories import own_volumes, working_directories
from hardener.lazy_pattern import lazy_pattern
from hardener.package_scripts import package_script
from hardener.paths import below
from hardener.processes import started
from hardener.runtime.gains import line_of
from hardener.runtime.needs import Writable
from hardener.runtime.sources import copied_files
from hardener.server_reading import Unknown
from hardener.servers import server_of
from hardener.shell_command import program
from hardener.stacks import framework_directories
from hardener.stages import POSIX_SHELLS, stage_facts
from hardener.start_scripts import followed, script_path
from hardener.state_directories import state_directories
from hardener.written_paths import written_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

TEMPORARY = Writable("/tmp")  # noqa: S108  a path of the image
SOURCE_NAMES = lazy_pattern(
    r"\.(?:rb|php|java|kt|kts|scala|cs|fs|vb|rs|c|cc|cpp|pl|pm|lua|ex|exs|erl|swift|dart|jl|clj|vue|svelte|r)$",
    re.IGNORECASE,
)


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``writes.toml`` with its expressions compiled."""
    tables = tomli.loads(Path(__file__).with_name("writes.toml").read_text(encoding="utf-8"))
    for one in tables["language"]:
        for key in ("calls", "reads", "programs", "comments", "import"):
            if key in one:
                one[key] = re.compile(one[key].encode(), re.MULTILINE)
    tables["programs"] = {name: one for one in tables["program"] for name in one["names"]}
    return tables


def writes_of(
    project: Project, facts: StageFacts, account: str, home: str | None
) -> tuple[tuple[Writable, ...] | None, str]:
    """Return every directory that a stage's image writes in, or ``None`` and what leaves that open.

    ``account`` is the ``uid:gid`` that it runs as, ``home`` its home folder where that is empty.
    """
    if server_of(facts) is not None and server_start.runs_server(project, facts):
        return server_writes(project, facts, account)
    obstacle = next(obstacles(project, facts, home), None)
    if obstacle is not None:
        return None, obstacle
    uid, gid = (int(one) for one in account.split(":"))
    found = {TEMPORARY.path: TEMPORARY}
    if home is not None:
        found[home] = Writable(home, mode="0700", size="64m", uid=uid, gid=gid)
    volumes = {path for _, path in own_volumes(facts)}
    own = working_directories(facts)
    for path in (*state_directories(project, facts), *framework_directories(project, facts), *volumes):
        if path in own and path not in volumes:
            continue  # no call of the sources writes there
        if path in volumes:
            found[path] = Writable(path, kept=True, volume=True)
        elif re.search(knowledge()["lost"]["names"], posixpath.basename(path)):
            found[path] = Writable(path, mode="0755", size="512m", uid=uid, gid=gid)
        else:
            found[path] = Writable(path, kept=True)
    for one in written_paths(project, facts):
        folder = one.path if one.makes == "directory" else posixpath.dirname(one.path)
        if not below(folder, tuple(found)):
            found[folder] = Writable(folder, kept=True)
    return tuple(found.values()), ""


def server_writes(project: Project, facts: StageFacts, account: str) -> tuple[tuple[Writable, ...] | None, str]:
    """Return where the server of an official image writes: its caches and its pid file, as it is configured."""
    found = server_configuration.configuration(project, facts)
    if found is None or isinstance(found, Unknown):
        return None, "what its server is configured to write is not known"
    needed = server_needs.needs(project, facts)
    if isinstance(needed, Unknown) or found.server.kind != "nginx":
        return None, f"where {found.server.kind} writes is not known"
    if found.rendered or any(one not in found.server.own for one in (*needed.own, *needed.make)):
        return None, "its start writes its configuration, or it logs to files"
    uid, _, gid = account.partition(":")
    caches = (Writable(one, mode="0755", size="1g", uid=int(uid), gid=int(gid)) for one in found.server.own)
    return (TEMPORARY, *caches), ""


def obstacles(project: Project, facts: StageFacts, home: str | None) -> Iterator[str]:
    """Yield what leaves open where a stage's program writes, each with its place."""
    yield from start_obstacles(project, facts, home)
    copied = copied_files(project)
    if copied.unread:
        yield copied.unread
    modules = own_modules(copied.read)
    resolved = {one.where for one in written_paths(project, facts)}
    endings = {ending: one for one in knowledge()["language"] for ending in one["endings"]}
    for path, data in copied.read:
        language = endings.get(posixpath.splitext(path)[1].lower()) or by_shebang(data)
        if language is not None:
            yield from in_source(language, path, language["comments"].sub(b"", data), modules, resolved)
        elif SOURCE_NAMES.search(path) or b"\0" in data[:2048]:
            yield f"{path}: it is in a language that is not read for what it writes"


def start_obstacles(project: Project, facts: StageFacts, home: str | None) -> Iterator[str]:
    """Yield what of a stage's start, its scripts followed, may write anywhere."""
    commands = started(facts)
    first = facts.entrypoint or facts.command
    if not commands or first is None:
        yield f"{project.dockerfile_path}:{facts.stage.instructions[0].line}: what it starts is not known"
        return
    where = f"{project.dockerfile_path}:{first.instruction.line}"
    for command in commands:
        for one in (command, *followed(project, facts, command), *package_script(project, facts, command)):
            odd = odd_command(project, facts, one, home)
            if odd:
                yield f"{where}: {odd}"


def odd_command(project: Project, facts: StageFacts, command: Command, home: str | None) -> str:
    """Return why one command of the start may write anywhere, ``""`` where it does not."""
    if any(
        operator.startswith(">") and not (target.text or "").startswith("/dev/")
        for operator, target in command.redirects
    ):
        return "its start writes to a file"
    name = program(command.name)
    known = knowledge()["programs"].get(name)
    if known is None:
        path = script_path(command)
        source = origin(project, facts, path) if path is not None else None
        is_script = source is not None and source.data is not None
        is_built = source is not None and flag(source.step.instruction, "from") is not None and builds_go(project)
        harmless = name in knowledge()["shell"]["harmless"] or name in POSIX_SHELLS
        return "" if is_script or is_built or harmless else f"where {name or command.name} writes is not known"
    if known["home"] and home is None:
        return f"{name} writes in the home folder, which is not the account's alone"
    words = (argument.text or "" for argument in command.arguments)
    option = next((word for word in words if re.match(knowledge()["options"]["writes"], word)), None)
    return "" if option is None else f"{name} is started with {option}"


def builds_go(project: Project) -> bool:
    """Whether a stage of the Dockerfile builds a Go program."""
    for stage in project.dockerfile.stages:
        for _, command in stage_facts(project.dockerfile, stage.index).run_commands:
            if (
                program(command.name) == "go"
                and command.arguments
                and command.arguments[0].text in ("build", "install")
            ):
                return True
    return False


def in_source(
    language: dict[str, Any], path: str, data: bytes, modules: frozenset[str], resolved: set[str]
) -> Iterator[str]:
    """Yield what leaves open where one source file writes."""
    for match in language["calls"].finditer(data):
        place = f"{path}:{line_of(data, match.start())}"
        is_read = "reads" in language and language["reads"].match(data, match.start()) is not None
        if place not in resolved and not is_read:
            yield f"{place}: it may write a file ({match[0].decode('latin-1').strip('( .')})"
    started_other = language["programs"].search(data)
    if started_other is not None:
        yield f"{path}:{line_of(data, started_other.start())}: it starts other programs"
    for match in language["import"].finditer(data):
        for name in imported(match):
            if not is_harmless(language, name, modules):
                yield f"{path}:{line_of(data, match.start())}: where {name} writes is not known"


def imported(match: re.Match[bytes]) -> Iterator[str]:
    """Yield the names that one import brings in."""
    groups = {key: value.decode("latin-1") for key, value in match.groupdict().items() if value is not None}
    if "list" in groups:
        yield from (piece.split(" as ")[0].strip().partition(".")[0] for piece in groups["list"].split(","))
    else:
        yield from groups.values()


def is_harmless(language: dict[str, Any], name: str, modules: frozenset[str]) -> bool:
    """Whether an imported name is the project's own, the language's, or a library that writes nothing by itself."""
    if language["name"] == "Python" and (name in sys.stdlib_module_names or name in modules):
        return True
    if language["name"] == "Go":
        return name in modules or any(
            name == one or name.startswith(f"{one}/") for one in (*language["imports"], *modules)
        )
    return name in language["imports"]


def own_modules(files: tuple[tuple[str, bytes], ...]) -> frozenset[str]:
    """Return the names of the project's own modules: files and folders of Python, the module path of Go."""
    names: set[str] = set()
    for path, data in files:
        if path.endswith(".py"):
            names |= {posixpath.splitext(one)[0] for one in path.split("/")}
        if path.endswith("go.mod"):
            names |= {match[1].decode("latin-1") for match in re.finditer(rb"^module[ \t]+(\S+)", data, re.MULTILINE)}
    return frozenset(names)


def by_shebang(data: bytes) -> dict[str, Any] | None:
    """Return the language that the first line of a script names."""
    first = data.split(b"\n", 1)[0]
    if not first.startswith(b"#!"):
        return None
    languages = (one for one in knowledge()["language"] if one["shebang"])
    return next((one for one in languages if one["shebang"].encode() in first), None)
