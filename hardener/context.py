"""Where the files of an image come from: COPY and ADD followed back into the build context."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener.paths import absolute
from hardener.stages import resolve

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from hardener.dockerfile import Instruction
    from hardener.project import Project
    from hardener.stages import StageFacts, Step


class Origin(NamedTuple):
    """Where one file of the image comes from.

    ``path`` (relative to the project's root) and ``data`` are there for a file of the build context; ``data``
    alone for a heredoc of the Dockerfile; neither for a file out of another stage, an image or a URL.
    ``missing`` says that the context should have the file and does not.
    """

    step: Step
    path: PurePosixPath | None = None
    data: bytes | None = None
    missing: bool = False


def copy_arguments(instruction: Instruction) -> tuple[list[str], str]:
    """Return sources and destination of a COPY or ADD, as written, in the shell or the JSON form."""
    words = list(instruction.operands)
    return (words[:-1], words[-1]) if len(words) > 1 else ([], words[0] if words else "")


def flag(instruction: Instruction, name: str) -> str | None:
    """Return the value of an instruction's flag (``""`` for one without a value), ``None`` without the flag."""
    return next((one.value or "" for one in instruction.flags if one.name == name), None)


def is_remote(source: str) -> bool:
    """Whether an ADD source is fetched: such a file gets mode 0600 (docs.docker.com/reference/dockerfile/#add)."""
    return source.startswith(("http://", "https://", "git@", "git://"))


def destination(step: Step) -> str | None:
    """Return the absolute destination of a COPY or ADD, without a trailing slash; ``None`` if not decided."""
    _, target = copy_arguments(step.instruction)
    return resolve(target, step) if target else None


@lru_cache(maxsize=64)
def build_context(project: Project) -> PurePosixPath:
    """Return the build context relative to the project's root.

    The Dockerfile's own folder, unless its COPY sources are only found in one of the folders above it
    (``docker build -f docker/Dockerfile .``).
    """
    own = project.context
    sources = copied_sources(project)
    for folder in (own, *own.parents):
        if sources and all(project.exists(f"{folder}/{source}") for source in sources):
            return folder
    return own


@lru_cache(maxsize=64)
def copied_sources(project: Project) -> list[str]:
    """Return the files and folders of the context that COPY and ADD name, not the context itself nor patterns."""
    sources = [
        source.strip("\"'").lstrip("./")
        for stage in project.dockerfile.stages
        for one in stage.instructions
        if one.keyword in ("COPY", "ADD") and flag(one, "from") is None and not one.heredocs
        for source in copy_arguments(one)[0]
        if not is_remote(source) and not any(mark in source for mark in "$*?[")
    ]
    return [source for source in sources if source]


def copies_context(project: Project) -> bool:
    """Whether a COPY or ADD takes the whole build context."""
    return any(
        source.strip("\"'").strip("./") == ""
        for stage in project.dockerfile.stages
        for one in stage.instructions
        if one.keyword in ("COPY", "ADD") and flag(one, "from") is None and not one.heredocs
        for source in copy_arguments(one)[0]
    )


@lru_cache(maxsize=64)
def copies(facts: StageFacts) -> tuple[tuple[Step, str], ...]:
    """Return the COPY and ADD steps of a stage's chain whose absolute destination is decided, with that, last first."""
    steps = (step for step in reversed(facts.steps) if step.instruction.keyword in ("COPY", "ADD"))
    return tuple((step, target) for step in steps if (target := destination(step)) is not None)


@lru_cache(maxsize=512)
def origin(project: Project, facts: StageFacts, path: str) -> Origin | None:
    """Return where the file at the absolute image ``path`` comes from, ``None`` if no COPY or ADD brings it."""
    context = build_context(project)
    for step, target in copies(facts):
        instruction = step.instruction
        if path != target and not path.startswith(target.rstrip("/") + "/"):
            continue
        if flag(instruction, "from") is not None:
            return Origin(step)
        for document in instruction.heredocs:
            if absolute(document.name, target) == path or path == target:
                body = document.body
                return Origin(step, data=project.dockerfile.data[body.start : body.stop])
        found = in_context(project, context, step, target, path)
        if found is not None:
            return found
    return None


def in_context(project: Project, context: PurePosixPath, step: Step, target: str, path: str) -> Origin | None:
    """Return the file of the build context that one COPY puts at ``path``."""
    sources, written = copy_arguments(step.instruction)
    rest = posixpath.relpath(path, target)
    plausible = False
    for raw in sources:
        if is_remote(raw):
            return Origin(step)
        source = raw.strip("\"'").lstrip("/")
        if rest == ".":
            candidates = [source]
        else:
            candidates = [posixpath.join(source, rest)]
            if posixpath.basename(source) == rest or any(mark in source for mark in "*?["):
                candidates.append(posixpath.join(posixpath.dirname(source), rest))
        for candidate in candidates:
            file = context / posixpath.normpath(candidate)
            data = project.read(file)
            if data is not None:
                return Origin(step, file, data)
        plausible = plausible or rest in (".", posixpath.basename(source)) or source in (".", "")
    if plausible and (rest != "." or not written.endswith("/")):
        return Origin(step, missing=True)
    return None


def git_may_be_copied(project: Project, step: Step) -> bool:
    """Whether a COPY can bring a ``.git`` folder into the image.

    Git and the Go tool refuse to work on a repository that another user owns ("dubious ownership",
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory).
    """
    sources, _ = copy_arguments(step.instruction)
    if flag(step.instruction, "from") is not None:
        return True
    if not any(source.strip("\"'").rstrip("/") in (".", "", "./", "*", ".git", "./.git") for source in sources):
        return False
    context = build_context(project)
    ignored = project.read(context / ".dockerignore") or b""
    if any(
        line.strip().strip(b"/") in (b".git", b"**/.git", b".git*", b".git/**", b"*") for line in ignored.splitlines()
    ):
        return False
    return (
        project.root is None
        or project.exists(context / ".git")
        or not any(project.exists(folder / ".git") for folder in (context, *context.parents))
    )
