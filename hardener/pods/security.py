"""The security contexts of the pods of one manifest: what is written where, and what is left out and why.

Keys that concern all containers alike go to the pod where every container of it gets them; else each container gets its
own, so that no other one changes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.compose import entry, plain
from hardener.edit import Edit
from hardener.manifest_ports import items, table
from hardener.pods import insertion
from hardener.pods.contexts import Wanted, fs_group, unwritten_group, wanted
from hardener.pods.restricted import violations
from hardener.pods.workloads import NODES, shared, workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import PurePosixPath

    from hardener.pods.insertion import Inserted
    from hardener.pods.workloads import Container, Workload
    from hardener.runtime.needs import Needs

# Keys of a container that mean the same in the pod's security context.
USER_KEYS = ("runAsNonRoot", "runAsUser", "runAsGroup")
OF_POD = (*USER_KEYS, "seccompProfile")
SECCOMP_ANNOTATION = "seccomp.security.alpha.kubernetes.io/"


class Answer(NamedTuple):
    """What is known of a container's image: its needs, whether it was root's until now, whether it starts as it is."""

    needs: Needs
    is_switched: bool
    image_command: bool


class Change(NamedTuple):
    """One mapping that gets more: the keys that lead to it from the document, and what is merged into it.

    Lists are put in front of the list that is there.
    """

    steps: tuple[str | int, ...]
    values: dict[str, Any]


class Hardening(NamedTuple):
    """What one workload gets: its edits, the same as changes of its data, and a sentence for each thing left out."""

    workload: Workload
    edits: tuple[Edit, ...]
    changes: tuple[Change, ...]
    left: tuple[str, ...]
    is_known: bool = True
    """Whether anything is known of its images."""


def harden_manifest(
    path: PurePosixPath,
    data: bytes,
    resolve: Callable[[PurePosixPath, Container], Answer | str],
    *,
    numbers: bool = True,
    no_volumes: str = "",
) -> tuple[Hardening, ...]:
    """Return what the workloads of one manifest get, nothing but reasons where no image of theirs is known.

    ``numbers`` is false where the cluster chooses user ids; ``no_volumes`` says why no volume may be added.
    """
    found = (of_workload(one, resolve, numbers=numbers, no_volumes=no_volumes) for one in workloads(path, data))
    return tuple(found)


def of_workload(
    workload: Workload,
    resolve: Callable[[PurePosixPath, Container], Answer | str],
    *,
    numbers: bool,
    no_volumes: str,
) -> Hardening:
    """Return what one workload gets."""
    known: list[tuple[Container, Answer, Wanted]] = []
    others: list[Container] = []
    left: list[str] = []
    for container in workload.containers:
        answer = resolve(workload.path, container)
        if isinstance(answer, str):
            others.append(container)
            left.append(f"container {container.name}: {answer}")
            continue
        want = wanted(container, workload.values, answer.needs, image_command=answer.image_command, numbers=numbers)
        if want.empty_dirs and no_volumes:
            want.empty_dirs.clear()
            del want.keys["readOnlyRootFilesystem"]
            want.left.append(f"readOnlyRootFilesystem: {no_volumes}")
        known.append((container, answer, want))
    if not known:
        return Hardening(workload, (), (), tuple(left), is_known=False)
    left += [f"container {one.name}: {text}" for one, _, want in known for text in want.left]
    if any(key.startswith(SECCOMP_ANNOTATION) for key in pod_annotations(workload)):
        for _, _, want in known:
            want.keys.pop("seccompProfile", None)
        left.append("seccompProfile: an annotation says it, of before Kubernetes 1.19")
    switched = [(one, answer.needs) for one, answer, want in known if answer.is_switched and want.keys]
    rest = [one for one in workload.containers if one not in [container for container, _ in switched]]
    group, reasons = fs_group(switched, rest, workload.values) if numbers else (None, [])
    left += reasons
    if numbers and "fsGroup" not in table(workload.values.get("securityContext")):
        kept = [one for one, answer, _ in known if not answer.is_switched and answer.needs.starts_as_root is False]
        left += [f"fsGroup: {text}" for text in unwritten_group(kept, workload.values)]
    pod_keys = of_all(known, others)
    if group is not None:
        pod_keys = {**{key: pod_keys[key] for key in USER_KEYS if key in pod_keys}, "fsGroup": group, **pod_keys}
    try:
        changes, inserted = written(workload, known, pod_keys)
    except insertion.NotPlacedError as error:
        return Hardening(workload, (), (), (f"nothing is written: {error}",))
    edits = tuple(as_edit(workload, one) for one in inserted)
    return Hardening(workload, edits, tuple(changes), tuple(left))


def pod_annotations(workload: Workload) -> dict[str, Any]:
    """Return the annotations of a workload's pods."""
    node = entry(entry(workload.owner, "metadata"), "annotations")
    return table(plain(node, iter(range(NODES)))) if node is not None else {}


def of_all(known: list[tuple[Container, Answer, Wanted]], others: list[Container]) -> dict[str, Any]:
    """Take the keys that all containers of a pod are to get alike, and return them for the pod; none beside others."""
    found: dict[str, Any] = {}
    if others:
        return found
    for key in OF_POD:
        values = [want.keys.get(key) for _, _, want in known]
        if values[0] is not None and all(one == values[0] for one in values):
            found[key] = values[0]
            for _, _, want in known:
                del want.keys[key]
    return found


def written(
    workload: Workload, known: list[tuple[Container, Answer, Wanted]], pod_keys: dict[str, Any]
) -> tuple[list[Change], list[Inserted]]:
    """Return the changes of a workload, and where their text goes; raises `NotPlacedError`."""
    style = insertion.style_of(workload.text, workload.node)
    changes: list[Change] = []
    inserted: list[Inserted] = []
    taken = {str(one.get("name")) for one in items(workload.values.get("volumes"))}
    volumes: list[dict[str, Any]] = []
    for container, _, want in known:
        values: dict[str, Any] = {"securityContext": want.keys} if want.keys else {}
        mounts = []
        for path in want.empty_dirs:
            name = volume_name(path, container.name if len(workload.containers) > 1 else "", taken)
            taken.add(name)
            mounts.append({"name": name, "mountPath": path})
            volumes.append({"name": name, "emptyDir": {}})
        if mounts:
            values["volumeMounts"] = mounts
        if values:
            require_own(workload, container.node)
            changes.append(Change((*workload.steps, container.kind, container.place), values))
            inserted += merged(workload.text, None, container.node, values, style)
    pod_values: dict[str, Any] = {"securityContext": pod_keys} if pod_keys else {}
    if volumes:
        pod_values["volumes"] = volumes
    if pod_values:
        changes.append(Change(workload.steps, pod_values))
        key = insertion.key_node(workload.owner, "spec")
        inserted += merged(workload.text, key, workload.pod, pod_values, style)
    return changes, inserted


def volume_name(path: str, container: str, taken: set[str]) -> str:
    """Return a free name for the volume at a path: a DNS label of at most 63 characters."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{container}{path}".lower()).strip("-")[:58].strip("-") or "scratch"
    return next(one for one in (words, *(f"{words}-{number}" for number in range(2, 1000))) if one not in taken)


def require_own(workload: Workload, node: Any) -> None:
    """Raise `NotPlacedError` where a node, or one that it lies in, stands in another place too, or is merged."""
    twice = shared(workload.node)
    inner = [workload.owner, workload.pod, node, entry(node, "securityContext"), entry(node, "volumeMounts")]
    inner += [entry(workload.pod, name) for name in ("securityContext", "volumes", "containers", "initContainers")]
    for one in inner:
        if one is not None and id(one) in twice:
            raise insertion.NotPlacedError("an anchor is used there, another place would change too")
        if one is not None and one.id == "mapping" and insertion.key_node(one, "<<") is not None:
            raise insertion.NotPlacedError("a merge key is used there")


def merged(text: str, parent_key: Any, node: Any, values: dict[str, Any], style: insertion.Style) -> Iterator[Inserted]:
    """Yield the text that merges ``values`` into a mapping; without ``parent_key`` it is a container of a list."""
    absent: dict[str, Any] = {}
    for key, value in values.items():
        there, key_node = entry(node, key), insertion.key_node(node, key)
        if there is None:
            absent[key] = value
        elif there.id == "mapping" and isinstance(value, dict):
            yield from merged(text, key_node, there, value, style)
        elif there.id == "sequence" and isinstance(value, list):
            yield insertion.appended(text, key_node, there, value, style)
        elif isinstance(value, dict):
            yield insertion.filled(text, key_node, there, value, style)
        else:
            raise insertion.NotPlacedError(f"its {key} is no list")
    if not absent:
        return
    if parent_key is None:
        yield insertion.added_after(text, node, "image", absent, style)
    else:
        yield insertion.added(text, parent_key, node, absent, style)


def as_edit(workload: Workload, one: Inserted) -> Edit:
    """Return inserted text as an edit of the file's bytes."""
    offset = len(workload.text[: one.at].encode())
    return Edit(workload.path, offset, offset, one.text.encode())


def why_not_restricted(workload: Workload) -> tuple[str, ...]:
    """Return what keeps the pods of a workload from Pod Security's *restricted*; nothing where they pass."""
    return tuple(str(one) for one in violations(workload.values, pod_annotations(workload)))
