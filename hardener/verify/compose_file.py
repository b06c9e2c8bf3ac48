"""The Compose file that a verification starts: the project's own as Compose resolved it, kept to itself.

Nothing of it may meet what is there already: names of containers, images, networks and volumes are the run's own,
ports are published on any free port of the loopback, folders that may be written are volumes with what lies in the
project's, and those outside the project are empty ones.
Format: https://github.com/compose-spec/compose-spec/blob/main/spec.md, as ``docker compose config --format json``
writes it.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.verify.runner import TO_DROP_ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

SYSCTL = "net.ipv4.ip_unprivileged_port_start"
SOCKETS = ("docker.sock", "podman.sock")


class Isolation(NamedTuple):
    """What is put into every object: labels, a prefix for names, image tags by service, ports to publish besides."""

    labels: Mapping[str, str]
    prefix: str
    tags: Mapping[str, str]
    root: Path
    """The copy of the project: what is mounted from there may be written."""
    outside: Path
    """A folder of the run's own, for files that would be mounted from elsewhere."""
    address: str = "127.0.0.1"
    sysctl: str = ""
    build_network: str = ""
    build_arguments: Sequence[str] = ()
    ports: Mapping[str, Sequence[int]] = {}
    volumes: Mapping[str, Sequence[str]] = {}
    """By service, the paths that its image declares as VOLUME: without a name they would carry no label."""
    locked: bool = False
    user: str = ""
    is_remote: bool = False
    """Whether the engine cannot see the files of this machine: then nothing is mounted from here."""
    drops: Collection[str] = ()
    """Services that start as root and give it up by themselves."""


class Isolated(NamedTuple):
    """The Compose file to start, and what was left out of the project's own, in sentences.

    ``folders`` are the volumes that stand for a folder of the host, by their real names, with that folder (``None``
    for an empty one); ``files`` are service, file and path in the container of what is to be copied in.
    """

    document: dict[str, Any]
    notes: list[str]
    folders: dict[str, Path | None]
    files: list[tuple[str, Path, str]]


def isolated(config: Mapping[str, Any], to: Isolation) -> Isolated:
    """Return the Compose file to start, kept to itself.

    ``config`` is what Compose resolved (long forms everywhere); services with a ``build`` are the project's own.
    """
    document = copy.deepcopy(dict(config))
    notes: list[str] = []
    document["name"] = to.prefix
    folders: dict[str, Path | None] = {}
    files: list[tuple[str, Path, str]] = []
    services = document.get("services") or {}
    for name, service in services.items():
        isolate_service(name, service, to, notes)
        isolate_mounts(name, service, to, Isolated(document, notes, folders, files))
    networks = document.get("networks") or {}
    networks.setdefault("default", None)
    for key in networks:
        inner = bool((networks[key] or {}).get("internal"))
        networks[key] = {"labels": dict(to.labels), **({"internal": True} if inner else {})}
    document["networks"] = networks
    named = name_volumes(services, to)
    document["volumes"] = {key: {"labels": dict(to.labels)} for key in (*(document.get("volumes") or {}), *named)}
    document["volumes"] |= {key: {"name": key, "external": True} for key in folders}  # made before, with what is in it
    for kind in ("secrets", "configs"):
        for one in (document.get(kind) or {}).values():
            if one.pop("external", None):
                notes.append(f"an external {kind[:-1]} is empty here")
                one["file"] = str(empty_file(to.outside))
            one.pop("name", None)
    return Isolated(document, notes, folders, files)


def isolate_service(name: str, service: dict[str, Any], to: Isolation, notes: list[str]) -> None:
    """Change one service so that it keeps to itself; sentences about what was left out go to ``notes``."""
    service.pop("container_name", None)
    service.pop("deploy", None)
    labels = service.get("labels") or {}
    service["labels"] = {**labels, **to.labels}
    is_own = bool(service.get("build"))
    if is_own:
        build = service["build"]
        build["labels"] = {**(build.get("labels") or {}), **to.labels}
        build.pop("tags", None)
        if to.build_network:
            build["network"] = to.build_network
        if to.build_arguments:
            given = dict(one.partition("=")[::2] for one in to.build_arguments)
            build["args"] = {**(build.get("args") or {}), **given}
        service["image"] = to.tags[name]
    mode = str(service.get("network_mode") or "")
    if mode in ("host", "bridge"):
        del service["network_mode"]
        service["networks"] = {"default": None}
        notes.append(f"service {name} is on the {mode} network; here it is on one of its own")
        mode = ""
    if service.pop("external_links", None):
        notes.append(f"service {name} has external links, which are left out")
    isolate_ports(name, service, to, publishes=not mode)
    if is_own and not mode and to.sysctl:
        key, _, value = to.sysctl.partition("=")
        service["sysctls"] = {key: value, **(service.get("sysctls") or {})}
    if is_own and to.locked:
        service["cap_drop"] = ["ALL"]
        if name in to.drops:
            service["cap_add"] = list(dict.fromkeys((*(service.get("cap_add") or ()), *TO_DROP_ROOT)))
        service["read_only"] = True
        kept = [one for one in service.get("security_opt") or () if not str(one).startswith("no-new-privileges")]
        service["security_opt"] = [*kept, "no-new-privileges:true"]  # Compose refuses a line that is there twice
        temporary = service.get("tmpfs") or []
        temporary = [temporary] if isinstance(temporary, str) else temporary
        if not any(str(one).partition(":")[0] == "/tmp" for one in temporary):  # noqa: S108
            service["tmpfs"] = [*temporary, "/tmp"]  # noqa: S108
    if is_own and to.user:
        service["user"] = to.user


def isolate_ports(name: str, service: dict[str, Any], to: Isolation, *, publishes: bool) -> None:
    """Publish the container's ports on free ports of the loopback, and those that are to be asked besides."""
    ports = [one for one in service.get("ports") or () if str(one.get("protocol", "tcp")) == "tcp"]
    targets = [int(one["target"]) for one in ports]
    targets += [int(str(one).partition("/")[0]) for one in service.get("expose") or () if str(one)[:1].isdigit()]
    targets += list(to.ports.get(name, ()))
    service.pop("ports", None)
    if publishes and targets:
        service["ports"] = [
            {"target": port, "host_ip": to.address, "protocol": "tcp", "mode": "ingress"}
            for port in dict.fromkeys(targets)
        ]


def isolate_mounts(name: str, service: dict[str, Any], to: Isolation, found: Isolated) -> None:
    """Put volumes in place of the host's folders that may be written; the engine's socket is left out."""
    kept = []
    for mount in service.get("volumes") or ():
        source = Path(str(mount.get("source") or ""))
        target = str(mount["target"])
        may_write = not mount.get("read_only")
        if mount.get("type") != "bind":
            kept.append(mount)
        elif source.name.endswith(SOCKETS):
            found.notes.append(f"service {name} mounts the engine's socket, which is left out")
        elif not source.is_relative_to(to.root) and (may_write or to.is_remote):
            found.notes.append(f"service {name} mounts {source} from outside the project; here it is empty")
            kept.append(of_folder(mount, f"{to.prefix}_outside-{volume_name(name, target)}", None, found))
        elif source.is_file() and to.is_remote:
            text = "which the engine cannot see; it is copied in, where the container may be written"
            found.notes.append(f"service {name} mounts the file {source.relative_to(to.root)}, {text}")
            found.files.append((name, source, target))
        elif not source.is_file() and (may_write or to.is_remote):
            kept.append(of_folder(mount, folder_volume(to.prefix, source.relative_to(to.root)), source, found))
        else:
            kept.append(mount)
    if kept:
        service["volumes"] = kept
    else:
        service.pop("volumes", None)


def of_folder(mount: Mapping[str, Any], volume: str, source: Path | None, found: Isolated) -> dict[str, Any]:
    """Return the mount of a volume that stands for a folder; as a folder, it takes nothing from the image."""
    found.folders[volume] = source if source is not None and source.is_dir() else None
    read_only = {"read_only": True} if mount.get("read_only") else {}
    return {"type": "volume", "source": volume, "target": mount["target"], "volume": {"nocopy": True}, **read_only}


def folder_volume(prefix: str, folder: Path) -> str:
    """Return the name of the volume that stands for a folder, relative to the project's root."""
    return f"{prefix}_folder-{re.sub(r'[^A-Za-z0-9]+', '-', folder.as_posix()).strip('-') or 'root'}"


def name_volumes(services: Mapping[str, Any], to: Isolation) -> list[str]:
    """Give a name to every volume that has none; return the names."""
    names: list[str] = []
    for name, service in services.items():
        mounts = service.get("volumes") or []
        for mount in mounts:
            if mount.get("type") == "volume" and not mount.get("source"):
                mount["source"] = volume_name(name, str(mount["target"]))
                names.append(mount["source"])
        there = {str(mount.get("target", "")).rstrip("/") for mount in mounts}
        for path in to.volumes.get(name, ()):
            if path.rstrip("/") not in there:
                mounts.append({"type": "volume", "source": volume_name(name, path), "target": path})
                names.append(mounts[-1]["source"])
        if mounts:
            service["volumes"] = mounts
    return names


def volume_name(service: str, path: str) -> str:
    """Return a name for the volume that a service has at a path."""
    return f"{service}-{re.sub(r'[^A-Za-z0-9]+', '-', path).strip('-')}"


def empty_file(folder: Path) -> Path:
    """Return an empty file in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "empty"
    file.touch()
    return file


def published(config: Mapping[str, Any]) -> dict[int, tuple[str, int]]:
    """Return service and container port by published port, for what the project publishes over TCP."""
    found = {}
    for name, service in (config.get("services") or {}).items():
        for one in service.get("ports") or ():
            text = str(one.get("published") or "")
            if text.isdecimal() and str(one.get("protocol", "tcp")) == "tcp":
                found[int(text)] = (name, int(one["target"]))
    return found


def built_services(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the services that the project builds."""
    return tuple(name for name, one in (config.get("services") or {}).items() if one.get("build"))


def dockerfile_of(service: Mapping[str, Any]) -> Path | None:
    """Return the Dockerfile that a resolved service is built from, ``None`` where it is not in a folder here."""
    build = service.get("build") or {}
    context = str(build.get("context") or "")
    if not context.startswith("/") or "dockerfile_inline" in build:
        return None
    return Path(context, str(build.get("dockerfile") or "Dockerfile"))
