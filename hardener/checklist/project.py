"""The whole checklist of a folder: its images, services, workloads, and its CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import repository_files
from hardener.bulk import Failure, harden_paths
from hardener.checklist import images, pods, services
from hardener.checklist.answer import OK, OPEN, QUESTIONS, Answer
from hardener.ci import pipelines
from hardener.pods.manifests import is_manifest
from hardener.runtime.deployment import stages
from hardener.runtime.services import Files
from hardener.settings import settings_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from hardener.pipeline import Result


def answers(path: Path, root: Path) -> tuple[list[Answer], list[Failure]]:
    """Return every answer for the files at or below ``path``, and what could not be read; nothing is written."""
    found: list[Answer] = []
    failures: list[Failure] = []
    results: dict[PurePosixPath, Result] = {}
    starting: list[Result] = []
    for one in harden_paths([path]):
        if isinstance(one, Failure):
            failures.append(one)
        elif one.result.stages:
            results[one.result.before.dockerfile_path] = one.result
            found += images.answers(one.result)
        else:
            starting.append(one.result)
    for result in starting:
        found += of_deployment(root, result, results)
    scan = list(pipelines.scans(root))
    for step in scan:
        found.append(Answer("scan", "project", str(step.file), step.line, OK, f"{step.name} scans an image"))
    if not scan and (results or starting):
        text = "no step of CI scans an image"
        found.append(Answer("scan", "project", ".", 1, OPEN, text, "harden ci github, or harden ci gitlab"))
    order = list(QUESTIONS)
    subjects = list(dict.fromkeys((one.file if one.subject != "project" else "", one.subject) for one in found))
    found.sort(
        key=lambda one: (
            one.subject == "project",
            subjects.index((one.file if one.subject != "project" else "", one.subject)),
            order.index(one.question),
            one.line,
        )
    )
    return found, failures


def of_deployment(root: Path, result: Result, results: Mapping[PurePosixPath, Result]) -> list[Answer]:
    """Return the answers for one Compose file or manifest."""
    path = result.before.dockerfile_path
    place = (result.before.root or root) / path
    if is_manifest(place):
        return list(pods.answers(path, result.before.files[path], result.units))
    contents = dict(repository_files.contents(root).compose)
    settings = settings_for(place.parent, {})
    return list(services.answers(Files(root, contents), path, stages(root, settings, {}, results)))
