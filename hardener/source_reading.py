"""What reading a program's sources for its listening port gives, in whatever language they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from hardener.edit import Span


class Literal(NamedTuple):
    """A number in a source file that a listener takes its port from; ``span`` covers its digits alone."""

    port: int
    path: PurePosixPath
    span: Span


@dataclass(eq=False)
class Reading:
    """What decides the port of a program, collected while it is read.

    ``variables`` are names of the environment.  ``unclear`` has the places (``path:line``) that listen on something
    not understood, ``blocking`` places that may go before every variable and default.  ``shared`` maps a literal to
    another use of its value, which would change with it.
    """

    literals: dict[Literal, None] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    unclear: dict[str, None] = field(default_factory=dict)
    blocking: dict[str, None] = field(default_factory=dict)
    shared: dict[Literal, str] = field(default_factory=dict)

    def merge(self, other: Reading) -> None:
        """Take in what another reading found."""
        self.literals |= other.literals
        self.variables |= other.variables
        self.unclear |= other.unclear
        self.blocking |= other.blocking
        self.shared |= other.shared


def place(path: PurePosixPath, data: bytes, offset: int) -> str:
    """Return ``path:line`` of a byte offset in a file."""
    return f"{path}:{data.count(10, 0, offset) + 1}"
