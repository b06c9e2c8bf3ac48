"""The volumes that a ``fly.toml`` mounts into the image that it deploys; they belong to root until somebody gives them.

Format: https://fly.io/docs/reference/configuration/#the-mounts-section
"""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener.outcome import Reason
from hardener.project import entries

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.settings import Settings


def mount_need(project: Project, settings: Settings) -> Reason | None:
    """Return which volume of Fly's would still belong to root, ``None`` without one."""
    if project.root is None:
        return None
    for folder in project.folders:
        for name in files_of_fly(str(project.root / folder)):
            path = folder / name
            for target in mounted(project, path, project.read(path) or b""):
                owner = f"{settings.uid}:{settings.gid}"
                text = f"{path} mounts a volume at {target}: it belongs to root so far"
                way_out = f"fly ssh console -C 'chown -R {owner} {target}', once, and add USER by hand"
                return Reason(1, text, way_out)
    return None


@lru_cache(maxsize=4096)
def files_of_fly(folder: str) -> tuple[str, ...]:
    """Return the names of Fly's files in one folder; many images share the folders above them."""
    return tuple(sorted(name for name in entries(folder) if name.startswith("fly") and name.endswith(".toml")))


def mounted(project: Project, path: PurePosixPath, data: bytes) -> list[str]:
    """Return where a ``fly.toml`` mounts volumes, nothing where it deploys another image or cannot be read."""
    if b"mounts" not in data:
        return []
    import tomli  # noqa: PLC0415  only projects on Fly pay for it

    try:
        loaded = tomli.loads(data.decode("utf-8"))
    except (tomli.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return []
    build = loaded.get("build")
    build = build if isinstance(build, dict) else {}
    file = posixpath.normpath(path.parent / str(build.get("dockerfile") or "Dockerfile"))
    if build.get("image") or PurePosixPath(file) != project.dockerfile_path:
        return []
    mounts: Any = loaded.get("mounts")
    tables = mounts if isinstance(mounts, list) else [mounts]
    return [str(one["destination"]) for one in tables if isinstance(one, dict) and one.get("destination")]
