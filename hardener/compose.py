"""The Compose services of a project: what they build, mount and demand.

Located with PyYAML's node tree, whose marks are character offsets; nothing is ever printed from it.
Format: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import repository_files
from hardener.compose_links import entries, without_tag
from hardener.compose_variables import ANY_STAGE
from hardener.lazy_pattern import lazy_pattern
from hardener.yaml_documents import only_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.dockerfile import Stage
    from hardener.project import Project

# Aliases of aliases grow without end; Compose refuses them too ("excessive aliasing").
NODES = 100_000
LIST = lazy_pattern(rb"(?m)^services:[ \t]*(?:\[|#.*|\r?$)")


class Service(NamedTuple):
    """One service.

    ``file`` and ``dockerfile`` (``None`` where it builds nothing) are relative to the project's root, ``values`` is
    the service as plain data, ``line`` is 1-based.
    """

    file: PurePosixPath
    name: str
    line: int
    dockerfile: PurePosixPath | None
    target: str | None
    values: dict[str, Any]
    node: Any
    certain: bool = True
    """Whether more than a name says that it runs the image; nothing is edited where not."""


def build_targets(project: Project) -> frozenset[str]:
    """Return the stage names (lower case) that Compose services build from the project's Dockerfile."""
    return frozenset(one.target.lower() for one in services(project) if one.target)


@lru_cache(maxsize=64)
def services(project: Project) -> tuple[Service, ...]:
    """Return the Compose services that run the project's image: what builds it, and what those files add to it.

    Those that only an image name links to it are not ``certain``, unless it is one of the repository's own.
    """
    if project.root is None or not entries(project.root):
        return ()
    from hardener.compose_owners import places  # noqa: PLC0415  most projects have no Compose file

    wanted = places(project, project.root)
    bases = {without_tag(stage.base) for stage in project.dockerfile.stages} if wanted else set()
    found: list[Service] = []
    for file in dict.fromkeys(file for file, _ in wanted):
        for service in read_services(file, project.read(file) or b""):
            name = without_tag(str(service.values.get("image") or ""))
            if name in bases and not service.values.get("build"):
                continue  # the image that it is built FROM
            for link in wanted.get((file, service.name), ()):
                found.append(service._replace(target=link.target, certain=link.certain))  # noqa: PERF401
    return tuple(found)


def services_of(project: Project, stage: Stage) -> Iterator[Service]:
    """Yield the services that run one stage of the project's Dockerfile."""
    is_final = stage.index == len(project.dockerfile.stages) - 1
    for service in services(project):
        if service.target.lower() in (stage.name, ANY_STAGE) if service.target else is_final:
            yield service


def files_around(project: Project) -> tuple[tuple[PurePosixPath, bytes], ...]:
    """Return path and bytes of the Compose files beside and above the Dockerfile, and one step down from each."""
    if project.root is None:
        return ()
    near = set(project.folders)
    files = repository_files.contents(project.root).compose
    return tuple((path, data) for path, data in files if path.parent in near or path.parent.parent in near)


def all_services(project: Project) -> tuple[Service, ...]:
    """Return every service of the Compose files around the Dockerfile, whatever it runs."""
    return tuple(service for path, data in files_around(project) for service in read_services(path, data))


def unreadable_files(project: Project) -> tuple[PurePosixPath, ...]:
    """Return the Compose files around the Dockerfile that are no YAML as they stand, such as templates."""
    return tuple(
        path
        for path, data in files_around(project)
        if b"services:" in data and not read_services(path, data) and not lists_services(data)
    )


@lru_cache(maxsize=256)
def lists_services(data: bytes) -> bool:
    """Whether a file has a list of services, as Travis and GitLab do: then it is no Compose file."""
    top = entry(only_document(data), "services") if LIST.search(data) else None
    return top is not None and top.id == "sequence"


@lru_cache(maxsize=256)
def read_services(path: PurePosixPath, content: bytes) -> tuple[Service, ...]:
    """Return the services of one Compose file; none where it is not valid YAML or a bomb."""
    root = only_document(content)
    found: list[Service] = []
    budget = iter(range(NODES))
    # The first format had the services at the top: https://docs.docker.com/reference/compose-file/legacy-versions/
    top = entry(root, "services")
    for name, node in pairs(top or root):
        values = plain(node, budget)
        if isinstance(values, dict) and (top is not None or values.get("build") or values.get("image")):
            found.append(read_service(path, name, node, values))
    return tuple(found)


def read_service(path: PurePosixPath, name: str, node: Any, values: dict[str, Any]) -> Service:
    """Return one service; one that builds nothing here (or from a URL or a variable) has no Dockerfile."""
    build = values.get("build")
    table = build if isinstance(build, dict) else {"context": build}
    context = str(table.get("context") or ".")
    file = None
    if build and not ("://" in context or "$" in context or context.startswith("/")):
        folder = posixpath.normpath(path.parent / context)
        file = PurePosixPath(posixpath.normpath(posixpath.join(folder, str(table.get("dockerfile") or "Dockerfile"))))
    target = table.get("target")
    return Service(path, name, node.start_mark.line, file, str(target) if target else None, values, node)


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
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
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
