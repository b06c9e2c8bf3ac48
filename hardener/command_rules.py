"""The facts of ``commands.toml``: which programs need what, indexed by program."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from hardener.lazy_pattern import lazy_pattern
from hardener.shell_command import program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hardener.shell_command import Argument, Command

import tomli

VERSIONED = lazy_pattern(r"(python|pip|php|ruby|gem|pecl|node)(?:-?[\d.]+)|.*/bin/(python|pip)[\d.]*")
SCRIPT = lazy_pattern(r"(?:\.?/)?(?:[\w.-]+/)*(?:manage\.py|artisan|bin/(?:rails|rake|console))")


class Rule(NamedTuple):
    """An entry of a table, ``kind`` being the table's name, and the words of it after the program."""

    kind: str
    entry: str
    words: tuple[str, ...]
    table: Mapping[str, Any]


class Tables(TypedDict):
    """What ``commands.toml`` says; each index holds the rules of a program, those with most words first."""

    rules: Mapping[str, list[Rule]]
    state: Mapping[str, list[Rule]]
    install: Mapping[str, list[Rule]]
    families: Mapping[str, str]
    maybe: tuple[str, ...]
    unreadable: list[str]
    directories: list[str]
    suffixes: tuple[str, ...]
    below: tuple[str, ...]
    tool_directories: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """Read ``commands.toml``."""
    data = tomli.loads(Path(__file__).with_name("commands.toml").read_text(encoding="utf-8"))
    rules = [rule for kind in ("root", "read", "work") for rule in rules_of(kind, data[kind])]
    rules += [rule_of("paths", entry, table) for entry, table in data["paths"]["commands"].items()]
    install = (rule_of("install", entry, {"values": values}) for entry, values in data["packages"]["install"].items())
    families = data["packages"]["families"]
    return {
        "rules": by_program(rules),
        "state": by_program(rules_of("state", data["state"])),
        "install": by_program(install),
        "families": {one: family for family, programs in families.items() for one in entries(programs)},
        "maybe": tuple(table["reason"] for table in data["root"] if table.get("maybe")),
        "unreadable": entries(data["unreadable"]["paths"]),
        "directories": entries(data["names"]["directories"]),
        "suffixes": tuple(data["names"]["suffixes"].split()),
        "below": tuple(entries(data["names"]["below"])),
        "tool_directories": {
            key: tuple(entries(text)) for key, text in data["tool_directories"].items() if key != "source"
        },
    }


def entries(text: str) -> list[str]:
    """Split a list of the file."""
    return [entry.strip() for entry in text.split(",")]


def rules_of(kind: str, found: list[dict[str, Any]]) -> list[Rule]:
    """Return a rule for each command of some tables."""
    return [rule_of(kind, entry, table) for table in found for entry in entries(table["commands"])]


def rule_of(kind: str, entry: str, table: Mapping[str, Any]) -> Rule:
    """Return the rule of one entry."""
    return Rule(kind, entry, tuple(entry.split(" ")[1:]), table)


def by_program(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Index rules by program, those with most words first."""
    index: dict[str, list[Rule]] = {}
    for rule in sorted(rules, key=lambda rule: -len(rule.words)):
        index.setdefault(rule.entry.split(" ")[0], []).append(rule)
    return index


def matching(index: Mapping[str, list[Rule]], name: str, arguments: Sequence[Argument]) -> Rule | None:
    """Return the longest rule that fits: its words are the first that are no options, or the first of all."""
    rules = index.get(name)
    if rules is None:
        return None
    texts = [one.text or "" for one in arguments]
    operands = [text for text in texts if text[:1] != "-"]
    for rule in rules:
        words = list(rule.words)
        if not words or words[0][0] != "-":
            fits = words == operands[: len(words)]
        elif len(words) > 1 or words[0].startswith("--"):
            fits = words == texts[: len(words)]
        else:
            fits = bool(texts) and texts[0].startswith(words[0])
        if fits:
            return rule
    return None


@lru_cache(maxsize=1024)
def unversioned(name: str) -> str:
    """Return a program by the name that the tables have for all its versions: ``python3.12`` is python."""
    versioned = VERSIONED.fullmatch(name)
    return str(versioned[1] or versioned[2]) if versioned else name


def canonical(command: Command) -> tuple[str, Sequence[Argument]]:
    """Return a command as the tables name it: ``python3 -m pip`` is pip, ``bundle exec bin/rails`` rails."""
    name, arguments = program(command.name), command.arguments
    if name == "bundle" and len(arguments) > 1 and arguments[0].text == "exec":
        name, arguments = arguments[1].text or "", arguments[2:]
    name = unversioned(name)
    texts = [one.text or "" for one in arguments[:2]]
    if name == "python" and texts == ["-m", "pip"]:
        return "pip", arguments[2:]
    if name in ("python", "php", "ruby") and texts and SCRIPT.fullmatch(texts[0]):
        name, arguments = texts[0], arguments[1:]
    if SCRIPT.fullmatch(name):
        last = posixpath.basename(name)
        name = "bin/console" if last == "console" else last
    return name, arguments
