"""The Compose services of a project: what they build, mount and demand.

Located with PyYAML's node tree, whose marks are character offsets; nothing is ever printed from it.
Format: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hardener.project import Project

FILE_NAME = re.compile(r"^(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml$")
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


# An offset that means: this entry is not understood.
UNCLEAR = -1
# What no Compose file that people write comes near.  libyaml's binding recurses in C: a file of nothing but opening
# brackets ends the process.  Aliases of aliases grow without end; Compose refuses them too ("excessive aliasing").
OPENERS = 5000
NODES = 100_000


class Need(NamedTuple):
    """A reason in a Compose file to keep root: ``where`` is ``path:line``."""

    where: str
    reason: str
    way_out: str


@dataclass(frozen=True)
class Service:
    """One service that builds from source.

    ``context`` and ``dockerfile`` are relative to the project's root; ``values`` is the service as plain data,
    ``None`` for what has a YAML tag of its own.  ``line`` is 1-based.
    """

    file: PurePosixPath
    name: str
    line: int
    context: PurePosixPath
    dockerfile: PurePosixPath
    target: str | None
    values: dict[str, Any]
    node: Any


def build_targets(project: Project) -> frozenset[str]:
    """Return the stage names (lower case) that Compose services build from the project's Dockerfile."""
    return frozenset(one.target.lower() for one in services(project) if one.target)


@lru_cache(maxsize=64)
def services(project: Project) -> tuple[Service, ...]:
    """Return the Compose services that build the project's Dockerfile."""
    return tuple(one for one in all_services(project) if one.dockerfile == project.dockerfile_path)


def all_services(project: Project) -> tuple[Service, ...]:
    """Return every service that builds something, of the Compose files beside and above the Dockerfile."""
    if project.root is None:
        return ()
    found: list[Service] = []
    for path in files_above(project.root, project.context):
        content = project.read(path)
        if content is not None and b"build" in content:
            found += read_services(path, content)
    return tuple(found)


@lru_cache(maxsize=1024)
def files_above(root: Path, folder: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the Compose files in ``folder`` (relative to ``root``) and in the folders above it."""
    return tuple(one / name for one in (folder, *folder.parents) for name in file_names(root / one))


@lru_cache(maxsize=4096)
def file_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the Compose files in one folder."""
    try:
        return tuple(sorted(entry.name for entry in folder.iterdir() if FILE_NAME.match(entry.name)))
    except OSError:
        return ()


@lru_cache(maxsize=256)
def read_services(path: PurePosixPath, content: bytes) -> tuple[Service, ...]:
    """Return the building services of one Compose file; none where it is not valid YAML or a bomb."""
    import yaml  # noqa: PLC0415  only projects with Compose files pay for it

    if sum(content.count(opener) for opener in (b"[", b"{", b"- ", b"? ")) > OPENERS:
        return ()
    try:
        root = yaml.compose(content.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return ()
    found: list[Service] = []
    budget = iter(range(NODES))
    for name, node in pairs(entry(root, "services")):
        build = entry(node, "build")
        values = plain(node, budget)
        if build is None or not isinstance(values, dict):
            continue
        table = values["build"] if isinstance(values.get("build"), dict) else {"context": values.get("build")}
        context = str(table.get("context") or ".")
        if "://" in context or "$" in context or context.startswith("/"):
            continue
        folder = PurePosixPath(posixpath.normpath(path.parent / context))
        file = PurePosixPath(posixpath.normpath(folder / str(table.get("dockerfile") or "Dockerfile")))
        target = table.get("target")
        found.append(
            Service(path, name, node.start_mark.line, folder, file, str(target) if target else None, values, node)
        )
    return tuple(found)


def pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield key text and value node of a mapping node, nothing for any other node."""
    if node is not None and node.id == "mapping":
        for key, value in node.value:
            yield str(key.value), value


def entry(node: Any, name: str) -> Any:
    """Return the value node of one key of a mapping node, ``None`` without it."""
    return next((value for key, value in pairs(node) if key == name), None)


def plain(node: Any, budget: Iterator[int], depth: int = 0) -> Any:
    """Return a node as plain data: scalars as their text, merge keys (``<<``) followed.

    ``None`` for what lies too deep, or comes when ``budget``, one number for each node, is used up.
    """
    if depth > 50 or next(budget, None) is None:  # an anchor that holds itself, or grows
        return None
    if node.id == "scalar":
        return node.value
    if node.id == "sequence":
        return [plain(one, budget, depth + 1) for one in node.value]
    table: dict[str, Any] = {}
    for key, value in pairs(node):
        if key == "<<":
            merged = plain(value, budget, depth + 1)
            for one in merged if isinstance(merged, list) else [merged]:
                table = {**one, **table} if isinstance(one, dict) else table
        else:
            table[key] = plain(value, budget, depth + 1)
    return table


def root_need(project: Project, stage: str | None, is_final: bool) -> Need | None:
    """Return why a service that builds this stage has to start as root, ``None`` where nothing says so."""
    for service in services(project):
        if not (service.target.lower() == stage if service.target else is_final):
            continue
        found = service_need(service)
        if found is not None:
            return Need(f"{service.file}:{service.line}", f"service {service.name} {found[0]}", found[1])
    return None


def service_need(service: Service) -> tuple[str, str] | None:
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
    if values.get("devices"):
        return (
            "uses devices of the host, whose group differs from host to host",
            "add that group with group_add",
        )
    if str(values.get("pid")) == "host" or str(values.get("network_mode")) == "host":
        return "shares the host's processes or network", keep
    if str(values.get("user") or "").partition(":")[0] in ("0", "root"):
        return "says `user: root`", "take that line away"
    for mount in values.get("volumes") or ():
        source, target, read_only = mount_parts(mount)
        if "docker.sock" in source:
            return "mounts the engine's socket, whose group differs from host to host", "use a socket proxy"
        if target.startswith("/root"):
            return f"mounts {target}, which only root may enter", "mount it somewhere else"
        if is_bind(source) and not read_only and not posixpath.splitext(source)[1]:
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
    return source.startswith((".", "/", "~", "$"))


def named_volumes(project: Project) -> Iterator[tuple[Service, str, str]]:
    """Yield service, volume name and absolute target of every named or anonymous volume of the project's image."""
    for service in services(project):
        for mount in service.values.get("volumes") or ():
            source, target, read_only = mount_parts(mount)
            if not is_bind(source) and target.startswith("/") and not read_only:
                yield service, source, target.rstrip("/")


def container_port_edits(project: Project, old: int, new: int) -> tuple[list[Edit], str | None]:
    """Return the edits that move the container side of every published port of the image's services.

    The published side never changes.  The second value names the first place that is not understood.
    """
    edits: list[Edit] = []
    for service in services(project):
        content = project.read(service.file) or b""
        text = content.decode("utf-8")
        for key in ("ports", "expose"):
            node = entry(service.node, key)
            if node is None:
                continue
            if node.id != "sequence" or node.start_mark.index < service.node.start_mark.index:
                return [], f"{service.file}:{node.start_mark.line + 1}"
            for item in node.value:
                where = f"{service.file}:{item.start_mark.line + 1}"
                scalar = item
                if item.id == "mapping":
                    scalar = entry(item, "target")
                if scalar is None or scalar.id != "scalar":
                    return [], where
                position = container_port_position(text, scalar, old)
                if position == UNCLEAR:
                    return [], where
                if position is not None:
                    start = len(text[:position].encode())
                    edits.append(Edit(service.file, start, start + len(str(old)), str(new).encode()))
    return edits, None


def container_port_position(text: str, scalar: Any, old: int) -> int | None:
    """Return the character offset of the container port in one scalar.

    ``None``: another port.  ``UNCLEAR``: a variable or a range.
    """
    value = str(scalar.value)
    match = re.fullmatch(r"(?P<published>.*:)?(?P<port>[^:/]+)(?:/(?:tcp|udp))?", value)
    if match is None or not match["port"].isdecimal():
        return UNCLEAR if match is None or "$" in match["port"] or "-" in match["port"] else None
    if int(match["port"]) != old:
        return None
    raw = text[scalar.start_mark.index : scalar.end_mark.index]
    offset = raw.find(value)
    if offset < 0:
        return UNCLEAR
    return int(scalar.start_mark.index) + offset + match.start("port")
