"""What the shell knows at one point of its code: the working directory and the values of variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute
from hardener.shell_words import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardener.shell_command import Argument

RUNS_TEXT = lazy_pattern(rb"\b(?:eval|source)\b|(?:^|[\s;&|({])\.\s")
SETS_VARIABLES = lazy_pattern(rb"\b(?:read|for|select|unset|getopts|mapfile|readarray|printf)\b")
MOVES = lazy_pattern(rb"\b(?:cd|chdir|pushd|popd)\b")


class State(NamedTuple):
    """Immutable, so that a subshell only has to keep it; ``stack`` is that of ``pushd``."""

    directory: str | None
    variables: Mapping[str, str]
    stack: tuple[str | None, ...] = ()


NOTHING_KNOWN = State(None, {})


def merge(one: State, other: State) -> State:
    """Return what is known after either of two ways through the code."""
    if one is other:
        return one
    return State(
        one.directory if one.directory == other.directory else None,
        {name: value for name, value in one.variables.items() if other.variables.get(name) == value},
        one.stack if one.stack == other.stack else (),
    )


def without(state: State, names: set[str | None]) -> State:
    """Return ``state`` without the variables ``names``."""
    kept = {name: value for name, value in state.variables.items() if name not in names}
    return state._replace(variables=kept)


def assigned(state: State, name: str, value: str | None) -> State:
    """Return ``state`` after ``name=value``; a value that is not known is forgotten."""
    if value is None:
        return without(state, {name})
    return state._replace(variables={**state.variables, name: value})


def unchanged_by(code: bytes, state: State) -> State:
    """Return ``state`` without everything that ``code`` may set, judged by its text alone."""
    if RUNS_TEXT.search(code):
        return NOTHING_KNOWN
    word = rb"[A-Za-z_]\w*" if SETS_VARIABLES.search(code) else rb"(?<!\w)[A-Za-z_]\w*(?=\+?=|\[)"
    kept = without(state, {decode(name) for name in re.findall(word, code)})
    return State(None, kept.variables) if MOVES.search(code) else kept


def after_builtin(state: State, plain: str, arguments: Sequence[Argument]) -> State:
    """Return ``state`` after the builtin ``plain`` has run; any other program changes nothing."""
    if plain in ("cd", "chdir"):
        return state._replace(directory=after_cd(state, arguments, state.variables.get("HOME")))
    if plain == "pushd":
        return State(after_cd(state, arguments, None), state.variables, (*state.stack, state.directory))
    if plain == "popd":
        directory = state.stack[-1] if state.stack and not arguments else None
        return State(directory, state.variables, state.stack[:-1])
    if plain in ("eval", ".", "source"):
        return NOTHING_KNOWN
    if plain in ("read", "getopts", "mapfile", "readarray", "printf", "unset"):
        return without(state, {one.text for one in arguments})
    return state


def after_cd(state: State, arguments: Sequence[Argument], default: str | None) -> str | None:
    """Return the directory that ``cd`` goes to, ``default`` if it is not told; ``None`` where not known."""
    operands = [one.text for one in arguments if one.text not in ("-L", "-P", "-e", "--")] or [default]
    target = operands[0]
    if len(operands) > 1 or not target or target[0] in "-+":
        return None
    if state.directory is None and target[0] != "/":
        return None
    return absolute(target, state.directory or "/")
