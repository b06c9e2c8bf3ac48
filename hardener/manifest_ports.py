"""The container ports below 1024 that the Kubernetes manifests of a repository state for each image.

Format: https://kubernetes.io/docs/concepts/services-networking/service/#defining-a-service
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.compose_links import without_tag
from hardener.lazy_pattern import lazy_pattern
from hardener.repository_files import contents, files
from hardener.small_files import content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath


PORT = lazy_pattern(rb"(?:containerPort|targetPort|port)[\"']?:\s*[\"']?\d{1,3}\b")


class Stated(NamedTuple):
    """A container port below 1024 of a Kubernetes workload: the manifest, the line (1-based), image and port."""

    file: PurePosixPath
    line: int
    image: str
    port: int


@lru_cache(maxsize=16)
def manifest_ports(root: Path) -> tuple[Stated, ...]:
    """Return the container ports below 1024 of the repository's Kubernetes manifests that are plain YAML."""
    found: list[Stated] = []
    for file, data in contents(root).manifests:
        there = [(file, data), *services_beside(root, file)]
        if not any(PORT.search(text) for _, text in there):
            continue
        pods = [pod for document in documents(data) for pod in pods_in(document)]
        services = [(selector, port, other) for other, text in there for selector, port in services_in(text)]
        for labels, pod in pods:
            targets = [port for selector, port, _ in services if selector.items() <= labels.items()]
            for container in items(pod.get("containers")):
                ports = [one.get("containerPort") for one in items(container.get("ports"))]
                ports = ports or (targets if len(items(pod.get("containers"))) == 1 else [])
                for port in ports:
                    if isinstance(port, int) and 0 < port < 1024:
                        place = next((one for one in places(there, port)), (file, 1))
                        found.append(Stated(*place, without_tag(str(container.get("image") or "")), port))
    return tuple(found)


def services_beside(root: Path, file: PurePosixPath) -> list[tuple[PurePosixPath, bytes]]:
    """Return path and content of the other files in a manifest's folder that have a Service."""
    beside = (one for one in files(root).yaml if one.parent == file.parent and one != file)
    read = ((one, content(root / one)) for one in beside)
    return [(one, data) for one, data in read if b"Service" in data and b"selector:" in data]


def places(there: list[tuple[PurePosixPath, bytes]], port: int) -> Iterator[tuple[PurePosixPath, int]]:
    """Yield file and line (1-based) of what states a port: the container itself first, then Services."""
    for pattern in (
        rb"containerPort[\"']?:\s*[\"']?%d\b",
        rb"targetPort[\"']?:\s*[\"']?%d\b",
        rb"\bport[\"']?:\s*%d\b",
    ):
        for file, data in there:
            match = re.search(pattern % port, data)
            if match is not None:
                yield file, data.count(b"\n", 0, match.start()) + 1


def services_in(data: bytes) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield selector and target port of the Services in one manifest."""
    for document in documents(data):
        spec = table(document.get("spec"))
        if document.get("kind") == "Service" and table(spec.get("selector")):
            for one in items(spec.get("ports")):
                yield table(spec.get("selector")), one.get("targetPort", one.get("port"))


def pods_in(value: Any, depth: int = 0) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield labels and spec of the pods in a document, wherever a workload keeps its template."""
    spec = table(table(value).get("spec"))
    if "containers" in spec:
        yield table(table(table(value).get("metadata")).get("labels")), spec
    elif spec and depth < 5:
        for key in ("template", "jobTemplate"):
            yield from pods_in(spec.get(key), depth + 1)


def table(value: Any) -> dict[str, Any]:
    """Return a value that should be a mapping, an empty one where it is not."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[dict[str, Any]]:
    """Return the mappings of a value that should be a list of them."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@lru_cache(maxsize=256)
def documents(data: bytes) -> tuple[dict[str, Any], ...]:
    """Return the documents of a manifest; none where it is not YAML, or could be a bomb (anchors are refused)."""
    import yaml  # noqa: PLC0415  only projects with manifests pay for it

    from hardener.yaml_documents import has_too_many  # noqa: PLC0415

    if has_too_many(data) or (b"*" in data and b"&" in data):
        return ()
    try:
        loaded = list(yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError):
        return ()
    return tuple(one for one in loaded if isinstance(one, dict))
