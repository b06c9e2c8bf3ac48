"""The manifests of a repository: their findings, with edits where a pod gets a security context.

Helm templates are told and not touched; a patch of kustomize has no pod of its own, and where one replaces volumes or
counts them, none are added.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from hardener.decision import targets, verdict
from hardener.discovery import kept_below
from hardener.dockerfile import ParseError
from hardener.edit import Finding
from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Unit
from hardener.pipeline import Result, SelfCheckError, StageResult
from hardener.pods.images import OwnImage, resolver
from hardener.pods.pod_dangers import told
from hardener.pods.security import harden_manifest, why_not_restricted
from hardener.pods.self_check import differs
from hardener.pods.workloads import is_template, workloads
from hardener.project import Project, UnsafePath, inside
from hardener.repository_files import contents, files
from hardener.runtime.deployment import opened
from hardener.small_files import content
from hardener.yaml_documents import check_readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path, PurePosixPath

    from hardener.pods.security import Hardening
    from hardener.pods.workloads import Workload
    from hardener.settings import Settings

NAME = "kubernetes_privileges"
RESTRICTED = "Pod Security restricted"
# A JSON patch (RFC 6902) that puts something in the place of a pod's volumes, or counts them.
VOLUME_PATCH = lazy_pattern(
    rb"path[\"']?:[ \t]*[\"']?/\S*/(?:volumes|volumeMounts)(?:/\d+\S*)?[\"']?[ \t]*\r?$", re.MULTILINE
)
OBJECT = lazy_pattern(rb"(?m)^[\"'{ \t]*apiVersion[\"']?:")
OPENSHIFT = lazy_pattern(rb"^apiVersion:[ \t]*[\"']?(?:[\w.]+\.)?openshift\.io/", re.MULTILINE)


@lru_cache(maxsize=16)
def manifest_files(root: Path) -> tuple[PurePosixPath, ...]:
    """Return the files of a repository that may be manifests with pods, templates too."""
    found = contents(root).manifests
    return tuple(path for path, data in found if b"apiVersion" in data and b"kind" in data)


def manifests_below(root: Path, folder: Path) -> tuple[PurePosixPath, ...]:
    """Return the manifests at or below a folder of ``root``, without what Git ignores."""
    return kept_below(root, folder, manifest_files(root))


def is_manifest(file: Path) -> bool:
    """Whether a YAML file has objects of Kubernetes, as far as its words tell; a Compose file has neither."""
    data = content(file)
    return OBJECT.search(data) is not None


def harden_file(
    root: Path,
    path: PurePosixPath,
    settings: Settings,
    changed: Mapping[PurePosixPath, bytes],
    results: Mapping[PurePosixPath, Result],
) -> Result:
    """Return one manifest hardened; nothing is written.

    ``changed`` are files that others changed and nobody wrote yet, ``results`` those of the Dockerfiles hardened
    before, by their paths relative to ``root``.  Raises ``OSError``, ``UnsafePath``, ``ParseError`` and
    ``SelfCheckError``.
    """
    data = changed[path] if path in changed else inside(root, root / path).read_bytes()
    before = Project(path, {path: data}, root)
    if is_template(data):
        return Result(before, before, (), (), tuple(of_template(data)), NAME)
    check_readable(data)
    patch = volume_patch(root)
    harden = partial(
        harden_manifest,
        resolve=resolver(root, partial(own_image, root, settings, changed, results)),
        numbers=not openshift(root),
        no_volumes=f"{patch} replaces or counts the pod's volumes" if patch else "",
    )
    hardenings = harden(path, data)
    edits = [edit for one in hardenings for edit in one.edits] if settings.runs(NAME) else []
    after = before.apply(edits) if edits else before
    text = after.files[path]
    if edits:
        wrong = differs(data, text, hardenings)
        if wrong is not None:
            raise SelfCheckError(wrong)
        if any(one.edits for one in harden(path, text)):
            raise SelfCheckError("a second run would change it again")
    found = {(one.number, one.kind, one.name): one for one in workloads(path, text)}
    units = [
        of_hardening(one, found[one.workload.number, one.workload.kind, one.workload.name], is_written=bool(edits))
        for one in hardenings
    ]
    units += [unit for workload in workloads(path, data) for unit in of_dangers(workload)]
    findings = tuple(
        Finding(NAME, path, one.workload.line, f"{one.workload.title}: {said(one)}", one.edits)
        for one in hardenings
        if one.edits and edits
    )
    return Result(before, after, (), findings, tuple(units), NAME)


def own_image(
    root: Path,
    settings: Settings,
    changed: Mapping[PurePosixPath, bytes],
    results: Mapping[PurePosixPath, Result],
    dockerfile: PurePosixPath,
) -> OwnImage | None:
    """Return a Dockerfile's image as it will be built: hardened before, or as it stands; ``None`` where unreadable."""
    result = results.get(dockerfile)
    if result is not None:
        return OwnImage(result.after, result.stages)
    try:
        project = opened(root, dockerfile, settings, changed)
        stages = project.dockerfile.stages
        found = tuple(
            StageResult(index, stages[index].name or "", verdict(project, index, settings), applied=False)
            for index in targets(project)
        )
    except (OSError, UnsafePath, ParseError):
        return None
    return OwnImage(project, found)


def of_hardening(one: Hardening, after: Workload, *, is_written: bool) -> Unit:
    """Return what became of one workload, and what keeps it from *restricted* then."""
    missing = why_not_restricted(after)
    verdict_text = f"not {RESTRICTED}: {'; '.join(missing)}" if missing else f"passes {RESTRICTED}"
    left_out = "; ".join(dict.fromkeys(one.left))
    if one.edits:
        if not is_written:
            return Unit(one.workload.line, one.workload.title, "left", f"{NAME} was left out")
        return Unit(one.workload.line, one.workload.title, "hardened", f"{said(one)}; {verdict_text}", left_out)
    if missing and not one.is_known:
        return Unit(one.workload.line, one.workload.title, "left", left_out)
    outcome = "left" if missing else "already"
    return Unit(one.workload.line, one.workload.title, outcome, verdict_text, left_out)


def said(one: Hardening) -> str:
    """Return what is written into one workload, in words: the keys of its security contexts, and empty volumes."""
    names: list[str] = []
    for change in one.changes:
        names += change.values.get("securityContext", {})
        names += [f"emptyDir {mount['mountPath']}" for mount in change.values.get("volumeMounts", ())]
    return ", ".join(dict.fromkeys(names))


def of_dangers(workload: Workload) -> Iterator[Unit]:
    """Yield each dangerous setting of a workload."""
    for one in told(workload):
        where = f", container {one.container}" if one.container else ""
        yield Unit(one.line, f"{workload.title}{where}", "danger", str(one.danger))


def of_template(data: bytes) -> Iterator[Unit]:
    """Yield what is said of a template with containers: what a person can set, as far as the text tells."""
    match = re.search(rb"^[ \t]*containers:", data, re.MULTILINE)
    if match is None or b"kind:" not in data:
        return
    line = data.count(b"\n", 0, match.start()) + 1
    names = [name for name in ("podSecurityContext", "securityContext") if f".Values.{name}".encode() in data]
    names += sorted({one.decode() for one in re.findall(rb"\.Values\.([\w.]+\.[\w]*[sS]ecurityContext)\b", data)})
    way_out = f"set {' and '.join(names)} in values.yaml" if names else "write the securityContext into it by hand"
    yield Unit(line, "template", "left", "what it becomes is not known, it is not touched", way_out)


@lru_cache(maxsize=16)
def openshift(root: Path) -> bool:
    """Whether a repository has objects of OpenShift, which gives every project user ids of its own."""
    return any(OPENSHIFT.search(data) for _, data in contents(root).manifests)


@lru_cache(maxsize=16)
def volume_patch(root: Path) -> str:
    """Return ``path:line`` of the first JSON patch that replaces or counts a pod's volumes, ``""`` without one."""
    for path in files(root).yaml:
        if "kustom" not in path.name.lower() and "patch" not in str(path).lower():
            continue
        data = (root / path).read_bytes() if (root / path).is_file() else b""
        match = VOLUME_PATCH.search(data)
        if match is not None:
            return f"{path}:{data.count(bytes([10]), 0, match.start()) + 1}"
    return ""
