"""Procfiles: the programs that foreman, honcho and their like start together, one a line."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from hardener import shell
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell import Command

MANAGERS = frozenset(("foreman", "honcho", "goreman", "overmind", "hivemind", "nf"))
# What runs them from where the project's packages are.
RUNNERS = frozenset(("npx", "bunx", "bundle", "exec", "poetry", "run", "uv", "yarn", "pnpm"))
NAME = lazy_pattern(r"(?i)procfile(?!\.(?:sh|py|rb|js)$)(?:[._-].*)?")
OPTIONS = ("-f", "--procfile", "-j")
# https://devcenter.heroku.com/articles/procfile#procfile-format
LINE = lazy_pattern(rb"(?m)^[\w-]+:[ \t]*([^\r\n]*)")


def procfile_path(command: Command) -> str | None:
    """Return the absolute path of the Procfile whose programs a command starts, ``None`` for any other command."""
    words = [shell.program(command.name), *(one.text or "" for one in command.arguments)]
    while words and words[0] in RUNNERS:
        words.pop(0)
    if not words or shell.program(words[0]) not in MANAGERS:
        return None
    found = "Procfile"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in OPTIONS and (equals or following):
            found = value if equals else following
    return absolute(found, command.directory or "/")


def is_procfile(path: str) -> bool:
    """Whether a path is a Procfile's, by its name: ``Procfile.prod``, not ``procfile.sh``."""
    return NAME.fullmatch(posixpath.basename(path)) is not None


def lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and text of the command line of each program."""
    for match in LINE.finditer(data):
        yield match.start(1), match[1]


def commands(data: bytes, folder: str | None) -> tuple[Command, ...] | None:
    """Return what a Procfile starts; ``None`` where a line is not shell that can be read."""
    found: list[Command] = []
    try:
        for offset, code in lines(data):
            found += shell.commands(code, offset, folder)
    except shell.ShellError:
        return None
    return tuple(found)
