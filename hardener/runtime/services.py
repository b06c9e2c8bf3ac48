"""Compose services as they are started: with what they extend, and in every way that the files of a folder merge.

https://docs.docker.com/reference/compose-file/merge/, https://docs.docker.com/reference/compose-file/services/#extends
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hardener.compose import NODES, entry, pairs, plain, read_services
from hardener.compose_links import extended
from hardener.compose_variables import values as variables_of
from hardener.variables import expand
from hardener.yaml_documents import only_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hardener.compose import Service

Place = tuple[PurePosixPath, str]
# Lists that another file replaces as a whole; all other lists grow.
REPLACED = frozenset(("command", "entrypoint", "test"))
MAXIMUM_DEPTH = 8
# What is written to a service: that another file has it too, or chooses it there, is no reason against it here.
WRITTEN = ("read_only", "tmpfs", "cap_drop", "cap_add", "security_opt")


@dataclass(frozen=True, eq=False)
class Files:
    """The Compose files of a repository as they are now: path (relative to ``root``) to bytes."""

    root: Path
    contents: Mapping[PurePosixPath, bytes]

    def services(self, path: PurePosixPath) -> tuple[Service, ...]:
        """Return the services of one file."""
        return read_services(path, self.contents.get(path, b""))

    def every(self) -> dict[Place, Service]:
        """Return every service of every file, by its place."""
        return {(path, one.name): one for path in self.contents for one in self.services(path)}


def effective(every: Mapping[Place, Service], service: Service, depth: int = MAXIMUM_DEPTH) -> dict[str, Any]:
    """Return the values of a service with those of what it extends below them."""
    place = extended(service.file, service.values.get("extends"))
    if place is None or depth == 0:
        return service.values
    other = every.get(place)
    if other is None:
        return {**service.values, "extends": MISSING}
    found: dict[str, Any] = merged(effective(every, other, depth - 1), service.values)
    return found


# What stands for `extends` where the file that it names is not here.
MISSING = "?"


def merged(below: Any, above: Any, key: str = "") -> Any:
    """Return what Compose makes of two values of one key, the second on top."""
    if above is None:
        return below
    if isinstance(below, dict) and isinstance(above, dict):
        return {one: merged(below.get(one), above.get(one, below.get(one)), one) for one in (*below, *above)}
    if isinstance(below, list) and isinstance(above, list) and key not in REPLACED:
        return [*below, *(one for one in above if one not in below)]
    if key == "environment" and below is not None:
        return {**environment(below), **environment(above)}
    return above


def variants(every: Mapping[Place, Service], service: Service) -> list[dict[str, Any]]:
    """Return the values of a service alone, and merged with each file that may be put on top of its own.

    Those are the other files of its folder, and files above or below that name it without an image or a build.
    """
    own = effective(every, service)
    found = [own]
    chosen = {key: own[key] for key in WRITTEN if key in own}
    here = service.file.parent
    for (file, name), other in every.items():
        if name != service.name or file == service.file:
            continue
        stands_alone = {"image", "build", "extends"} & other.values.keys()
        near = here in file.parent.parents or file.parent in here.parents
        if file.parent == here or (near and not stands_alone):
            table = merged(own, effective(every, other))
            found.append({**{key: one for key, one in table.items() if key not in WRITTEN}, **chosen})
    return found


def dependents(every: Mapping[Place, Service]) -> dict[Place, set[str]]:
    """Return for each service the names of those that take its keys: by ``extends``, a merge key or an alias."""
    found: dict[Place, set[str]] = {}
    by_node = {id(one.node): place for place, one in every.items()}
    for (file, name), one in every.items():
        place = extended(file, one.values.get("extends"))
        if place is not None:
            found.setdefault(place, set()).add(name)
        owner = by_node[id(one.node)]
        if owner != (file, name):  # `worker: *web`
            found.setdefault(owner, set()).add(name)
            found.setdefault((file, name), set()).add(owner[1])
        for node in merge_sources(one.node):
            if id(node) in by_node and by_node[id(node)] != (file, name):
                found.setdefault(by_node[id(node)], set()).add(name)
    return found


def merge_sources(node: Any, depth: int = MAXIMUM_DEPTH) -> Iterator[Any]:
    """Yield the mapping nodes that a mapping takes keys from by ``<<``, and those that these do."""
    if node.id != "mapping" or depth == 0:
        return
    for key, value in node.value:
        if key.value == "<<":
            for one in value.value if value.id == "sequence" else [value]:
                yield one
                yield from merge_sources(one, depth - 1)


def environment(value: Any) -> dict[str, str | None]:
    """Return ``environment`` in either of its forms as a table; ``None`` for a value that the host gives."""
    if isinstance(value, dict):
        return {str(name): None if one is None else str(one) for name, one in value.items()}
    pairs = (str(one).partition("=") for one in value or () if not isinstance(one, (dict, list)))
    return {name: text if equals else None for name, equals, text in pairs}


def known_variables(files: Files, service: Service) -> dict[str, str | None]:
    """Return the variables that ``.env`` files set for the file of a service."""
    return variables_of(files.root, service.file.parent)


def interpolated(text: str, known: Mapping[str, str | None]) -> str:
    """Return a text with its variables replaced where their values are known, else as it is."""
    return expand(text, known) or text if "$" in text else text


def words(value: Any) -> tuple[str, ...] | None:
    """Return the words of ``command`` or ``entrypoint``, in either form; ``None`` without one."""
    if value is None or value in ("", []):
        return None
    if isinstance(value, list):
        return tuple(str(one) for one in value)
    import shlex  # noqa: PLC0415

    try:
        return tuple(shlex.split(str(value)))
    except ValueError:
        return (str(value),)


def mount_rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield source, target (normalised) and read-only of what a service mounts: volumes, secrets, configs and tmpfs.

    Secrets, configs and tmpfs have the source ``secret:``, ``config:`` and ``tmpfs:``.
    """
    from hardener.compose_needs import mount_parts  # noqa: PLC0415  it asks the whole project

    for one in items(values.get("volumes")):
        source, target, read_only = mount_parts(one)
        if isinstance(one, dict) and one.get("type") == "tmpfs":
            source = "tmpfs:"
        yield source, posixpath.normpath(target or "/"), read_only
    for kind, folder in (("secrets", "/run/secrets"), ("configs", "/")):
        for one in items(values.get(kind)):
            table = one if isinstance(one, dict) else {"source": one}
            target = str(table.get("target") or table.get("source") or "")
            yield f"{kind[:-1]}:", posixpath.normpath(posixpath.join(folder, target)), True
    tmpfs = values.get("tmpfs")
    for one in [tmpfs] if isinstance(tmpfs, str) else items(tmpfs):
        yield "tmpfs:", posixpath.normpath(str(one).partition(":")[0] or "/"), False


def items(value: Any) -> list[Any]:
    """Return a value that should be a list, an empty one where it is not."""
    return value if isinstance(value, list) else []


@lru_cache(maxsize=64)
def used_elsewhere(content: bytes) -> frozenset[int]:
    """Return where the tables begin that an alias puts into a place of another kind: no service, no merge key.

    An edit of such a table would come along there.  The numbers are those of ``node.start_mark.index``.
    """
    import yaml  # noqa: PLC0415

    if b"&" not in content or b"*" not in content:
        return frozenset()
    root: Any = yaml.compose(content.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    listed = entry(root, "services") or root  # the first format has no `services`
    as_services = {id(one) for _, one in pairs(listed)}
    found, seen = set[int](), set[int]()
    pending: list[tuple[Any, Any]] = [(root, listed)]
    while pending:
        node, services = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        for key, value in pairs(node):
            if id(value) in as_services and node is not services and key != "<<":
                found.add(value.start_mark.index)
            elif not (key == "<<" and value.id == "sequence"):
                pending.append((value, services))
        if node.id == "sequence":
            found |= {one.start_mark.index for one in node.value if id(one) in as_services}
            pending += [(one, services) for one in node.value]
    return frozenset(found)


@lru_cache(maxsize=64)
def top_level(path: PurePosixPath, content: bytes) -> dict[str, Any]:
    """Return the tables of a file besides its services (volumes, secrets, include), as plain data."""
    del path
    root = only_document(content)
    budget = iter(range(NODES))
    tables = {
        name: plain(node, budget) for name, node in pairs(root) if name in ("volumes", "secrets", "configs", "include")
    }
    return {name: table for name, table in tables.items() if isinstance(table, (dict, list))}
