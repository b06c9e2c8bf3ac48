"""The syntax tree of shell code, by ``tree-sitter-bash``, and the parts of a command in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.shell_command import Argument, Redirect
from hardener.shell_words import SUBSTITUTION, arguments_of, assignment_of, decode, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tree_sitter import Node, Parser

NO_NAME = Argument("", "", Span(0, 0))
CHAINS = frozenset({"list", "pipeline", "redirected_statement", "negated_command"})


class ShellError(Exception):
    """The code is not shell that the parser understands without an error; nothing is known about it."""


@lru_cache(maxsize=1)
def parser() -> Parser:
    """Return the parser, loaded once and only where there is shell code to read."""
    import tree_sitter  # noqa: PLC0415
    import tree_sitter_bash  # noqa: PLC0415

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@lru_cache(maxsize=64)
def parse(source: bytes) -> Node:
    """Return the root of the syntax tree; raises ``ShellError`` where a part of it is an error.

    It is kept for a while: an edit of a Dockerfile moves the code of its other steps, and changes none of it.
    """
    root = parser().parse(source).root_node
    if root.has_error:
        raise ShellError("the shell code does not parse")
    return root


class Code(NamedTuple):
    """Shell code and its offset in the file: turns nodes into text and spans."""

    source: bytes
    offset: int

    def raw(self, node: Node) -> bytes:
        """Return the bytes of a node."""
        return self.source[node.start_byte : node.end_byte]

    def span(self, node: Node) -> Span:
        """Return where a node stands in the file."""
        return Span(node.start_byte + self.offset, node.end_byte + self.offset)

    def opaque(self, node: Node) -> Argument:
        """Return a node as a word whose value is not known."""
        return Argument(None, decode(self.raw(node)), self.span(node))

    def words(self, node: Node, variables: Mapping[str, str]) -> list[Argument]:
        """Return the argument that a word is; see ``arguments_of``."""
        start, stop = node.byte_range
        return arguments_of(self.source[start:stop], Span(start + self.offset, stop + self.offset), variables)


@dataclass(slots=True)
class Parts:
    """What is written of one command, as far as collected; ``nested`` are the nodes with substitutions."""

    name: Argument = NO_NAME
    arguments: list[Argument] = field(default_factory=list)
    assignments: list[tuple[str, str | None]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    nested: list[Node] = field(default_factory=list)
    heredoc: Argument | None = None
    """The body of a heredoc, as if it were a word; without a text where the shell changes it."""


class Item(NamedTuple):
    """One command of a chain, ``None`` for a bare redirection, and the nodes of its redirections."""

    node: Node | None
    redirects: list[Node]
    is_negated: bool = False


def pipelines(node: Node) -> list[tuple[str, list[Item]]]:
    """Return the pipelines of a chain, each with the operator before it.

    The tree of ``a && b >file | c && d`` is not grouped as the shell does it, and a heredoc holds the rest of
    its line, so the parts are taken in the order in which they are written and grouped here.
    """
    found: list[tuple[str, list[Item]]] = []
    operator = ""
    is_negated = is_open = False
    pending = [node]
    while pending:
        one = pending.pop()
        kind = one.type
        if kind in CHAINS:
            pending += one.children[::-1]
        elif kind in ("&&", "||", "|", "|&"):
            operator, is_open = kind, False
        elif kind == "!":
            is_negated = True
        elif kind != "comment":
            is_redirect = kind.endswith("_redirect")
            if not is_redirect or not is_open:
                item = Item(None if is_redirect else one, [], is_negated)
                if operator in ("|", "|&") and found:
                    found[-1][1].append(item)
                else:
                    found.append((operator, [item]))
                is_open, is_negated = True, False
            if is_redirect:
                found[-1][1][-1].redirects.append(one)
            if kind == "heredoc_redirect":
                pending += rest_of_line(one)[::-1]
    return found


def rest_of_line(heredoc: Node) -> list[Node]:
    """Return what stands behind the opener of a heredoc and belongs to the chain around it."""
    return [
        child
        for index, child in enumerate(heredoc.children)
        if child.type == "pipeline" or heredoc.field_name_for_child(index) in ("operator", "right")
    ]


def parts_of_redirects(code: Code, nodes: Sequence[Node], variables: Mapping[str, str]) -> Parts:
    """Return what redirections add to the command before them: ``>file b`` adds a word, too."""
    parts = Parts()
    for node in nodes:
        if node.type == "heredoc_redirect":
            add_heredoc(parts, code, node, variables)
        else:
            add_redirect(parts, code, node, variables)
    return parts


def parts_of_command(code: Code, node: Node, variables: Mapping[str, str]) -> Parts:
    """Return the parts of a simple command."""
    parts = Parts(Argument("", "", code.span(node)))
    dynamic: list[Node] = []
    stop = -1
    for child in node.children:
        kind = child.type
        if kind == "command_name":
            parts.name, *parts.arguments = code.words(child, variables) or [parts.name]
        elif kind == "variable_assignment":
            parts.assignments.append(assignment_of(code.raw(child), variables))
        elif kind.endswith("_redirect"):
            add_redirect(parts, code, child, variables)
        elif kind != "comment":
            words = code.words(child, variables)
            between = code.source[stop : child.start_byte]
            if stop >= 0 and words and not between.strip(b"\\\r\n"):
                # no blank between them: `$"text"` comes in two nodes, as does a word across a continuation
                *before, last = parts.name, *parts.arguments
                parts.name, *parts.arguments = *before, joined(last, between, words.pop(0))
            parts.arguments += words
        stop = child.end_byte
        if kind != "word" and not kind.endswith("_redirect") and SUBSTITUTION.search(code.raw(child)):
            dynamic.append(child)
    parts.nested += dynamic
    return parts


def add_redirect(parts: Parts, code: Code, node: Node, variables: Mapping[str, str]) -> None:
    """Collect a redirection; the words after its target are arguments of the command."""
    operator, *words = (child for child in node.children if child.type != "file_descriptor")
    for target in words[:1]:
        value = (code.words(target, variables) or [code.opaque(target)])[0]
        parts.redirects.append(Redirect(operator.type, value))
        parts.nested.append(target)
    for word in words[1:]:
        parts.arguments += code.words(word, variables)


def add_heredoc(parts: Parts, code: Code, node: Node, variables: Mapping[str, str]) -> None:
    """Collect a heredoc, and the redirections and words behind its opener."""
    operator, is_quoted = "", False
    for index, child in enumerate(node.children):
        kind = child.type
        raw = decode(code.raw(child))
        if kind in ("<<", "<<-"):
            operator = kind
        elif kind == "heredoc_start":
            is_quoted = any(mark in raw for mark in "'\"\\")
            parts.redirects.append(Redirect(operator, Argument(raw.strip("'\""), raw, code.span(child))))
        elif kind == "heredoc_body":
            changes = not is_quoted and any(mark in raw for mark in "\\$`")
            parts.heredoc = Argument(None if changes else raw, raw, code.span(child))
            if changes:
                parts.nested.append(child)
        elif kind.endswith("_redirect"):
            add_redirect(parts, code, child, variables)
        elif node.field_name_for_child(index) == "argument":
            parts.arguments += code.words(child, variables)
