"""The processes of a container: whose they are, and what they listen on, without a tool in it where that can be had."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.verify import sockets

if TYPE_CHECKING:
    from hardener.verify.engine import Engine

STATUS = ("Uid:", "Gid:")


def listening(engine: Engine, container: str, process: int) -> tuple[int, ...] | None:
    """Return the ports that a container listens on; ``None`` where neither this machine nor its own ``cat`` tells."""
    own = Path("/proc", str(process))
    with contextlib.suppress(OSError):
        if not engine.is_remote and process and is_of(own, container, engine):
            return sockets.listening((own / "net/tcp").read_text(), tables_of(own / "net/tcp6"))
    said = engine.ask("exec", container, "cat", "/proc/net/tcp", "/proc/net/tcp6")
    if "local_address" in said.out:
        return sockets.listening(said.out)
    return None


def tables_of(file: Path) -> str:
    """Return a table of the kernel, ``""`` where it has none (IPv6 switched off)."""
    return file.read_text() if file.exists() else ""


def is_of(process: Path, container: str, engine: Engine) -> bool:
    """Whether a process of this machine really is the container's: the engine may run in a machine of its own."""
    identity = engine.ask("inspect", "--format", "{{.Id}}", container).out.strip()
    return bool(identity) and identity in (process / "cgroup").read_text()


def owners(engine: Engine, container: str, process: int) -> tuple[str | None, tuple[str, ...]]:
    """Return ``uid:gid`` of process 1 and of all processes, in the container: numbers, where they are known."""
    known = None if engine.kind == "docker" else of_first(engine, container, process)
    if engine.kind == "docker":
        said = engine.ask("top", container, "-eo", "pid,uid,gid,args")
    else:  # Podman tells names where the container has them
        said = engine.ask("top", container, "hpid", "user", "group", "args")
    rows = [row.split(None, 3) for row in said.out.splitlines()[1:]] if not said.code else []
    rows = [row for row in rows if len(row) >= 3 and row[0].isdecimal()]
    if rows:
        first = next((row for row in rows if row[0] == str(process)), rows[0])
        return known or f"{first[1]}:{first[2]}", tuple(sorted({f"{row[1]}:{row[2]}" for row in rows}))
    return known or of_first(engine, container, process), ()


def of_first(engine: Engine, container: str, process: int) -> str | None:
    """Return ``uid:gid`` of process 1 from its status, of this machine or through the container's own ``cat``."""
    own = Path("/proc", str(process))
    with contextlib.suppress(OSError):
        if not engine.is_remote and process and is_of(own, container, engine):
            uid, gid = ids_of((own / "status").read_text()) or (-1, -1)
            uid, gid = inside(uid, (own / "uid_map").read_text()), inside(gid, (own / "gid_map").read_text())
            if uid >= 0 and gid >= 0:
                return f"{uid}:{gid}"
    found = ids_of(engine.ask("exec", container, "cat", "/proc/1/status").out)
    return f"{found[0]}:{found[1]}" if found else None


def ids_of(status: str) -> tuple[int, int] | None:
    """Return the real uid and gid of a process from its ``/proc/PID/status``, ``None`` where they are not there."""
    fields = {row.split()[0]: row.split()[1] for row in status.splitlines() if len(row.split()) > 1}
    return (int(fields["Uid:"]), int(fields["Gid:"])) if all(one in fields for one in STATUS) else None


def inside(number: int, table: str) -> int:
    """Return what an id of this machine is in a container with a user namespace; -1 where it is nobody there.

    ``table`` is ``/proc/PID/uid_map``: https://man7.org/linux/man-pages/man7/user_namespaces.7.html
    """
    for row in table.splitlines():
        first, outside, count = map(int, row.split())
        if outside <= number < outside + count:
            return first + number - outside
    return -1
