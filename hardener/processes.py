"""What a container finally starts: the commands of ENTRYPOINT and CMD, and the scripts they lead to."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import context, privileges, shell
from hardener.directories import working_directories
from hardener.paths import SYSTEM_TREES, absolute, below
from hardener.stages import POSIX_SHELLS, StageFacts, Step, exec_commands
from hardener.variables import expand

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command

# Scripts lead to scripts; nobody writes more than a few.
MAXIMUM_DEPTH = 4
# A file that is copied but not in the context is a script by these names; else it is a program built beforehand.
SCRIPT_NAME = re.compile(r"\.(?:ba|a)?sh$|entry-?point|/(?:docker-|run|start|init|boot|setup|launch|wrapper)[^/.]*$")
# Any home will do to judge a command by: every account that is created gets one of its own.
HOME = "/home/appuser"
LANGUAGE_INSTALLERS = frozenset(
    ("pip", "npm", "gem", "go", "cargo", "composer", "yarn", "pnpm", "pipx", "uv", "python")
)
PROGRAM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")


class Spot(NamedTuple):
    """Where a command stands: ``path:line`` of a script or ``""``, the Dockerfile's line, the scripts that led there."""

    where: str
    line: int
    trail: tuple[str, ...] = ()


class Obstacle(NamedTuple):
    """A reason not to start a container as another user; ``drops`` says it gives up root by itself already."""

    where: str
    """``path:line`` of what was found, or ``""`` for the instruction itself."""
    line: int
    reason: str
    way_out: str
    drops: bool = False


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``processes.toml``: programs, privilege droppers, starters and what lands below /root."""
    return tomllib.loads(Path(__file__).with_name("processes.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def programs() -> dict[str, dict[str, Any]]:
    """Return the program table by exact name."""
    return {name: one for one in knowledge()["program"] for name in one["names"]}


@lru_cache(maxsize=1)
def packages() -> dict[str, dict[str, Any]]:
    """Return the package table by package name."""
    return {name: one for one in knowledge()["package"] for name in one["names"]}


@lru_cache(maxsize=1)
def root_home() -> dict[str, list[dict[str, Any]]]:
    """Return the ``root_home`` tables by the first word of their command."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in knowledge()["root_home"]:
        for pattern in one["command"].split("|"):
            found.setdefault(pattern.split(" ")[0], []).append(one)
    return found


def program(command: Command) -> dict[str, Any] | None:
    """Return what is known of a command by its base name, e.g. ``/usr/sbin/sshd``."""
    base = command.name.rpartition("/")[2]
    found = programs().get(base)
    if found is None:
        found = next((one for glob, one in programs().items() if "*" in glob and fnmatchcase(base, glob)), None)
    if found is not None and "unless" in found:
        words = {argument.text for argument in command.arguments}
        return None if words.issuperset(found["unless"]) else found
    return found


@lru_cache(maxsize=256)
def started(facts: StageFacts) -> tuple[Command, ...] | None:
    """Return the commands that PID 1 of the image is, ENTRYPOINT and CMD taken together.

    ``None`` where the text cannot be read.  In the shell form, every command of the script is there.
    """
    entrypoint, command = facts.entrypoint, facts.command
    first = entrypoint or command
    if first is None:
        return ()
    try:
        if entrypoint is None or entrypoint.instruction.json is None:
            if first.instruction.json is not None:
                return exec_commands([word.text for word in first.instruction.json], facts.workdir)
            return replace(first, workdir=facts.workdir, shell=facts.shell, variables=facts.variables).commands
        words: list[str | None] = [word.text for word in entrypoint.instruction.json]
        if command is not None and command.instruction.json is not None:
            words += [word.text for word in command.instruction.json]
        elif command is not None:
            words += [*facts.shell, command.instruction.value]
        return tuple(inner for one in exec_commands(words, facts.workdir) for inner in without_starter(one))
    except shell.ShellError:
        return None


def without_starter(command: Command) -> Iterator[Command]:
    """Yield a command and what it starts, where it is an init such as ``tini --``."""
    yield command
    if command.name.rpartition("/")[2] not in knowledge()["starter"]["names"]:
        return
    words = [argument.text for argument in command.arguments]
    while words and (words[0] is None or words[0].startswith("-")):
        last = words.pop(0)
        if last == "--":
            break
    try:
        for inner in exec_commands(words, command.directory):
            yield from without_starter(inner)
    except shell.ShellError:
        return


def obstacles(project: Project, facts: StageFacts) -> Iterator[Obstacle]:
    """Yield every reason in ENTRYPOINT, CMD and the scripts they start not to run them as another user."""
    first = facts.entrypoint or facts.command
    if first is None:
        return
    line = (facts.command or first).instruction.line
    commands = started(facts)
    if commands is None:
        yield Obstacle(
            "",
            first.instruction.line,
            "its start command is not shell that can be read",
            "write it in the exec form",
        )
        return
    for command in commands:
        yield from command_obstacles(project, facts, command, Spot("", line))


def command_obstacles(project: Project, facts: StageFacts, command: Command, spot: Spot) -> Iterator[Obstacle]:
    """Yield the obstacles of one command that runs when the container starts, its script included."""
    where, line, trail = spot
    base = command.name.rpartition("/")[2]
    if base in knowledge()["drops"]["names"] or command.wrappers[-1:] == ("su",):
        yield Obstacle(where, line, f"its start gives up root by itself ({base or 'su'})", "", drops=True)
        return
    if "sudo" in command.wrappers:
        yield Obstacle(where, line, f"it uses sudo at start ({base})", "do that step at build time")
        return
    known = program(command)
    if known is not None:
        yield Obstacle(where, line, f"it starts {base}: {known['reason']}", known["way_out"])
        return
    reason = privileges.root_reason(command, (*working_directories(facts), HOME), HOME)
    if reason is not None and privileges.is_certain(reason):
        yield Obstacle(where, line, f"at start, {reason}", "do that step at build time")
        return
    script = script_path(command)
    if script is None or len(trail) >= MAXIMUM_DEPTH or script in trail:
        return
    yield from script_obstacles(project, facts, script, Spot(where, line, (*trail, script)))


def system_service(project: Project, facts: StageFacts) -> str | None:
    """Return the name of a service that came as a system package (or was built from source) and keeps its own paths.

    ``None`` for interpreters, application servers and everything that the project copies in, builds in its own
    folders or installs with a language's package manager, and for tools, which neither listen nor keep a volume.
    """
    if not any(step.instruction.keyword in ("EXPOSE", "VOLUME") for step in facts.steps):
        return None
    for command in started(facts) or ():
        name = command.name
        base = name.rpartition("/")[2]
        # A name of the program table that is no obstacle is a harmless namesake, such as BusyBox' httpd.
        if (
            not base
            or base in knowledge()["runtime"]["names"]
            or base in programs()
            or privileges.only_reads(command)
            or "$" in name
        ):
            continue
        if privileges.root_reason(command, (*working_directories(facts), HOME), HOME) is None:
            continue
        if "/" in name:
            path = absolute(name, facts.workdir or "/")
            if not below(path, SYSTEM_TREES) or context.origin(project, facts, path) is not None:
                continue
        elif any(context.origin(project, facts, f"{folder}/{name}") is not None for folder in PROGRAM_FOLDERS):
            continue
        if not installed_by_language(facts, base):
            return base
    return None


def installed_by_language(facts: StageFacts, name: str) -> bool:
    """Whether pip, npm, gem, go, cargo or composer installs something of that name."""
    for _, command in facts.run_commands:
        tool = command.name.rpartition("/")[2].rstrip("0123456789.")
        if tool not in LANGUAGE_INSTALLERS:
            continue
        if any(name.rstrip("d") in argument.raw for argument in command.arguments):
            return True
    return False


def script_path(command: Command) -> str | None:
    """Return the absolute path of the file a command executes, as far as its words tell."""
    name: str | None = command.name
    if name and name.rpartition("/")[2] in POSIX_SHELLS:
        name = next((one.text for one in command.arguments if one.text and not one.text.startswith(("-", "+"))), None)
        if name and "/" not in name:
            name = "./" + name
    if not name or "$" in name:
        return None
    if "/" not in name:
        return f"/usr/local/bin/{name}"  # the only folder of PATH that projects copy scripts to
    return absolute(name, command.directory or "/") if command.directory or name.startswith("/") else None


def script_obstacles(project: Project, facts: StageFacts, path: str, spot: Spot) -> Iterator[Obstacle]:
    """Yield the obstacles in the script at an image path, where it comes from the context or a heredoc."""
    line = spot.line
    found = context.origin(project, facts, path)
    if found is None:
        return
    if found.missing and SCRIPT_NAME.search(path):
        yield Obstacle(
            "",
            line,
            f"its start script {path} is not in the build context here, so it cannot be checked",
            "run harden where the whole project is",
        )
        return
    data = found.data
    if data is None or not is_shell_script(data):
        return
    name = found.path or project.dockerfile_path
    try:
        commands = shell.commands(
            data.replace(b"\r\n", b" \n"),
            0,
            facts.workdir,
            {k: v for k, v in facts.variables.items() if v is not None},
        )
    except shell.ShellError:
        yield Obstacle(
            f"{name}:1",
            line,
            f"its start script {path} is not shell that can be read",
            "check it by hand for steps that need root",
        )
        return
    for command in commands:
        number = data.count(b"\n", 0, command.span.start) + 1
        yield from command_obstacles(project, facts, command, Spot(f"{name}:{number}", line, spot.trail))


def is_shell_script(data: bytes) -> bool:
    """Whether a file is a script for a POSIX shell: by its first line, or plain text without one."""
    if data.startswith(b"#!"):
        words = data.split(b"\n", 1)[0].decode("latin-1").replace("/", " ").split()
        return any(word in POSIX_SHELLS for word in words)
    return b"\0" not in data[:1024] and not data.startswith((b"\x7fELF", b"import ", b"from ", b"<?php"))


def root_package(facts: StageFacts) -> tuple[Step, str, str] | None:
    """Return the step that installs a package whose programs need root at run time, its reason and way out."""
    for step, command in facts.run_commands:
        for name in privileges.package_names(command):
            one = packages().get(name)
            if one is not None:
                return step, f"it installs {name}: {one['reason']}", one["way_out"]
    return None


def below_root(facts: StageFacts) -> Iterator[tuple[Step, str, str]]:
    """Yield steps whose result lies below /root, which no other user may enter: step, reason, way out."""
    for step, command in facts.run_commands:
        for one in root_home().get(command.name.rpartition("/")[2], ()):
            if matches(command, one, step.instruction.value, facts):
                yield step, one["reason"], one["way_out"]
                break


def matches(command: Command, table: dict[str, Any], text: str, facts: StageFacts) -> bool:
    """Whether a command is the one of a ``root_home`` table, without what would move it out of /root."""
    words = [command.name.rpartition("/")[2], *(argument.text or "" for argument in command.arguments)]
    for pattern in table["command"].split("|"):
        head = pattern.split(" ")
        if words[: len(head)] != head:
            continue
        rest = words[len(head) :]
        if (
            all(word in rest for word in table["words"])
            and not any(word in rest for word in table.get("without", ()))
            and not any(word in text or word in facts.variables for word in table.get("unless", ()))
        ):
            return True
    return False


def home_of(facts: StageFacts) -> str | None:
    """Return what ENV HOME says for the running container, ``None`` where it says nothing."""
    return expand("$HOME", facts.variables) if "HOME" in facts.variables else None
