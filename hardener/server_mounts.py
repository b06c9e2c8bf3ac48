"""What Compose mounts over the configuration of a server, and what of that is in the project to be read."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, compose_needs
from hardener.paths import below
from hardener.server_files import Files, ImageFile, below_folder
from hardener.server_reading import Unknown

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.servers import Server


class Overlay(NamedTuple):
    """The files of the image as one service sees them; below ``opaque`` there may be any."""

    files: Files
    opaque: tuple[str, ...]


def overlays(project: Project, server: Server, files: Files, line: int) -> tuple[Overlay, ...]:
    """Return the files of the image under the mounts of each service that has some there.

    ``line`` is the Dockerfile's, for what is said of them.  Raises `Unknown` for a mount over what the server
    writes, or over the scripts that its entrypoint runs.
    """
    found: list[Overlay] = []
    for service in compose.services(project):
        seen, opaque = dict(files), []
        for mount in service.values.get("volumes") or ():
            source, target, _ = compose_needs.mount_parts(mount)
            target = target.rstrip("/") or "/"
            where = f"{service.file}:{service.line}"
            logs = server.log_folder if server.same_workers else ""
            scripts = (server.scripts,) if server.scripts else ()
            if touches(target, (*server.own, *scripts, logs)) and (
                compose_needs.is_bind(source) or below(target, scripts)
            ):
                raise Unknown(line, f"{where}: Compose mounts {target} over what the server needs")
            if not touches(target, server.folders):
                continue
            for path in [one for one in seen if below(one, (target,))]:
                del seen[path]
            mounted = mounted_files(project, service.file.parent, source, (target, server.folders), line)
            if mounted is None:
                opaque.append(target)
            else:
                seen |= mounted
        if opaque or seen != files:
            found.append(Overlay(seen, tuple(opaque)))
    return tuple(found)


def touches(target: str, folders: tuple[str, ...]) -> bool:
    """Whether a mount hides something of the folders."""
    known = tuple(one for one in folders if one)
    return below(target, known) or any(below(one, (target,)) for one in known)


def mounted_files(
    project: Project, folder: PurePosixPath, source: str, place: tuple[str, tuple[str, ...]], line: int
) -> Files | None:
    """Return the project's files that a mount brings, by their path in the container; ``None`` if not in it."""
    target, folders = place
    if not source.startswith(".") or "$" in source or project.root is None:
        return None
    host = PurePosixPath(posixpath.normpath(folder / source))
    data = project.read(host)
    if data is not None:
        return {target: ImageFile(line, host, 0, data)}
    if not (project.root / host).is_dir():
        return None
    found: Files = {}
    for relative in below_folder(project, host, target, folders):
        data = project.read(host / relative)
        unknown = "" if data is not None else "cannot be read"
        found[posixpath.join(target, relative)] = ImageFile(line, host / relative, 0, data, unknown)
    return found
