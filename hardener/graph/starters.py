"""What starts the images of a repository: services of Compose files and workloads of manifests, with their stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import own_images
from hardener.compose import read_services
from hardener.compose_links import links, without_tag
from hardener.graph.model import Box, Row, user_of
from hardener.manifest_ports import items, table
from hardener.pods.images import stage_of
from hardener.pods.restricted import plain_list
from hardener.pods.workloads import workloads
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path, PurePosixPath

    from hardener.bulk import Hardened
    from hardener.outcome import Unit
    from hardener.pipeline import Result

# What is told of a pod, in this order.
POD_OPTIONS = ("user", "non-root", "files", "emptyDir", "caps", "rights", "seccomp")
OUTCOMES = ("danger", "hardened", "left", "already")


class Starter(NamedTuple):
    """One service or workload: its box, and the Dockerfile and stage (``None``: the last) that it runs.

    ``dockerfile`` is ``None`` where it runs an image of others, or nobody knows which.
    """

    box: Box
    dockerfile: PurePosixPath | None
    stage: int | None


def starters(one: Hardened, results: Mapping[PurePosixPath, Result]) -> Iterator[Starter]:
    """Yield everything that a Compose file or manifest starts; ``results`` are those of the Dockerfiles, by path."""
    before, after = one.result.before, one.result.after
    path, root = before.dockerfile_path, before.root
    titles = dict.fromkeys(unit.name.partition(", container ")[0] for unit in one.result.units)
    for title in titles:
        units = [unit for unit in one.result.units if unit.name.partition(", container ")[0] == title]
        outcome = next((name for name in OUTCOMES if any(unit.outcome == name for unit in units)), "")
        notes = tuple(unit.text for unit in units if unit.outcome in ("danger", "left"))
        rows: tuple[Row, ...] = ()
        dockerfile, stage = None, None
        if root is not None and title.startswith("service "):
            name = title.removeprefix("service ")
            first = next((found.changed[path][0] for found in results.values() if path in found.changed), None)
            dockerfile, stage = of_service(root, path, name, results)
            image = users(results[dockerfile], stage) if dockerfile is not None else ("", "")
            rows = service_rows(path, name, (first or before.files[path], after.files[path]), image)
        elif root is not None:
            rows = pod_rows(path, title, before.files[path], after.files[path], units)
            dockerfile, stage = of_workload(root, path, before.files[path], title, results)
        label = title.removeprefix("service ")
        yield Starter(Box(f"{path}: {title}", "starter", label, one.name, outcome, rows, notes), dockerfile, stage)


def users(result: Result, stage: int | None) -> tuple[str, str]:
    """Return who an image runs as, before and after."""
    index = len(result.before.dockerfile.stages) - 1 if stage is None else stage
    old, new = (user_of(stage_facts(one.dockerfile, index)) for one in (result.before, result.after))
    return old, new


def service_rows(path: PurePosixPath, name: str, files: tuple[bytes, bytes], image: tuple[str, str]) -> tuple[Row, ...]:
    """Return the options of a Compose service before and after; ``image`` is who its image runs as."""
    old, new = ({one.name: one.values for one in read_services(path, data)}.get(name, {}) for data in files)
    own = [str(values.get("user") or who or "the image's") for values, who in ((old, image[0]), (new, image[1]))]
    found = [("user", *own), *((label, show(old), show(new)) for label, show in OPTIONS.items())]
    return tuple(Row(label, left or "none", right or "none") for label, left, right in found if left or right)


def ports_of(values: Mapping[str, Any]) -> str:
    """Return the published ports of a service as they are written."""
    found = values.get("ports")
    rows = found if isinstance(found, list) else []
    return ", ".join(
        f"{one.get('published', '')}:{one.get('target', '')}" if isinstance(one, dict) else str(one) for one in rows
    )


def capabilities_of(values: Mapping[str, Any]) -> str:
    """Return which capabilities a service has, as far as it says so."""
    if str(values.get("privileged")).lower() == "true":
        return "all of them"
    added = [str(one) for one in values.get("cap_add") or ()]
    dropped = [str(one) for one in values.get("cap_drop") or ()]
    kept = (
        "none" if any(one.upper() == "ALL" for one in dropped) else "the usual" + "".join(f" -{one}" for one in dropped)
    )
    return f"{kept} {' '.join(f'+{one}' for one in added)}".strip() if added or dropped else "the usual"


def files_of(values: Mapping[str, Any]) -> str:
    """Return whether the root file system of a service can be written."""
    return "read-only" if str(values.get("read_only")).lower() == "true" else "writable"


def gains_of(values: Mapping[str, Any]) -> str:
    """Return whether a process of a service can gain privileges."""
    options = [str(one).replace(":", "=").replace(" ", "") for one in values.get("security_opt") or ()]
    return "no new ones" if {"no-new-privileges", "no-new-privileges=true"} & set(options) else "setuid works"


OPTIONS = {
    "ports": ports_of,
    "files": files_of,
    "caps": capabilities_of,
    "rights": gains_of,
}


def pod_rows(path: PurePosixPath, title: str, before: bytes, after: bytes, units: list[Unit]) -> tuple[Row, ...]:
    """Return what a workload's security contexts say before and after, and what that makes of it."""
    old, new = (contexts(path, title, data) for data in (before, after))
    names = [name for name in POD_OPTIONS if old.get(name) or new.get(name)]
    rows = [Row(name, old.get(name) or "default", new.get(name) or "default") for name in names]
    judged = next((unit.text.rpartition("; ")[2] for unit in units if unit.outcome == "hardened"), "")
    return (*rows, *([Row("verdict", judged, judged)] if judged.startswith("passes") else ()))


def contexts(path: PurePosixPath, title: str, data: bytes) -> dict[str, str]:
    """Return what the security contexts of a workload's pod and of its first container say, in words."""
    workload = next((one for one in workloads(path, data) if one.title == title), None)
    if workload is None or not workload.containers:
        return {}
    container = workload.containers[0].values
    said = {**table(workload.values.get("securityContext")), **table(container.get("securityContext"))}
    user, group = said.get("runAsUser"), said.get("runAsGroup")
    empty = {str(one.get("name")) for one in items(workload.values.get("volumes")) if "emptyDir" in one}
    mounts = [str(one.get("mountPath")) for one in items(container.get("volumeMounts")) if one.get("name") in empty]
    dropped = plain_list(table(said.get("capabilities")).get("drop"))
    return {
        "user": f"{user}:{group}" if user and group else str(user or ""),
        "non-root": "demanded" if said.get("runAsNonRoot") == "true" else "",
        "files": "read-only" if said.get("readOnlyRootFilesystem") == "true" else "",
        "emptyDir": ", ".join(mounts),
        "caps": "none" if "ALL" in dropped else " ".join(f"-{one}" for one in dropped),
        "rights": "no new ones" if said.get("allowPrivilegeEscalation") == "false" else "",
        "seccomp": str(table(said.get("seccompProfile")).get("type") or ""),
    }


def of_service(
    root: Path, path: PurePosixPath, name: str, results: Mapping[PurePosixPath, Result]
) -> tuple[PurePosixPath | None, int | None]:
    """Return the Dockerfile and stage that a Compose service runs."""
    for dockerfile, group in links(root).items():
        for link in group:
            if (link.file, link.name) == (path, name) and dockerfile in results:
                return dockerfile, stage_named(results[dockerfile], link.target)
    return None, None


def stage_named(result: Result, target: str | None) -> int | None:
    """Return the index of a stage, ``None`` for the last."""
    stages = result.before.dockerfile.stages
    return next((one.index for one in stages if target and one.name == target.lower()), None)


def of_workload(
    root: Path, path: PurePosixPath, data: bytes, title: str, results: Mapping[PurePosixPath, Result]
) -> tuple[PurePosixPath | None, int | None]:
    """Return the Dockerfile and stage of the first container of a workload that runs one of the repository's."""
    for workload in workloads(path, data):
        for container in workload.containers if workload.title == title else ():
            built = own_images.named(root, without_tag(container.image), path) if container.image else frozenset()
            dockerfile = next(iter(built), None)
            if len(built) == 1 and dockerfile is not None and dockerfile in results:
                return dockerfile, stage_of(root, results[dockerfile].before, container.image)
    return None, None
