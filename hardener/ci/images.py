"""The images that a repository builds, as a scan has to build them: Dockerfile, build context, stage."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener.compose_links import built, entries
from hardener.context import build_context
from hardener.discovery import find_dockerfiles
from hardener.dockerfile import ParseError
from hardener.project import UnsafePath, open_project
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project


class Built(NamedTuple):
    """One image: a name of its own, its Dockerfile and its build context relative to the repository's root."""

    name: str
    dockerfile: PurePosixPath
    context: PurePosixPath


def images(root: Path) -> tuple[Built, ...]:
    """Return the images of the Dockerfiles below ``root`` that a Linux machine can build, each with another name."""
    found: list[Built] = []
    for project in projects(root):
        name = free_name(project.dockerfile_path, {one.name for one in found})
        found.append(Built(name, project.dockerfile_path, context_of(root, project)))
    return tuple(found)


def projects(root: Path) -> Iterator[Project]:
    """Yield the Dockerfiles that can be read and are not for Windows."""
    for file in find_dockerfiles(root):
        try:
            project = open_project(file, root)
            facts = stage_facts(project.dockerfile, len(project.dockerfile.stages) - 1)
        except (ParseError, UnsafePath, OSError):
            continue
        if facts.image is None or facts.image.family != "windows":
            yield project


def context_of(root: Path, project: Project) -> PurePosixPath:
    """Return the build context: what a Compose file says, else what the COPY instructions need."""
    for one in entries(root):
        if one.build and built(root, one.file.parent, one.build) == project.dockerfile_path:
            place = posixpath.normpath(posixpath.join(str(one.file.parent), str(one.build.get("context") or ".")))
            if not place.startswith("..") and (root / place).is_dir():
                return PurePosixPath(place)
    return build_context(project)


def free_name(dockerfile: PurePosixPath, taken: set[str]) -> str:
    """Return a name for an image from its Dockerfile's path, in the letters that a tag and a job may have."""
    stem = re.sub(r"(?i)\.?(?:dockerfile|containerfile)\.?", "", dockerfile.name)
    words = [*dockerfile.parent.parts, stem] if dockerfile.parent.parts or stem else ["image"]
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-") or "image"
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)
