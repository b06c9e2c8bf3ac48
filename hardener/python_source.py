"""Ports that a Python program binds by a literal, located by LibCST; nothing is printed from its tree.

Asked only for the program that an image starts, so a project without one never imports LibCST.
"""

from __future__ import annotations

import ast
import codecs
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import libcst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from hardener.edit import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

# Callables whose `port` argument is the one they listen on: Flask, Bottle, Sanic, uvicorn, aiohttp, waitress, Eve.
# https://flask.palletsprojects.com/api/#flask.Flask.run  https://www.uvicorn.org/settings/
LISTENERS = frozenset(("run", "run_app", "serve", "listen", "run_simple", "launch", "start_server", "create_server"))
# Callables whose first argument is the address they bind: `HTTPServer(("", 80), ...)`, `socket.bind(("", 80))`.
BINDERS = frozenset(("HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "WSGIServer", "bind"))


@lru_cache(maxsize=64)
def bound_ports(source: bytes) -> tuple[tuple[int, Span], ...]:
    """Return each port literal that a program binds, with its byte span; none where it is not valid Python."""
    try:
        # LibCST's parser ends the process where brackets nest deeper than its stack; Python's own says so.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
        wrapper = MetadataWrapper(libcst.parse_module(source), unsafe_skip_copy=True)
        spans = wrapper.resolve(ByteSpanPositionProvider)
        finder = Finder()
        wrapper.module.visit(finder)
    except (libcst.ParserSyntaxError, SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return ()
    mark = len(codecs.BOM_UTF8) if source.startswith(codecs.BOM_UTF8) else 0  # LibCST counts without it
    found = []
    for literal in finder.literals:
        place = spans[literal]
        span = Span(place.start + mark, place.start + mark + place.length)
        if source[span.start : span.stop] != literal.value.encode():
            return ()  # it counts in UTF-8, and the file is in something else
        found.append((literal.evaluated_value, span))
    return tuple(found)


class Finder(libcst.CSTVisitor):
    """Collects the integer literals that stand where a listener takes its port."""

    def __init__(self) -> None:
        super().__init__()
        self.literals: list[libcst.Integer] = []

    def visit_Call(self, node: libcst.Call) -> None:  # noqa: N802  LibCST's name
        """Look at one call."""
        name = called(node)
        if name in LISTENERS:
            for argument in node.args:
                if argument.keyword is not None and argument.keyword.value == "port":
                    self.literals += integers(argument.value)
        if name in BINDERS and node.args and isinstance(node.args[0].value, libcst.Tuple):
            elements = node.args[0].value.elements
            if len(elements) == 2:
                self.literals += integers(elements[1].value)


def called(node: libcst.Call) -> str:
    """Return the last name of what is called: ``run`` for ``app.run(...)``."""
    if isinstance(node.func, libcst.Attribute):
        return node.func.attr.value
    return node.func.value if isinstance(node.func, libcst.Name) else ""


def integers(value: libcst.BaseExpression) -> Iterator[libcst.Integer]:
    """Yield the literal of a port argument: itself, or the default in ``int(os.environ.get("PORT", 80))``."""
    if isinstance(value, libcst.Integer):
        yield value
    elif isinstance(value, libcst.Call):
        name = called(value)
        if name == "int" and value.args:
            yield from integers(value.args[0].value)
        elif name in ("get", "getenv") and len(value.args) == 2:
            yield from integers(value.args[1].value)
    elif isinstance(value, libcst.BooleanOperation):
        yield from integers(value.right)
