"""One Python source file, parsed by LibCST: its nodes, where they stand in bytes, and what its names are set to."""

from __future__ import annotations

import ast
import codecs
import re
import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, ParentNodeProvider

from hardener.edit import Span
from hardener.python_values import argument, dotted, text_of
from hardener.source_reading import Literal, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

# Callables whose `port` argument is the one they listen on: Flask, Bottle, Sanic, uvicorn, aiohttp, waitress, Eve.
# https://flask.palletsprojects.com/api/#flask.Flask.run  https://www.uvicorn.org/settings/
LISTENERS = frozenset(
    ("run", "run_app", "serve", "listen", "run_simple", "launch", "start_server", "create_server", "TCPSite")
)
# Callables whose first argument is the address they bind: `HTTPServer(("", 80), ...)`, `socket.bind(("", 80))`.
BINDERS = frozenset(
    ("HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer", "WSGIServer", "bind", "SimpleXMLRPCServer")
)
# Where the port is a plain second argument: Flask's `app.run("0.0.0.0", 80)`, wsgiref's make_server.
POSITIONAL = frozenset(
    ("run", "make_server", "serve_forever", "run_simple", "create_server", "start_server", "TCPSite")
)
# Where it is the first one: Twisted's reactor. Tornado's `app.listen(80)` is a socket's backlog in other programs.
# https://docs.twisted.org/en/stable/api/twisted.internet.interfaces.IReactorTCP.html#listenTCP
# https://www.tornadoweb.org/en/stable/web.html#tornado.web.Application.listen
FIRST = frozenset(("listenTCP", "listenSSL"))
HOSTS = frozenset(("", "0.0.0.0", "127.0.0.1", "localhost", "::"))  # noqa: S104  what is looked for


class Module:
    """A parsed file.  Making one raises ``SyntaxError``, ``ValueError`` or a like error for what is no Python."""

    def __init__(self, path: PurePosixPath, data: bytes) -> None:
        # LibCST's parser ends the process where brackets nest deeper than its stack; Python's own says so.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(data)
        self.path, self.data = path, data
        wrapper = MetadataWrapper(cst.parse_module(data), unsafe_skip_copy=True)
        self.tree = wrapper.module
        self.spans = wrapper.resolve(ByteSpanPositionProvider)
        self.parents = wrapper.resolve(ParentNodeProvider)
        self.mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0  # LibCST counts without it

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return the node around a node."""
        return self.parents.get(node)

    def span(self, node: cst.CSTNode) -> Span:
        """Return the bytes of the file that a node covers."""
        found = self.spans[node]
        return Span(found.start + self.mark, found.start + self.mark + found.length)

    def where(self, node: cst.CSTNode) -> str:
        """Return ``path:line`` of a node."""
        return place(self.path, self.data, self.span(node).start)

    def number(self, node: cst.Integer | cst.SimpleString) -> Literal | None:
        """Return a number, or a string that is one, as a literal; ``None`` where its bytes are not what they seem."""
        span = self.span(node)
        if self.data[span.start : span.stop] != node.value.encode():
            return None  # it counts in UTF-8, and the file is in something else
        if isinstance(node, cst.Integer):
            return Literal(node.evaluated_value, self.path, span)
        value = node.evaluated_value
        if not isinstance(value, str) or not value.isdecimal() or node.value.strip("\"'") != value:
            return None
        start = span.start + node.value.index(value)
        return Literal(int(value), self.path, Span(start, start + len(value)))

    @cached_property
    def nodes(self) -> list[cst.CSTNode]:
        """Every node of the file, in its order."""
        found: list[cst.CSTNode] = []
        queue: list[cst.CSTNode] = [self.tree]
        while queue:
            node = queue.pop()
            found.append(node)
            queue += reversed(node.children)
        return found

    def function_of(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """Return the function around a node, ``None`` at the top of the module."""
        around = self.parent(node)
        while around is not None and not isinstance(around, cst.FunctionDef):
            around = self.parent(around)
        return around

    def class_of(self, node: cst.CSTNode) -> str | None:
        """Return the name of the class whose body a node stands in directly."""
        around = self.parent(node)
        while around is not None and not isinstance(around, cst.FunctionDef | cst.ClassDef):
            around = self.parent(around)
        return around.name.value if isinstance(around, cst.ClassDef) else None

    @cached_property
    def targets(self) -> list[tuple[str, cst.CSTNode, cst.BaseExpression]]:
        """Every plain assignment: name, statement, value."""
        found: list[tuple[str, cst.CSTNode, cst.BaseExpression]] = []
        for node in self.nodes:
            if isinstance(node, cst.Assign):
                found += [(dotted(one.target), node, node.value) for one in node.targets if dotted(one.target)]
            elif isinstance(node, cst.AnnAssign) and node.value is not None and dotted(node.target):
                found.append((dotted(node.target), node, node.value))
        return found

    def assignments(self, name: str) -> list[tuple[cst.FunctionDef | None, cst.BaseExpression]]:
        """Return every value that a name gets outside classes, each with the function that it stands in."""
        return [
            (self.function_of(node), value)
            for target, node, value in self.targets
            if target == name and self.class_of(node) is None
        ]

    def class_values(self, class_name: str, name: str) -> list[cst.BaseExpression]:
        """Return the values that a name gets in the body of a class."""
        return [value for target, node, value in self.targets if target == name and self.class_of(node) == class_name]

    def instance_class(self, name: str) -> str | None:
        """Return the class that a module's name is an instance of, or the class itself."""
        if any(isinstance(node, cst.ClassDef) and node.name.value == name for node in self.nodes):
            return name
        for _, value in self.assignments(name):
            if isinstance(value, cst.Call) and isinstance(value.func, cst.Name):
                return value.func.value
        return None

    def imports(self, name: str) -> list[tuple[str, str]]:
        """Return module (dots kept) and original name of every import that binds a name; ``""`` for a module."""
        found: list[tuple[str, str]] = []
        for node in self.nodes:
            if not isinstance(node, cst.ImportFrom | cst.Import) or isinstance(node.names, cst.ImportStar):
                continue
            source = ""
            if isinstance(node, cst.ImportFrom):
                source = "." * len(node.relative) + (dotted(node.module) if node.module is not None else "")
            for one in node.names:
                alias = one.asname.name.value if one.asname and isinstance(one.asname.name, cst.Name) else None
                original = dotted(one.name)
                if name == (alias or original):
                    found.append((source, original) if isinstance(node, cst.ImportFrom) else (original, ""))
        return found

    def parameter(self, function: cst.FunctionDef, name: str) -> cst.BaseExpression | None:
        """Return the default of a function's parameter; the parameter's name where it has none, ``None`` without it."""
        for one in (*function.params.params, *function.params.kwonly_params):
            if one.name.value == name:
                return one.default or one.name
        return None

    def is_run_by_typer(self, name: str) -> bool:
        """Whether a function is what ``typer.run`` runs."""
        return any(
            isinstance(node, cst.Call) and dotted(node.func) == "typer.run" and dotted(node.args[0].value) == name
            for node in self.nodes
            if isinstance(node, cst.Call) and node.args
        )

    def parsed_names(self) -> frozenset[str]:
        """Return the names that hold what ``parser.parse_args()`` gives."""
        return frozenset(
            target
            for target, _, value in self.targets
            if isinstance(value, cst.Call) and dotted(value.func).endswith(("parse_args", "parse_known_args"))
        )

    def added_arguments(self, name: str) -> list[cst.BaseExpression]:
        """Return the defaults of ``add_argument("--name", default=...)``."""
        found = []
        for node in self.nodes:
            if isinstance(node, cst.Call) and dotted(node.func).endswith("add_argument"):
                flags = [
                    (text_of(one.value) or "").lstrip("-").replace("-", "_") for one in node.args if not one.keyword
                ]
                default = argument(node, "default")
                if default is not None and (text_of(argument(node, "dest")) or (flags[-1] if flags else "")) == name:
                    found.append(default)
        return found

    def listeners(self) -> Iterator[tuple[cst.Call, cst.BaseExpression]]:
        """Yield every call that listens, with the expression of its port."""
        for node in self.nodes:
            if not isinstance(node, cst.Call):
                continue
            name = dotted(node.func).rpartition(".")[2]
            if isinstance(node.func, cst.Attribute) and not name:
                name = node.func.attr.value
            port = argument(node, "port") if name in LISTENERS else None
            plain = [one.value for one in node.args if one.keyword is None and not one.star]
            if port is None and name in POSITIONAL:
                hosts = [i for i, one in enumerate(plain[:2]) if text_of(one) in HOSTS]
                port = plain[hosts[0] + 1] if hosts and len(plain) > hosts[0] + 1 else None
            if port is None and plain and (name in FIRST or (name in ("listen", "bind") and self.is_tornado)):
                port = plain[0] if not isinstance(plain[0], cst.Tuple) else None
            if port is None and name in BINDERS and plain:
                address = self.tuple_of(plain[0])
                port = address.elements[1].value if address is not None and len(address.elements) == 2 else None
            if port is not None:
                yield node, port

    @cached_property
    def is_tornado(self) -> bool:
        """Whether the file imports Tornado's servers and no sockets, whose ``listen`` takes a backlog."""
        return re.search(rb"(?m)^\s*(?:import|from)\s+tornado\b", self.data) is not None and not re.search(
            rb"(?m)^\s*(?:import|from)\s+socket\b", self.data
        )

    def tuple_of(self, node: cst.BaseExpression) -> cst.Tuple | None:
        """Return an address as it is written in a call, or in the one assignment of the name that stands there."""
        if isinstance(node, cst.Name):
            values = [value for _, value in self.assignments(node.value)]
            node = values[0] if len(values) == 1 else node
        return node if isinstance(node, cst.Tuple) else None

    def listens(self, call: cst.Call) -> bool:
        """Whether a call is one that listens."""
        return any(node is call for node, _ in self.listeners())

    def uses(self) -> Iterator[tuple[str, cst.CSTNode]]:
        """Yield every name and dotted name that the file uses."""
        for node in self.nodes:
            if isinstance(node, cst.Name | cst.Attribute):
                yield dotted(node), node
