"""Variables by which a build tool writes somewhere else than in HOME and in its working directory."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from hardener.command_paths import ALWAYS_WRITABLE
from hardener.command_rules import canonical, matching, tables
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell_command import Command
    from hardener.stages import Step

EXPORTED = lazy_pattern(r"""(\w+)=["']?([^"'\s]*)""")
OPTION_WITH_PATH = lazy_pattern(r"=(/[^\s:,;]+)")


def writes_elsewhere(step: Step, owned: tuple[str, ...]) -> bool:
    """Whether a tool of a RUN step may be told, by ENV, ARG or its shell, to write outside the ``owned`` paths.

    A variable whose value is not known counts: ``--build-arg`` may say anything.
    """
    commands = step.commands or ()
    if not any(is_tool(command) for command in commands):
        return False
    writable = (*owned, *ALWAYS_WRITABLE)
    return any(
        value is None or any(not below(path, writable) for path in paths_of(name.upper(), value))
        for name, value in (*step.variables.items(), *assigned(commands))
        if is_told(name.upper())
    )


def is_tool(command: Command) -> bool:
    """Whether a command keeps caches and installations where its environment says."""
    rule = matching(tables()["rules"], *canonical(command))
    return rule is not None and rule.kind == "work"


def assigned(commands: tuple[Command, ...]) -> Iterator[tuple[str, str | None]]:
    """Yield the variables that a step's own shell sets, with their values (``None``: not known)."""
    for command in commands:
        yield from command.assignments
        if command.name in ("export", "declare", "typeset"):
            for argument in command.arguments:
                match = EXPORTED.fullmatch(argument.raw.rstrip("\"'"))
                if match:
                    yield match[1], None if "$" in match[2] or "`" in match[2] else match[2]


def is_told(name: str) -> bool:
    """Whether a variable (in upper case) is named like one that says where to write."""
    facts = tables()["tool_directories"]
    return name not in facts["except"] and (name in facts["names"] or name.endswith(facts["ends"] + facts["options"]))


def paths_of(name: str, value: str) -> list[str]:
    """Return the absolute paths in a variable's value, normalised."""
    if name.endswith(tables()["tool_directories"]["options"]):
        return [posixpath.normpath(path) for path in OPTION_WITH_PATH.findall(value)]
    return [posixpath.normpath(value)] if value.startswith("/") else []
