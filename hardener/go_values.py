"""Where a value of a Go program comes from: literals, environment variables and flags, or not known."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.go_scopes import FLAG_VARIABLES, bindings, elements, enclosing_function, inside, is_parameter
from hardener.lazy_pattern import lazy_pattern
from hardener.source_reading import Literal, Reading
from hardener.source_tree import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from tree_sitter import Node

    from hardener.source_tree import File

OWN_ADDRESS = lazy_pattern(r"(?:(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::\d?\])?:)?(\d{1,5})")
CONVERSIONS = frozenset(
    ("strconv.Itoa", "strconv.Atoi", "string", "int", "strings.TrimSpace", "cast.ToString", "strconv.FormatInt")
)
FLAGS = lazy_pattern(r"^(?:p?flag|\w*[fF]lags?(?:\(\))?|\w*[fF]lagSet|fs)\.(String|Int|Uint|StringP|IntP)$")
WITH_DEFAULT = lazy_pattern(r"(?i)(?:^|\.)\w*env\w*$|(?:^|\.)\w*(?:OrDefault|WithDefault)$")
TELLS = lazy_pattern(
    r"(?i)(?:^|\.)(?:log|print|info|debug|warn|error|fatal|panic|errorf|infof|msg)\w*$|\.(?:Int|Str|Any)$"
)
LISTENS = lazy_pattern(r"\.(?:ListenAndServe(?:TLS)?|Listen|Run|RunTLS|Start|StartTLS)$")
TAG_DEFAULT = lazy_pattern(r"\b(?:default|envDefault|env-default)[:=]\\?\"?(\d{1,5})\b")
TAG_NAME = lazy_pattern(r"\b(?:env|envconfig)[:=]\\?\"?(\w+)")
MAXIMUM_DEPTH = 12


@dataclass(eq=False)
class Reader:
    """Follows expressions back to what decides them, over the files of one program."""

    files: Mapping[PurePosixPath, File]
    reading: Reading
    names: dict[tuple[PurePosixPath, str], set[Literal]] = field(default_factory=dict)

    def follow(self, node: Node, file: File, call: Node) -> None:
        """Take in what decides the address of one listener."""
        found: set[Literal] = set()
        if not self.evaluate(node, file, found, 0):
            self.reading.unclear[file.where(call)] = None
        self.reading.literals |= dict.fromkeys(sorted(found))

    def evaluate(self, node: Node | None, file: File, found: set[Literal], depth: int) -> bool:
        """Collect the literals and variables that an expression takes its value from; ``False``: not all are known."""
        if node is None or depth > MAXIMUM_DEPTH or node.has_error:
            return False
        kind = node.type
        if kind in ("int_literal", "interpreted_string_literal", "raw_string_literal"):
            return literal(node, file, found)
        if kind in ("parenthesized_expression", "unary_expression", "expression_list"):
            children = node.named_children
            return len(children) == 1 and self.evaluate(children[0], file, found, depth + 1)
        if kind == "binary_expression" and file.field_text(node, "operator") == "+":
            left = node.child_by_field_name("left")
            if left is None or not re.search(r":\"$|^\w+$", file.text(left)):
                return False
            return self.evaluate(node.child_by_field_name("right"), file, found, depth + 1)
        if kind == "call_expression":
            return self.call(node, file, found, depth)
        if kind == "identifier":
            return self.identifier(node, file, found, depth)
        if kind == "selector_expression":
            name = file.field_text(node, "field")
            for there in self.named_package(file.field_text(node, "operand")):
                for binder, value in bindings(there, name):
                    if enclosing_function(binder) is None:
                        return self.evaluate(value, there, found, depth + 1)
            return self.selected(name, found, depth)
        return False

    def call(self, node: Node, file: File, found: set[Literal], depth: int) -> bool:
        """Take in what a call gives: a conversion, a variable of the environment, a flag, a function of one's own."""
        name, given = file.field_text(node, "function"), arguments(node)
        if name in CONVERSIONS and given:
            return self.evaluate(given[0], file, found, depth + 1)
        if name == "fmt.Sprintf" and len(given) > 1:
            form = file.text(given[0]).strip('"`')
            return re.search(r"^(?:[\w.%]*:)?%[sdv]$", form) is not None and self.evaluate(
                given[-1], file, found, depth + 1
            )
        if name == "net.JoinHostPort" and len(given) == 2:
            return self.evaluate(given[1], file, found, depth + 1)
        if name in ("os.Getenv", "os.LookupEnv", "syscall.Getenv") and given:
            self.reading.variables.add(file.text(given[0]).strip('"`'))
            return given[0].type.endswith("string_literal")
        flag = FLAGS.match(name)
        if flag is not None and len(given) >= 3:
            return self.evaluate(given[2 if flag[1].endswith("P") else 1], file, found, depth + 1)
        if len(given) == 2 and WITH_DEFAULT.search(name) and given[0].type.endswith("string_literal"):
            self.reading.variables.add(file.text(given[0]).strip('"`'))
            return self.evaluate(given[1], file, found, depth + 1)
        return not given and self.returned(name, file, found, depth)

    def returned(self, called: str, file: File, found: set[Literal], depth: int) -> bool:
        """Take in what a function without arguments returns, of this package or of another."""
        values = []
        holder, _, name = called.rpartition(".")
        for there in self.named_package(holder) if holder else self.package(file):
            for function in there.nodes("function_declaration"):
                if there.field_text(function, "name") == name:
                    values += [
                        (there, one.named_children[0].named_children[0])
                        for one in there.nodes("return_statement")
                        if one.named_children and inside(one, function)
                    ]
        known = [self.evaluate(value, there, found, depth + 1) for there, value in values]  # all of them, known or not
        return bool(known) and all(known)

    def identifier(self, node: Node, file: File, found: set[Literal], depth: int) -> bool:
        """Take in everything that a name is set to: in its function, else in its package."""
        name = file.text(node)
        function = enclosing_function(node)
        values = [one for one in bindings(file, name) if function is not None and inside(one[0], function)]
        places = [(file, value) for _, value in values]
        if not places:
            if function is not None and is_parameter(file, function, name):
                return False
            for there in self.package(file):
                for binder, value in bindings(there, name):
                    if enclosing_function(binder) is None or binder.type in ("assignment_statement", "call_expression"):
                        places.append((there, value))
        before = set(found)
        known = [self.evaluate(value, there, found, depth + 1) for there, value in places]  # all of them, known or not
        self.names.setdefault((file.path.parent, name), set()).update(found - before)
        return bool(known) and all(known)

    def selected(self, name: str, found: set[Literal], depth: int) -> bool:
        """Take in what a field such as ``cfg.Port`` is set to, where the program sets it in one place only."""
        places: list[tuple[File, Node]] = []
        tagged: list[tuple[File, Node]] = []
        for file in self.files.values():
            for literal_ in file.nodes("composite_literal"):
                places += [(file, value) for key, value in elements(file, literal_) if key == name]
            for one in file.nodes("assignment_statement"):
                if file.field_text(one, "left").endswith(f".{name}"):
                    places.append((file, one))
            tagged += [
                (file, one)
                for one in file.nodes("field_declaration")
                if file.field_text(one, "name") == name and one.child_by_field_name("tag") is not None
            ]
        if len(places) == 1 and not tagged:
            return self.evaluate(places[0][1], places[0][0], found, depth + 1)
        if len(tagged) == 1 and not places:
            file, declaration = tagged[0]
            tag = declaration.child_by_field_name("tag")
            assert tag is not None
            default, variable = TAG_DEFAULT.search(file.text(tag)), TAG_NAME.search(file.text(tag))
            if default is not None and variable is not None:
                self.reading.variables.add(variable[1])
                start = tag.start_byte + len(file.text(tag)[: default.start(1)].encode("utf-8", "surrogateescape"))
                found.add(Literal(int(default[1]), file.path, Span(start, start + len(default[1]))))
                return True
        return False

    def package(self, file: File) -> Iterator[File]:
        """Yield the files of a file's package."""
        return (one for one in self.files.values() if one.path.parent == file.path.parent)

    def named_package(self, name: str) -> Iterator[File]:
        """Yield the files of the packages whose folder has a name."""
        return (one for one in self.files.values() if one.path.parent.name == name)

    def look_for_other_uses(self) -> None:
        """Note the literals whose name is used for something else than to listen on it or to tell it."""
        for file in self.files.values():
            for node in file.nodes("identifier"):
                literals = self.names.get((file.path.parent, file.text(node)))
                if literals and not self.is_explained(node, file):
                    self.reading.shared |= dict.fromkeys(literals, file.where(node))

    def is_explained(self, node: Node, file: File) -> bool:
        """Whether a name stands where it is declared, set, compared, listened on or told."""
        inside_, parent = node, node.parent
        while parent is not None:
            kind = parent.type
            if kind in ("const_spec", "var_spec", "parameter_declaration", "selector_expression"):
                return True
            if kind == "keyed_element":
                return re.fullmatch(r"(?i)addr|address|port|listen\w*", file.field_text(parent, "key")) is not None
            if kind in ("short_var_declaration", "assignment_statement"):
                left = parent.child_by_field_name("left")
                names = re.findall(r"\w+", file.text(left)) if left is not None else []
                own = any((file.path.parent, one) in self.names for one in names)
                return left == inside_ or own or file.field_text(parent, "left").endswith(".Addr")
            if kind == "binary_expression" and file.field_text(parent, "operator") in ("==", "!=", "<", ">"):
                return True
            if kind == "call_expression":
                name = file.field_text(parent, "function")
                if name in CONVERSIONS or name in ("fmt.Sprintf", "net.JoinHostPort"):
                    inside_, parent = parent, parent.parent
                    continue
                return any(one.search(name) for one in (TELLS, LISTENS, FLAGS, FLAG_VARIABLES))
            if kind in ("block", "return_statement", "func_literal"):
                return kind == "return_statement"
            inside_, parent = parent, parent.parent
        return True


def literal(node: Node, file: File, found: set[Literal]) -> bool:
    """Take in a number, or a string that is an address of the container itself; an empty one says nothing."""
    text = file.text(node)
    if text in ('""', "``"):
        return True
    match = re.fullmatch(rf"[\"`]?{OWN_ADDRESS.pattern}[\"`]?", text)
    if match is None:
        return False
    span = Span(node.start_byte + match.start(1), node.start_byte + match.end(1))
    found.add(Literal(int(match[1]), file.path, span))
    return True
