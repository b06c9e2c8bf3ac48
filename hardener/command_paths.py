"""Which paths a command names, and whether its user may write or read them."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener.command_rules import tables
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hardener.shell_command import Argument, Command

UNKNOWN = "is not known to work without root: "
ALWAYS_WRITABLE = (
    "/tmp", "/var/tmp", "/dev/shm", "/dev/null",  # noqa: S108  paths of the image, not of this machine
    "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd",
)  # fmt: skip
WRITING = frozenset({">", ">>", ">|", "&>", "&>>", "<>", ">&"})
GLOB = lazy_pattern(r"([\w./@%+,:=-]*/)?[\w.@%+,:=-]*[*?\[{][\w./@%+,:=*?\[\]{}!^-]*")
NOT_IN_GLOB = lazy_pattern(r"^\.|^\{.*/|\{\}|\.\.|/\.", re.DOTALL)
KNOWN_FOLDER = lazy_pattern(r"[\"']?(/[\w./+-]*\w)/")  # of a path that goes on with what is not known
SILENT = frozenset(
    {"echo", "printf", "export", "set", "unset", ":", "true", "false", "test", "[", "[[", "declare", "local"}
)
# The options with which a program reads everything below its arguments; it always does where there are none.
RECURSIVE = {"cp": "rRa", "ls": "R", "grep": "rR", "find": "", "du": "", "tar": ""}


class Run(NamedTuple):
    """A command run by a user: its name in reasons, its arguments, and what the user owns."""

    name: str
    arguments: Sequence[Argument]
    command: Command
    owned: tuple[str, ...]
    home: str

    @property
    def writable(self) -> tuple[str, ...]:
        """Everything the user may write."""
        return (*self.owned, *ALWAYS_WRITABLE)


def first(reasons: Iterable[str | None]) -> str | None:
    """Return the first reason there is."""
    return next((reason for reason in reasons if reason is not None), None)


def resolved(argument: Argument, command: Command) -> str | None:
    """Return the absolute path an argument names, a glob as ``*``; ``None`` where not known."""
    path = argument.text
    if path is None:
        glob = None if NOT_IN_GLOB.search(argument.raw) else GLOB.fullmatch(argument.raw)
        if glob is None:
            return None
        path = (glob[1] or "") + "*"
    if command.directory is None and not path.startswith("/"):
        return None
    return absolute(path, command.directory or "/")


def unwritable(argument: Argument, run: Run, verb: str = "writes") -> str | None:
    """Return why the user cannot write the path in an argument, ``None`` when it can.

    ``verb`` may also be "removes": the directory must be the user's; or "changes": the file itself must be.
    What belongs to others in /tmp can neither be removed nor changed.
    """
    path = resolved(argument, run.command)
    clause = f"{run.name} {verb}".lstrip()
    if path is None:
        known = KNOWN_FOLDER.match(argument.raw)
        if known is not None and not below(posixpath.normpath(known[1]), (*run.writable, "/proc", "/dev")):
            return f"{clause} {argument.raw}"
        return f"{UNKNOWN}{clause} {argument.raw or 'what it reads'}"
    target = posixpath.dirname(path) if verb == "removes" else path
    return None if below(target, run.writable if verb == "writes" else run.owned) else f"{clause} {path}"


def unwritable_here(run: Run) -> str | None:
    """Return why the user cannot write in the working directory of the command."""
    directory = run.command.directory
    if directory is None:
        return f"{UNKNOWN}{run.name} writes in a directory that is not known"
    return None if below(directory, run.writable) else f"{run.name} writes in {directory}"


def unwritable_redirect(run: Run) -> str | None:
    """Return why the user cannot write what the command's output is redirected to."""
    return first(
        unwritable(target, run._replace(name=""))
        for operator, target in run.command.redirects
        if operator in WRITING and not (operator == ">&" and (target.text or "").strip("-").isdigit())
    )


@lru_cache(maxsize=1)
def pattern() -> re.Pattern[str]:
    """Return what finds the unreadable paths of ``commands.toml`` in a word."""
    paths = sorted(tables()["unreadable"], reverse=True)
    return re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, paths))})(?![\w.-])[\w./-]*")


def unreadable(run: Run) -> str | None:
    """Return which path the command reads, or works in, that the user may not."""
    directory = run.command.directory or "/"
    if pattern().match(directory) and not below(directory, run.owned):
        return f"{run.name} works in {directory}"
    if run.name in SILENT:
        return None
    sources = (target for operator, target in run.command.redirects if operator == "<")
    found = pattern().finditer
    for text in (run.command.name, *(one.shown for one in (*run.arguments, *sources))):
        for match in found(text):
            if not below(posixpath.normpath(match[0]), run.owned):
                return f"{run.name} reads {match[0]}"
    return unreadable_below(run) if reads_recursively(run) else None


def reads_recursively(run: Run) -> bool:
    """Whether the command reads everything below its arguments."""
    letters = RECURSIVE.get(run.name)
    options = (one.text for one in run.arguments if one.text and re.fullmatch("-[A-Za-z]+", one.text))
    return letters is not None and (not letters or not set(letters).isdisjoint("".join(options)))


def unreadable_below(run: Run) -> str | None:
    """Return the directory among the arguments that has something unreadable in it."""
    for one in run.arguments:
        top = resolved(one, run.command) if one.text and one.text[0] in "/." else None
        if top is not None and any(below(path, (top,)) for path in tables()["unreadable"]):
            return f"{run.name} reads all of {top}"
    return None
