"""What a container finally starts: the commands of ENTRYPOINT and CMD, and what is known of their programs."""

from __future__ import annotations

import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener import shell
from hardener.stages import StageFacts, exec_commands

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell import Command

# Any home will do to judge a command by: every account that is created gets one of its own.
HOME = "/home/appuser"


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``processes.toml``: programs, privilege droppers, starters and what lands below /root."""
    return tomllib.loads(Path(__file__).with_name("processes.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def programs() -> dict[str, dict[str, Any]]:
    """Return the program table by exact name."""
    return {name: one for one in knowledge()["program"] for name in one["names"]}


def program(command: Command) -> dict[str, Any] | None:
    """Return what is known of a command by its base name, e.g. ``/usr/sbin/sshd``."""
    base = shell.program(command.name)
    found = programs().get(base)
    if found is None:
        found = next((one for glob, one in programs().items() if "*" in glob and fnmatchcase(base, glob)), None)
    if found is not None and "unless" in found:
        words = {argument.text for argument in command.arguments}
        return None if words.issuperset(found["unless"]) else found
    return found


def is_runtime(command: Command) -> bool:
    """Whether a command is an interpreter, an application server or a shell: what it runs is the project's own."""
    return shell.program(command.name) in knowledge()["runtime"]["names"]


@lru_cache(maxsize=256)
def started(facts: StageFacts) -> tuple[Command, ...] | None:
    """Return the commands that PID 1 of the image is, ENTRYPOINT and CMD taken together.

    ``None`` where the text cannot be read.  In the shell form, every command of the script is there; behind an
    ENTRYPOINT, what CMD would start by itself too, since an entrypoint script usually ends in ``exec "$@"``.
    """
    entrypoint, command = facts.entrypoint, facts.command
    first = entrypoint or command
    if first is None:
        return ()
    try:
        if entrypoint is None or entrypoint.instruction.json is None:
            if first.instruction.json is not None:
                found = exec_commands([word.text for word in first.instruction.json], facts.workdir)
            else:
                last = replace(first, workdir=facts.workdir, shell=facts.shell, variables=facts.variables)
                commands = last.commands
                if commands is None:
                    return None
                found = commands
            return tuple(inner for one in found for inner in without_starter(one))
        words: list[str | None] = [word.text for word in entrypoint.instruction.json]
        rest: list[str | None] = []
        if command is not None and command.instruction.json is not None:
            rest = [word.text for word in command.instruction.json]
        elif command is not None:
            rest = [*facts.shell, command.instruction.value]
        found = exec_commands([*words, *rest], facts.workdir)
        if rest and rest[0] and not rest[0].startswith("-") and not (found and is_runtime(found[0])):
            found += exec_commands(rest, facts.workdir)
        return tuple(inner for one in found for inner in without_starter(one))
    except shell.ShellError:
        return None


def without_starter(command: Command) -> Iterator[Command]:
    """Yield a command and what it starts, where it is an init such as ``tini --``."""
    yield command
    if shell.program(command.name) not in knowledge()["starter"]["names"]:
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
