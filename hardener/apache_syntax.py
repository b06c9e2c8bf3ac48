"""Apache httpd configuration as directives with byte spans; read, never followed and never printed.

Syntax: https://httpd.apache.org/docs/2.4/configuring.html#syntax and, for continuation and quoting, apache/httpd:
server/util.c (``ap_cfg_getline``, ``ap_getword_conf``).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A line ends where no backslash stands right before the line break, in comments too (`ap_cfg_getline`).
LINE = lazy_pattern(rb"(?:\\\r?\n|[^\n])+")
WORD = lazy_pattern(
    r"""(?:\\\r?\n|[ \t\r\f\v])*(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'|(?P<plain>\S+))""",
    re.DOTALL,
)
CONTINUATION = lazy_pattern(r"\\\r?\n")


class Word(NamedTuple):
    """One argument: its text without quotes, and the bytes of the file that hold it, with them."""

    text: str
    span: Span


class Directive(NamedTuple):
    """One directive or the opening line of a section (``<VirtualHost …>``).

    ``name`` is in lower case.  ``sections`` are the names and arguments of the sections around it, outermost first,
    in lower case: ``("ifmodule ssl_module",)``.  ``line`` is 1-based.
    """

    line: int
    name: str
    words: tuple[Word, ...]
    span: Span
    sections: tuple[str, ...]
    is_section: bool = False


class Address(NamedTuple):
    """An address of ``Listen``, ``<VirtualHost>`` or ``NameVirtualHost``.

    ``port`` is ``None`` without one (any port), and where ``variable`` names the ``${VARIABLE}`` that gives it.
    ``span`` holds the port's digits (the whole word without them).
    """

    directive: Directive
    host: str
    port: int | None
    variable: str | None
    span: Span
    word: Word


@lru_cache(maxsize=256)
def directives(data: bytes) -> tuple[Directive, ...]:
    """Return every directive of one configuration file, in order.

    Raises `Unknown` where sections do not close as they were opened.
    """
    text = data.decode("latin-1")  # one character a byte: offsets are those of the file
    found: list[Directive] = []
    open_sections: list[str] = []
    for match in LINE.finditer(data):
        line = text[match.start() : match.end()]
        start = match.start() + len(line) - len(line.lstrip())
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        span = Span(start, start + len(line))
        number = data.count(b"\n", 0, start) + 1
        if line.startswith("</"):
            name = line[2:].rstrip(">").strip().lower()
            if not open_sections or open_sections.pop().partition(" ")[0] != name:
                raise Unknown(number, f"</{name}> closes nothing")
            continue
        is_section = line.startswith("<")
        if is_section and not line.endswith(">"):
            raise Unknown(number, "a section has no `>`")
        body = Span(span.start + 1, span.stop - 1) if is_section else span
        words = tuple(arguments(text, body))
        if not words:
            raise Unknown(number, "a section has no name")
        one = Directive(number, words[0].text.lower(), words[1:], span, tuple(open_sections), is_section)
        found.append(one)
        if is_section:
            open_sections.append(" ".join((one.name, *(word.text.lower() for word in one.words))))
    if open_sections:
        raise Unknown(1, f"<{open_sections[-1]}> is not closed")
    return tuple(found)


def arguments(text: str, span: Span) -> Iterator[Word]:
    """Yield the words between two offsets, as ``ap_getword_conf`` takes them."""
    position = span.start
    while (match := WORD.match(text, position, span.stop)) is not None:
        position = match.end()
        kind = match.lastgroup or "plain"
        value = CONTINUATION.sub("", match[kind])
        if kind != "plain":
            value = re.sub(r"\\([\\\"'])", r"\1", value)
            yield Word(value, Span(match.start(kind) - 1, match.end(kind) + 1))
        elif value:
            yield Word(value, Span(*match.span(kind)))


def listened(found: Iterable[Directive]) -> tuple[Address, ...]:
    """Return the addresses of every ``Listen``."""
    return tuple(address(one, one.words[0]) for one in found if one.name == "listen" and one.words)


def hosts(found: Iterable[Directive]) -> tuple[Address, ...]:
    """Return the addresses of every ``<VirtualHost>`` and ``NameVirtualHost``."""
    named = (one for one in found if one.name in ("virtualhost", "namevirtualhost"))
    return tuple(address(one, word) for one in named for word in one.words)


def address(directive: Directive, word: Word) -> Address:
    """Return one word as an address; ``Listen`` takes a bare number as its port."""
    match = re.fullmatch(r"(?P<host>.*?)(?P<colon>:?)(?P<port>\d+|\$\{\w+\}|\*)?", word.text)
    assert match is not None
    start, stop = word.span
    if stop - start != len(word.text):
        start, stop = start + 1, stop - 1  # the quotes
    port = match["port"]
    if port is None or not (match["colon"] or (directive.name == "listen" and not match["host"])):
        return Address(directive, word.text, None, None, Span(start, stop), word)
    host = match["host"]
    variable = port[2:-1] if port[0] == "$" else None
    number = int(port) if port.isdecimal() else None
    return Address(directive, host, number, variable, Span(start + match.start("port"), stop), word)


def needs_module(directive: Directive, modules: tuple[str, ...]) -> bool:
    """Whether a directive counts only where one of the modules is loaded (``<IfModule ssl_module>``, ``mod_ssl.c``)."""
    names = {f"ifmodule {text}" for one in modules for text in (f"{one}_module", f"mod_{one}.c")}
    return any(section in names for section in directive.sections)
