"""Names of images as build files write them, variables and all, and when two of them mean the same image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

# `${NAME:-default}`, `${NAME}`, `$(NAME)`, `${{ env.NAME }}`, `$NAME`: the shell, Compose, Make, GitHub's workflows.
VARIABLE = lazy_pattern(
    r"\$\{\{\s*(?:env\.)?(?P<github>[\w.-]+)[^}]*\}\}"
    r"|\$\{(?P<brace>\w+)(?::?-(?P<default>[^{}$]*))?[^{}]*\}"
    r"|\$\((?P<make>\w+)\)"
    r"|\$\([^()]*\)"
    r"|\$(?P<plain>\w+)"
)
ANY = "*"
DEPTH = 4


class ImageName(NamedTuple):
    """The path of an image below its registry, a component that a variable decides being ``*``; and its tag."""

    parts: tuple[str, ...]
    tag: str


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the variables replaced whose value is there; every other becomes ``*``."""
    for _ in range(DEPTH):
        if "$" not in text:
            return text
        text = VARIABLE.sub(lambda match: value_of(match, variables), text)
    return VARIABLE.sub(ANY, text)


def value_of(match: re.Match[str], variables: Mapping[str, str]) -> str:
    """Return what one variable stands for: its value, else its default, else ``*``."""
    name = match["github"] or match["brace"] or match["make"] or match["plain"] or ""
    value = variables.get(name)
    return value if value is not None else match["default"] or ANY


def image_name(text: str, variables: Mapping[str, str] | None = None) -> ImageName | None:
    """Return the name that a text stands for; ``None`` where a variable decides its last component."""
    name, _, _ = expanded(text.strip("\"'"), variables or {}).partition("@")
    path, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    if not last or ANY in last or not re.fullmatch(r"[a-z0-9][\w.-]*", last):
        return None
    parts = [part if ANY not in part else ANY for part in path.split("/")] if slash else []
    if parts and ("." in parts[0] or ":" in parts[0] or parts[0] == "localhost"):
        parts = parts[1:]
    parts = parts[1:] if parts[:1] == ["library"] else parts
    return ImageName((*parts, last), "" if ANY in tag else tag)


def agree(one: ImageName, other: ImageName) -> bool:
    """Whether two names can mean the same image: equal but for what a variable decides at their beginnings."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    if not all(first == second or ANY in (first, second) for first, second in pairs):
        return False
    shorter, longer = sorted((one.parts, other.parts), key=len)
    return len(shorter) == len(longer) or shorter[0] == ANY or set(longer[: len(longer) - len(shorter)]) == {ANY}


def is_literal(name: ImageName) -> bool:
    """Whether no variable is left in a name."""
    return ANY not in name.parts
