"""The walk through the syntax tree of shell code that collects the commands and follows what they change."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import TYPE_CHECKING

from hardener.shell_command import Argument, Command, program
from hardener.shell_state import NOTHING_KNOWN, State, after_builtin, assigned, merge, unchanged_by, without
from hardener.shell_tree import CHAINS, Code, Parts, ShellError, parse, parts_of_command, parts_of_redirects, pipelines
from hardener.shell_words import assignment_of, decode
from hardener.shell_wrappers import code_of, script_of, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tree_sitter import Node

    from hardener.edit import Span
    from hardener.shell_tree import Item

TESTS = frozenset({"[", "[[", "test", "grep", "command", "which", "type", "false"})
SAME_SHELL = frozenset({"command", "builtin", "time"})
NEW_ENVIRONMENT = frozenset({"sudo", "doas", "su"})


@lru_cache(maxsize=4096)
def read(
    source: bytes, offset: int, directory: str | None, variables: frozenset[tuple[str, str]]
) -> tuple[Command, ...]:
    """Return the commands of ``source``; see ``hardener.shell.commands``."""
    reader = Reader(Code(source, offset), State(directory, dict(variables)))
    root = parse(source)
    try:
        reader.sequence(root)
    except RecursionError:
        raise ShellError("the shell code is nested too deeply") from None
    return tuple(reader.commands)


class Reader:
    """Walks the syntax tree once; ``state`` is what is known where the walk is."""

    def __init__(self, code: Code, state: State) -> None:
        self.code = code
        self.state = state
        self.environment = state.variables
        self.functions: set[str] = set()
        self.commands: list[Command] = []

    def sequence(self, node: Node) -> None:
        before = self.state
        for child in node.children:
            if child.type == "&":
                self.state = before  # what stands before it ran in a subshell
            else:
                before = self.state
                self.statement(child, Parts())

    def statement(self, node: Node, tail: Parts) -> None:
        """Add what a node runs; ``tail`` is what the tree keeps outside it though it belongs to it."""
        simple = SIMPLE.get(node.type)
        if simple is not None:
            simple(self, node, tail)
            return
        if tail.redirects:
            self.add(Parts(redirects=tail.redirects), self.code.span(node))
        STRUCTURES.get(node.type, Reader.sequence)(self, node)

    def subshell(self, node: Node) -> None:
        before = self.state
        self.sequence(node)
        self.state = before

    def substitutions(self, node: Node) -> None:
        """Add the commands in the substitutions of a word."""
        if node.type in ("command_substitution", "process_substitution"):
            self.subshell(node)
            return
        for child in node.children:
            if child.child_count:
                self.substitutions(child)

    def chain(self, node: Node) -> None:
        """Add ``a && b | c || d``; a command is taken to succeed, a test to go either way."""
        start = self.state
        skipped: list[State] = []
        is_test = False
        for operator, items in pipelines(node):
            now = self.state
            if operator == "||":
                self.state = reduce(merge, skipped, merge(start, now))
            elif is_test:
                skipped.append(now)
            entry = self.state
            for item in items:
                self.item(item)
                if len(items) > 1:
                    self.state = entry
            if operator == "||":
                self.state = now if self.leaves() else merge(now, self.state)
            is_test = items[0].is_negated or (bool(self.commands) and self.commands[-1].name in TESTS)
        self.state = reduce(merge, skipped, self.state)

    def item(self, item: Item) -> None:
        tail = parts_of_redirects(self.code, item.redirects, self.state.variables)
        for node in tail.nested:
            self.substitutions(node)
        if item.node is not None:
            self.statement(item.node, tail)
        elif tail.redirects:
            self.add(Parts(redirects=tail.redirects), tail.redirects[0].target.span)

    def leaves(self) -> bool:
        """Whether the command before ends the shell."""
        return bool(self.commands) and self.commands[-1].name in ("exit", "return")

    def conditional(self, node: Node) -> None:
        """``if`` and ``case``: what is known afterwards is what every branch agrees on."""
        ends: list[State] = []
        entry = self.state
        otherwise = False
        pending = node.children[::-1]
        while pending:
            child = pending.pop()
            kind = child.type
            if kind in ("elif_clause", "else_clause", "case_item"):
                pending += child.children[::-1]
            elif kind in ("elif", "else", ";;", ";&", ";;&"):
                ends += [] if self.leaves() else [self.state]
                self.state = unchanged_by(self.code.source, entry) if kind == ";&" else entry
                otherwise = otherwise or kind == "else"
            elif kind in ("then", "in"):
                entry = self.state
            elif kind == "&":
                self.state = NOTHING_KNOWN
            else:
                self.statement(child, Parts())
        ends += [] if self.leaves() else [self.state]
        self.state = reduce(merge, ends if otherwise and ends else [*ends, entry])

    def loop(self, node: Node) -> None:
        code = self.code.source if self.functions else self.code.raw(node)
        entry = self.state = unchanged_by(code, self.state)
        self.sequence(node)
        self.state = merge(entry, self.state)

    def function(self, node: Node) -> None:
        before = self.state
        name = node.child_by_field_name("name")
        assert name is not None
        self.functions.add(decode(self.code.raw(name)))
        self.state = self.after_function()
        self.sequence(node)
        self.state = before

    def after_function(self) -> State:
        """Return what is known wherever a function may have been called, or has been."""
        return State(None, unchanged_by(self.code.source, self.state).variables)

    def command(self, node: Node, tail: Parts) -> None:
        parts = parts_of_command(self.code, node, self.state.variables)
        parts.arguments += tail.arguments
        parts.redirects += tail.redirects
        parts.heredoc = tail.heredoc
        self.add(parts, self.code.span(node))

    def bare_assignment(self, node: Node, tail: Parts) -> None:
        """``A=1``, ``A=1 B=2``."""
        self.substitutions(node)
        parts = Parts(redirects=tail.redirects)
        for one in node.children if node.type == "variable_assignments" else [node]:
            parts.assignments.append(self.assign(one))
        self.add(parts, self.code.span(node))

    def assign(self, node: Node) -> tuple[str, str | None]:
        """Follow one assignment and return it."""
        name, value = assignment_of(self.code.raw(node), self.state.variables)
        self.state = assigned(self.state, name, value)
        return name, value

    def declaration(self, node: Node, tail: Parts) -> None:
        """``export A=1``, ``unset A``, ``[ … ]``: what the grammar keeps apart from commands."""
        first, *rest = node.children
        self.substitutions(node)
        name = self.code.opaque(first)
        parts = Parts(name._replace(text=name.raw), redirects=tail.redirects)
        for child in rest:
            if child.type == "variable_assignment":
                self.assign(child)
            if child.type == "variable_assignment" or node.type == "test_command":
                parts.arguments.append(self.code.opaque(child))
            else:
                parts.arguments += self.code.words(child, self.state.variables)
        self.add(parts, self.code.span(node))

    def add(self, parts: Parts, span: Span, outer: tuple[str, ...] = ()) -> None:
        """Add a command, out of its wrappers, and follow what it does to the state of the shell.

        ``outer`` are the wrappers that the caller took off.
        """
        name, arguments, assignments, inner = unwrapped(parts.name, parts.arguments)
        assignments = (*parts.assignments, *assignments)
        wrappers = (*outer, *inner)
        plain = program(name.text or "")
        script = script_of(plain, arguments, parts.heredoc)
        found = None if script is None else self.in_script(script, (*wrappers, plain), assignments)
        for node in parts.nested:
            if found is None or script is None or self.code.span(node) != script.span:
                self.substitutions(node)
        self.commands += found or ()
        redirects, directory = tuple(parts.redirects), self.state.directory
        is_replaced = found is not None and plain != "trap"
        if redirects or not is_replaced:
            text, words = ("", ()) if is_replaced else (name.shown, tuple(arguments))
            self.commands.append(Command(text, words, assignments, redirects, span, directory, wrappers))
        if plain == "find":
            self.add_of_find(arguments, span, (*wrappers, plain))
        elif SAME_SHELL.issuperset(wrappers):
            in_function = plain in self.functions
            self.state = self.after_function() if in_function else after_builtin(self.state, plain, arguments)

    def add_of_find(self, arguments: Sequence[Argument], span: Span, wrappers: tuple[str, ...]) -> None:
        """Add what ``find`` runs by ``-exec``; a word with ``{}`` in it is not known."""
        texts = [one.text for one in arguments]
        for index, text in enumerate(texts):
            if text in ("-exec", "-execdir", "-ok", "-okdir"):
                stop = next((at for at in range(index + 1, len(texts)) if texts[at] in (";", "+")), None)
                words = arguments[index + 1 : stop]
                known = [one._replace(text=None) if "{}" in one.raw else one for one in words]
                if known:
                    self.add(Parts(known[0], known[1:]), span, wrappers)

    def in_script(
        self, script: Argument, wrappers: tuple[str, ...], assignments: Sequence[tuple[str, str | None]]
    ) -> list[Command] | None:
        """Return the commands of a script word or heredoc body, ``None`` when its text is not known."""
        code = code_of(script)
        if code is None:
            return None
        variables: frozenset[tuple[str, str]] = frozenset()
        if code.is_known and NEW_ENVIRONMENT.isdisjoint(wrappers):
            known = without(self.state, {name for name, _ in assignments}).variables
            variables = frozenset(pair for pair in known.items() if pair[0] in self.environment)
        directory = None if wrappers[-1] in ("su", "trap") else self.state.directory
        found = read(code.source, script.span.start + (code.start or 0), directory, variables)
        if code.start is None:
            found = tuple(at_span(command, script.span) for command in found)
        return [one._replace(wrappers=(*wrappers, *one.wrappers)) for one in found]


def at_span(command: Command, span: Span) -> Command:
    """Return a command of a script that was unescaped: all of it stands at the script's ``span``."""
    return command._replace(
        span=span,
        arguments=tuple(one._replace(span=span) for one in command.arguments),
        redirects=tuple(one._replace(target=one.target._replace(span=span)) for one in command.redirects),
    )


SIMPLE: dict[str, Callable[[Reader, Node, Parts], None]] = {
    "command": Reader.command,
    **dict.fromkeys(("variable_assignment", "variable_assignments"), Reader.bare_assignment),
    **dict.fromkeys(("declaration_command", "unset_command", "test_command"), Reader.declaration),
}
# A redirection on its own belongs to no command, as that of a function.
STRUCTURES: dict[str, Callable[[Reader, Node], None]] = {
    **dict.fromkeys((*CHAINS, "file_redirect", "heredoc_redirect"), Reader.chain),
    **dict.fromkeys(("subshell", "command_substitution", "process_substitution"), Reader.subshell),
    **dict.fromkeys(("if_statement", "case_statement"), Reader.conditional),
    **dict.fromkeys(("for_statement", "c_style_for_statement", "while_statement"), Reader.loop),
    "function_definition": Reader.function,
}
