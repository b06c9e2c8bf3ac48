"""The pods of a repository's manifests: workloads, their containers, and where they stand in the file.

Only plain YAML that is a whole object: a Helm template is no YAML yet, and a patch of kustomize has no pod of its own.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.compose import entry, plain
from hardener.kubernetes_ports import WORKLOADS, scalar, sequence
from hardener.yaml_documents import readable

if TYPE_CHECKING:
    from pathlib import PurePosixPath

# Containers of a pod, in the order in which they start.  Ephemeral ones are never in a manifest.
KINDS = ("initContainers", "containers")
NODES = 100_000


class Container(NamedTuple):
    """One container: its node, the list that it is in and its place there, and what it says as plain data (text)."""

    node: Any
    kind: str
    place: int
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.values.get("name") or "")

    @property
    def image(self) -> str:
        """Its image as it is written."""
        return str(self.values.get("image") or "")

    @property
    def line(self) -> int:
        """Its 1-based line."""
        return int(self.node.start_mark.line) + 1


class Workload(NamedTuple):
    """One object that makes pods: ``steps`` are the keys that lead from the object to the pod's spec.

    ``number`` counts the file's documents from 0; ``owner`` is the mapping that holds the pod's spec.
    """

    path: PurePosixPath
    text: str
    number: int
    kind: str
    name: str
    steps: tuple[str, ...]
    node: Any
    owner: Any
    pod: Any
    values: dict[str, Any]
    containers: tuple[Container, ...]
    line: int

    @property
    def title(self) -> str:
        """What it is called in a sentence: ``Deployment web``."""
        return f"{self.kind} {self.name}".strip()


@lru_cache(maxsize=256)
def workloads(path: PurePosixPath, data: bytes) -> tuple[Workload, ...]:
    """Return the workloads of one manifest; none where it is a template, a ``List``, or no YAML."""
    text, nodes = documents(data)
    found = (workload(path, text, number, node) for number, node in enumerate(nodes))
    return tuple(one for one in found if one is not None)


def documents(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """Return the text of a manifest and its documents as nodes (``None``: empty); none where it is no YAML."""
    nodes = () if is_template(data) else readable(data)
    return (data.decode("utf-8"), nodes) if nodes else ("", ())


def is_template(data: bytes) -> bool:
    """Whether a manifest has to be filled in first: Helm's Go templates, ERB."""
    return b"{{" in data or b"<%" in data


def workload(path: PurePosixPath, text: str, number: int, node: Any) -> Workload | None:
    """Return one document as a workload, ``None`` where it makes no pods or is only part of one."""
    kind = scalar(entry(node, "kind"))
    if kind not in WORKLOADS:
        return None
    steps: tuple[str, ...] = ("spec",) if kind == "Pod" else ("spec", "template", "spec")
    if kind == "CronJob":
        steps = ("spec", "jobTemplate", "spec", "template", "spec")
    owner = node
    for step in steps[:-1]:
        owner = entry(owner, step)
    pod = entry(owner, "spec")
    if pod is None or pod.id != "mapping" or is_part(node, kind, owner):
        return None
    budget = iter(range(NODES))
    containers = tuple(
        Container(one, list_name, index, values)
        for list_name in KINDS
        for index, one in enumerate(sequence(entry(pod, list_name)))
        if isinstance(values := plain(one, budget), dict)
    )
    values = plain(pod, iter(range(NODES)))
    if not containers or not isinstance(values, dict):
        return None
    metadata = entry(node, "metadata")
    name = scalar(entry(metadata, "name")) or scalar(entry(metadata, "generateName"))
    line = int(node.start_mark.line) + 1
    return Workload(path, text, number, kind, name, steps, node, owner, pod, values, containers, line)


def is_part(node: Any, kind: str, owner: Any) -> bool:
    """Whether an object is a patch: it selects pods, and its own have no labels.

    What has a selector must repeat it as labels of its pods: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
    """
    if kind in ("Pod", "Job", "CronJob"):
        return all(not scalar(entry(one, "image")) for one in sequence(entry(entry(owner, "spec"), "containers")))
    return entry(entry(owner, "metadata"), "labels") is None or entry(node, "spec") is None


def shared(root: Any) -> frozenset[int]:
    """Return the ids of the nodes that stand in more than one place: those with an anchor that is used."""
    seen: set[int] = set()
    twice: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            twice.add(id(node))
            continue
        seen.add(id(node))
        if node.id == "mapping":
            pending += [value for _, value in node.value]
        elif node.id == "sequence":
            pending += node.value
    return frozenset(twice)
