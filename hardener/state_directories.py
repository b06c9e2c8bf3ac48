"""Directories that an image's application keeps its state in: volumes, data options, what the build made for it."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import privileges, server_start, servers
from hardener.context import destination, origin
from hardener.directories import already_owned, may_be_given, volumes, working_directories
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below, is_system
from hardener.processes import started
from hardener.stages import is_root
from hardener.user_steps import steps_as_user
from hardener.written_paths import written_paths

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.shell import Command
    from hardener.stages import StageFacts
    from hardener.written_settings import Written

# What a program keeps below these is state, by the Filesystem Hierarchy Standard 3.0, chapters 3.15 and 5.
DATA_OPTION = lazy_pattern(
    r"--?(?:data|db|state|storage|log|cache|work|user)(?:[-_]?(?:dir|path|directory|root))|--?(?:datadir|dbpath|userDir)"
)
LOG_TREES = ("/var/log",)
# Everybody may write there, or nothing is kept there.
FREE = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys")  # noqa: S108  paths of an image
PACKAGES = frozenset(("node_modules", "vendor", "venv", ".venv", "site-packages", ".git"))
STATE_TREES = ("/run", "/srv", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool")


@lru_cache(maxsize=256)
def state_directories(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return every directory of a stage that the application writes in, as far as its files tell."""
    if server_start.keeps_workers(project, facts):
        return ()
    found = [*working_directories(facts), *volumes(project, facts), *data_options(facts)]
    if facts.image is not None and facts.image.inherited is not None:
        found += facts.image.inherited.state
    found += directories_written(project, facts)
    as_user = steps_as_user(facts)
    for step, command in facts.run_commands:
        if is_root(step.user or "") and step not in as_user:  # what the user makes is the user's
            found += made_for_state(facts, command)
    server = servers.server_of(facts)
    if server is not None and server.only_reads and server_start.runs_server(project, facts):
        found = [one for one in found if one not in working_directories(facts) or one in volumes(project, facts)]
    own = working_directories(facts)
    return tuple(dict.fromkeys(one for one in found if one in own or may_be_given(facts, one)))


def directories_written(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return the directories outside the application's own that its ENV and sources say are written."""
    made = (
        one if one.makes == "directory" else one._replace(path=posixpath.dirname(one.path))
        for one in written(project, facts)
    )
    return tuple(one.path for one in made if may_be_given(facts, one.path))


def logs_written(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return the log files that are written in a directory of the system's, such as ``/var/log/app.log``."""
    return tuple(
        one.path
        for one in written(project, facts)
        if one.makes == "file" and one.path.endswith(".log") and posixpath.dirname(one.path) in LOG_TREES
    )


def misplaced_database(project: Project, facts: StageFacts) -> Written | None:
    """Return a database that is kept in a directory that cannot change its owner, such as ``/app.db``."""
    for one in written(project, facts):
        folder = posixpath.dirname(one.path)
        if one.makes == "database" and (folder == "/" or is_system(folder)) and not below(folder, FREE):
            return one
    return None


@lru_cache(maxsize=256)
def written(project: Project, facts: StageFacts) -> tuple[Written, ...]:
    """Return the absolute paths that are written, without those that the build makes in ways of its own.

    A path that a COPY brings or that a RUN names is a file or a folder of theirs: whether it may be made a directory
    is not certain.  What lies in the application's own directories is the user's already.
    """
    own = working_directories(facts)
    found: list[Written] = []
    for one in written_paths(project, facts):
        is_own = below(one.path, own) or below(posixpath.dirname(one.path), own)
        if not is_own and not named_in_build(facts, one.path) and origin(project, facts, one.path) is None:
            found.append(one)
    return tuple(found)


def named_in_build(facts: StageFacts, path: str) -> bool:
    """Whether a COPY puts something at a path, or a RUN does more with it than to make a directory of it."""
    for step in facts.steps:
        if step.instruction.keyword in ("COPY", "ADD") and destination(step) == path:
            return True
    for _, command in facts.run_commands:
        if command.name in ("mkdir", "chown", "chmod", "install"):
            continue
        words = [one.text for one in (*command.arguments, *(target for _, target in command.redirects)) if one.text]
        if any(absolute(word, command.directory or "/") == path for word in words):
            return True
    return False


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


def made_for_state(facts: StageFacts, command: Command) -> tuple[str, ...]:
    """Return the directories that a ``mkdir`` of the build makes for the running application.

    Told by their names, or because they lie below the application's own directories and nothing is built there.
    """
    if command.name != "mkdir":
        return ()
    state = privileges.runtime_state(command)
    words = [argument.text for argument in command.arguments if argument.text and argument.text[0] != "-"]
    paths = [absolute(word, command.directory) for word in words] if command.directory is not None else []
    return (
        *(state.paths if state is not None else ()),
        *(path for path in paths if below(path, STATE_TREES)),
        *(one for path in paths for one in made_with_parents(facts, path) if is_kept(facts, one)),
    )


def made_with_parents(facts: StageFacts, path: str) -> tuple[str, ...]:
    """Return a directory in the application's own ones, behind those above it there, which ``-p`` makes too.

    Nothing where the build gives it to somebody: then those above it are meant to be as they are.
    """
    own = application_directories(facts)
    if path in already_owned(facts):
        return ()
    found = [path]
    while below(found[0], own) and found[0] not in own:
        found.insert(0, posixpath.dirname(found[0]))
    return tuple(one for one in found if one not in own and below(one, own))


def is_kept(facts: StageFacts, path: str) -> bool:
    """Whether a directory made in the application's own directories is there at the end, and no build tool's."""
    if not PACKAGES.isdisjoint(path.split("/")):
        return False
    for _, command in facts.run_commands:
        if below(command.directory or "/", (path,)):
            return False  # `mkdir build && cd build && cmake ..`
        if command.name in ("rm", "rmdir", "mv"):
            gone = command.arguments[:-1] if command.name == "mv" else command.arguments
            words = tuple(absolute(one.text, command.directory or "/") for one in gone if one.text)
            if below(path, words):
                return False
    return not any(below(step.workdir or "/", (path,)) for step in facts.steps if step.instruction.keyword == "RUN")


@lru_cache(maxsize=256)
def application_directories(facts: StageFacts) -> tuple[str, ...]:
    """Return the working directories of a stage and the directories that COPY fills, without the system's."""
    copied = [destination(step) for step in facts.steps if step.instruction.keyword in ("COPY", "ADD")]
    found = (one for one in copied if one is not None and not is_system(one) and "." not in posixpath.basename(one))
    return tuple(dict.fromkeys((*(one for one in working_directories(facts) if not is_system(one)), *found)))
