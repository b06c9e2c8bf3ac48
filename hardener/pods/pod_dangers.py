"""What pods are allowed that gives rights over the node: told with the danger and the narrower way, not taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.compose import entry
from hardener.kubernetes_ports import scalar, sequence
from hardener.manifest_ports import items, table
from hardener.pods.restricted import plain_list
from hardener.runtime import dangers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.pods.workloads import Workload
    from hardener.runtime.dangers import Danger

# Keys of a pod, and the namespace of the host that they share.
NAMESPACES = {"hostNetwork": "network", "hostPID": "pid", "hostIPC": "ipc"}


class Told(NamedTuple):
    """One dangerous setting: its 1-based line, the container (``""``: the pod), and the danger."""

    line: int
    container: str
    danger: Danger


def told(workload: Workload) -> Iterator[Told]:
    """Yield every dangerous setting of a workload's pods, in the order of the file."""
    found = [*of_pod(workload)]
    for container in workload.containers:
        node = entry(container.node, "securityContext")
        found += of_context(container.name, container.values.get("securityContext"), node)
    yield from sorted(found, key=lambda one: one.line)


def of_pod(workload: Workload) -> Iterator[Told]:
    """Yield what the pod itself says."""
    for key, kind in NAMESPACES.items():
        danger = dangers.of_namespace(kind, "host") if workload.values.get(key) == "true" else None
        if danger is not None:
            yield Told(line_of(entry(workload.pod, key)), "", danger._replace(name=f"{key}: true"))
    yield from of_context("", workload.values.get("securityContext"), entry(workload.pod, "securityContext"))
    for node, volume in zip(
        sequence(entry(workload.pod, "volumes")), items(workload.values.get("volumes")), strict=False
    ):
        path = str(table(volume.get("hostPath")).get("path") or "")
        name = str(volume.get("name") or "")
        danger = dangers.of_host_path(path, read_only=is_read_only(workload, name))
        if danger is not None:
            yield Told(line_of(entry(node, "hostPath")), "", danger)


def of_context(container: str, context: Any, node: Any) -> Iterator[Told]:
    """Yield what a security context says."""
    values = table(context)
    if values.get("privileged") == "true":
        yield Told(line_of(entry(node, "privileged")), container, dangers.privileged())
    capabilities = entry(node, "capabilities")
    for name in plain_list(table(values.get("capabilities")).get("add")):
        danger = dangers.of_capability(name)
        if danger is not None:
            yield Told(line_of(entry(capabilities, "add") or node), container, danger)
    for key, option in (("seccompProfile", "seccomp"), ("appArmorProfile", "apparmor")):
        if scalar(entry(entry(node, key), "type")) == "Unconfined":
            danger = dangers.of_security_option(f"{option}=unconfined")
            if danger is not None:
                yield Told(line_of(entry(node, key)), container, danger._replace(name=f"{key}: Unconfined"))


def is_read_only(workload: Workload, volume: str) -> bool:
    """Whether every container that mounts a volume does so read-only."""
    mounts = [
        one
        for container in workload.containers
        for one in items(container.values.get("volumeMounts"))
        if one.get("name") == volume
    ]
    return bool(mounts) and all(str(one.get("readOnly")) == "true" for one in mounts)


def line_of(node: Any) -> int:
    """Return the 1-based line of a node's key or of itself."""
    return int(node.start_mark.line) + 1 if node is not None else 1
