"""What the start of a container does as root: its commands, and the scripts they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hardener import context, privileges, procfiles, server_start, servers, shell, supervisor
from hardener.directories import may_be_given
from hardener.handed_commands import SOURCES, handed_commands, source_argument
from hardener.outcome import Reason
from hardener.package_scripts import RUNNERS, package_script
from hardener.paths import absolute
from hardener.processes import SCRIPT_NAME, knowledge, program, started
from hardener.stages import POSIX_SHELLS
from hardener.state_directories import state_directories
from hardener.user_steps import root_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

PATH_FOLDERS = ("/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
# Scripts lead to scripts; nobody writes more than a few.
MAXIMUM_DEPTH = 4


class Obstacle(NamedTuple):
    """A reason not to start a container as another user; ``drops`` says it gives up root by itself already."""

    reason: Reason
    drops: bool = False


class Spot(NamedTuple):
    """Where a command stands: ``path:line: `` of a script or ``""``, the Dockerfile's line, the scripts before."""

    where: str
    line: int
    trail: tuple[str, ...] = ()

    def obstacle(self, text: str, way_out: str, *, drops: bool = False) -> Obstacle:
        """Return an obstacle that was found here."""
        return Obstacle(Reason(self.line, f"{self.where}{text}", way_out), drops)


def obstacles(project: Project, facts: StageFacts) -> Iterator[Obstacle]:
    """Yield every reason in ENTRYPOINT, CMD and the scripts they start not to run them as another user."""
    for path in server_start.project_scripts(facts):
        yield from script_obstacles(project, facts, path, Spot("", facts.stage.instructions[0].line, (path,)))
    first = facts.entrypoint or facts.command
    if first is None:
        return
    commands = started(facts)
    if commands is None:
        spot = Spot("", first.instruction.line)
        yield spot.obstacle("its start command is not shell that can be read", "write it in the exec form")
        return
    line = (facts.command or first).instruction.line
    for command in commands:
        yield from command_obstacles(project, facts, command, Spot("", line))


def command_obstacles(project: Project, facts: StageFacts, command: Command, spot: Spot) -> Iterator[Obstacle]:
    """Yield the obstacles of one command that runs when the container starts, its script included."""
    base = shell.program(command.name)
    if base in knowledge()["drops"]["names"] or command.wrappers[-1:] == ("su",):
        yield spot.obstacle(f"its start gives up root by itself ({base or 'su'})", "", drops=True)
        return
    if "sudo" in command.wrappers:
        yield spot.obstacle(f"it uses sudo at start ({base})", "do that step at build time")
        return
    known = program(command)
    if known is not None and servers.is_server_program(facts, command.name):
        return  # `prepare_server` gives it what it needs, or its configuration speaks against it
    if known is not None and base == "supervisord":
        problem = supervisor.problem(project, facts, command)
        if problem is not None:
            yield spot.obstacle(f"it starts {base}: {known['reason']}: {problem}", known["way_out"])
            return
    elif known is not None:
        yield spot.obstacle(f"it starts {base}: {known['reason']}", known["way_out"])
        return
    server = servers.server_of(facts)
    everybody = facts.image.writable if facts.image is not None and not facts.image.user else ()
    served = server.may_own if server is not None else ()
    reason = root_reason(command, (*state_directories(project, facts), *everybody, *served))
    if reason is not None and privileges.is_certain(reason) and base not in RUNNERS and not prepared(facts, command):
        yield spot.obstacle(f"at start, {reason}", "do that step at build time")
        return
    if base in RUNNERS and not spot.where.startswith("package.json"):
        for inner in package_script(project, facts, command):
            yield from command_obstacles(project, facts, inner, spot._replace(where="package.json: "))
    path = source_path(command) or script_path(command)
    if server_start.keeps_workers(project, facts) and does_more(project, facts, command, path):
        text = f"at start, {base or command.name} runs as root so far, and its workers could not write what it does"
        yield spot.obstacle(text, "do that step at build time, or give what it writes to the workers' user")
        return
    if path is not None and len(spot.trail) < MAXIMUM_DEPTH and path not in spot.trail:
        yield from script_obstacles(project, facts, path, spot._replace(trail=(*spot.trail, path)))


def prepared(facts: StageFacts, command: Command) -> bool:
    """Whether all that a command of the start does is to make directories that the image can have beforehand."""
    paths = made_at_start(command)
    return bool(paths) and all(may_be_given(facts, path) for path in paths)


def made_at_start(command: Command) -> tuple[str, ...]:
    """Return the absolute directories that a ``mkdir -p`` makes; none where not all of it is known."""
    words = [one.text for one in command.arguments]
    if command.name != "mkdir" or words[:1] != ["-p"] or command.redirects or "sudo" in command.wrappers:
        return ()
    if any(word is None or not word.startswith("/") for word in words[1:]):
        return ()
    return tuple(absolute(word, "/") for word in words[1:] if word)


def does_more(project: Project, facts: StageFacts, command: Command, path: str | None) -> bool:
    """Whether a start command may do as root what the server's workers cannot; a script is asked line by line."""
    if privileges.only_reads(command) or root_reason(command, ()) is None:
        return False
    if shell.program(command.name) in knowledge()["starter"]["names"] or command.name in ("$@", '"$@"'):
        return False
    found = context.origin(project, facts, path) if path is not None else None
    return found is None or found.data is None or not is_shell_script(found.data)


def script_path(command: Command) -> str | None:
    """Return the absolute path of the file a command executes, as far as its words tell.

    From an unknown folder it is taken from ``/``, so that a script beside it is still found by its name.
    """
    name: str | None = command.name
    if name and shell.program(name) in POSIX_SHELLS:
        name = next((one.text for one in command.arguments if one.text and not one.text.startswith(("-", "+"))), None)
        if name and "/" not in name:
            name = "./" + name
    if not name or "$" in name:
        return None
    if "/" not in name:
        return f"/usr/local/bin/{name}"  # the only folder of PATH that projects copy scripts to
    return absolute(name, command.directory or "/")


def in_path(project: Project, facts: StageFacts, path: str) -> str:
    """Return the path of a script in that folder of PATH into which it is copied, else what `script_path` says."""
    if not path.startswith("/usr/local/bin/") or context.origin(project, facts, path) is not None:
        return path
    for folder in PATH_FOLDERS:
        found = context.origin(project, facts, f"{folder}/{path.rpartition('/')[2]}")
        if found is not None and found.data is not None:
            return f"{folder}/{path.rpartition('/')[2]}"
    return path


def source_path(command: Command) -> str | None:
    """Return the absolute path of the file that an interpreter such as ``python``, supervisord or foreman reads."""
    if shell.program(command.name) == "supervisord":
        return supervisor.configuration_path(command)
    procfile = procfiles.procfile_path(command)
    if procfile is not None:
        return procfile
    name = source_argument(command)
    return None if name is None or "$" in name else absolute(name, command.directory or "/")


def script_obstacles(project: Project, facts: StageFacts, path: str, spot: Spot) -> Iterator[Obstacle]:
    """Yield the obstacles in the script at an image path, where it comes from the context or a heredoc."""
    path = in_path(project, facts, path)
    found = context.origin(project, facts, path)
    printed = printed_script(facts, path)
    if printed is not None:
        found = context.Origin(facts.steps[0], data=printed)
    if found is None or (found.missing and SCRIPT_NAME.search(path)):
        yield from unread_script(facts, path, spot, copied=found is not None)
        return
    if found.data is None:
        return
    name = found.path or project.dockerfile_path
    commands = script_commands(facts, path, found.data)
    if commands is None:
        text = f"its start script {path} is not shell that can be read"
        yield spot._replace(where=f"{name}:1: ").obstacle(text, "check it by hand for steps that need root")
        return
    for command in commands:
        number = found.data.count(b"\n", 0, command.span.start) + 1
        yield from command_obstacles(project, facts, command, spot._replace(where=f"{name}:{number}: "))


def script_commands(facts: StageFacts, path: str, data: bytes) -> tuple[Command, ...] | None:
    """Return the commands of the script at an image path, ``None`` for shell that does not parse.

    Of a script in another language they are those that it hands to the system in so many words, of a configuration of
    supervisord and of a Procfile their programs.
    """
    if supervisor.is_configuration(data):
        return supervisor.commands(data, facts.workdir)
    if procfiles.is_procfile(path):
        return procfiles.commands(data, facts.workdir)
    variables = {key: value for key, value in facts.variables.items() if value is not None}
    if path.endswith(SOURCES) or not is_shell_script(data):
        found = handed_commands(data, path, facts.workdir, variables)
        return tuple(one for one in found if not (program(one) or {}).get("called"))
    try:
        return shell.commands(data.replace(b"\r\n", b" \n"), 0, facts.workdir, variables)
    except shell.ShellError:
        return None


def followed(project: Project, facts: StageFacts, command: Command, trail: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield the commands of the script of the project that a command runs, and of those that it leads to."""
    path = source_path(command) or script_path(command)
    path = path and in_path(project, facts, path)
    if path is None or path in trail or len(trail) >= MAXIMUM_DEPTH:
        return
    found = context.origin(project, facts, path)
    if found is None or found.data is None:
        return
    for inner in script_commands(facts, path, found.data) or ():
        yield inner
        yield from followed(project, facts, inner, (*trail, path))


def unread_script(facts: StageFacts, path: str, spot: Spot, *, copied: bool) -> Iterator[Obstacle]:
    """Yield the obstacle that a start script is not there to be read.

    A bare name that nothing copies is a program of the image; a script that the build makes or the base image
    brings cannot be followed.
    """
    if copied:
        text = f"its start script {path} is not in the build context here, so it cannot be checked"
        yield spot.obstacle(text, "run harden where the whole project is")
    elif (
        not path.startswith("/usr/local/bin/")
        and SCRIPT_NAME.search(path)
        and (facts.image is None or facts.workdir is None or made(facts, path))
    ):
        text = f"its start script {path} is made elsewhere, so it cannot be checked"
        yield spot.obstacle(text, "check it for steps that need root, then add USER by hand")


def printed_script(facts: StageFacts, path: str) -> bytes | None:
    r"""Return the script that a RUN writes line by line with ``printf '%s\n' LINE ... > path``, ``None`` without."""
    for _, command in facts.run_commands:
        lines = [one.text for one in command.arguments]
        if command.name != "printf" or lines[:1] != ["%s\\n"] or None in lines:
            continue
        if any(operator == ">" and target.text == path for operator, target in command.redirects):
            return "".join(f"{line}\n" for line in lines[1:]).encode("utf-8", "surrogateescape")
    return None


def made(facts: StageFacts, path: str) -> bool:
    """Whether a RUN step writes the script at ``path`` itself."""
    return any(
        target.text is not None and absolute(target.text, command.directory or "/") == path
        for _, command in facts.run_commands
        for operator, target in command.redirects
        if operator.startswith(">")
    )


def is_shell_script(data: bytes) -> bool:
    """Whether a file is a script for a POSIX shell: by its first line, or plain text without one."""
    if data.startswith(b"#!"):
        words = data.split(b"\n", 1)[0].decode("latin-1").replace("/", " ").split()
        return any(word in POSIX_SHELLS for word in words)
    return b"\0" not in data[:1024] and not data.startswith((b"\x7fELF", b"import ", b"from ", b"<?php"))
