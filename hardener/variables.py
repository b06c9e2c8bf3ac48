"""ARG and ENV values inside a Dockerfile, as far as its text decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardener.dockerfile import Instruction

# https://docs.docker.com/reference/dockerfile/#environment-replacement
REFERENCE = lazy_pattern(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^{}$]*))?\}|(.?))")

# A longer value is none that decides anything here, and `ARG A=$A$A` doubles it with every line.
LONGEST = 65_536


def dequote(text: str) -> str:
    """Return one Dockerfile word with its quotes and backslash escapes consumed."""
    if '"' not in text and "'" not in text and "\\" not in text:
        return text
    from dockerfile_parse.util import WordSplitter  # noqa: PLC0415  only quoted words need it

    return str(WordSplitter(text).dequote())


def expand(text: str, variables: Mapping[str, str | None]) -> str | None:
    """Return ``text`` with its variables replaced and its quotes removed.

    ``None`` where the text alone does not decide the value: a name without a value, or a form of ``${...}``
    other than ``:-``, ``-``, ``:+`` and ``+``.
    """
    if "$" not in text:
        return dequote(text)
    if "'" in text:
        return None  # single quotes keep a `$` as it is, unless they stand in double ones
    pieces: list[str] = []
    position = 0
    for match in REFERENCE.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        plain, braced, operator, alternative, other = match.groups()
        if match[0] == "\\$":
            pieces.append(match[0])
            continue
        if other is not None:
            return None
        value = variables.get(plain or braced)
        known = (plain or braced) in variables
        if operator and operator.endswith("-") and not value and (operator == ":-" or not known):
            if known and value is None:
                return None
            value = alternative
        elif operator and operator.endswith("+"):
            value = alternative if value else ""
        if value is None:
            return None
        pieces.append(value)
    pieces.append(text[position:])
    expanded = "".join(pieces)
    return dequote(expanded) if len(expanded) <= LONGEST else None


def assignments(instruction: Instruction, variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the names that one ARG or ENV instruction sets, with their values (``None``: not known here)."""
    words = instruction.texts
    if not words:
        return {}
    if instruction.keyword == "ENV" and "=" not in words[0]:  # the legacy form, `ENV name the rest`
        return {words[0]: expand(instruction.value[len(words[0]) :].strip(), variables)}
    found: dict[str, str | None] = {}
    for word in words:
        name, equals, value = word.partition("=")
        found[dequote(name)] = expand(value, variables) if equals else None
    return found
