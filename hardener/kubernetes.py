"""The persistent volumes that Kubernetes manifests of a project mount into its image.

Format: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#claims-as-volumes
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.manifest_ports import documents, items, table
from hardener.project import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from hardener.project import Project

# Where projects keep manifests.  Nothing else is searched: a search through everything costs more than it finds.
FOLDERS = frozenset(
    ("k8s", "kubernetes", "kube", "manifests", "deploy", "deployment", "deployments", "base", "overlays", "infra")
)
DEPTH = 3
# A folder with more folders than this is a collection of projects, not one.
MAXIMUM_FOLDERS = 60


class Mount(NamedTuple):
    """A persistent volume of a workload: the manifest, ``Kind name``, the absolute path, the claim's name."""

    file: PurePosixPath
    workload: str
    path: str
    claim: str


@lru_cache(maxsize=64)
def persistent_mounts(project: Project) -> tuple[Mount, ...]:
    """Return the mounts of the containers that run the project's image, without those of pods with an ``fsGroup``."""
    if project.root is None:
        return ()
    own = {project.context.name, project.root.name, *project.dockerfile_path.name.lower().split(".")}
    own -= {"", "dockerfile", "containerfile"}
    files = [file for folder in project.folders for file in manifests(project.root, folder, DEPTH)]
    return tuple(mount for file in dict.fromkeys(files) for mount in mounts_in(project, file, own))


@lru_cache(maxsize=4096)
def folder_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in one folder; none where there are so many that it is a collection."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return ()
    return tuple(name for name in names if name != ".git") if len(names) <= MAXIMUM_FOLDERS else ()


@lru_cache(maxsize=1024)
def manifests(root: Path, folder: PurePosixPath, depth: int) -> tuple[PurePosixPath, ...]:
    """Return the YAML files of the manifest folders in ``folder`` (relative to ``root``), ``depth`` levels down."""
    found: list[PurePosixPath] = []
    for name in folder_names(root / folder) if depth else ():
        if name in FOLDERS or folder.name in FOLDERS:
            inner = folder / name
            found += [inner / one for one in sorted(entries(str(root / inner))) if one.endswith((".yml", ".yaml"))]
            found += manifests(root, inner, depth - 1)
    return tuple(found)


def mounts_in(project: Project, file: PurePosixPath, own: set[str]) -> Iterator[Mount]:
    """Yield the persistent mounts in one manifest of containers whose image has one of the names ``own``."""
    data = project.read(file)
    if data is None or b"volumeMounts" not in data or b"{{" in data:  # a Helm template is no YAML yet
        return
    if b"laimName" not in data and b"volumeClaimTemplates" not in data:
        return
    names = [os.fsencode(name) for name in own]
    if not any(b"%s:" % name in data or b"/%s" % name in data or b" %s\n" % name in data for name in names):
        return  # cheap: most manifests are of other images
    for document in documents(data):
        pod = pod_of(document)
        claims = dict(claims_of(document, pod))
        if not claims or "fsGroup" in table(pod.get("securityContext")):
            continue
        workload = f"{document.get('kind')} {table(document.get('metadata')).get('name')}"
        for container in items(pod.get("containers")):
            if image_name(container) not in own:
                continue
            for mount in items(container.get("volumeMounts")):
                path = str(mount.get("mountPath") or "").rstrip("/")
                if mount.get("name") in claims and path.startswith("/") and not mount.get("readOnly"):
                    yield Mount(file, workload, path, claims[mount["name"]])


def image_name(container: dict[str, Any]) -> str:
    """Return the last part of a container's image, without tag and digest."""
    return str(container.get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[0]


def claims_of(document: dict[str, Any], pod: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield name and claim of a pod's persistent volumes; a StatefulSet's templates are claims by their own name."""
    for volume in items(pod.get("volumes")):
        claim = table(volume.get("persistentVolumeClaim")).get("claimName")
        if claim:
            yield volume.get("name"), str(claim)
    for template in items(table(document.get("spec")).get("volumeClaimTemplates")):
        name = table(template.get("metadata")).get("name")
        yield name, str(name)


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the pod's spec of a workload, of a CronJob too; the document's own for a Pod."""
    spec = table(document.get("spec"))
    spec = table(table(spec.get("jobTemplate")).get("spec")) or spec
    return table(table(spec.get("template")).get("spec")) or spec
