"""The container port in Kubernetes manifests: containerPort, probes, numeric targetPort; PyYAML's marks locate it.

A Service's own ``port`` stays, and so does what an Ingress names, which is that port.  Named ports need nothing.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import compose, own_addresses, own_images, references
from hardener.compose import entry
from hardener.compose_links import without_tag
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.port_use import Use
from hardener.small_files import MAXIMUM_SIZE
from hardener.yaml_documents import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.project import Project

WORKLOADS = frozenset(
    ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Rollout", "DeploymentConfig")
)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")
# Go templates (Helm), placeholders of other tools: what they become is not known.
TEMPLATE = lazy_pattern(rb"\{\{|\$\(|<%")


class Manifest(NamedTuple):
    """One object of a manifest, as YAML nodes, in the text of its file."""

    path: PurePosixPath
    text: str
    node: Any


def uses(project: Project, old: int, new: int, decides: Callable[[str], bool]) -> Iterator[Use]:
    """Yield every use of the image's port in the manifests of the repository.

    ``decides`` tells whether a variable of the environment decides the port.
    """
    documents = manifests(project)
    own = [one for one in documents if own_containers(project, one)]
    labels = [labels_of(one.node) for one in own]
    others = [labels_of(one.node) for one in documents if pod_of(one.node) is not None and one not in own]
    for one in own:
        certain = scalar(entry(pod_of(one.node), "hostNetwork")) != "true"
        for node in own_containers(project, one):
            for use in container_uses(one, node, old, decides):
                yield use if isinstance(use, Use) else located(one, use, old, new, certain=certain)
        for key, value in compose.pairs(entry(metadata_of(one.node), "annotations")):
            if key.endswith("/port") and scalar(value) == str(old):
                yield located(one, value, old, new, certain=True)
    for one in documents if own else ():
        kind = scalar(entry(one.node, "kind"))
        if kind == "Service":
            yield from service_uses(one, (old, new), labels, others)
        elif kind in ("NetworkPolicy", "ConfigMap") and speaks(one, one.node, old):
            for line in port_lines(one, old):
                yield Use(one.path, line, None)


def own_containers(project: Project, manifest: Manifest) -> list[Any]:
    """Return the containers of a workload that run the image."""
    pod = pod_of(manifest.node)
    if pod is None:
        return []
    return [one for one in containers_of(pod) if is_own(project, manifest.path, scalar(entry(one, "image")))]


def is_own(project: Project, path: PurePosixPath, image: str) -> bool:
    """Whether an image of a manifest is certainly the one that this Dockerfile makes."""
    if project.root is None or not image:
        return False
    return own_images.named(project.root, without_tag(image), path) == frozenset([project.dockerfile_path])


def explained(project: Project) -> frozenset[PurePosixPath]:
    """Return the manifests that were read as a whole, where one of them is certainly about the image."""
    documents = manifests(project)
    if not any(own_containers(project, one) for one in documents):
        return frozenset()
    return frozenset(one.path for one in documents)


def container_uses(manifest: Manifest, container: Any, old: int, decides: Callable[[str], bool]) -> Iterator[Any]:
    """Yield the scalars of a container that are its port, and each `Use` that is not understood."""
    for port in sequence(entry(container, "ports")):
        number = entry(port, "containerPort")
        if scalar(number) == str(old):
            yield number
    handlers = [entry(container, probe) for probe in PROBES]
    handlers += [entry(entry(container, "lifecycle"), hook) for hook in HOOKS]
    for handler in handlers:
        for kind in ("httpGet", "tcpSocket", "grpc"):
            number = entry(entry(handler, kind), "port")
            if scalar(number) == str(old):
                yield number
        command = entry(entry(handler, "exec"), "command")
        if command is not None and speaks(manifest, command, old):
            yield Use(manifest.path, command.start_mark.line + 1, None)
    for key in ("command", "args"):
        node = entry(container, key)
        if node is not None and speaks(manifest, node, old):
            yield Use(manifest.path, node.start_mark.line + 1, None)
    for one in sequence(entry(container, "env")):
        name, value = scalar(entry(one, "name")), entry(one, "value")
        if value is None or not speaks(manifest, value, old):
            continue
        if decides(name) and scalar(value) == str(old):
            yield value
        elif decides(name) or own_addresses.may_set(name, scalar(value), old):
            yield Use(manifest.path, value.start_mark.line + 1, None)


def service_uses(
    manifest: Manifest, ports: tuple[int, int], own: list[dict[str, str]], others: list[dict[str, str]]
) -> Iterator[Use]:
    """Yield the uses of the port in a Service: its ``targetPort``, where its selector finds the image's pods."""
    old, new = ports
    spec = entry(manifest.node, "spec")
    selector = plain_table(entry(spec, "selector"))
    hit = any(selector.items() <= labels.items() for labels in own)
    elsewhere = any(selector.items() <= labels.items() for labels in others) or all(
        any(labels.get(key, value) != value for key, value in selector.items()) for labels in own
    )
    if not selector or (not hit and elsewhere):
        return
    for port in sequence(entry(spec, "ports")):
        target, number = entry(port, "targetPort"), entry(port, "port")
        if target is not None and scalar(target) == str(old):
            yield located(manifest, target, old, new, certain=hit)
        elif target is None and number is not None and scalar(number) == str(old):
            # Without targetPort the Service's own number is the pod's too.
            yield inserted(manifest, number, new) if hit else Use(manifest.path, number.start_mark.line + 1, None)


def port_lines(manifest: Manifest, port: int) -> Iterator[int]:
    """Yield the lines of an object that give the port to a key of such a name."""
    text = manifest.text[manifest.node.start_mark.index : manifest.node.end_mark.index]
    for match in re.finditer(rf"(?im)^.*port\w*[\"']?:\s*[\"']?{port}\b", text):
        yield int(manifest.node.start_mark.line) + text.count("\n", 0, match.start()) + 1


def speaks(manifest: Manifest, node: Any, port: int) -> bool:
    """Whether the text of a node has the port as a number of its own."""
    text = manifest.text[node.start_mark.index : node.end_mark.index]
    return re.search(rf"(?<![\w.]){port}(?![\w.])", text) is not None


def located(manifest: Manifest, node: Any, old: int, new: int, *, certain: bool) -> Use:
    """Return the use that a scalar is, with the edit of its digits."""
    line = node.start_mark.line + 1
    text = manifest.text[node.start_mark.index : node.end_mark.index]
    if not certain or text.strip("\"'") != str(old):
        return Use(manifest.path, line, None)
    start = len(manifest.text[: node.start_mark.index].encode()) + (text[0] in "\"'")
    return Use(manifest.path, line, Edit(manifest.path, start, start + len(str(old)), str(new).encode()))


def inserted(manifest: Manifest, number: Any, new: int) -> Use:
    """Return the use of a Service without ``targetPort``, with the edit that adds one below its ``port``."""
    start, line = number.start_mark.index, number.start_mark.line + 1
    begin = manifest.text.rfind("\n", 0, start) + 1
    before = manifest.text[begin:start]
    match = re.fullmatch(r"(?P<indent>[ ]*(?:- +)?)port: *[\"']?", before)
    stop = manifest.text.find("\n", number.end_mark.index)
    if match is None or stop < 0:
        return Use(manifest.path, line, None)
    text = " " * len(match["indent"]) + f"targetPort: {new}"
    newline = "\r\n" if manifest.text[stop - 1] == "\r" else "\n"
    offset = len(manifest.text[: stop + 1].encode())
    return Use(manifest.path, line, Edit(manifest.path, offset, offset, (text + newline).encode()))


@lru_cache(maxsize=16)
def manifests(project: Project) -> tuple[Manifest, ...]:
    """Return every object of the Kubernetes manifests of the repository that are plain YAML."""
    found: list[Manifest] = []
    if project.root is None:
        return ()
    for file in references.files_below(references.search_root(project)):
        if not file.name.endswith((".yml", ".yaml")):
            continue
        path = PurePosixPath(os.path.relpath(file, project.root))
        data = project.read(path) or b""
        if b"apiVersion:" in data and b"kind:" in data and len(data) <= MAXIMUM_SIZE:
            found += read(path, data)
    return tuple(found)


@lru_cache(maxsize=256)
def read(path: PurePosixPath, data: bytes) -> tuple[Manifest, ...]:
    """Return the objects of one manifest file; none where it is a template or no YAML."""
    nodes = () if TEMPLATE.search(data) else readable(data)
    if not nodes:
        return ()
    text = data.decode("utf-8")
    found = []
    for node in nodes:
        items = entry(node, "items") if scalar(entry(node, "kind")) == "List" else None
        objects: list[Any] = items.value if items is not None and items.id == "sequence" else [node]
        found += [Manifest(path, text, one) for one in objects if one is not None and one.id == "mapping"]
    return tuple(found)


def pod_of(node: Any) -> Any:
    """Return the pod's specification of a workload, ``None`` for anything else."""
    kind = scalar(entry(node, "kind"))
    if kind not in WORKLOADS:
        return None
    spec = entry(node, "spec")
    if kind == "CronJob":
        spec = entry(entry(entry(spec, "jobTemplate"), "spec"), "template")
        return entry(spec, "spec")
    return spec if kind == "Pod" else entry(entry(spec, "template"), "spec")


def containers_of(pod: Any) -> Iterator[Any]:
    """Yield the containers of a pod."""
    for key in ("containers", "initContainers"):
        yield from sequence(entry(pod, key))


def metadata_of(node: Any) -> Any:
    """Return the metadata of the pods that a workload makes."""
    holder = node if scalar(entry(node, "kind")) == "Pod" else entry(entry(node, "spec"), "template")
    return entry(holder, "metadata")


def labels_of(node: Any) -> dict[str, str]:
    """Return the labels of the pods that a workload makes."""
    return plain_table(entry(metadata_of(node), "labels"))


def sequence(node: Any) -> list[Any]:
    """Return the items of a sequence node, none for any other."""
    return list(node.value) if node is not None and node.id == "sequence" else []


def plain_table(node: Any) -> dict[str, str]:
    """Return a mapping node of scalars as a dictionary."""
    return {key: scalar(value) for key, value in compose.pairs(node)}


def scalar(node: Any) -> str:
    """Return the text of a scalar node, ``""`` for any other or none."""
    return str(node.value) if node is not None and node.id == "scalar" else ""
