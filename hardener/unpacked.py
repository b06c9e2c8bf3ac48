"""Applications that a build step fetches or unpacks itself: their directories belong to root, whatever they write."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from hardener import context, shell
from hardener.command_options import options_of
from hardener.command_rules import matching, tables
from hardener.context import destination
from hardener.copied_sources import places
from hardener.paths import FOR_APPLICATIONS, absolute, below, is_system
from hardener.privilege_checks import tar_directories
from hardener.privileges import is_unknown, only_reads
from hardener.processes import is_runtime, started
from hardener.stages import is_root, resolve
from hardener.start_scripts import PATH_FOLDERS, followed
from hardener.user_steps import root_reason, steps_as_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

UNPACKERS = frozenset(("tar", "bsdtar", "unzip", "7z", "7za"))
MOVERS = frozenset(("mv", "cp"))
GIVERS = frozenset(("chown", "chmod"))
# What is cloned or unpacked here is looked at, or moved on, not started.
PASSING = ("/tmp", "/var/tmp", "/root")  # noqa: S108  paths of the image


class Filled(NamedTuple):
    """A directory that a RUN step filled as root; ``whole``: with a repository, so that it holds nothing else."""

    step: Step
    path: str
    whole: bool


def foreign_application(project: Project, facts: StageFacts) -> Filled | None:
    """Return the directory with the application the image starts, where a step fetched or unpacked it as root.

    ``None`` where the image starts what the project copies, or what lies in the system's folders.
    """
    found = [one for one in filled(facts) if not given_away(facts, one)]
    if not found:
        return None
    paths = [path for command in started(facts) or () if (path := application_path(command))]
    paths += by_name(project, facts)
    for one in found:
        if any(below(path, (one.path,)) and context.origin(project, facts, path) is None for path in paths):
            return one
        if facts.workdir is not None and below(facts.workdir, (one.path,)) and (one.whole or not copies_to(facts)):
            return one
    return None


def fetched_elsewhere(project: Project, facts: StageFacts) -> Filled | None:
    """Return the step that fetches the sources of what the image starts, in a stage where nothing is the project's.

    What such a program writes at run time is in nobody's files here.
    """
    for command in started(facts) or ():
        for path in start_places(project, facts, command):
            *_, (stage, _) = places(project, facts, path)
            if stage.stage.index == facts.stage.index or copies_context_of(stage):
                continue
            for step, one in stage.run_commands:
                if shell.program(one.name) == "git" and [arg.text for arg in one.arguments[:1]] == ["clone"]:
                    return Filled(step, path, whole=True)
    return None


def start_places(project: Project, facts: StageFacts, command: Command) -> tuple[str, ...]:
    """Return where the file that a command starts lies: by its path, or in a folder of PATH into which it is copied."""
    path = application_path(command)
    if path is not None or "/" in command.name or not command.name or is_runtime(command):
        return (path,) if path is not None else ()
    found = (f"{folder}/{command.name}" for folder in ("/usr/local/bin", *PATH_FOLDERS))
    return tuple(one for one in found if context.origin(project, facts, one) is not None)


def copies_context_of(facts: StageFacts) -> bool:
    """Whether a stage copies files of the build context; a fetched ADD and a heredoc are none."""
    return any(
        step.instruction.keyword in ("COPY", "ADD")
        and context.flag(step.instruction, "from") is None
        and not step.instruction.heredocs
        and not all(context.is_remote(source) for source in context.copy_arguments(step.instruction)[0])
        for step in facts.steps
    )


def by_name(project: Project, facts: StageFacts) -> Iterator[str]:
    """Yield where a program may lie that the start, or the scripts it leads to, calls by its name alone.

    Those are the folders that the Dockerfile itself puts into PATH; runtimes and what is known do not count.
    """
    folders = path_folders(facts)
    for first in started(facts) or () if folders else ():
        for command in (first, *followed(project, facts, first)):
            name = command.name
            if not name or "/" in name or "$" in name or is_runtime(command) or only_reads(command):
                continue
            reason = root_reason(command, ())
            if reason is not None and is_unknown(reason):
                yield from (posixpath.join(folder, name) for folder in folders)


def path_folders(facts: StageFacts) -> tuple[str, ...]:
    """Return the folders that ENV instructions add to PATH, as far as their values are known."""
    found: list[str] = []
    for step in facts.steps:
        if step.instruction.keyword != "ENV":
            continue
        for word in step.instruction.words:
            name, equals, value = word.text.partition("=")
            parts = value.strip("\"'").split(":") if equals and name == "PATH" else ()
            found += [path for part in parts if part not in ("$PATH", "${PATH}") and (path := resolve(part, step))]
    return tuple(found)


def filled(facts: StageFacts) -> Iterator[Filled]:
    """Yield the directories outside the system's that RUN steps clone, unpack or move unpacked files into, as root."""
    as_user = steps_as_user(facts)
    for step in facts.steps:
        if step.instruction.keyword != "RUN" or step in as_user or not is_root(step.user or ""):
            continue
        unpacked = False
        for command in step.commands or ():
            name = shell.program(command.name)
            whole = name == "git"
            targets: tuple[str | None, ...] = ()
            if whole:
                targets = (cloned_to(command),)
            elif name in UNPACKERS:
                targets = unpacked_to(command, name)
                unpacked = unpacked or bool(targets)
            elif name in MOVERS and unpacked:
                targets = (absolute_word(command, command.arguments[-1].text),) if command.arguments else ()
            for path in targets:
                if path is not None and not is_outside(path):
                    yield Filled(step, path, whole)


def is_outside(path: str) -> bool:
    """Whether nothing that is started there is an application: the system's folders, those for passing files on."""
    return (is_system(path) and path not in FOR_APPLICATIONS) or below(path, PASSING)


def cloned_to(command: Command) -> str | None:
    """Return the directory of a ``git clone``; in an unknown folder, as if it were in ``/``."""
    words = [one.text for one in command.arguments]
    if words[:1] != ["clone"]:
        return None
    rule = matching(tables()["rules"], "git", command.arguments)
    options = options_of(rule.table, command.arguments[1:]) if rule is not None and rule.kind == "paths" else None
    if options is None or options.unknown is not None or not options.words:
        return None
    if len(options.words) > 1:
        return absolute_word(command, options.words[1].text)
    address = (options.words[0].text or "").rstrip("/").removesuffix(".git")
    name = address.replace(":", "/").rpartition("/")[2]
    return absolute(name, command.directory or "/") if name else None


def unpacked_to(command: Command, name: str) -> tuple[str | None, ...]:
    """Return the directories that an archive's files go to; none for a command that does not extract."""
    words = [one.text or "" for one in command.arguments]
    if name in ("tar", "bsdtar"):
        bundles = [word for position, word in enumerate(words) if not position or word[:1] == "-" != word[1:2]]
        if not any("x" in word for word in bundles) and "--extract" not in words:
            return ()
        return tuple(absolute_word(command, one.text) for one in tar_directories(command.arguments)) or (
            command.directory,
        )
    if name == "unzip" and "-d" in words[:-1]:
        return (absolute_word(command, words[words.index("-d") + 1]),)
    return (command.directory,)


def absolute_word(command: Command, word: str | None) -> str | None:
    """Return a word of a command as an absolute path, ``None`` where it is not known."""
    if not word or (command.directory is None and not word.startswith("/")):
        return None
    return absolute(word, command.directory or "/")


def given_away(facts: StageFacts, one: Filled) -> bool:
    """Whether a ``chown -R`` or ``chmod -R`` in the same step or after it covers a directory."""
    steps = facts.steps[facts.steps.index(one.step) :]
    for step, command in facts.run_commands:
        words = [argument.text or "" for argument in command.arguments]
        recursive = any(word == "--recursive" or (word[:1] == "-" and "R" in word) for word in words)
        if step in steps and shell.program(command.name) in GIVERS and recursive:
            paths = [absolute_word(command, word) for word in words if word[:1] != "-"]
            if any(path is not None and below(one.path, (path,)) for path in paths[1:]):
                return True
    return False


def application_path(command: Command) -> str | None:
    """Return the absolute path of the file that a start command executes or interprets, ``None`` without one."""
    name: str | None = command.name
    if is_runtime(command):
        words = [one.text or "" for one in command.arguments]
        after = words[words.index("-jar") + 1 :] if "-jar" in words else words
        name = next((word for word in after if word[:1] != "-"), None)
        if name is not None and "/" not in name and not posixpath.splitext(name)[1]:
            return None  # a command or a module, such as `npm start`
    elif "/" not in command.name:
        return None
    return None if name is None or "$" in name else absolute_word(command, name)


def copies_to(facts: StageFacts) -> bool:
    """Whether the project copies files of its own to the folder the image starts in, or below it."""
    targets = [destination(step) for step in facts.steps if step.instruction.keyword in ("COPY", "ADD")]
    return any(target is not None and below(target, (facts.workdir or "/",)) for target in targets)
