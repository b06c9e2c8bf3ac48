"""Where a value of a JavaScript or TypeScript program comes from: literals, environment variables, or not known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.node_scopes import ENVIRONMENTS
from hardener.source_reading import Literal, Reading
from hardener.source_tree import arguments

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from tree_sitter import Node

    from hardener.node_scopes import Bound, Scopes
    from hardener.source_tree import File

TRANSPARENT = frozenset(
    ("parenthesized_expression", "as_expression", "non_null_expression", "satisfies_expression", "await_expression")
)
CONVERSIONS = frozenset(("Number", "parseInt", "String", "normalizePort", "Number.parseInt", "toNumber"))
LOGS = lazy_pattern(r"(?:^|\.)(?:log|info|debug|warn|error|trace|verbose|notice|success|ready|box|write|print)$")
LISTENING = lazy_pattern(r"(?:\.listen|(?:^|\.)serve|Server|startStandaloneServer|\.set)$")
MAXIMUM_DEPTH = 12


@dataclass(eq=False)
class Reader:
    """Follows expressions back to what decides them, over the files of one program."""

    scopes: Scopes
    reading: Reading
    names: dict[tuple[PurePosixPath, str], set[Literal]] = field(default_factory=dict)
    properties: dict[str, set[Literal]] = field(default_factory=dict)

    def follow(self, node: Node, file: File, call: Node) -> None:
        """Take in what decides the port expression of one listener."""
        found: set[Literal] = set()
        if not self.evaluate(node, file, found, 0):
            self.reading.unclear[file.where(call)] = None
        self.reading.literals |= dict.fromkeys(sorted(found))

    def evaluate(self, node: Node | None, file: File, found: set[Literal], depth: int) -> bool:
        """Collect the literals and variables that an expression takes its value from; ``False``: not all are known."""
        if node is None or depth > MAXIMUM_DEPTH or node.has_error:
            return False
        kind = node.type
        if kind in TRANSPARENT or (kind == "unary_expression" and file.text(node).startswith("+")):
            return self.evaluate(node.named_children[0] if node.named_children else None, file, found, depth + 1)
        if kind in ("number", "string"):
            return literal(node, file, found)
        if kind == "binary_expression":
            if file.field_text(node, "operator") not in ("||", "??"):
                return False
            left = self.evaluate(node.child_by_field_name("left"), file, found, depth + 1)
            return self.evaluate(node.child_by_field_name("right"), file, found, depth + 1) and left
        if kind == "ternary_expression":
            yes = self.evaluate(node.child_by_field_name("consequence"), file, found, depth + 1)
            return self.evaluate(node.child_by_field_name("alternative"), file, found, depth + 1) and yes
        if kind == "call_expression":
            return self.call(node, file, found, depth)
        if kind in ("identifier", "shorthand_property_identifier"):
            before = set(found)
            known = self.bound(self.scopes.binding(node, file), found, depth)
            self.names.setdefault((file.path, file.text(node)), set()).update(found - before)
            return known
        if kind in ("member_expression", "subscript_expression"):
            return self.member(node, file, found, depth)
        return False

    def call(self, node: Node, file: File, found: set[Literal], depth: int) -> bool:
        """Take in a conversion, or the setting that ``app.get("port")`` reads."""
        name, values = file.field_text(node, "function"), arguments(node)
        if not values:
            return False
        if name in CONVERSIONS:
            return self.evaluate(values[0], file, found, depth + 1)
        if name == "Deno.env.get" and values[0].type == "string":
            self.reading.variables.add(file.text(values[0]).strip("\"'"))
            return True
        if not name.endswith(".get") or file.text(values[0]).strip("\"'") != "port":
            return False
        settings = [
            given[1]
            for one in file.nodes("call_expression")
            if file.field_text(one, "function") == name[: -len("get")] + "set"
            and len(given := arguments(one)) == 2
            and file.text(given[0]).strip("\"'") == "port"
        ]
        known = [self.evaluate(one, file, found, depth + 1) for one in settings]  # all of them, known or not
        return bool(known) and all(known)

    def member(self, node: Node, file: File, found: set[Literal], depth: int) -> bool:
        """Take in an environment variable, or a property of an object that the program writes out."""
        match = re.fullmatch(r"(?:process|Bun)\.env(?:\.(\w+)|\[['\"](\w+)['\"]\])", file.text(node))
        if match is not None:
            self.reading.variables.add(match[1] or match[2])
            return True
        holder, name = node.child_by_field_name("object"), file.field_text(node, "property")
        if holder is None or not name:
            return False
        before = set(found)
        known = self.bound(self.scopes.property_of(holder, file, name), found, depth)
        self.properties.setdefault(name, set()).update(found - before)
        return known

    def bound(self, bound: Bound | None, found: set[Literal], depth: int) -> bool:
        """Take in what a name is bound to."""
        if bound is None or depth > MAXIMUM_DEPTH:
            return False
        kind, _, key = bound.name.partition(":")
        if kind == "env":
            self.reading.variables.add(key)
            return bound.file.text(bound.node) in ENVIRONMENTS or self.evaluate(
                bound.node, bound.file, found, depth + 1
            )
        if kind == "property":
            before = set(found)
            known = self.bound(self.scopes.property_of(bound.node, bound.file, key), found, depth + 1)
            self.properties.setdefault(key, set()).update(found - before)
            return known
        if kind:  # an import
            other = self.scopes.module(bound.node, bound.file)
            return other is not None and self.bound(self.scopes.exported(other, bound.name), found, depth + 1)
        return self.evaluate(bound.node, bound.file, found, depth + 1)

    def look_for_other_uses(self) -> None:
        """Note the literals whose name is used for something else than to listen on it or to tell it."""
        for file in self.scopes.files.values():
            for node in file.nodes("identifier", "shorthand_property_identifier"):
                literals = self.names.get((file.path, file.text(node)))
                if literals and not self.is_explained(node, file):
                    self.reading.shared |= dict.fromkeys(literals, file.where(node))
            for node in file.nodes("member_expression"):
                literals = self.properties.get(file.field_text(node, "property"))
                if literals and not file.text(node).startswith(ENVIRONMENTS) and not self.is_explained(node, file):
                    holder = file.field_text(node, "object")
                    if not re.search(r"(?i)url|location|address|req", holder):
                        self.reading.shared |= dict.fromkeys(literals, file.where(node))

    def is_explained(self, node: Node, file: File) -> bool:
        """Whether a name stands where it is declared, passed on to what was followed, listened on or told."""
        inside, parent = node, node.parent
        while parent is not None:
            kind = parent.type
            if kind in (
                "export_specifier",
                "import_specifier",
                "import_clause",
                "namespace_import",
                "export_statement",
            ):
                return True
            if kind in ("required_parameter", "optional_parameter", "object_pattern", "formal_parameters"):
                return True
            if kind == "variable_declarator":
                name = file.field_text(parent, "name")
                return inside == parent.child_by_field_name("name") or (file.path, name) in self.names
            if kind == "pair":
                return file.field_text(parent, "key").strip("\"'") in (*self.properties, "port")
            if kind == "assignment_expression":
                return file.field_text(parent, "left").startswith(("module.exports", "exports."))
            if kind in ("call_expression", "new_expression"):
                callee = file.field_text(parent, "function") or file.field_text(parent, "constructor")
                if callee in CONVERSIONS:
                    inside, parent = parent, parent.parent
                    continue
                return LOGS.search(callee) is not None or LISTENING.search(callee) is not None
            if kind == "object" and node.type == "shorthand_property_identifier":
                return file.text(node) in (*self.properties, "port") or (file.path, file.text(node)) in self.names
            if kind in ("arrow_function", "statement_block", "program", "return_statement"):
                return False
            inside, parent = parent, parent.parent
        return False


def literal(node: Node, file: File, found: set[Literal]) -> bool:
    """Take in a number, or a string that is one."""
    match = re.fullmatch(r"[\"']?(\d{1,5})[\"']?", file.text(node))
    if match is None:
        return False
    span = Span(node.start_byte + match.start(1), node.start_byte + match.end(1))
    found.add(Literal(int(match[1]), file.path, span))
    return True
