"""Package managers of Linux distributions and the packages they install by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.command_rules import tables
from hardener.lazy_pattern import lazy_pattern
from hardener.shell_command import program

if TYPE_CHECKING:
    from hardener.shell_command import Command

PACKAGE = lazy_pattern(r"([A-Za-z0-9@][\w.+-]*)(?:[=<>~/@].*|:\w+(?:=.*)?)?")


def package_manager(command: Command) -> str | None:
    """Return the family of the package manager that ``command`` runs: apt, apk, dnf, zypper or pacman."""
    return tables()["families"].get(program(command.name))


def package_names(command: Command) -> tuple[str, ...]:
    """Return the packages that ``command`` installs from its distribution; versions and variables dropped."""
    texts = [one.shown for one in command.arguments]
    for rule in tables()["install"].get(program(command.name), ()):
        words = operands(texts, rule.table["values"].split())
        is_sync = rule.entry != "pacman" or any(one.raw.startswith("-S") for one in command.arguments)
        if tuple(words[: len(rule.words)]) == rule.words and is_sync:
            matches = (PACKAGE.fullmatch(word) for word in words[len(rule.words) :])
            return tuple(match[1] for match in matches if match is not None)
    return ()


def operands(texts: list[str], valued: list[str]) -> list[str]:
    """Return the words that are neither options nor the values of the options ``valued``."""
    words: list[str] = []
    is_value = False
    for text in texts:
        if not is_value and not text.startswith("-"):
            words.append(text)
        is_value = not is_value and text in valued
    return words
