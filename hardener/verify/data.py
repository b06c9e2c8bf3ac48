"""What of the data that an image wrote as root its new user cannot use: read from the owners and modes of the files."""

from __future__ import annotations

import io
import posixpath
import tarfile
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from hardener.verify.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardener.verify.engine import Engine

SECONDS = 60.0
READ, WRITE, ENTER = 4, 2, 1
SHOWN = 8


class File(NamedTuple):
    """One file or folder of a volume: absolute path in the container, owner, group, permission bits, time of change."""

    path: str
    uid: int
    gid: int
    mode: int
    changed: float
    is_folder: bool


def files_in(engine: Engine, container: str, paths: Iterable[str]) -> Iterator[File]:
    """Yield what lies in a container's volumes, as the engine hands it out; no tool in the image is needed."""
    for path in paths:
        try:
            said = engine.raw("cp", f"{container}:{path}", "-", seconds=SECONDS)
        except EngineFailed:
            continue
        try:
            with tarfile.open(fileobj=io.BytesIO(said), mode="r|") as tar:
                for one in tar:
                    _, _, rest = one.name.strip("/").partition("/")  # the first part is the volume's own folder
                    if one.isfile() or one.isdir():
                        name = posixpath.join(path, rest)
                        yield File(name, one.uid, one.gid, one.mode, one.mtime, one.isdir())
        except tarfile.TarError:
            continue


def unusable(files: Iterable[File], user: str, since: float) -> tuple[str, ...]:
    """Return the paths of data that are not ``user``'s (``uid:gid``) and that it may not use as root did.

    What was changed after ``since`` (seconds of the epoch) was written by the program, which may have to write it
    again; older files came with the image, and those of root have to be read only.
    """
    uid, _, gid = user.partition(":")
    if not uid.isdecimal() or not gid.isdecimal() or uid == "0":
        return ()
    found = []
    for one in files:
        is_fresh = one.changed >= since
        if one.uid == int(uid) or (one.uid and not is_fresh) or posixpath.basename(one.path) == "lost+found":
            continue
        wanted = READ | (ENTER if one.is_folder else 0) | (WRITE if is_fresh else 0)
        granted = (one.mode >> 3 if one.gid == int(gid) else one.mode) & 7
        if wanted & ~granted:
            found.append(one.path)
    return tuple(found[:SHOWN])


def started_at(engine: Engine, container: str) -> float:
    """Return when a container was started by the engine's clock, in seconds of the epoch; infinity if nobody knows."""
    text = engine.ask("inspect", "--format", "{{json .State.StartedAt}}", container).out.strip().strip('"')
    try:
        zone = text[19:].lstrip(".0123456789").replace("Z", "+00:00") or "+00:00"
        return datetime.fromisoformat(text[:19] + zone).timestamp()
    except ValueError:
        return float("inf")
