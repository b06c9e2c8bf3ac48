"""What a container finally starts: the commands of ENTRYPOINT and CMD, and what is known of their programs."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from hardener import shell
from hardener.dockerfile import Word
from hardener.lazy_pattern import lazy_pattern
from hardener.stages import POSIX_SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.shell import Command
    from hardener.stages import StageFacts

# A file that is not there to be read is a script by these names; else it is a program built beforehand.
SCRIPT_NAME = lazy_pattern(r"\.(?:ba|a)?sh$|entry-?point|/(?:docker-|run|start|init|boot|setup|launch|wrapper)[^/.]*$")


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``processes.toml``: programs, privilege droppers, starters and what lands below /root."""
    tables = tomli.loads(Path(__file__).with_name("processes.toml").read_text(encoding="utf-8"))
    for name in ("drops", "runtime", "file_tool"):
        tables[name]["names"] = frozenset(tables[name]["names"])
    return tables


@lru_cache(maxsize=1)
def programs() -> dict[str, dict[str, Any]]:
    """Return the program table by exact name."""
    return {name: one for one in knowledge()["program"] for name in one["names"]}


@lru_cache(maxsize=1)
def program_globs() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the program table's patterns, such as ``qemu-system-*``."""
    return tuple((name, one) for name, one in programs().items() if "*" in name)


def program(command: Command) -> dict[str, Any] | None:
    """Return what is known of a command by its base name, e.g. ``/usr/sbin/sshd``."""
    base = shell.program(command.name)
    found = programs().get(base)
    if found is None:
        found = next((one for glob, one in program_globs() if fnmatchcase(base, glob)), None)
    if found is not None and "when" in found and not any(one.text in found["when"] for one in command.arguments):
        return None
    if found is not None and "unless" in found:
        words = {argument.text for argument in command.arguments}
        return None if words.issuperset(found["unless"]) else found
    return found


def is_runtime(command: Command) -> bool:
    """Whether a command is an interpreter, an application server or a shell: what it runs is the project's own."""
    return shell.program(command.name) in knowledge()["runtime"]["names"]


@lru_cache(maxsize=256)
def started(facts: StageFacts) -> tuple[Command, ...] | None:
    """Return the commands that PID 1 of the image is, ENTRYPOINT and CMD taken together.

    ``None`` where the text cannot be read.  In the shell form, every command of the script is there; behind an
    ENTRYPOINT, what CMD would start by itself too, since an entrypoint script usually ends in ``exec "$@"``.
    """
    entrypoint, command = facts.entrypoint, facts.command
    first = entrypoint or command
    if first is None:
        return ()
    try:
        if entrypoint is None or entrypoint.instruction.json is None:
            # What counts is where the stage ends, not where the instruction stands.
            last = replace(first, workdir=facts.workdir, shell=facts.shell, variables=facts.variables)
            found = last.commands
        else:
            rest = default_arguments(facts)
            found = shell.exec_commands([*entrypoint.instruction.json, *rest], facts.workdir)
            if rest and found and may_be_command(found[0].name, rest[0].text):
                found += shell.exec_commands(rest, facts.workdir)
                return tuple(inner for one in found for inner in without_starter(one))
        found = None if found is None else (*found, *(inner for one in found for inner in handed_on(one)))
        return None if found is None else tuple(inner for one in found for inner in without_starter(one))
    except shell.ShellError:
        return None


def may_be_command(entrypoint: str, word: str) -> bool:
    """Whether CMD's first word is a command that an entrypoint script executes, not an argument of a program."""
    if word.startswith("-") or shell.program(entrypoint) in knowledge()["runtime"]["names"]:
        return False
    name = shell.program(word)
    known = name in programs() or name in knowledge()["runtime"]["names"] or word.startswith("/")
    return known or SCRIPT_NAME.search(f"/{entrypoint}") is not None


def handed_on(command: Command) -> Iterator[Command]:
    """Yield the program among the arguments of a script, which it executes in the end: ``wait.sh db:5432 nginx``."""
    words = [Word(one.text or one.raw, one.span) for one in command.arguments]
    name = command.name
    if shell.program(name) in POSIX_SHELLS:
        words = words[next((i for i, word in enumerate(words) if not word.text.startswith("-")), len(words)) :]
        name, words = (words[0].text, words[1:]) if words else ("", [])
    if not SCRIPT_NAME.search(f"/{name}") and not hands_on(shell.program(name).rpartition("/")[2]):
        return
    for position, word in enumerate(words):
        base = shell.program(word.text)
        if base in programs() or base in knowledge()["runtime"]["names"] or is_named(base):
            yield from shell.exec_commands(words[position:], command.directory)
            return


def hands_on(base: str) -> bool:
    """Whether a program, by its base name, starts what is among its arguments."""
    return handing_on().match(base) is not None


@lru_cache(maxsize=1)
def handing_on() -> re.Pattern[str]:
    """Return what matches the base names of the programs that start what is among their arguments."""
    return re.compile("|".join(map(translate, knowledge()["hands_on"]["names"])))


def is_named(base: str) -> bool:
    """Whether a base name is one of the program table's patterns."""
    return any(fnmatchcase(base, glob) for glob, _ in program_globs())


def default_arguments(facts: StageFacts) -> tuple[Word, ...]:
    """Return what CMD hands to an ENTRYPOINT in the exec form."""
    if facts.command is None:
        return ()
    instruction = facts.command.instruction
    if instruction.json is not None:
        return instruction.json
    nowhere = instruction.arguments
    return tuple(Word(text, nowhere) for text in (*facts.shell, instruction.value))


def without_starter(command: Command) -> Iterator[Command]:
    """Yield a command and what it starts, where it is an init such as ``tini --``."""
    yield command
    if shell.program(command.name) not in knowledge()["starter"]["names"]:
        return
    words = [Word(argument.text or argument.raw, argument.span) for argument in command.arguments]
    while words and words[0].text.startswith("-"):
        if words.pop(0).text == "--":
            break
    try:
        for inner in shell.exec_commands(words, command.directory):
            yield from without_starter(inner)
    except shell.ShellError:
        return
