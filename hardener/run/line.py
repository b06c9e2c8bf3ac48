"""A `docker run` or `podman run` as a value: its options with their reasons, and the text that a shell takes."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import NamedTuple

# What a POSIX shell takes as it is; a variable is left to the shell, in double quotes.
PLAIN = re.compile(r"[\w@%+=:,./-]+")
VARIABLE = re.compile(r"\$(?:\w+|\{\w+(?::?[-?+][^}]*)?\})")


class Option(NamedTuple):
    """One option as it is written, its value (``""`` for a switch), and why it is there."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Line:
    """What starts one image: ``build`` makes it, ``once`` are commands for data that are there, ``unknown`` is said.

    ``arguments`` are given in place of the image's CMD; ``user`` tells who it runs as, for people.
    """

    engine: str
    image: str
    build: str
    options: tuple[Option, ...]
    arguments: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command, one option a line, for a POSIX shell."""
        parts = [f"{self.engine} run", *(written(one) for one in self.options)]
        parts.append(" ".join([quoted(self.image), *map(quoted, self.arguments)]))
        return " \\\n  ".join(parts)

    def explained(self) -> tuple[str, ...]:
        """Return a line of text for each option, and for what is not known."""
        shown = [(f"{one.name} {one.value}".rstrip(), one.reason) for one in self.options]
        width = min(max((len(text) for text, _ in shown), default=0), 44)
        lines = [f"# {text.ljust(width)}  {reason}" for text, reason in shown]
        return (*lines, *(f"# not known: {text}" for text in self.unknown))


def written(option: Option) -> str:
    """Return an option as the shell takes it."""
    return f"{option.name} {quoted(option.value)}" if option.value else option.name


def quoted(text: str) -> str:
    """Return a word in the quotes that it needs; a variable stays one."""
    if PLAIN.fullmatch(text):
        return text
    if VARIABLE.search(text) and not re.search(r"[`\"\\]|\$\(", text):
        return f'"{text}"'
    return shlex.quote(text)
