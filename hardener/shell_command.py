"""What a command of shell code consists of: its words, redirections, assignments and working directory."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hardener.edit import Span

SYSTEM_DIRECTORIES = ("", "/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")


class Argument(NamedTuple):
    """One word of a command.

    ``text`` is its value after quote removal, ``None`` where that is known only at run time (substitution,
    unknown variable, glob, brace expansion).  ``raw`` is the word as written.  A variable whose known value
    holds blanks gives one argument for each field, all with the variable's ``raw`` and ``span``.
    """

    text: str | None
    raw: str
    span: Span

    @property
    def shown(self) -> str:
        """The value, or the word as written where the value is not known."""
        return self.raw if self.text is None else self.text


class Redirect(NamedTuple):
    """A redirection: ``operator`` (``>``, ``&>``, ``<<`` …) and the file, descriptor or heredoc word."""

    operator: str
    target: Argument


class Command(NamedTuple):
    """One simple command.

    ``name`` is the first word after quote removal, as written where that is not known (``"$@"``), and empty
    for a bare redirection or assignment and for the redirections of a group (``{ …; } > file``).
    ``directory`` is the working directory after the ``cd``s before it, ``None`` when unknown.  ``wrappers``
    names, outermost first, what the command was taken out of: ``("sudo", "bash")`` for ``sudo bash -c 'x'``.
    """

    name: str
    arguments: tuple[Argument, ...]
    assignments: tuple[tuple[str, str | None], ...]
    redirects: tuple[Redirect, ...]
    span: Span
    directory: str | None
    wrappers: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def program(name: str) -> str:
    """Return the plain name of a system program: ``/usr/bin/apt-get`` is ``apt-get``, ``./x`` is ``./x``."""
    directory, _, last = name.rpartition("/")
    return last if directory in SYSTEM_DIRECTORIES else name
