"""What a RUN step writes into a file in so many words: by echo, printf, or cat and a heredoc.

The text that comes out has an offset in the Dockerfile and as many bytes as stand there, so that what is found in it
can be changed where it is written: an escape or the end of a continued line becomes blanks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener import shell
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from hardener.shell import Command
    from hardener.shell_command import Argument
    from hardener.stages import Step

# A line of the Dockerfile that goes on in the next one.
CONTINUED = lazy_pattern(rb"\\[ \t]*\r?\n")
LINE_ENDS = {rb"\n": b" \n", rb"\t": b"  "}
QUOTED = {rb"\"": b' "', rb"\$": b" $"}
OPTION = lazy_pattern(r"-[ne]+")


class Piece(NamedTuple):
    """What is written: ``>`` or ``>>``, the text, where it begins in the Dockerfile, and whether it is one shell word.

    In a word no line end, quote or dollar sign may be put.
    """

    operator: str
    text: bytes
    start: int
    is_word: bool


def piece(step: Step, command: Command) -> Piece | None:
    """Return what a command writes into the one file that it redirects to, ``None`` where that is not certain."""
    writing = [one for one in command.redirects if one.operator in (">", ">>")]
    if len(writing) != 1:
        return None
    name = shell.program(command.name)
    if name == "cat":
        return document(step, command, writing[0].operator)
    if name not in ("echo", "printf") or len(command.redirects) != 1:
        return None
    words = list(command.arguments)
    while words and name == "echo" and OPTION.fullmatch(words[0].text or ""):
        words.pop(0)
    if len(words) != 1 or (name == "printf" and "%" in (words[0].text or "%")):
        return None
    text = word(step, words[0])
    if text is None:
        return None
    return Piece(writing[0].operator, text, words[0].span.start + 1, is_word=True)


def document(step: Step, command: Command, operator: str) -> Piece | None:
    """Return the heredoc that a `cat` writes, where it is the only one of the step and nothing in it is replaced."""
    heredocs = step.instruction.heredocs
    opened = [one for one in command.redirects if one.operator == "<<"]
    if command.arguments or len(command.redirects) != 2 or len(opened) != 1 or len(heredocs) != 1:
        return None
    if opened[0].target.text != heredocs[0].name:
        return None  # one that a script of the step opens
    begin, stop = heredocs[0].body
    text = step.dockerfile.data[begin:stop]
    if heredocs[0].expand and re.search(rb"[$`\\]", text):
        return None
    return Piece(operator, text, begin, is_word=False)


def word(step: Step, argument: Argument) -> bytes | None:
    r"""Return the text of one quoted word, byte for byte where it stands.

    Where ``\n`` stands in it the shell of the image makes a line end of it, or the file would be no configuration.
    """
    raw = step.dockerfile.data[argument.span.start : argument.span.stop]
    quote, inner = raw[:1], raw[1:-1]
    if (
        argument.text is None
        or quote not in (b"'", b'"')
        or raw[-1:] != quote
        or len(raw) < 2
        or quote in joined(inner)
    ):
        return None
    if re.search(rb"\n[ \t]*(?:#|\n)", inner) or b"\n" in CONTINUED.sub(b"", inner):
        return None  # comments and empty lines, which the builder takes out
    known = LINE_ENDS | (QUOTED if quote == b'"' else {})
    text = CONTINUED.sub(lambda match: b" " * len(match[0]), inner)
    found = re.sub(rb"\\.", lambda match: known.get(match[0], match[0]), text)
    meant = argument.text.encode("utf-8", "surrogateescape")
    for escape, plain in LINE_ENDS.items():
        meant = meant.replace(escape, plain)
    return found if b"\\" not in found and plain_text(found) == plain_text(meant) else None


def joined(inner: bytes) -> bytes:
    """Return the inside of a quoted word without what a backslash takes the meaning from."""
    return re.sub(rb"\\.", b"", inner)


def plain_text(text: bytes) -> bytes:
    """Return a text without blanks, to compare what is meant with what stands there."""
    return re.sub(rb"\s+", b"", text)
