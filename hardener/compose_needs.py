"""What the Compose services of an image demand that goes with root: rights, devices, mounts of the host."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener import compose
from hardener.outcome import Reason
from hardener.paths import below
from hardener.project import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.dockerfile import Stage
    from hardener.project import Project
    from hardener.settings import Settings

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


def root_need(project: Project, stage: Stage, settings: Settings, *, binds: bool = True) -> Reason | None:
    """Return why a service that builds this stage has to start as root, ``None`` where nothing says so.

    Without ``binds``, folders of the host that it mounts do not count: the same user wrote there before.
    """
    for service in compose.services_of(project, stage):
        found = service_need(project, service, settings, binds=binds)
        if found is not None:
            text = f"{service.file}:{service.line}: service {service.name} {found[0]}"
            return Reason(stage.instructions[0].line, text, found[1])
    return None


def service_need(
    project: Project, service: Service, settings: Settings, *, binds: bool = True
) -> tuple[str, str] | None:
    """Return reason and way out for one service; see `root_need`."""
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
    if str(values.get("pid")) == "host":
        return "shares the host's processes", keep
    if str(values.get("user") or "").partition(":")[0] in ("0", "root"):
        return "says `user: root`", "take that line away"
    return mount_need(project, service, settings, binds=binds)


def mount_need(project: Project, service: Service, settings: Settings, *, binds: bool) -> tuple[str, str] | None:
    """Return reason and way out for what a service mounts; see `root_need`."""
    for source, target, read_only in mounts(service):
        if "docker.sock" in source:
            return "mounts the engine's socket, whose group differs from host to host", "use a socket proxy"
        if below(target, ("/root",)):
            return f"mounts {target}, which only root may enter", "mount it somewhere else"
        if not (binds and is_bind(source)) or read_only or is_file(project, service, source) or own_user(service):
            continue
        if holds_sources(project, service, source):
            return (
                f"mounts {source}, the project's own files, at {target}: they belong to whoever works on them",
                f'set `user: "${{UID:-1000}}:${{GID:-1000}}"` for {service.name}, or mount it :ro',
            )
        text = f"mounts {source} of the host at {target}: what it writes there belongs to root so far"
        owner = f"{settings.uid}:{settings.gid}"
        if not is_data_folder(project, service, source):
            return text, f"give what it writes there to {owner} and add USER, or mount it :ro"
        if not settings.keep_root_entrypoint:  # that entrypoint gives it to the user, at every start
            way_out = (
                f"sudo chown -R {owner} {source} and add USER, or mount it :ro, or harden with --keep-root-entrypoint"
            )
            return text, way_out
    return None


def data_folders(project: Project, stage: Stage) -> Iterator[str]:
    """Yield where services mount folders of the host that they write data to."""
    for service in compose.services_of(project, stage):
        for source, target, read_only in mounts(service):
            is_own = read_only or own_user(service) or is_file(project, service, source)
            if is_data_folder(project, service, source) and target.startswith("/") and not is_own:
                yield target


def mounts(service: Service) -> Iterator[tuple[str, str, bool]]:
    """Yield source, target (without a trailing slash) and read-only of every volume entry of a service."""
    for mount in service.values.get("volumes") or ():
        source, target, read_only = mount_parts(mount)
        yield source, target.rstrip("/") or target, read_only


def own_user(service: Service) -> bool:
    """Whether a service runs as a user of its own setting already, whatever the image's USER."""
    return str(service.values.get("user") or "").partition(":")[0] not in ("", "0", "root")


def is_file(project: Project, service: Service, source: str) -> bool:
    """Whether a bind mount is a single file, by its ending, and not by a look at the disk."""
    if not is_bind(source) or not posixpath.splitext(source)[1]:
        return False
    return project.root is None or not (project.root / service.file.parent / source).is_dir()


def holds_sources(project: Project, service: Service, source: str) -> bool:
    """Whether a bind mount brings files that are part of the project: a folder of it that is not empty."""
    if project.root is None or not source.startswith("."):
        return False
    folder = PurePosixPath(posixpath.normpath(service.file.parent / source))
    return any(not name.startswith(".") for name in entries(str(project.root / folder)))


def is_data_folder(project: Project, service: Service, source: str) -> bool:
    """Whether a bind mount is a folder beside the Compose file, made for the data: nothing of it is the project's.

    A path of the host, or a variable, could be anything; nobody is told to give that away as a whole.
    """
    return source.startswith(".") and not source.startswith("..") and not holds_sources(project, service, source)


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


def named_volumes(project: Project, stage: Stage) -> Iterator[tuple[Service, str, str]]:
    """Yield service, volume name and absolute target of every named or anonymous volume of a stage's image."""
    for service in compose.services_of(project, stage):
        for source, target, read_only in mounts(service):
            if not is_bind(source) and target.startswith("/") and not read_only:
                yield service, source, target
