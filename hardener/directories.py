"""Directories that an image's application works and writes in, as far as its files tell."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hardener import compose_needs, documented_runs, kubernetes
from hardener.context import copy_arguments
from hardener.paths import absolute, below, is_fixed, is_system
from hardener.servers import server_of
from hardener.stages import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project
    from hardener.stages import StageFacts


@lru_cache(maxsize=256)
def working_directories(facts: StageFacts) -> tuple[str, ...]:
    """Return the working directories that files are copied to or that the application starts in."""
    found: list[str] = []
    for step in facts.steps:
        if step.instruction.keyword in ("COPY", "ADD") and step.workdir is not None:
            target = copy_arguments(step.instruction)[1].strip("\"'")
            if not target.startswith(("/", "$")):
                found.append(step.workdir)
    is_chosen = any(step.instruction.keyword == "WORKDIR" for step in facts.steps)
    if facts.workdir is not None and (is_chosen or server_of(facts) is None):  # a server's own folder is its image's
        found.append(facts.workdir)
    return tuple(dict.fromkeys(one for one in found if not is_fixed(one) and is_not_shared(facts, one)))


def volumes(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return the absolute paths of VOLUME instructions and of the volumes that services and runs mount."""
    found = [path for _, path in own_volumes(facts)]
    found += [target for _, _, target in compose_needs.named_volumes(project, facts.stage)]
    found += [mount.path for mount in kubernetes.persistent_mounts(project)]
    found += documented_runs.volumes(project)
    return tuple(dict.fromkeys(found))


def own_volumes(facts: StageFacts) -> Iterator[tuple[int, str]]:
    """Yield the line (1-based) and the absolute path of everything that VOLUME instructions name."""
    for step in facts.steps:
        if step.instruction.keyword == "VOLUME":
            for text in step.instruction.operands:
                path = resolve(text, step)
                if path is not None:
                    yield step.instruction.line, path


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
