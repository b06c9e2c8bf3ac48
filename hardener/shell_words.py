"""What a word of shell code says: quotes removed, variables with a known value replaced.

Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html (2.2 quoting, 2.6 expansions).
Code is bytes; text is decoded with ``surrogateescape``, so that every byte survives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.shell_command import Argument

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = lazy_pattern(rb"[\w./:=@%+,^!#-]+")
PIECE = lazy_pattern(
    rb"""'([^']*)'                                        # 1 single quotes
       | "((?:[^"\\]|\\.)*)"                              # 2 double quotes
       | \\(.)                                            # 3 a quoted character
       | \$(?:(\w+)|\{(\w+)(?::?-[^}$`'"\\]*)?\})         # 4, 5 a variable
       | (\{\}|[^'"\\$`*?\[{]+)                           # 6 the rest; `{}` is no brace expansion
    """,
    re.DOTALL | re.VERBOSE,
)
IN_DOUBLE_QUOTES = lazy_pattern(rb"\\(.)|\$(?:(\w+)|\{(\w+)(?::?-[^}$`'\"\\]*)?\})|\$(?=[({@*#?!$-])|`", re.DOTALL)
VARIABLE = lazy_pattern(rb"\$(?:(\w+)|\{(\w+)\})")
ASSIGNMENT = lazy_pattern(rb"([A-Za-z_]\w*)=(.*)", re.DOTALL)
SUBSTITUTION = lazy_pattern(rb"[$<>]\(|`")
SPLITS_OR_GLOB = lazy_pattern(r"[\s*?\[\\]")
GLOB = lazy_pattern(r"[*?\[\\]")


def decode(raw: bytes) -> str:
    """Return ``raw`` as text."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Return the bytes that ``decode`` made ``text`` of."""
    return text.encode("utf-8", "surrogateescape")


def arguments_of(raw: bytes, span: Span, variables: Mapping[str, str]) -> list[Argument]:
    """Return the word ``raw`` as an argument; as any number where it is a variable that is split into fields."""
    written = decode(raw)
    if PLAIN.fullmatch(raw):
        return [Argument(written, written, span)]
    match = VARIABLE.fullmatch(raw)
    fields = variables.get(decode(match[1] or match[2])) if match else None
    if fields is not None and not GLOB.search(fields):
        return [Argument(field, written, span) for field in fields.split()]
    return [Argument(value_of(raw, variables), written, span)]


def value_of(raw: bytes, variables: Mapping[str, str]) -> str | None:
    """Return the value of the word ``raw``, or ``None`` where it depends on more than ``variables``."""
    if PLAIN.fullmatch(raw):
        return raw.decode()
    if raw[:1] == raw[-1:] == b"'" and raw.count(b"'") == 2:
        return decode(raw[1:-1])
    if SUBSTITUTION.search(raw) or b"=~" in raw or b":~" in raw:  # the shells differ about the tilde
        return None
    value = ""
    position = 0
    if raw.startswith(b"~"):
        value, position = variables.get("HOME", ""), 1
        if not value or raw[1:2] not in (b"", b"/"):
            return None
    while position < len(raw):
        match = PIECE.match(raw, position)
        piece = value_of_piece(match, variables) if match else None
        if match is None or piece is None:
            return None
        value += piece
        position = match.end()
    return value


def value_of_piece(match: re.Match[bytes], variables: Mapping[str, str]) -> str | None:
    """Return the value of one match of ``PIECE``, ``None`` where it is not known or would be split."""
    kind = match.lastindex or 0
    if kind == 2:
        return inside_double_quotes(match[2], variables)
    text = decode(match[kind])
    if kind in (4, 5):
        value = variables.get(text)
        return None if not value or SPLITS_OR_GLOB.search(value) else value
    return "" if match[0] == b"\\\n" else text


def inside_double_quotes(inside: bytes, variables: Mapping[str, str] | None) -> str | None:
    r"""Undo ``\$``, ``\"``, … and replace variables; without a map they stay as they are.

    ``None`` where a value is not known.
    """
    pieces: list[bytes] = []
    position = 0
    for match in IN_DOUBLE_QUOTES.finditer(inside):
        pieces.append(inside[position : match.start()])
        position = match.end()
        if match[1] is not None:
            pieces.append(b"" if match[1] == b"\n" else match[1] if match[1] in b'$`"\\' else match[0])
        elif variables is None:
            pieces.append(match[0])
        else:
            value = variables.get(decode(match[2] or match[3] or b""))
            if not value:
                return None
            pieces.append(encode(value))
    return decode(b"".join([*pieces, inside[position:]]))


def assignment_of(raw: bytes, variables: Mapping[str, str]) -> tuple[str, str | None]:
    """Return name and value of ``NAME=value``; the value is ``None`` where not known, as of ``NAME+=``."""
    match = ASSIGNMENT.fullmatch(raw)
    if match is None:
        return decode(re.split(rb"\W", raw, maxsplit=1)[0]), None
    name, value = decode(match[1]), match[2]
    if VARIABLE.fullmatch(value):
        value = b'"' + value + b'"'  # it is not split here
    return name, None if value.startswith(b"(") else value_of(value, variables)


def joined(one: Argument, between: bytes, other: Argument) -> Argument:
    """Return two adjacent words as the one word that they are."""
    text = None if one.text is None or other.text is None else one.text + other.text
    return Argument(text, one.raw + decode(between) + other.raw, Span(one.span.start, other.span.stop))
