"""Commands that run another command: ``sudo`` and the like before it, ``sh -c`` with a script of it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.shell_command import Argument, program
from hardener.shell_words import ASSIGNMENT, decode, encode, inside_double_quotes

if TYPE_CHECKING:
    from collections.abc import Sequence


class Wrapper(NamedTuple):
    """Options of a wrapper: letters without and with a value, long ones alike; words before the command."""

    flags: str = ""
    values: str = ""
    long_flags: tuple[str, ...] = ()
    long_values: tuple[str, ...] = ()
    words: int = 0
    assignments: bool = False


# From the manual pages (sudo 1.9, coreutils 9, findutils 4.9, util-linux 2.39, POSIX).  An option that is not
# here, or changes the directory or the meaning (`command -v`, `sudo -i`), leaves it a command itself.
WRAPPERS = {
    "sudo": Wrapper("AbEHknPS", "Cghprtu", ("--preserve-env", "--set-home"), ("--user", "--group"), 0, True),
    "doas": Wrapper("n", "u"),
    "env": Wrapper("i", "u", ("--ignore-environment",), ("--unset",), 0, True),
    "exec": Wrapper("c", "a"),
    "command": Wrapper("p"),
    "builtin": Wrapper(),
    "time": Wrapper("p"),
    "nice": Wrapper("0123456789", "n", (), ("--adjustment",)),
    "ionice": Wrapper("t", "cn"),
    "nohup": Wrapper(),
    "setsid": Wrapper("cfw"),
    "stdbuf": Wrapper("", "ioe"),
    "eatmydata": Wrapper(),
    "timeout": Wrapper("v", "ks", ("--foreground", "--preserve-status"), ("--kill-after", "--signal"), 1),
    "xargs": Wrapper(
        "0prtx",
        "EILPadns",
        ("--null", "--no-run-if-empty", "--verbose"),
        ("--max-args", "--max-procs", "--max-lines", "--delimiter"),
    ),
}
SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
DOUBLE_QUOTED = lazy_pattern(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Unwrapped(NamedTuple):
    """A command out of its wrappers, with the assignments of ``env`` and ``sudo`` before it."""

    name: Argument
    arguments: Sequence[Argument]
    assignments: tuple[tuple[str, str | None], ...] = ()
    wrappers: tuple[str, ...] = ()


def unwrapped(name: Argument, arguments: Sequence[Argument]) -> Unwrapped:
    """Take a command out of all its wrappers; it stays as it is where an option of one is not known."""
    command = Unwrapped(name, arguments)
    while (inner := without_wrapper(command)) is not None:
        command = inner
    return command


def without_wrapper(command: Unwrapped) -> Unwrapped | None:
    """Return what the outermost wrapper runs, ``None`` where there is none or it is not understood."""
    outer = program(command.name.text or "")
    wrapper = WRAPPERS.get(outer)
    index = first_operand(command.arguments, wrapper) if wrapper else None
    if wrapper is None or index is None:
        return None
    assignments, words = list(command.assignments), command.arguments[index:]
    if wrapper.assignments:
        while words and (match := ASSIGNMENT.fullmatch(encode(words[0].shown))):
            assignments.append((decode(match[1]), None if words[0].text is None else decode(match[2])))
            words = words[1:]
    words = words[wrapper.words :]
    if not words:
        return None
    name, *arguments = words
    if outer == "xargs":
        if any((one.text or "").startswith("-I") for one in command.arguments[:index]):
            arguments = [one._replace(text=None) for one in arguments]
        stop = words[-1].span.stop
        arguments.append(Argument(None, "", Span(stop, stop)))  # what comes from its input
    return Unwrapped(name, arguments, tuple(assignments), (*command.wrappers, outer))


def first_operand(arguments: Sequence[Argument], wrapper: Wrapper) -> int | None:
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


def script_of(plain: str, arguments: Sequence[Argument], heredoc: Argument | None) -> Argument | None:
    """Return the word or heredoc body that the program ``plain`` runs as shell code, if it runs any."""
    if plain == "su":
        for option, value in pairwise(arguments):
            if re.fullmatch("-[lmp]*c|--command", option.text or ""):
                return value
        return None
    if plain == "trap":
        return arguments[0] if len(arguments) > 1 and arguments[0].text not in ("-", "") else None
    if plain == "eval":
        return arguments[0] if len(arguments) == 1 else None
    if plain not in SHELLS:
        return None
    has_only_options = all((one.text or "").startswith("-") for one in arguments)
    return script_of_shell(arguments) or (heredoc if has_only_options else None)


def script_of_shell(arguments: Sequence[Argument]) -> Argument | None:
    """Return the word after the options of ``sh`` if there is a ``-c`` among them."""
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


class Script(NamedTuple):
    """The code of a script word.

    ``start`` is where it begins in the word, ``None`` where unescaping moved it; ``is_known`` is false where
    it holds variables that the outer shell replaces.
    """

    source: bytes
    start: int | None
    is_known: bool


def code_of(script: Argument) -> Script | None:
    """Return the code of a script word or heredoc body, ``None`` where a part of it is not known."""
    raw = encode(script.raw)
    if script.text is None:
        inside = inside_double_quotes(raw[1:-1], None) if DOUBLE_QUOTED.fullmatch(raw) else None
        return None if inside is None else Script(encode(inside), None, is_known=False)
    code = encode(script.text)
    around = script.span.stop - script.span.start - len(code)
    if around == 0:
        return Script(code, 0, is_known=True)
    is_verbatim = around == 2 and (code == raw or (code == raw[1:-1] and raw[:1] in (b"'", b'"')))
    return Script(code, 1 if is_verbatim else None, is_known=True)
