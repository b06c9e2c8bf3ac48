"""What the Compose services of an image demand that goes with root: rights, devices, mounts of the host."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from hardener import compose
from hardener.outcome import Reason
from hardener.paths import below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hardener.compose import Service
    from hardener.dockerfile import Stage
    from hardener.project import Project

# Capabilities that only a root process can use (capabilities(7)); the others are harmless to lose.
ROOT_CAPABILITIES = frozenset(
    [
        "ALL",
        "SYS_ADMIN",
        "NET_ADMIN",
        "SYS_MODULE",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_TIME",
        "DAC_READ_SEARCH",
        "NET_RAW",
        "SYS_RESOURCE",
        "MKNOD",
    ]
)


def root_need(project: Project, stage: Stage) -> Reason | None:
    """Return why a service that builds this stage has to start as root, ``None`` where nothing says so."""
    is_final = stage.index == len(project.dockerfile.stages) - 1
    for service in compose.services(project):
        if not (service.target.lower() == stage.name if service.target else is_final):
            continue
        found = service_need(service, project.root / service.file.parent if project.root is not None else None)
        if found is not None:
            text = f"{service.file}:{service.line}: service {service.name} {found[0]}"
            return Reason(stage.instructions[0].line, text, found[1])
    return None


def service_need(service: Service, folder: Path | None) -> tuple[str, str] | None:
    """Return reason and way out for one service, whose Compose file is in ``folder``; see `root_need`."""
    values = service.values
    keep = "keep root for this service, or take the right away first"
    if str(values.get("privileged")).lower() == "true":
        return "is privileged", keep
    capabilities = {str(one).upper().removeprefix("CAP_") for one in values.get("cap_add") or ()}
    if capabilities & ROOT_CAPABILITIES:
        return (
            f"adds {', '.join(sorted(capabilities & ROOT_CAPABILITIES))}, which a non-root process does not get",
            keep,
        )
    if "was" in f"{values.get('runtime')}{values.get('platform')}":
        return "runs in a WebAssembly runtime, which has users of its own", keep
    if values.get("devices"):
        return (
            "uses devices of the host, whose group differs from host to host",
            "add that group with group_add",
        )
    if str(values.get("pid")) == "host" or "host" in (values.get("network_mode"), values.get("net")):
        return "shares the host's processes or network", keep
    if str(values.get("user") or "").partition(":")[0] in ("0", "root"):
        return "says `user: root`", "take that line away"
    for mount in values.get("volumes") or ():
        source, target, read_only = mount_parts(mount)
        if "docker.sock" in source:
            return "mounts the engine's socket, whose group differs from host to host", "use a socket proxy"
        if below(target, ("/root",)):
            return f"mounts {target}, which only root may enter", "mount it somewhere else"
        is_file = posixpath.splitext(source)[1] and not (folder is not None and (folder / source).is_dir())
        if is_bind(source) and not read_only and not is_file:
            return (
                f"mounts {source} of the host at {target}: what it writes there belongs to root so far",
                "give that folder to the new user (chown -R) or mount it :ro, then add USER",
            )
    return None


def mount_parts(mount: Any) -> tuple[str, str, bool]:
    """Return source, target and read-only of a volume entry in the short or the long form."""
    if isinstance(mount, dict):
        return (
            str(mount.get("source") or ""),
            str(mount.get("target") or ""),
            str(mount.get("read_only")).lower() == "true",
        )
    parts = re.split(r":(?![^{]*\})", str(mount))
    if len(parts) == 1:
        return "", parts[0], False
    options = parts[2].split(",") if len(parts) > 2 else []
    return parts[0], parts[1], "ro" in options


def is_bind(source: str) -> bool:
    """Whether a volume source is a path of the host, not the name of a volume."""
    return source.startswith((".", "/", "~", "$", "<", "`"))


def named_volumes(project: Project) -> Iterator[tuple[Service, str, str]]:
    """Yield service, volume name and absolute target of every named or anonymous volume of the project's image."""
    for service in compose.services(project):
        for mount in service.values.get("volumes") or ():
            source, target, read_only = mount_parts(mount)
            if not is_bind(source) and target.startswith("/") and not read_only:
                yield service, source, target.rstrip("/")
