"""Shell code as the simple commands it runs: names, words, redirects, directories, each with its byte span.

Nothing is executed.  ``shell_reader`` walks the code, ``shell_words`` reads its words.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.shell_command import Argument, Command, Redirect, program
from hardener.shell_reader import Reader, read
from hardener.shell_state import State
from hardener.shell_tree import Code, Parts, ShellError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardener.dockerfile import Word

__all__ = ["Argument", "Command", "Redirect", "ShellError", "commands", "exec_commands", "program"]


def commands(
    source: bytes,
    offset: int = 0,
    directory: str | None = "/",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Command, ...]:
    """Return every simple command of the shell code ``source``.

    That includes the commands in subshells, substitutions, function bodies, branches and loops, in the
    script of ``sh -c``, ``su -c``, ``eval``, ``trap`` and ``sh <<EOF``, and behind wrappers (``sudo``,
    ``xargs``).  ``variables`` is the environment at the start.  Spans are byte offsets into ``source`` plus
    ``offset``; where the script of ``sh -c`` needs unescaping, its commands have the span of the whole word.

    Raises ``ShellError`` where the code, or a script in it, does not parse.
    """
    return read(source, offset, directory, frozenset(variables.items()))


def exec_commands(
    words: Sequence[Word],
    directory: str | None = "/",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Command, ...]:
    """Return the commands that an exec form starts, each word taken as it is, out of its wrappers.

    ``words`` have the decoded text of the JSON strings and their spans with the quotes.  The script of
    ``["sh", "-c", script]`` is read as ``commands`` reads one; raises ``ShellError`` where it does not parse.
    """
    if not words:
        return ()
    name, *arguments = (Argument(word.text, word.text, word.span) for word in words)
    reader = Reader(Code(b"", 0), State(directory, dict(variables)))
    reader.add(Parts(name, arguments), Span(name.span.start, words[-1].span.stop))
    return tuple(reader.commands)
