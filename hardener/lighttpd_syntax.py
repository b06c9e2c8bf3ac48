"""lighttpd's configuration as statements: assignments, conditions around them, and included files.

Source: https://redmine.lighttpd.net/projects/lighttpd/wiki/Docs_Configuration (BNF at its beginning)
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
    rb"(?P<space>[ \t\r]+|#[^\n]*)|(?P<line>\n)|(?P<string>\"(?:\\.|[^\"\\])*\")|(?P<number>\d+(?![\w.]))"
    rb"|(?P<field>\$\w+\s*\[\s*\"[^\"]*\"\s*\])|(?P<mark>=>|==|=~|!=|!~|=\^|=\$|\+=|:=|[=(),+{}])"
    rb"|(?P<name>[A-Za-z_][\w.-]*)"
)
DEEPEST = 40
COMPARISONS = frozenset(("==", "=~", "!=", "!~", "=^", "=$"))


class Token(NamedTuple):
    """One token: the name of its group in `TOKEN`, its text (of a string: what is between the quotes), its place."""

    kind: str
    text: str
    span: Span
    line: int


class Value(NamedTuple):
    """What is assigned: the tokens of the expression, and their span."""

    tokens: tuple[Token, ...]
    span: Span

    def strings(self) -> tuple[str, ...]:
        """Return the texts of all strings in it."""
        return tuple(one.text for one in self.tokens if one.kind == "string")


class Condition(NamedTuple):
    """``$HTTP["host"] == "x"``: the field without blanks, the operator, and the string's token; empty for `else`."""

    field: str
    operator: str
    string: Token | None


class Statement(NamedTuple):
    """An assignment, or an include (`key` is ``include`` or ``include_shell``), and the conditions around it."""

    key: str
    operator: str
    value: Value
    conditions: tuple[Condition, ...]
    line: int
    start: int
    """Where it begins, in the file."""


class Parsed(NamedTuple):
    """A file: its statements, and every condition that opens a block, also of an empty one."""

    statements: tuple[Statement, ...]
    conditions: tuple[Condition, ...]


def parse(data: bytes) -> Parsed:
    """Return what a file consists of.  Raises `Unknown` for text that is no configuration."""
    return Parser(tuple(tokens(data))).file()


def tokens(data: bytes) -> Iterator[Token]:
    """Yield the tokens without blanks and comments.  Raises `Unknown` for a byte that begins none."""
    position, line = 3 if data.startswith(b"\xef\xbb\xbf") else 0, 1
    while position < len(data):
        match = TOKEN.match(data, position)
        if match is None:
            raise Unknown(line, "it is not written as lighttpd reads it")
        kind, raw = match.lastgroup or "", match[0]
        if kind != "space":
            text = (raw[1:-1] if kind == "string" else raw).decode("utf-8", "surrogateescape")
            yield Token(kind, re.sub(r"\s", "", text) if kind == "field" else text, Span(*match.span()), line)
        line += raw.count(b"\n")
        position = match.end()


class Parser:
    """A walk over the tokens of one file, by recursive descent."""

    def __init__(self, found: tuple[Token, ...]) -> None:
        """Begin before the first token."""
        self.tokens, self.position, self.depth = found, 0, 0
        self.statements: list[Statement] = []
        self.conditions: list[Condition] = []

    def file(self) -> Parsed:
        """Return the whole file."""
        self.block((), inner=False)
        return Parsed(tuple(self.statements), tuple(self.conditions))

    def peek(self) -> Token | None:
        """Return the token that comes next."""
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self, *kinds: str) -> Token:
        """Return the next token, which has to be of one of the kinds or be one of the marks."""
        token = self.peek()
        if token is None or (token.kind not in kinds and not (token.kind == "mark" and token.text in kinds)):
            line = token.line if token is not None else (self.tokens[-1].line if self.tokens else 1)
            raise Unknown(line, "it is not written as lighttpd reads it")
        self.position += 1
        return token

    def skip_lines(self) -> None:
        """Go over line ends."""
        while (token := self.peek()) is not None and token.kind == "line":
            self.position += 1

    def deeper(self, by: int) -> None:
        """Count how deep blocks and arrays are nested; nobody writes more than a few."""
        self.depth += by
        if self.depth > DEEPEST:
            raise Unknown(self.tokens[self.position - 1].line, "it is nested too deep")

    def block(self, around: tuple[Condition, ...], *, inner: bool) -> None:
        """Read statements up to the end of the block, or of the file."""
        while True:
            self.skip_lines()
            token = self.peek()
            if token is None and not inner:
                return
            if token is not None and inner and token.text == "}" and token.kind == "mark":
                self.position += 1
                return
            first = self.take("name", "field")
            if first.kind == "field" or first.text in ("else", "elseif", "global"):
                self.conditional(first, around)
            else:
                self.statement(first, around)

    def conditional(self, first: Token, around: tuple[Condition, ...]) -> None:
        """Read a condition and its block."""
        following = self.peek()
        if first.text == "else" and following is not None and following.text == "if":
            self.position += 1
            following = self.peek()
        if first.kind == "name" and following is not None and following.kind == "field":
            first = self.take("field")
        condition = None
        if first.kind == "field":
            operator = self.take(*COMPARISONS)
            condition = Condition(first.text, operator.text, self.take("string"))
        elif first.text != "global":
            condition = Condition("", "", None)
        if condition is not None:
            self.conditions.append(condition)
        self.skip_lines()
        self.take("{")
        self.deeper(1)
        self.block(around if condition is None else (*around, condition), inner=True)
        self.deeper(-1)

    def statement(self, first: Token, around: tuple[Condition, ...]) -> None:
        """Read an assignment or an include."""
        operator = "" if first.text in ("include", "include_shell") else self.take("=", "+=", ":=").text
        begin = self.position
        self.expression()
        found = self.tokens[begin : self.position]
        value = Value(tuple(one for one in found if one.kind != "line"), Span(found[0].span.start, found[-1].span.stop))
        self.statements.append(Statement(first.text, operator, value, around, first.line, first.span.start))

    def expression(self) -> None:
        """Go over values with ``+`` between them."""
        while True:
            token = self.take("string", "number", "name", "(")
            if token.text == "(" and token.kind == "mark":
                self.deeper(1)
                self.array()
                self.deeper(-1)
            following = self.peek()
            if following is None or following.kind != "mark" or following.text != "+":
                return
            self.position += 1

    def array(self) -> None:
        """Go over the rest of an array, after its parenthesis."""
        while True:
            self.skip_lines()
            token = self.peek()
            if token is not None and token.kind == "mark" and token.text == ")":
                self.position += 1
                return
            self.expression()
            self.skip_lines()
            token = self.take(",", "=>", ")")
            if token.text == ")":
                return
            if token.text == "=>":
                self.skip_lines()
                self.expression()
                self.skip_lines()
                if self.take(",", ")").text == ")":
                    return
