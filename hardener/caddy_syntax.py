r"""Caddyfiles as blocks of lines of words with byte spans; nothing is ever printed from them.

The lexer follows Caddy's (caddyconfig/caddyfile/lexer.go): blanks part words, a line end ends a line of words unless
``\`` stands before it, ``#`` begins a comment where a word may begin, double quotes and backquotes hold a word
together, ``{`` and ``}`` are words of their own that open and close a block, and ``<<NAME`` begins a heredoc.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = lazy_pattern(
    rb"(?P<space>[ \t\r]+|\\\r?\n)|(?P<line>\n)|(?P<comment>\#[^\n]*)"
    rb"|(?P<heredoc><<(?P<name>[A-Za-z0-9_-]+)\r?\n)"
    rb"|(?P<quoted>\"(?:\\.|[^\"\\])*\"|`[^`]*`)|(?P<word>(?![\"`])(?:\\[^\n]|[^\s\\])+)",
    re.DOTALL,
)
DEEPEST = 50


class Word(NamedTuple):
    """One word: its text without quotes (bad bytes by surrogateescape), its span with them, its 1-based line."""

    text: str
    span: Span
    line: int
    quoted: bool = False


class Line(NamedTuple):
    """The words of one line; where it opens a block, the lines in it and the span between the two braces."""

    words: tuple[Word, ...]
    block: tuple[Line, ...] | None = None
    inside: Span | None = None

    @property
    def name(self) -> str:
        """The first word, ``""`` for the block of global options, which has none."""
        return self.words[0].text if self.words else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the words after the first."""
        return tuple(one.text for one in self.words[1:])


def parse(data: bytes) -> tuple[Line, ...]:
    """Return the lines of one Caddyfile.  Raises `Unknown` where Caddy, or this reader, would not take it."""
    words = list(lex(data))
    lines, position = read_lines(words, 0, 0)
    if position < len(words):
        raise Unknown(words[position].line, "it has a } that closes nothing")
    return lines


def lex(data: bytes) -> Iterator[Word]:
    """Yield the words, and an empty one for each line end.  Raises `Unknown`."""
    position = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    number = 1
    while position < len(data):
        match = TOKEN.match(data, position)
        if match is None:
            raise Unknown(number, "it has a quote that does not end")
        kind, stop = match.lastgroup, match.end()
        if kind == "heredoc":
            end = re.compile(rb"^[ \t]*" + match["name"] + rb"(?=\s|$)", re.MULTILINE).search(data, stop)
            if end is None:
                raise Unknown(number, "it has a heredoc that does not end")
            stop = end.end()
        if kind == "line":
            yield Word("", Span(position, stop), number)
        elif kind in ("quoted", "heredoc"):
            text = data[position + 1 : stop - 1].decode("utf-8", "surrogateescape")
            yield Word(text, Span(position, stop), number, quoted=True)
        elif kind == "word":
            yield Word(data[position:stop].decode("utf-8", "surrogateescape"), Span(position, stop), number)
        number += data.count(b"\n", position, stop)
        position = stop


def read_lines(words: list[Word], position: int, depth: int) -> tuple[tuple[Line, ...], int]:
    """Return the lines from ``position`` to the ``}`` that ends their block, and the position of that.

    Raises `Unknown` for a block that does not end.
    """
    if depth > DEEPEST:
        raise Unknown(words[position].line, "its blocks are too deep")
    found: list[Line] = []
    current: list[Word] = []
    while position < len(words):
        word = words[position]
        position += 1
        if word.quoted or word.text not in ("", "{", "}"):
            current.append(word)
            continue
        if word.text == "{":
            block, end = read_lines(words, position, depth + 1)
            if end >= len(words):
                raise Unknown(word.line, "it has a { that nothing closes")
            found.append(Line(tuple(current), block, Span(word.span.stop, words[end].span.start)))
            current, position = [], end + 1
            continue
        # A comma at the end of a line of addresses goes on with the next one.
        if word.text == "" and current and not depth and current[-1].text.endswith(","):
            continue
        if current:
            found.append(Line(tuple(current)))
            current = []
        if word.text == "}":
            return tuple(found), position - 1
    if current:
        found.append(Line(tuple(current)))
    return tuple(found), position
