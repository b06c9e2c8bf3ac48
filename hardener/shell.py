"""Shell code as the simple commands it runs: names, words, redirects, directories, each with its byte span.

``tree-sitter-bash`` locates the commands; words are read here.  Nothing is executed.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hardener.edit import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tree_sitter import Node, Parser


class ShellError(Exception):
    """The code is not shell that the parser understands without an error; nothing is known about it."""


class Argument(NamedTuple):
    """One word of a command.

    ``text`` is its value after quote removal, ``None`` where that is known only at run time (substitution,
    unknown variable, glob, brace expansion).  ``raw`` is the word as written.  A variable whose known value
    holds blanks gives one argument for each field, all with the variable's ``raw`` and ``span``.
    """

    text: str | None
    raw: str
    span: Span


class Redirect(NamedTuple):
    """A redirection: ``operator`` (``>``, ``&>``, ``<<`` …) and the file, descriptor or heredoc word."""

    operator: str
    target: Argument


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command.

    ``name`` is the first word after quote removal, as written where that is not known (``"$@"``), and empty
    for a bare redirection or assignment and for the redirections of a group (``{ …; } > file``).
    ``directory`` is the working directory after the ``cd``s before it, ``None`` when unknown.  ``wrappers``
    names, outermost first, what the command was taken out of: ``("sudo", "bash")`` for ``sudo bash -c 'x'``.
    """

    name: str
    arguments: tuple[Argument, ...]
    assignments: tuple[tuple[str, str | None], ...]
    redirects: tuple[Redirect, ...]
    span: Span
    directory: str | None
    wrappers: tuple[str, ...] = ()


def commands(
    source: bytes,
    offset: int = 0,
    directory: str | None = "/",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Command, ...]:
    """Return every simple command of the shell code ``source``.

    That includes the commands in subshells, substitutions, function bodies, branches and loops, in the
    script of ``sh -c``, ``su -c``, ``eval``, ``trap`` and ``sh <<EOF``, and behind wrappers (``sudo``,
    ``xargs``).  ``variables`` is the environment at the start.  Spans are byte offsets into ``source`` plus
    ``offset``; where the script of ``sh -c`` needs unescaping, its commands have the span of the whole word.

    Raises ``ShellError`` where the code, or a script in it, does not parse.
    """
    return _commands(source, offset, directory, frozenset(variables.items()))


class _Word(Protocol):
    """What ``exec_commands`` reads of a word of the Dockerfile: its decoded text and where it stands."""

    @property
    def text(self) -> str: ...

    @property
    def span(self) -> Span: ...


def exec_commands(
    words: Sequence[_Word], directory: str | None = "/", variables: Mapping[str, str] = MappingProxyType({})
) -> tuple[Command, ...]:
    """Return the commands that an exec form starts, each word taken as it is, out of its wrappers.

    ``words`` have the decoded text of the JSON strings and their spans with the quotes.  The script of
    ``["sh", "-c", script]`` is read as ``commands`` reads one; raises ``ShellError`` where it does not parse.
    """
    if not words:
        return ()
    name, *arguments = (Argument(word.text, word.text, word.span) for word in words)
    reader = _Reader(b"", 0, _State(directory, dict(variables)))
    reader.add(name, arguments, _NOTHING, Span(name.span.start, words[-1].span.stop))
    return tuple(reader.commands)


@lru_cache(maxsize=4096)
def _commands(
    source: bytes, offset: int, directory: str | None, variables: frozenset[tuple[str, str]]
) -> tuple[Command, ...]:
    root = _parser().parse(source).root_node
    if root.has_error:
        message = "the shell code does not parse"
        raise ShellError(message)
    reader = _Reader(source, offset, _State(directory, dict(variables)))
    try:
        reader.sequence(root)
    except RecursionError:
        message = "the shell code is nested too deeply"
        raise ShellError(message) from None
    return tuple(reader.commands)


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter  # noqa: PLC0415  only an image with shell code pays for it
    import tree_sitter_bash  # noqa: PLC0415

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


# ---- words ------------------------------------------------------------------------------------------------
# https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, 2.2 quoting and 2.6 expansion

_PLAIN = re.compile(rb"[\w./:=@%+,^!#-]+")
_PIECE = re.compile(
    rb"""'([^']*)'                                        # 1 single quotes
       | "((?:[^"\\]|\\.)*)"                              # 2 double quotes
       | \\(.)                                            # 3 a quoted character
       | \$(?:(\w+)|\{(\w+)(?::?-[^}$`'"\\]*)?\})         # 4, 5 a variable
       | (\{\}|[^'"\\$`*?\[{]+)                           # 6 the rest; `{}` is no brace expansion
    """,
    re.DOTALL | re.VERBOSE,
)
_IN_DOUBLE_QUOTES = re.compile(rb"\\(.)|\$(?:(\w+)|\{(\w+)(?::?-[^}$`'\"\\]*)?\})|\$(?=[({@*#?!$-])|`", re.DOTALL)
_DOUBLE_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_VARIABLE = re.compile(rb"\$(?:(\w+)|\{(\w+)\})")
_ASSIGNMENT = re.compile(rb"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_NAME = re.compile(rb"\w*")
_SUBSTITUTION = re.compile(rb"[$<>]\(|`")
_SPLITS = re.compile(r"[\s*?\[\\]")
_GLOB = re.compile(r"[*?\[\\]")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _unescaped(inside: bytes, variables: Mapping[str, str] | None) -> str | None:
    r"""Undo ``\$``, ``\"``, … inside double quotes and replace variables, those only with a map."""
    pieces: list[bytes] = []
    position = 0
    for match in _IN_DOUBLE_QUOTES.finditer(inside):
        pieces.append(inside[position : match.start()])
        position = match.end()
        if match[1] is not None:
            pieces.append(b"" if match[1] == b"\n" else match[1] if match[1] in b'$`"\\' else match[0])
        elif variables is None:
            pieces.append(match[0])
        else:
            value = variables.get(_decode(match[2] or match[3] or b""))
            if not value:
                return None
            pieces.append(_encode(value))
    return _decode(b"".join([*pieces, inside[position:]]))


def _value(raw: bytes, variables: Mapping[str, str]) -> str | None:
    """Return the value of the word ``raw``, or ``None`` where it depends on more than ``variables``."""
    if _PLAIN.fullmatch(raw):
        return raw.decode()
    if raw[:1] == raw[-1:] == b"'" and raw.count(b"'") == 2:
        return _decode(raw[1:-1])
    if _SUBSTITUTION.search(raw) or b"=~" in raw or b":~" in raw:  # the shells differ about the tilde
        return None
    pieces: list[str] = []
    position = 0
    if raw.startswith(b"~"):
        home = variables.get("HOME")
        if not home or raw[1:2] not in (b"", b"/"):
            return None
        pieces.append(home)
        position = 1
    while position < len(raw):
        match = _PIECE.match(raw, position)
        if match is None:
            return None
        position = match.end()
        kind = match.lastindex or 0
        piece: str | None = "" if match[0] == b"\\\n" else _decode(match[kind])
        if kind == 2:
            piece = _unescaped(match[2], variables)
        elif kind in (4, 5):
            piece = variables.get(_decode(match[kind]))
            if not piece or _SPLITS.search(piece):
                return None
        if piece is None:
            return None
        pieces.append(piece)
    return "".join(pieces)


def _fields(raw: bytes, variables: Mapping[str, str]) -> list[str] | None:
    """Return what ``$NAME`` without quotes is split into; ``None`` for any other word or an unknown value."""
    match = _VARIABLE.fullmatch(raw)
    value = variables.get(_decode(match[1] or match[2])) if match else None
    return None if value is None or _GLOB.search(value) else value.split()


def _assignment(raw: bytes, variables: Mapping[str, str]) -> tuple[str, str | None]:
    """Return name and value of ``NAME=value``; the value is ``None`` where not known, as of ``NAME+=``."""
    match = _ASSIGNMENT.fullmatch(raw)
    if match is None:
        name = _NAME.match(raw)
        return _decode(name[0] if name else b""), None
    value = match[2]
    if _VARIABLE.fullmatch(value):
        value = b'"' + value + b'"'  # it is not split here
    return _decode(match[1]), None if value.startswith(b"(") else _value(value, variables)


def _code(script: Argument, *, is_body: bool) -> tuple[bytes, int | None, bool] | None:
    """Return the code of a script word or heredoc body, its offset there if verbatim, if all is known."""
    raw = _encode(script.raw)
    if script.text is None:
        if is_body or not _DOUBLE_QUOTED.fullmatch(raw):
            return None
        return _encode(_unescaped(raw[1:-1], None) or ""), None, False
    code = _encode(script.text)
    length = script.span.stop - script.span.start
    if length == len(code):
        return code, 0, True
    is_verbatim = length == len(code) + 2 and (code == raw or (code == raw[1:-1] and raw[:1] in (b"'", b'"')))
    return code, 1 if is_verbatim else None, True


# ---- commands that run another command --------------------------------------------------------------------


class _Wrapper(NamedTuple):
    """Options of a wrapper: letters without and with a value, long ones alike; words before the command."""

    flags: str = ""
    values: str = ""
    long_flags: tuple[str, ...] = ()
    long_values: tuple[str, ...] = ()
    words: int = 0
    assignments: bool = False


# From the manual pages (sudo 1.9, coreutils 9, findutils 4.9, util-linux 2.39, POSIX).  An option that is not
# here, or changes the directory or the meaning (`command -v`, `sudo -i`), leaves it a command itself.
_WRAPPERS = {
    "sudo": _Wrapper("AbEHknPS", "Cghprtu", ("--preserve-env", "--set-home"), ("--user", "--group"), 0, True),
    "doas": _Wrapper("n", "u"),
    "env": _Wrapper("i", "u", ("--ignore-environment",), ("--unset",), 0, True),
    "exec": _Wrapper("c", "a"),
    "command": _Wrapper("p"),
    "builtin": _Wrapper(),
    "time": _Wrapper("p"),
    "nice": _Wrapper("0123456789", "n", (), ("--adjustment",)),
    "ionice": _Wrapper("t", "cn"),
    "nohup": _Wrapper(),
    "setsid": _Wrapper("cfw"),
    "stdbuf": _Wrapper("", "ioe"),
    "eatmydata": _Wrapper(),
    "timeout": _Wrapper("v", "ks", ("--foreground", "--preserve-status"), ("--kill-after", "--signal"), 1),
    "xargs": _Wrapper(
        "0prtx",
        "EILPadns",
        ("--null", "--no-run-if-empty", "--verbose"),
        ("--max-args", "--max-procs", "--max-lines", "--delimiter"),
    ),
}
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_TAKES_SCRIPT = _SHELLS | {"su", "eval", "trap"}
_SYSTEM_DIRECTORIES = frozenset({"", "/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})


def program(name: str) -> str:
    """Return the plain name of a system program: ``/usr/bin/apt-get`` is ``apt-get``, ``./x`` is ``./x``."""
    directory, _, last = name.rpartition("/")
    return last if directory in _SYSTEM_DIRECTORIES else name


def _first_word(arguments: Sequence[Argument], wrapper: _Wrapper) -> int | None:
    """Return the index of the first argument that is no option, ``None`` when an option is not known."""
    index = 0
    while index < len(arguments):
        text = arguments[index].text
        if text is None or text == "-" or not text.startswith("-"):
            return index
        if text == "--":
            return index + 1
        name, equals, _ = text.partition("=")
        if name in wrapper.long_values:
            index += 1 if equals else 2
        elif name in wrapper.long_flags:
            index += 1
        else:
            rest = text[1:].lstrip(wrapper.flags)
            if rest and rest[0] not in wrapper.values:
                return None
            index += 2 if len(rest) == 1 else 1
    return index


def _unwrapped(
    name: Argument, arguments: Sequence[Argument]
) -> tuple[Argument, Sequence[Argument], list[tuple[str, str | None]], tuple[str, ...]]:
    """Take a command out of its wrappers: name, arguments, assignments of ``env``, wrappers."""
    assignments: list[tuple[str, str | None]] = []
    wrappers: tuple[str, ...] = ()
    while name.text and (wrapper := _WRAPPERS.get(program(name.text))) is not None:
        index = _first_word(arguments, wrapper)
        if index is None:
            break
        replaces = any((one.text or "").startswith("-I") for one in arguments[:index])
        found: list[tuple[str, str | None]] = []
        while wrapper.assignments and index < len(arguments):
            one = arguments[index]
            match = _ASSIGNMENT.fullmatch(_encode(one.raw if one.text is None else one.text))
            if match is None:
                break
            found.append((_decode(match[1]), None if one.text is None else _decode(match[2])))
            index += 1
        index += wrapper.words
        if index >= len(arguments):
            break
        assignments += found
        wrappers = (*wrappers, program(name.text))
        name, arguments = arguments[index], arguments[index + 1 :]
        if wrappers[-1] == "xargs":
            stop = (arguments[-1] if arguments else name).span.stop
            known = [one._replace(text=None) for one in arguments] if replaces else arguments
            arguments = [*known, Argument(None, "", Span(stop, stop))]  # what comes from its input
    return name, arguments, assignments, wrappers


def _script(program: str, arguments: Sequence[Argument]) -> Argument | None:
    """Return the argument of ``sh``, ``su``, ``eval`` or ``trap`` that is shell code."""
    if program == "su":
        for index, one in enumerate(arguments[:-1]):
            if one.text is not None and (one.text == "--command" or re.fullmatch("-[lmp]*c", one.text)):
                return arguments[index + 1]
        return None
    if program == "trap":
        return arguments[0] if len(arguments) > 1 and arguments[0].text not in ("-", "") else None
    if program == "eval":
        return arguments[0] if len(arguments) == 1 else None
    takes_script = False
    index = 0
    while index < len(arguments):
        text = arguments[index].text
        if text is None or text[:1] not in ("-", "+") or text in ("-", "--"):
            return arguments[index] if takes_script else None
        if not text.startswith("--"):
            takes_script = takes_script or "c" in text[1:]
            index += text[-1] in "oO"  # `-euxo pipefail`
        index += 1
    return None


# ---- the walk ---------------------------------------------------------------------------------------------


class _State(NamedTuple):
    """What the shell knows at one point of the code; immutable, so that a subshell only has to keep it."""

    directory: str | None
    variables: dict[str, str]
    stack: tuple[str | None, ...] = ()


def _merge(one: _State, other: _State) -> _State:
    """Return what is known after either of two ways through the code."""
    if one is other:
        return one
    variables = one.variables
    if variables is not other.variables:
        variables = {name: value for name, value in variables.items() if other.variables.get(name) == value}
    return _State(
        one.directory if one.directory == other.directory else None,
        variables,
        one.stack if one.stack == other.stack else (),
    )


def _changed(state: _State, code: bytes) -> _State:
    """``state`` without everything that ``code`` may set, judged by its text alone."""
    runs_text = re.search(rb"\b(?:eval|source)\b|(?:^|[\s;&|({])\.\s", code)
    sets = runs_text or re.search(rb"\b(?:read|for|select|unset|getopts|mapfile|readarray|printf)\b", code)
    names = re.findall(rb"[A-Za-z_]\w*" if sets else rb"(?<!\w)[A-Za-z_]\w*(?=\+?=|\[)", code)
    moves = runs_text or re.search(rb"\b(?:cd|chdir|pushd|popd)\b", code)
    known = {} if runs_text else dict(state.variables)
    for name in names:
        known.pop(_decode(name), None)
    return _State(None if moves else state.directory, known, () if moves else state.stack)


class _Tail(NamedTuple):
    """What the tree keeps outside a command though it belongs to it: ``echo a >file b`` and its heredoc."""

    redirects: tuple[Redirect, ...] = ()
    arguments: tuple[Argument, ...] = ()
    script: Argument | None = None
    """The body of a heredoc, as if it were a word."""


_NOTHING = _Tail()


class _Item(NamedTuple):
    """One command of a chain, ``None`` for a bare redirection, and the nodes of its redirections."""

    node: Node | None
    redirects: list[Node]
    is_negated: bool = False


_CHAINS = frozenset({"list", "pipeline", "redirected_statement", "negated_command"})


def _pipelines(node: Node) -> list[tuple[str, list[_Item]]]:
    """Return the pipelines of a chain, each with the operator before it.

    The tree of ``a && b >file | c && d`` is not grouped as the shell does it, and a heredoc holds the rest of
    its line, so the parts are taken in the order in which they are written and grouped here.
    """
    pipelines: list[tuple[str, list[_Item]]] = []
    operator = ""
    is_negated = is_open = False
    pending = [node]
    while pending:
        one = pending.pop()
        kind = one.type
        if kind in _CHAINS:
            pending += one.children[::-1]
        elif kind in ("&&", "||", "|", "|&"):
            operator, is_open = kind, False
        elif kind == "!":
            is_negated = True
        elif kind != "comment":
            is_redirect = kind.endswith("_redirect")
            if not is_redirect or not is_open:
                item = _Item(None if is_redirect else one, [], is_negated)
                if operator[:1] == "|" and operator != "||" and pipelines:
                    pipelines[-1][1].append(item)
                else:
                    pipelines.append((operator, [item]))
                is_open, is_negated = True, False
            if is_redirect:
                pipelines[-1][1][-1].redirects.append(one)
            if kind == "heredoc_redirect":
                rest = [
                    child
                    for index, child in enumerate(one.children)
                    if child.type == "pipeline" or one.field_name_for_child(index) in ("operator", "right")
                ]
                pending += rest[::-1]
    return pipelines


_TESTS = frozenset({"[", "[[", "test", "grep", "command", "which", "type", "false"})
_SAME_SHELL = frozenset({"command", "builtin", "time"})
_NEW_ENVIRONMENT = frozenset({"sudo", "doas", "su"})


class _Reader:
    """Walks the syntax tree once and collects the commands; ``state`` follows ``cd`` and assignments."""

    def __init__(self, source: bytes, offset: int, state: _State) -> None:
        self.source = source
        self.offset = offset
        self.state = state
        self.environment = state.variables
        self.functions: set[str] = set()
        self.commands: list[Command] = []

    # ---- statements

    def sequence(self, node: Node) -> None:
        before = self.state
        for child in node.children:
            kind = child.type
            if kind == "&":
                self.state = before  # what stands before it ran in a subshell
            else:
                before = self.state
                self.statement(child, kind)

    def statement(self, node: Node, kind: str, tail: _Tail = _NOTHING) -> None:
        if tail.redirects and kind not in _WITH_TAIL:
            self.add(Argument("", "", self.span(node)), (), tail, self.span(node))
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, node, tail)
        elif node.child_count:
            self.sequence(node)

    def subshell(self, node: Node, _tail: _Tail = _NOTHING) -> None:
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

    def chain(self, node: Node, _tail: _Tail) -> None:
        """Add ``a && b | c || d``; a command is taken to succeed, a test to go either way."""
        start = self.state
        skipped: list[_State] = []
        is_test = False
        for operator, items in _pipelines(node):
            now = self.state
            if operator == "||":
                self.state = reduce(_merge, skipped, _merge(start, now))
            elif is_test:
                skipped.append(now)
            entry = self.state
            for item in items:
                self.item(item)
                if len(items) > 1:
                    self.state = entry
            if operator == "||":
                self.state = now if self.leaves() else _merge(now, self.state)
            is_test = items[0].is_negated or (bool(self.commands) and self.commands[-1].name in _TESTS)
        self.state = reduce(_merge, skipped, self.state)

    def item(self, item: _Item) -> None:
        redirects: list[Redirect] = []
        arguments: list[Argument] = []
        script: Argument | None = None
        for node in item.redirects:
            if node.type == "heredoc_redirect":
                script = self.heredoc(node, redirects, arguments)
            else:
                self.redirect(node, redirects, arguments)
        tail = _Tail(tuple(redirects), tuple(arguments), script)
        if item.node is not None:
            self.statement(item.node, item.node.type, tail)
        elif redirects:
            self.add(Argument("", "", redirects[0].target.span), (), tail, redirects[0].target.span)

    def stray_redirect(self, node: Node, _tail: _Tail) -> None:
        """Add a redirection that belongs to no command, as that of a function."""
        self.item(_Item(None, [node]))

    def leaves(self) -> bool:
        """Whether the command before ends the shell."""
        return bool(self.commands) and self.commands[-1].name in ("exit", "return")

    def conditional(self, node: Node, _tail: _Tail) -> None:
        """``if`` and ``case``: what is known afterwards is what every branch agrees on."""
        ends: list[_State] = []
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
                self.state = _changed(entry, self.source) if kind == ";&" else entry
                otherwise = otherwise or kind == "else"
            elif kind in ("then", "in"):
                entry = self.state
            elif kind == "&":
                self.state = _State(None, {})
            else:
                self.statement(child, kind)
        ends += [] if self.leaves() else [self.state]
        self.state = reduce(_merge, ends if otherwise and ends else [*ends, entry])

    def loop(self, node: Node, _tail: _Tail) -> None:
        code = self.source if self.functions else self.source[node.start_byte : node.end_byte]
        entry = self.state = _changed(self.state, code)
        self.sequence(node)
        self.state = _merge(entry, self.state)

    def function(self, node: Node, _tail: _Tail) -> None:
        before = self.state
        name = node.child_by_field_name("name")
        assert name is not None
        self.functions.add(self.raw(name))
        self.state = _State(None, _changed(before, self.source).variables)
        self.sequence(node)
        self.state = before

    def redirect(self, node: Node, redirects: list[Redirect], arguments: list[Argument]) -> None:
        """Collect a redirection; the words after its target are arguments of the command."""
        operator = ""
        target: Argument | None = None
        for child in node.children:
            kind = child.type
            if kind == "file_descriptor":
                continue
            if not operator:
                operator = kind
            elif target is None:
                target = (self.word(child) or [Argument(None, self.raw(child), self.span(child))])[0]
                redirects.append(Redirect(operator, target))
                self.substitutions(child)
            else:
                arguments += self.word(child)

    def heredoc(self, node: Node, redirects: list[Redirect], arguments: list[Argument]) -> Argument | None:
        """Collect a heredoc and return its body, which has no text where the shell changes it."""
        operator, is_quoted = "", False
        body: Argument | None = None
        for index, child in enumerate(node.children):
            kind = child.type
            if kind in ("<<", "<<-"):
                operator = kind
            elif kind == "heredoc_start":
                raw = self.raw(child)
                is_quoted = any(mark in raw for mark in "'\"\\")
                redirects.append(Redirect(operator, Argument(raw.strip("'\""), raw, self.span(child))))
            elif kind == "heredoc_body":
                raw = self.raw(child)
                changes = not is_quoted and any(mark in raw for mark in "\\$`")
                body = Argument(None if changes else raw, raw, self.span(child))
                if changes:
                    self.substitutions(child)
            elif kind.endswith("_redirect"):
                self.redirect(child, redirects, arguments)
            elif node.field_name_for_child(index) == "argument":
                arguments += self.word(child)
        return body

    # ---- words

    def raw(self, node: Node) -> str:
        return _decode(self.source[node.start_byte : node.end_byte])

    def span(self, node: Node) -> Span:
        return Span(node.start_byte + self.offset, node.end_byte + self.offset)

    def word(self, node: Node) -> list[Argument]:
        """Return the argument of a word; several where an unquoted variable with a known value is split."""
        start, stop = node.start_byte, node.end_byte
        raw = self.source[start:stop]
        span = Span(start + self.offset, stop + self.offset)
        written = _decode(raw)
        if _PLAIN.fullmatch(raw):
            return [Argument(written, written, span)]
        fields = _fields(raw, self.state.variables)
        if fields is not None:
            return [Argument(field, written, span) for field in fields]
        return [Argument(_value(raw, self.state.variables), written, span)]

    # ---- simple commands

    def command(self, node: Node, tail: _Tail) -> None:
        name = Argument("", "", self.span(node))
        arguments: list[Argument] = []
        assignments: list[tuple[str, str | None]] = []
        redirects: list[Redirect] = []
        dynamic: list[Node] = []
        stop = -1
        for child in node.children:
            kind = child.type
            if kind == "command_name":
                name, *arguments = self.word(child) or [name]
            elif kind == "variable_assignment":
                assignments.append(self.assignment(child))
            elif kind.endswith("_redirect"):
                self.redirect(child, redirects, arguments)
            elif stop >= 0 and not self.source[stop : child.start_byte].strip(b"\\\r\n") and kind != "comment":
                # no blank between them: `$"text"` comes in two nodes, as does a word across a continuation
                name, arguments = _joined(name, arguments, self.word(child), self.source[stop : child.start_byte])
            elif kind != "comment":
                arguments += self.word(child)
            stop = child.end_byte
            if (
                kind != "word"
                and not kind.endswith("_redirect")
                and _SUBSTITUTION.search(self.source, child.start_byte, stop)
            ):
                dynamic.append(child)
        if redirects or tail.arguments:
            arguments += tail.arguments
            tail = tail._replace(redirects=(*redirects, *tail.redirects))
        self.add(name, arguments, tail, self.span(node), assignments=assignments, dynamic=dynamic)

    def add(
        self,
        name: Argument,
        arguments: Sequence[Argument],
        tail: _Tail,
        span: Span,
        *,
        assignments: Sequence[tuple[str, str | None]] = (),
        dynamic: Sequence[Node] = (),
        outer: tuple[str, ...] = (),
    ) -> None:
        """Add a command, out of its wrappers, and follow what it does to the state of the shell.

        ``dynamic`` are the words with substitutions in them, ``outer`` the wrappers that the caller took off.
        """
        name, arguments, added, inner = _unwrapped(name, arguments)
        assignments = (*assignments, *added)
        wrappers = (*outer, *inner)
        plain = program(name.text or "")
        script = _script(plain, arguments) if plain in _TAKES_SCRIPT else None
        if script is None and plain in _SHELLS and all((one.text or "")[:1] == "-" for one in arguments):
            script = tail.script
        found = None
        if script is not None:
            found = self.in_script(script, (*wrappers, plain), assignments, is_body=script is tail.script)
        for node in dynamic:
            if found is None or script is None or self.span(node) != script.span:
                self.substitutions(node)
        if found is not None:
            self.commands += found
        if found is None or plain == "trap":
            text = name.raw if name.text is None else name.text
            self.commands.append(
                Command(
                    text,
                    tuple(arguments),
                    tuple(assignments),
                    tail.redirects,
                    span,
                    self.state.directory,
                    wrappers,
                )
            )
        elif tail.redirects:
            redirects, directory = tail.redirects, self.state.directory
            self.commands.append(Command("", (), tuple(assignments), redirects, span, directory, wrappers))
        if plain == "find":
            self.add_of_find(arguments, span, (*wrappers, plain))
        elif all(one in _SAME_SHELL for one in wrappers):
            self.effect(plain, arguments)

    def add_of_find(self, arguments: Sequence[Argument], span: Span, wrappers: tuple[str, ...]) -> None:
        """Add what ``find`` runs by ``-exec``; a word with ``{}`` in it is not known."""
        texts = [one.text for one in arguments]
        for index, text in enumerate(texts[:-1]):
            if text in ("-exec", "-execdir", "-ok", "-okdir"):
                stops = [stop for stop in range(index + 1, len(texts)) if texts[stop] in (";", "+")]
                stop = stops[0] if stops else len(texts)
                words = [one._replace(text=None) if "{}" in one.raw else one for one in arguments[index + 1 : stop]]
                if words:
                    self.add(words[0], words[1:], _NOTHING, span, outer=wrappers)

    def in_script(
        self,
        script: Argument,
        wrappers: tuple[str, ...],
        assignments: Sequence[tuple[str, str | None]],
        *,
        is_body: bool,
    ) -> list[Command] | None:
        """Return the commands of a script word or heredoc body, ``None`` when its text is not known."""
        code = _code(script, is_body=is_body)
        if code is None:
            return None
        source, start, is_known = code
        variables: dict[str, str] = {}
        if is_known and not _NEW_ENVIRONMENT.intersection(wrappers):
            local = {name for name, _ in assignments}
            variables = {
                name: value
                for name, value in self.state.variables.items()
                if name in self.environment and name not in local
            }
        directory = None if wrappers[-1] in ("su", "trap") else self.state.directory
        offset = script.span.start + (start or 0)
        at = script.span if start is None else None
        inner = _commands(source, offset, directory, frozenset(variables.items()))
        return [_moved(command, wrappers, at) for command in inner]

    def effect(self, plain: str, arguments: Sequence[Argument]) -> None:
        """Follow what a builtin or a function of the same shell changes."""
        state = self.state
        if plain in ("cd", "chdir", "pushd"):
            operands = [one.text for one in arguments if one.text not in ("-L", "-P", "-e", "--")]
            target = operands[0] if len(operands) == 1 else None
            if not operands and plain != "pushd":
                target = state.variables.get("HOME")
            directory = None
            if target and target[0] not in "-+" and (target[0] == "/" or state.directory is not None):
                directory = posixpath.normpath(posixpath.join("/", state.directory or "/", target))
            stack = (*state.stack, state.directory) if plain == "pushd" else state.stack
            self.state = _State(directory, state.variables, stack)
        elif plain == "popd":
            directory = state.stack[-1] if state.stack and not arguments else None
            self.state = _State(directory, state.variables, state.stack[:-1])
        elif plain in ("eval", ".", "source"):
            self.state = _State(None, {})
        elif plain in self.functions:
            self.state = _State(None, _changed(state, self.source).variables)
        elif plain in ("read", "getopts", "mapfile", "readarray", "printf", "unset"):
            gone = {one.text for one in arguments}
            kept = {name: value for name, value in state.variables.items() if name not in gone}
            self.state = state._replace(variables=kept)

    def assignment(self, node: Node) -> tuple[str, str | None]:
        return _assignment(self.source[node.start_byte : node.end_byte], self.state.variables)

    def assign(self, name: str, value: str | None) -> None:
        variables = dict(self.state.variables)
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
        self.state = self.state._replace(variables=variables)

    def bare_assignment(self, node: Node, tail: _Tail) -> None:
        """``A=1``, ``A=1 B=2``."""
        self.substitutions(node)
        pairs = []
        for one in node.children if node.type == "variable_assignments" else [node]:
            pairs.append(self.assignment(one))
            self.assign(*pairs[-1])
        self.add(Argument("", "", self.span(node)), (), tail, self.span(node), assignments=pairs)

    def declaration(self, node: Node, tail: _Tail) -> None:
        """``export A=1``, ``unset A``, ``[ … ]``: what the grammar keeps apart from commands."""
        first, *rest = node.children
        self.substitutions(node)
        arguments: list[Argument] = []
        for child in rest:
            if node.type == "test_command":
                arguments.append(Argument(None, self.raw(child), self.span(child)))
            elif child.type == "variable_assignment":
                self.assign(*self.assignment(child))
                arguments.append(Argument(None, self.raw(child), self.span(child)))
            else:
                arguments += self.word(child)
        name = Argument(self.raw(first), self.raw(first), self.span(first))
        self.add(name, arguments, tail, self.span(node))


def _joined(
    name: Argument, arguments: list[Argument], more: list[Argument], between: bytes
) -> tuple[Argument, list[Argument]]:
    """Return name and arguments with the first of ``more`` joined to the last of them."""
    if not more:
        return name, arguments
    last, one = (arguments or [name])[-1], more[0]
    text = None if last.text is None or one.text is None else last.text + one.text
    whole = Argument(text, last.raw + _decode(between) + one.raw, Span(last.span.start, one.span.stop))
    return (name, [*arguments[:-1], whole, *more[1:]]) if arguments else (whole, more[1:])


def _moved(command: Command, wrappers: tuple[str, ...], span: Span | None) -> Command:
    """Return the command of a script as one of the code around the script, all at ``span`` if given."""
    if span is not None:
        command = replace(
            command,
            span=span,
            arguments=tuple(one._replace(span=span) for one in command.arguments),
            redirects=tuple(one._replace(target=one.target._replace(span=span)) for one in command.redirects),
        )
    return replace(command, wrappers=(*wrappers, *command.wrappers))


_WITH_TAIL = frozenset(
    {
        "command",
        "variable_assignment",
        "variable_assignments",
        "declaration_command",
        "unset_command",
        "test_command",
    }
)
_HANDLERS: dict[str, Callable[[_Reader, Node, _Tail], None]] = {
    "command": _Reader.command,
    "list": _Reader.chain,
    "negated_command": _Reader.chain,
    "pipeline": _Reader.chain,
    "redirected_statement": _Reader.chain,
    "file_redirect": _Reader.stray_redirect,
    "heredoc_redirect": _Reader.stray_redirect,
    "subshell": _Reader.subshell,
    "command_substitution": _Reader.subshell,
    "process_substitution": _Reader.subshell,
    "variable_assignment": _Reader.bare_assignment,
    "variable_assignments": _Reader.bare_assignment,
    "declaration_command": _Reader.declaration,
    "unset_command": _Reader.declaration,
    "test_command": _Reader.declaration,
    "if_statement": _Reader.conditional,
    "case_statement": _Reader.conditional,
    "for_statement": _Reader.loop,
    "c_style_for_statement": _Reader.loop,
    "while_statement": _Reader.loop,
    "function_definition": _Reader.function,
}
