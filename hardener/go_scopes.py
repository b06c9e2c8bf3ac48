"""What the names of a Go program are bound to: its files, and the statements that set a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.lazy_pattern import lazy_pattern
from hardener.source_tree import File, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

FLAG_VARIABLES = lazy_pattern(r"^(?:p?flag|\w*[fF]lags?(?:\(\))?|\w*[fF]lagSet|fs)\.(?:String|Int|Uint)Var(P?)$")


def elements(file: File, literal: Node) -> Iterator[tuple[str, Node]]:
    """Yield name and value of the keyed elements of a composite literal."""
    body = literal.child_by_field_name("body")
    for one in body.named_children if body is not None else ():
        if one.type == "keyed_element":
            key, value = one.child_by_field_name("key"), one.child_by_field_name("value")
            if key is not None and value is not None and value.named_children:
                yield file.text(key), value.named_children[0]


def bindings(file: File, name: str) -> Iterator[tuple[Node, Node]]:
    """Yield every statement that sets a name, with the expression it gets."""
    for one in file.nodes("short_var_declaration", "assignment_statement"):
        left, right = one.child_by_field_name("left"), one.child_by_field_name("right")
        if left is None or right is None:
            continue
        names = [file.text(child) for child in left.named_children]
        if name in names:
            values = right.named_children
            position = names.index(name)
            yield one, values[position] if len(values) == len(names) else values[0]
    for one in file.nodes("const_spec", "var_spec"):
        names = [file.text(child) for child in one.children_by_field_name("name")]
        value = one.child_by_field_name("value")
        if name in names and value is not None:
            position = names.index(name)
            yield one, value.named_children[min(position, len(value.named_children) - 1)]
    for one in file.nodes("call_expression"):
        match = FLAG_VARIABLES.match(file.field_text(one, "function"))
        given = arguments(one)
        if match is not None and len(given) > 3 and file.text(given[0]) == f"&{name}":
            yield one, given[3 if match[1] else 2]


def is_parameter(file: File, function: Node, name: str) -> bool:
    """Whether a function has a parameter of a name."""
    return re.search(rf"\b{re.escape(name)}\b", file.field_text(function, "parameters")) is not None


def enclosing_function(node: Node) -> Node | None:
    """Return the function or method around a node, ``None`` at the top of a file."""
    parent = node.parent
    while parent is not None and parent.type not in ("function_declaration", "method_declaration"):
        parent = parent.parent
    return parent


def inside(node: Node, outer: Node) -> bool:
    """Whether a node lies in another."""
    return outer.start_byte <= node.start_byte and node.end_byte <= outer.end_byte
