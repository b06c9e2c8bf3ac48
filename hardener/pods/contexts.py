"""What one container of a pod gets, from what its image needs: the keys of its security context, and what is left out.

Nothing is written that is there in another form already: what a person chose stays, and is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hardener.manifest_ports import items, table
from hardener.paths import below
from hardener.pods.restricted import plain_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardener.pods.workloads import Container
    from hardener.runtime.needs import Needs

# Volumes that the kubelet gives to fsGroup: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
GROUPED = ("persistentVolumeClaim", "emptyDir", "ephemeral", "claimTemplate")
# Volumes that are never written to.
READ_ONLY = ("configMap", "secret", "projected", "downwardAPI", "image")
# Volumes with files of somebody else.
HOST = ("hostPath", "nfs", "csi", "flexVolume")


@dataclass
class Wanted:
    """What a container is to get: keys of its security context, paths that need a volume, and why something is not."""

    keys: dict[str, Any] = field(default_factory=dict)
    empty_dirs: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def wanted(
    container: Container, pod: Mapping[str, Any], needs: Needs, *, image_command: bool, numbers: bool = True
) -> Wanted:
    """Return what a container of a pod gets.

    ``image_command`` tells that the container starts what the image starts by itself; ``numbers`` is false where the
    cluster chooses user ids (OpenShift).
    """
    result = Wanted()
    context, outer = table(container.values.get("securityContext")), table(pod.get("securityContext"))
    refusal = refused(context, outer, pod)
    if refusal is not None:
        result.left.append(refusal)
        return result
    needs = as_started(container, pod, needs, {**outer, **context})
    given = effective(context, outer, "runAsUser")
    if needs.starts_as_root is None:
        result.left.append(needs.why_unknown("starts_as_root"))
        return result
    if needs.starts_as_root and given is None:
        result.left.append(stays_root(needs))
    else:
        of_user(result, context, outer, needs, numbers=numbers)
    of_privileges(result, context, needs)
    if table(context.get("seccompProfile")) == table(outer.get("seccompProfile")) == {}:
        result.keys["seccompProfile"] = {"type": "RuntimeDefault"}
    if "readOnlyRootFilesystem" not in context:
        of_file_system(result, container, pod, needs, image_command=image_command)
    return result


def refused(context: Mapping[str, Any], outer: Mapping[str, Any], pod: Mapping[str, Any]) -> str | None:
    """Return why a container gets nothing at all, ``None`` where nothing speaks against it."""
    if context.get("privileged") == "true":
        return "it is privileged"
    if table(context.get("windowsOptions")) or table(pod.get("os")).get("name") == "windows":
        return "it is for Windows"
    if effective(context, outer, "runAsUser") == "0":
        return "the manifest says runAsUser: 0"
    capabilities = table(context.get("capabilities"))
    added = set(plain_list(capabilities.get("add"))) - {"NET_BIND_SERVICE"}
    if "SYS_ADMIN" in added:  # with it, the API server takes no allowPrivilegeEscalation: false
        return "the manifest adds SYS_ADMIN"
    if added and "ALL" not in plain_list(capabilities.get("drop")):
        return f"the manifest adds {', '.join(sorted(added))}, for which the rest may be needed too"
    if context.get("procMount") not in (None, "Default"):
        return "it has a procMount of its own"
    return None


def effective(context: Mapping[str, Any], outer: Mapping[str, Any], key: str) -> str | None:
    """Return a key of the container's security context, else of the pod's."""
    value = context.get(key, outer.get(key))
    return None if value is None else str(value)


def as_started(container: Container, pod: Mapping[str, Any], needs: Needs, context: Mapping[str, Any]) -> Needs:
    """Return the needs of the image as the user that it is started as here.

    An image that starts as root and can do without is started as its own user only where it keeps no data in a volume
    (a fresh one would be root's, and fsGroup changes modes that such servers check), and reads nothing that may be for
    root alone.
    """
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if user is not None and needs.starts_as_root:
        return needs.as_user(f"{user}:{group or user}")
    kept = tuple(one.path for one in needs.writes or () if one.kept)
    private = any(name in strict_volumes(pod) or kind_of(pod, name) in HOST for name, _, _ in mounts(container))
    if needs.starts_as_root and needs.runs_as and kept and not private:
        return needs if any(touches(container, path) for path in kept) else needs.as_user(needs.runs_as)
    return needs


def stays_root(needs: Needs) -> str:
    """Return why a container is not made to run as another user."""
    if needs.runs_as:
        return (
            f"it starts as root to give its volume to {needs.runs_as}, and drops root then (once the data are that "
            f"user's, set runAsUser, runAsGroup and fsGroup)"
        )
    return "its image starts as root"


def of_user(
    result: Wanted, context: Mapping[str, Any], outer: Mapping[str, Any], needs: Needs, *, numbers: bool
) -> None:
    """Add the keys that say which user it is: the image's own, which changes nothing, in numbers."""
    uid, _, gid = (needs.user or "").partition(":")
    given = effective(context, outer, "runAsUser")
    if given is None and not uid.isdecimal():
        result.left.append(f"the number of its user {uid} is not known" if uid else "its user is not known")
        return
    if "runAsNonRoot" not in context and "runAsNonRoot" not in outer:
        result.keys["runAsNonRoot"] = True
    if not numbers:
        result.left.append("runAsUser and runAsGroup are left to the cluster: OpenShift chooses them")
        return
    if given is None:
        result.keys["runAsUser"] = int(uid)
        if gid.isdecimal() and effective(context, outer, "runAsGroup") is None:
            result.keys["runAsGroup"] = int(gid)


def of_privileges(result: Wanted, context: Mapping[str, Any], needs: Needs) -> None:
    """Add the keys that take privileges away, where nothing in the image needs them."""
    if needs.gains is None:
        result.left.append(f"allowPrivilegeEscalation and capabilities: {needs.why_unknown('gains')}")
        return
    if needs.gains:
        result.left.append(f"allowPrivilegeEscalation: {needs.gains}")
    elif "allowPrivilegeEscalation" not in context:
        result.keys["allowPrivilegeEscalation"] = False
    if needs.capabilities is None:
        result.left.append(f"capabilities: {needs.why_unknown('capabilities')}")
        return
    if needs.gains and not needs.capabilities:  # what it gains is among those that would be dropped
        result.left.append("capabilities: without them it cannot gain those either")
        return
    present = table(context.get("capabilities"))
    dropped, added = plain_list(present.get("drop")), plain_list(present.get("add"))
    missing = [name for name in needs.capabilities if name not in added]
    if "ALL" in dropped:
        return
    wanted_keys: dict[str, Any] = {"drop": ["ALL"]}
    if missing:
        wanted_keys["add"] = missing
    result.keys["capabilities"] = wanted_keys


def of_file_system(
    result: Wanted, container: Container, pod: Mapping[str, Any], needs: Needs, *, image_command: bool
) -> None:
    """Add the read-only root file system where every path that is written has a volume, or can get an empty one."""
    if needs.writes is None:
        result.left.append(f"readOnlyRootFilesystem: {needs.why_unknown('writes')}")
        return
    if not image_command:
        result.left.append("readOnlyRootFilesystem: the manifest starts another command than the image")
        return
    missing = [
        one
        for one in needs.writes
        if not is_mounted(container, pod, one.path) and not (one.kept and is_mounted_below(container, pod, one.path))
    ]
    data = next((one for one in missing if one.kept), None)
    if data is not None:
        result.left.append(f"readOnlyRootFilesystem: it keeps data in {data.path}, where no volume is mounted")
        return
    result.keys["readOnlyRootFilesystem"] = True
    result.empty_dirs += [one.path for one in missing]


def mounts(container: Container) -> Iterator[tuple[str, str, bool]]:
    """Yield volume name, absolute path and whether it is read-only of what is mounted as a whole."""
    for one in items(container.values.get("volumeMounts")):
        path = str(one.get("mountPath") or "").rstrip("/")
        if path.startswith("/"):
            yield str(one.get("name") or ""), path, str(one.get("readOnly")) == "true"


def touches(container: Container, path: str) -> bool:
    """Whether something is mounted at a path, above it or below it."""
    return any(below(path, (mount,)) or below(mount, (path,)) for _, mount, _ in mounts(container))


def is_mounted(container: Container, pod: Mapping[str, Any], path: str) -> bool:
    """Whether a path lies in a volume that can be written."""
    found = [(len(mount), name, read_only) for name, mount, read_only in mounts(container) if below(path, (mount,))]
    if not found:
        return False
    _, name, read_only = max(found)
    return not read_only and kind_of(pod, name) not in READ_ONLY


def is_mounted_below(container: Container, pod: Mapping[str, Any], path: str) -> bool:
    """Whether a volume that can be written is mounted in a path: data are kept in a folder of their own there."""
    return any(
        below(mount, (path,)) and not read_only and kind_of(pod, name) not in READ_ONLY
        for name, mount, read_only in mounts(container)
    )


def kind_of(pod: Mapping[str, Any], name: str) -> str:
    """Return the kind of a volume of a pod: the key that describes it; a claim's template is no volume of the pod."""
    volume = next((one for one in items(pod.get("volumes")) if one.get("name") == name), None)
    if volume is None:
        return "claimTemplate"
    return next((key for key in volume if key != "name"), "emptyDir")


def fs_group(
    own: Sequence[tuple[Container, Needs]], others: Sequence[Container], pod: Mapping[str, Any]
) -> tuple[int | None, list[str]]:
    """Return the group that the pod's volumes need, and why it is not written; ``own`` are switched images.

    The kubelet gives a persistent volume to fsGroup and makes it writable for it.  It does so for every container of
    the pod: where another one mounts such a volume, it may mind.
    """
    if "fsGroup" in table(pod.get("securityContext")):
        return None, []
    left: list[str] = []
    groups: set[str] = set()
    for container, needs in own:
        for name, path, read_only in mounts(container):
            kind = kind_of(pod, name)
            if read_only or kind in READ_ONLY or kind == "emptyDir":
                continue
            if kind not in GROUPED:
                left.append(f"{path} is a {kind}, which fsGroup does not change: give it to {needs.user} on its host")
                continue
            groups.add((needs.user or "").partition(":")[2])
    if not groups:
        return None, left
    if len(groups) > 1 or not all(one.isdecimal() for one in groups):
        return None, [*left, "fsGroup: its containers have different groups"]
    minds = next((one for one in others if is_affected(one, pod)), None)
    if minds is not None:
        return None, [*left, f"fsGroup: container {minds.name} mounts a volume whose owner and mode would change"]
    return int(groups.pop()), left


def unwritten_group(containers: Sequence[Container], pod: Mapping[str, Any]) -> Iterator[str]:
    """Yield where an image that was not root's before writes a claim: whose that is, was decided before."""
    for container in containers:
        for name, path, read_only in mounts(container):
            kind = kind_of(pod, name)
            if not read_only and kind in GROUPED and kind != "emptyDir":
                yield f"container {container.name} wrote {path} as this user before; set it for fresh volumes"


def is_affected(container: Container, pod: Mapping[str, Any]) -> bool:
    """Whether fsGroup would change what a container sees in one of its volumes."""
    kinds = {name: kind_of(pod, name) for name, _, _ in mounts(container)}
    strict = strict_volumes(pod)
    return any(kind in GROUPED or name in strict for name, kind in kinds.items())


def strict_volumes(pod: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the volumes whose files have modes of their own, such as keys for their owner alone."""
    return frozenset(
        str(one.get("name"))
        for one in items(pod.get("volumes"))
        if any("defaultMode" in table(one.get(kind)) or "items" in table(one.get(kind)) for kind in READ_ONLY)
    )
