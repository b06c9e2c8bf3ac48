"""Whether a configuration file of the project serves another image too, which a moved port would break."""

from __future__ import annotations

import os
import posixpath
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import compose, compose_needs
from hardener.context import flag
from hardener.discovery import find_dockerfiles
from hardener.references import search_root
from hardener.small_files import content

if TYPE_CHECKING:
    from pathlib import Path

    from hardener.project import Project

MAXIMUM_DOCKERFILES = 200


def other_user(project: Project, path: PurePosixPath, *, its_ports: bool) -> str | None:
    """Return what else uses a file (relative to the project's root): another Dockerfile, or a Compose service.

    ``its_ports`` tells whether ports in it move: then a service that mounts it into any image counts.
    """
    if project.root is None or path == project.dockerfile_path or not its_ports:
        return None
    for service in compose.all_services(project):
        if service.dockerfile == project.dockerfile_path:
            continue
        for mount in service.values.get("volumes") or ():
            source, _, _ = compose_needs.mount_parts(mount)
            if not source.startswith("."):
                continue
            host = PurePosixPath(posixpath.normpath(service.file.parent / source))
            if host == path or (host == path.parent and host != service.file.parent):
                return f"{service.file}:{service.line}"
    name = os.fsencode(path.name)
    copying = {
        stage.index
        for stage in project.dockerfile.stages
        for one in stage.instructions
        if one.keyword in ("COPY", "ADD") and flag(one, "from") is None and path.name in one.value
    }
    if len(copying) > 1:
        return "another stage"
    for other, data in dockerfiles(search_root(project)):
        if other != project.root / project.dockerfile_path and name in data:
            folder = PurePosixPath(other.relative_to(project.root).as_posix()).parent
            if any(meant(project, folder, word) == path for word in words(data, name)):
                return str(folder / other.name)
    return None


def meant(project: Project, folder: PurePosixPath, word: str) -> PurePosixPath | None:
    """Return the file that a source means in a Dockerfile, whose context is its folder or one above."""
    found = (PurePosixPath(posixpath.normpath(one / word)) for one in (folder, *folder.parents))
    return next((one for one in found if project.exists(one)), None)


def words(content: bytes, name: bytes) -> list[str]:
    """Return the words of a Dockerfile that end in a file name, as relative paths."""
    found = (one.strip(b"\"',[]").lstrip(b"/") for one in content.split())
    return [one.decode("utf-8", "surrogateescape") for one in found if one.endswith(name)]


@lru_cache(maxsize=16)
def dockerfiles(folder: Path) -> tuple[tuple[Path, bytes], ...]:
    """Return path and content of the Dockerfiles below a folder, the first few hundred."""
    return tuple((file, content(file)) for file in islice(find_dockerfiles(folder), MAXIMUM_DOCKERFILES))
