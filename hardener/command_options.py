"""The arguments of a program that writes where they say, read as a table of ``[paths.commands]`` tells."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardener.shell_command import Argument


class Options(NamedTuple):
    """Names of options, the values of ``to`` and of ``also``, plain words, and an option not known."""

    names: frozenset[str]
    to: tuple[Argument, ...] = ()
    also: tuple[Argument, ...] = ()
    words: tuple[Argument, ...] = ()
    unknown: str | None = None


@lru_cache(maxsize=256)
def names_in(text: str | None) -> frozenset[str]:
    """Return the options in a list of the table: the letters of its first word, and all other words."""
    letters, *long = (text or ".").split(" ")
    return frozenset([*letters.replace(".", ""), *long])


def options_of(table: Mapping[str, str], arguments: Sequence[Argument]) -> Options:
    """Tell options, their values and plain words apart."""
    to, also, optional = names_in(table.get("to")), names_in(table.get("also")), table.get("optional", "")
    valued = names_in(table.get("values")) | to | also
    known = valued | names_in(table["flags"]) | {*optional} if "flags" in table else None
    names: set[str] = set()
    values: list[tuple[str, Argument]] = []
    words: list[Argument] = []
    queue = list(arguments)[::-1]
    while queue:
        one = queue.pop()
        if one.text == "--":
            words += queue[::-1]
            break
        text = one.shown
        if text == "-" or not text.startswith("-"):
            words.append(one)
            continue
        if one.text is None:
            return Options(frozenset(names), unknown=text)
        for name, attached in options_in(text, valued, optional):
            if known is not None and name not in known:
                return Options(frozenset(names), unknown=text)
            names.add(name)
            if name in valued and name not in optional:
                value = one._replace(text=attached) if attached is not None else queue.pop() if queue else one
                values.append((name, value))
    written = tuple(value for name, value in values if name in to)
    others = tuple(value for name, value in values if name in also and name not in to)
    return Options(frozenset(names), written, others, tuple(words))


def options_in(text: str, valued: frozenset[str], optional: str) -> Iterator[tuple[str, str | None]]:
    """Yield the options in one argument with the value attached: ``-xzf``, ``-ofile``, ``--name=value``."""
    if text.startswith("--"):
        name, equals, value = text[2:].partition("=")
        yield name, value if equals else None
        return
    for index, letter in enumerate(text[1:], 1):
        if letter in valued or letter in optional:
            yield letter, text[index + 1 :] or None
            return
        yield letter, None
