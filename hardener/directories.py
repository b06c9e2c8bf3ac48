"""Directories that an image's application works and writes in, as far as its files tell."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import compose_needs, privileges
from hardener.context import copy_arguments
from hardener.paths import absolute, below, is_fixed, is_system
from hardener.processes import started
from hardener.stages import is_root, resolve

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts

# What a program keeps below these is state, by the Filesystem Hierarchy Standard 3.0, chapters 3.15 and 5.
DATA_OPTION = re.compile(
    r"--?(?:data|db|state|storage|log|cache|work|user)(?:[-_]?(?:dir|path|directory|root))|--?(?:datadir|dbpath|userDir)"
)
STATE_TREES = ("/run", "/srv", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool")


@lru_cache(maxsize=256)
def working_directories(facts: StageFacts) -> tuple[str, ...]:
    """Return the working directories that files are copied to or that the application starts in."""
    found: list[str] = []
    for step in facts.steps:
        if step.instruction.keyword in ("COPY", "ADD") and step.workdir is not None:
            target = copy_arguments(step.instruction)[1].strip("\"'")
            if not target.startswith(("/", "$")):
                found.append(step.workdir)
    if facts.workdir is not None:
        found.append(facts.workdir)
    return tuple(dict.fromkeys(one for one in found if not is_fixed(one) and is_not_shared(facts, one)))


def state_directories(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return every directory of a stage that the application writes in, as far as its files tell."""
    found = [*working_directories(facts), *volumes(project, facts), *data_options(facts)]
    for step, command in facts.run_commands:
        if is_root(step.user or ""):
            found += made_for_state(command)
    own = working_directories(facts)
    return tuple(dict.fromkeys(one for one in found if one in own or may_be_given(facts, one)))


def volumes(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return the absolute paths of VOLUME instructions and of the volumes that Compose services mount."""
    found: list[str] = []
    for step in facts.steps:
        if step.instruction.keyword == "VOLUME":
            words = step.instruction.json or step.instruction.words
            found += [path for word in words if (path := resolve(word.text, step)) is not None]
    found += [target for _, _, target in compose_needs.named_volumes(project)]
    return tuple(dict.fromkeys(found))


def data_options(facts: StageFacts) -> tuple[str, ...]:
    """Return the absolute paths that the start command names as its data, log or state directories."""
    found: list[str] = []
    for command in started(facts) or ():
        words = [argument.text or "" for argument in command.arguments]
        for word, following in zip(words, [*words[1:], ""], strict=False):
            option, equals, value = word.partition("=")
            if DATA_OPTION.fullmatch(option) and (path := value if equals else following).startswith("/"):
                found.append(absolute(path, "/"))
    return tuple(dict.fromkeys(found))


def made_for_state(command: Command) -> tuple[str, ...]:
    """Return the directories that a ``mkdir`` of the build makes for the running application, by their names."""
    if command.name != "mkdir":
        return ()
    state = privileges.runtime_state(command)
    words = [argument.text for argument in command.arguments if argument.text and argument.text[0] != "-"]
    paths = [absolute(word, command.directory) for word in words] if command.directory is not None else []
    return (
        *(state.paths if state is not None else ()),
        *(path for path in paths if below(path, STATE_TREES)),
    )


def may_be_given(facts: StageFacts, path: str) -> bool:
    """Whether a directory can change its owner: not the system's, not one that everybody can write already."""
    return not is_system(path) and is_not_shared(facts, path)


def is_not_shared(facts: StageFacts, path: str) -> bool:
    """Whether a directory is neither for temporary files, nor root's, nor writable for everybody in the base image."""
    writable = facts.image.writable if facts.image is not None else ()
    return path not in writable and not below(path, ("/tmp", "/root", "/var/tmp"))  # noqa: S108


def already_owned(facts: StageFacts) -> set[str]:
    """Return the directories that a ``chown`` of the Dockerfile gives to somebody already."""
    found: set[str] = set()
    for _, command in facts.run_commands:
        if command.name == "chown" and command.directory is not None:
            found |= {absolute(one.text, command.directory) for one in command.arguments[1:] if one.text}
    return found
