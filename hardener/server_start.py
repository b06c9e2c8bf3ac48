"""How the server of an official image is started: by the image itself, by CMD or ENTRYPOINT, or by a script."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import context, shell
from hardener.servers import is_server_program, server_of
from hardener.stages import POSIX_SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

MAXIMUM_DEPTH = 4


@lru_cache(maxsize=64)
def start_commands(project: Project, facts: StageFacts) -> tuple[tuple[Command, str], ...]:
    """Return every command of the container's start, scripts followed, each with the script's text (or ``""``).

    The scripts that the image's entrypoint runs from a directory of its own count too.
    """
    from hardener.processes import started  # noqa: PLC0415  only for server images

    found = [(one, "") for one in started(facts) or ()]
    for one, _ in tuple(found):
        found += script_commands(project, facts, one, ())
    for path in project_scripts(facts):
        found += commands_of(project, facts, path, ())
    return tuple(found)


def script_commands(
    project: Project, facts: StageFacts, command: Command, trail: tuple[str, ...]
) -> Iterator[tuple[Command, str]]:
    """Yield the commands of the script that a command starts, and of those it starts."""
    from hardener.start_scripts import script_path  # noqa: PLC0415

    path = script_path(command)
    if path is not None and path not in trail and len(trail) < MAXIMUM_DEPTH:
        yield from commands_of(project, facts, path, (*trail, path))


def commands_of(
    project: Project, facts: StageFacts, path: str, trail: tuple[str, ...]
) -> Iterator[tuple[Command, str]]:
    """Yield the commands of the script at a path of the image, nothing where it cannot be read."""
    from hardener.processes import without_starter  # noqa: PLC0415
    from hardener.start_scripts import is_shell_script  # noqa: PLC0415

    found = context.origin(project, facts, path)
    data = found.data if found is not None else None
    if data is None or not is_shell_script(data):
        return
    variables = {key: value for key, value in facts.variables.items() if value is not None}
    try:
        commands = shell.commands(data.replace(b"\r\n", b" \n"), 0, facts.workdir, variables)
    except shell.ShellError:
        return
    text = data.decode("utf-8", "replace")
    for one in (inner for command in commands for inner in without_starter(command)):
        yield one, text
        yield from script_commands(project, facts, one, trail)


def project_scripts(facts: StageFacts) -> Iterator[str]:
    """Yield the image paths of the scripts that the project adds to those that the image's entrypoint runs."""
    server = server_of(facts)
    if server is None:
        return
    yield from server.hooks
    if not server.scripts or not runs_hooks(facts):
        return
    for step in facts.steps:
        instruction = step.instruction
        if instruction.keyword not in ("COPY", "ADD") or (target := context.destination(step)) is None:
            continue
        sources, _ = context.copy_arguments(instruction)
        if target == server.scripts:
            yield from (f"{target}/{one.strip(chr(34)).rpartition('/')[2]}" for one in sources)
            yield from (f"{target}/{one.name}" for one in instruction.heredocs)
        elif target.startswith(f"{server.scripts}/"):
            yield target


def runs_hooks(facts: StageFacts) -> bool:
    """Whether the image's entrypoint runs its scripts: it looks for the server's name as the first word of CMD."""
    server = server_of(facts)
    if server is None:
        return False
    if facts.entrypoint is not None:
        words = facts.entrypoint.instruction.json or ()
        if len(words) != 1 or words[0].text.rpartition("/")[2] != "docker-entrypoint.sh":
            return False
        if facts.command is None:
            return False
    if facts.command is None:
        return True
    first = facts.command.instruction.json
    return first is not None and bool(first) and first[0].text in server.programs


@lru_cache(maxsize=64)
def runs_server(project: Project, facts: StageFacts) -> bool:
    """Whether what a stage starts is the own server of its base image."""
    if server_of(facts) is None:
        return False
    if (facts.entrypoint is None and facts.command is None) or option_words(facts):
        return True
    words = [word.text for step in (facts.entrypoint, facts.command) if step for word in step.instruction.json or ()]
    if any(is_server_program(facts, word) for word in words):
        return True  # also behind a script that ends in `exec "$@"`
    return any(is_server_program(facts, one.name) for one, _ in start_commands(project, facts))


def option_words(facts: StageFacts) -> tuple[str, ...]:
    """Return the words of a CMD of options alone, which the image's entrypoint hands to the server."""
    server = server_of(facts)
    words = facts.command.instruction.json if facts.command is not None and facts.entrypoint is None else None
    if server is None or not server.takes_options or not words or not words[0].text.startswith("-"):
        return ()
    return tuple(word.text for word in words)


def runs_something_else(project: Project, facts: StageFacts) -> bool:
    """Whether a stage starts the project's own program, in an interpreter or copied in, not the image's server."""
    if runs_server(project, facts):
        return False
    from hardener.processes import is_runtime  # noqa: PLC0415
    from hardener.provenance import is_copied_program  # noqa: PLC0415

    commands = [one for one, _ in start_commands(project, facts)]
    return bool(commands) and all(
        (is_runtime(one) and not is_shell(one)) or is_copied_program(project, facts, one) for one in commands
    )


def keeps_workers(project: Project, facts: StageFacts) -> bool:
    """Whether a stage runs its image's own server, whose workers are the account of the switch already.

    What they read and write stays as it was; only what the first process and start scripts did as root changes.
    """
    server = server_of(facts)
    return server is not None and server.same_workers and runs_server(project, facts)


def is_shell(command: Command) -> bool:
    """Whether a command is a shell."""
    return shell.program(command.name) in POSIX_SHELLS
