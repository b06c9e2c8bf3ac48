"""Which image a container of a pod runs, and what that image needs: one of the repository's own, or a known one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import own_images, repository
from hardener.compose_links import without_tag
from hardener.image_names import agree, image_name
from hardener.manifest_ports import items
from hardener.outcome import Outcome
from hardener.pods.security import Answer
from hardener.runtime.needs import needs_of_image
from hardener.runtime.stage_needs import needs_of_stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from hardener.pipeline import StageResult
    from hardener.pods.workloads import Container
    from hardener.project import Project
    from hardener.runtime.needs import Needs


class OwnImage(NamedTuple):
    """One Dockerfile of the repository as it will be built, and what became of the stages that people build."""

    project: Project
    stages: tuple[StageResult, ...]


def resolver(
    root: Path, own: Callable[[PurePosixPath], OwnImage | None]
) -> Callable[[PurePosixPath, Container], Answer | str]:
    """Return what tells for a container of a manifest what its image needs, or why that is not known."""

    def resolve(path: PurePosixPath, container: Container) -> Answer | str:
        image = container.image
        if not image or "$" in image or "*" in image:
            return f"which image it runs is not known ({image or 'none is named'})"
        built = own_images.named(root, without_tag(image), path)
        if not built:
            return of_known_image(container)
        if len(built) > 1:
            return f"its image {image} may be built from {' or '.join(sorted(map(str, built)))}"
        dockerfile = next(iter(built))
        found = own(dockerfile)
        return of_own_image(root, found, container) if found is not None else f"{dockerfile} cannot be read"

    return resolve


def of_own_image(root: Path, own: OwnImage, container: Container) -> Answer | str:
    """Return the answer for an image of the repository."""
    index = stage_of(root, own.project, container.image)
    if index is None:
        return f"which stage of {own.project.dockerfile_path} is {container.image} is not known"
    result = next((one for one in own.stages if one.index == index), None)
    if result is None:
        return f"stage {index} of {own.project.dockerfile_path} was not looked at"
    is_switched = result.verdict.outcome is Outcome.SWITCH and result.applied
    if not is_switched and result.verdict.outcome is not Outcome.ALREADY:
        return f"its image {container.image} runs as root: {result.verdict.reason}"
    if "@" in container.image:
        return "its digest names a finished build, which may be older than the Dockerfile"
    replaced = "command" in container.values or "args" in container.values
    return Answer(cached_needs(own.project, index, result), is_switched, not replaced)


@lru_cache(maxsize=256)
def cached_needs(project: Project, index: int, result: StageResult) -> Needs:
    """Return what `needs_of_stage` says."""
    return needs_of_stage(project, index, result.verdict)


def stage_of(root: Path, project: Project, image: str) -> int | None:
    """Return the index of the stage that an image is: the last one, unless builds of that name say another."""
    asked = image_name(without_tag(image))
    targets = {
        one.target.lower()
        for one in repository.builds(root)
        if asked is not None and one.dockerfile == project.dockerfile_path and agree(one.name, asked)
    } or {""}
    if len(targets) > 1:
        return None
    target = targets.pop()
    stages = project.dockerfile.stages
    return len(stages) - 1 if not target else next((one.index for one in stages if one.name == target), None)


def of_known_image(container: Container) -> Answer | str:
    """Return the answer for an image of somebody else, from the knowledge about official images."""
    if "@" in container.image and ":" not in container.image.partition("@")[0].rpartition("/")[2]:
        return f"which variant of it {container.image[:40]}... is cannot be told from a digest"
    arguments = container.values.get("args")
    words = [str(one) for one in arguments] if isinstance(arguments, list) else None
    variables = {
        str(one.get("name")): None if "valueFrom" in one else str(one.get("value") or "")
        for one in items(container.values.get("env"))
    }
    mounts = [str(one.get("mountPath")) for one in items(container.values.get("volumeMounts"))]
    needs = needs_of_image(
        container.image, words, own_entrypoint="command" not in container.values, variables=variables, mounts=mounts
    )
    if needs.capabilities is None and needs.writes is None and needs.gains is None:
        return needs.why_unknown("capabilities")
    return Answer(needs, is_switched=False, image_command=True)
