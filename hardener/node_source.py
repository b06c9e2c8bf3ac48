"""Ports that JavaScript and TypeScript programs listen on, located by tree-sitter's TSX grammar (it reads both).

Asked only for a program whose bytes have a listener, so a project without one never loads the grammar.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import node_program
from hardener.lazy_pattern import lazy_pattern
from hardener.node_scopes import Scopes
from hardener.node_values import Reader
from hardener.source_reading import Reading
from hardener.source_tree import File, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from tree_sitter import Node, Parser

    from hardener.project import Project

# What a file must have before it is worth parsing.
MAY_LISTEN = lazy_pattern(
    rb"\.listen\s*\(|\bserve\s*\(|\bHapi\.[sS]erver\b|\bServer\s*\(\s*\{|startStandaloneServer|\.start\s*\(\s*[\d{]"
)
# A larger file is generated.
MAXIMUM_SIZE = 512 * 1024
# Callables whose options have the port: https://nodejs.org/api/net.html#serverlistenoptions-callback
# https://hapi.dev/api/#-serveroptions https://bun.sh/docs/api/http https://docs.deno.com/api/deno/~/Deno.serve
# https://hono.dev/docs/getting-started/nodejs https://github.com/websockets/ws/blob/master/doc/ws.md
WITH_OPTIONS = frozenset(
    ("serve", "Bun.serve", "Deno.serve", "Hapi.server", "Hapi.Server", "hapi.server", "hapi.Server",
     "WebSocketServer", "WebSocket.Server", "ws.Server", "startStandaloneServer")
)  # fmt: skip


class Listener(NamedTuple):
    """A call that listens, and the expression of its port."""

    file: File
    call: Node
    port: Node


@lru_cache(maxsize=1)
def parser() -> Parser:
    """Return the parser, loaded once and only where there is a program to read."""
    import tree_sitter  # noqa: PLC0415
    import tree_sitter_typescript  # noqa: PLC0415

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_typescript.language_tsx()))


def read(project: Project, entry: PurePosixPath) -> Reading:
    """Return what decides the port of the program that starts with ``entry``."""
    paths = node_program.program_files(project, entry)
    data = {path: source for path in paths if len(source := project.read(path) or b"") <= MAXIMUM_SIZE}
    reading = Reading()
    if not any(MAY_LISTEN.search(source) for source in data.values()):
        return reading
    files = {path: File(path, source, parser().parse(source).root_node) for path, source in data.items()}
    reader = Reader(Scopes(project, files), reading)
    for file in files.values():
        if MAY_LISTEN.search(file.data):
            for listener in listeners(file):
                reader.follow(listener.port, listener.file, listener.call)
    reader.look_for_other_uses()
    return reading


def listeners(file: File) -> Iterator[Listener]:
    """Yield every call of a file that listens on a port."""
    for call in file.nodes("call_expression", "new_expression"):
        name = file.field_text(call, "function") or file.field_text(call, "constructor")
        values = arguments(call)
        if name.endswith(".listen") and values:
            first = values[0]
            if first.type == "object":
                port = option(file, first, "port")
                if port is not None:
                    yield Listener(file, call, port)
            elif first.type not in ("arrow_function", "function_expression"):
                yield Listener(file, call, first)
        elif name in WITH_OPTIONS:
            for value in values:
                port = option(file, value, "port") if value.type == "object" else None
                inner = option(file, value, "listen") if value.type == "object" else None
                if port is None and inner is not None and inner.type == "object":
                    port = option(file, inner, "port")
                if port is not None:
                    yield Listener(file, call, port)


def option(file: File, table: Node, name: str) -> Node | None:
    """Return the value of one key of an object literal, ``None`` without it."""
    for pair in table.named_children:
        if pair.type == "shorthand_property_identifier" and file.text(pair) == name:
            return pair
        key = pair.child_by_field_name("key") if pair.type == "pair" else None
        if key is not None and file.text(key).strip("\"'") == name:
            return pair.child_by_field_name("value")
    return None
