"""Ports that a Go program listens on, located by tree-sitter's Go grammar.

Asked only for a program whose bytes have a listener, so a project without one never loads the grammar.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener.go_scopes import elements
from hardener.go_values import Reader
from hardener.lazy_pattern import lazy_pattern
from hardener.source_reading import Reading
from hardener.source_tree import File, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from tree_sitter import Node, Parser

    from hardener.project import Project

MAY_LISTEN = lazy_pattern(
    rb"\.ListenAndServe|\b(?:net|tls|reuseport)\.Listen\(|\bhttp\.Server\s*\{|\bfasthttp\.Server\s*\{"
    rb"|gin-gonic/gin|labstack/echo|gofiber/fiber|kataras/iris"
)
# A larger file is generated.
MAXIMUM_SIZE = 512 * 1024
# Methods that listen, and the framework's import without which the name says nothing:
# https://pkg.go.dev/github.com/gin-gonic/gin#Engine.Run  https://echo.labstack.com/docs/start-server
# https://docs.gofiber.io/api/app#listen
FRAMEWORKS = {
    "Run": b"gin-gonic/gin", "RunTLS": b"gin-gonic/gin",
    "Start": b"labstack/echo", "StartTLS": b"labstack/echo", "StartAutoTLS": b"labstack/echo",
    "Listen": b"gofiber/fiber", "ListenTLS": b"gofiber/fiber",
}  # fmt: skip


@lru_cache(maxsize=1)
def parser() -> Parser:
    """Return the parser, loaded once and only where there is a program to read."""
    import tree_sitter  # noqa: PLC0415
    import tree_sitter_go  # noqa: PLC0415

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_go.language()))


def read(project: Project, paths: tuple[PurePosixPath, ...]) -> Reading:
    """Return what decides the port of the program that consists of these files."""
    reading = Reading()
    data = {path: source for path in paths if len(source := project.read(path) or b"") <= MAXIMUM_SIZE}
    if not any(MAY_LISTEN.search(source) for source in data.values()):
        return reading
    files = {path: File(path, source, parser().parse(source).root_node) for path, source in data.items()}
    reader = Reader(files, reading)
    for file in files.values():
        for node, value in listeners(file):
            reader.follow(value, file, node)
    reader.look_for_other_uses()
    return reading


def listeners(file: File) -> Iterator[tuple[Node, Node]]:
    """Yield each place of a file that listens, with the expression of its address."""
    for call in file.nodes("call_expression"):
        function = call.child_by_field_name("function")
        given = arguments(call)
        if function is None or function.type != "selector_expression" or not given:
            continue
        holder, _, method = file.text(function).rpartition(".")
        if (holder in ("net", "tls", "reuseport") and method == "Listen") or method == "ListenConfig":
            if len(given) > 1 and file.text(given[0]).startswith('"tcp'):
                yield call, given[1]
        elif method in ("ListenAndServe", "ListenAndServeTLS") or (
            method in FRAMEWORKS and FRAMEWORKS[method] in file.data
        ):
            yield call, given[0]
    for literal in file.nodes("composite_literal"):
        if file.field_text(literal, "type") not in ("http.Server", "fasthttp.Server"):
            continue
        for element in elements(file, literal):
            if element[0] == "Addr":
                yield literal, element[1]
    for one in file.nodes("assignment_statement"):
        left, right = one.child_by_field_name("left"), one.child_by_field_name("right")
        if left is not None and right is not None and re.fullmatch(r"\w*(?:srv|[sS]erver|http)\.Addr", file.text(left)):
            yield one, right.named_children[0]
