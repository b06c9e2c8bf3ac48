"""The Dockerfiles of one repository that build on each other: who builds which image, and who is built FROM it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener import image
from hardener.build_commands import Build, builds_of_lines, builds_of_workflow
from hardener.image_names import ANY, ImageName, agree, expanded, image_name, is_literal
from hardener.lazy_pattern import lazy_pattern
from hardener.repository_files import COMPOSE_NAME, MAXIMUM_FILES, files, walk
from hardener.small_files import content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.project import Project

# Scripts, and of the many YAML files those that Compose and CI services read.
BUILD_FILE = lazy_pattern(
    r"\.(?:sh|bash|mk|ps1|bat|cmd)$|^(?:GNU)?[Mm]akefile|^[Jj]ustfile$|^Jenkinsfile|^(?:README|BUILDING)\.md$|^package\.json$"
    r"|^(?:.*[-.])?(?:compose|gitlab-ci|travis|pipelines?|cloudbuild|buildspec|drone|appveyor|[Tt]askfile)\b.*\.ya?ml$"
)
WORKFLOWS = (".github/workflows/", ".github/actions/", ".circleci/", ".gitlab/")
FROM = lazy_pattern(
    rb"^[ \t]*FROM[ \t]+(?:--platform=\S+[ \t]+)?(\S+)(?:[ \t]+AS[ \t]+(\S+))?", re.IGNORECASE | re.MULTILINE
)
ARG = lazy_pattern(rb"^[ \t]*ARG[ \t]+(\w+)=[\"']?([^\s\"']*)", re.IGNORECASE | re.MULTILINE)
REMOTE = lazy_pattern(r"url\s*=\s*\S*[:/]([\w.-]+)/[\w.-]+?(?:\.git)?\s*$", re.MULTILINE)


class Place(NamedTuple):
    """Where an image is built: a Dockerfile (relative to the repository) and a stage of it, ``""`` for the last."""

    dockerfile: PurePosixPath
    target: str


@lru_cache(maxsize=16)
def build_files(root: Path) -> tuple[PurePosixPath, ...]:
    """Return the files that may build images, relative to ``root``: scripts, Compose files, CI files."""
    found: list[str] = []
    for here, names in walk(root):
        central = here.startswith(WORKFLOWS)
        found += (here + name for name in names if central or BUILD_FILE.search(name))
    return tuple(map(PurePosixPath, found[:MAXIMUM_FILES]))


@lru_cache(maxsize=16)
def builds(root: Path) -> tuple[Build, ...]:
    """Return every build of a named image that a repository states: Compose files, Makefiles, scripts, CI, comments."""
    found: list[Build] = []
    for file in (*files(root).dockerfiles, *build_files(root)):
        data = content(root / file)
        if b"build" not in data or not any(word in data for word in (b"docker", b"podman", b"buildah", b"image")):
            continue
        text = data.decode("utf-8", "replace")
        found += builds_of_lines(root, file, text)
        if file.suffix in (".yml", ".yaml"):
            found += builds_of_compose(root, file, data)
            if b"build-push-action" in data:
                found += builds_of_workflow(root, text)
    return tuple(dict.fromkeys(found))


def builds_of_compose(root: Path, file: PurePosixPath, data: bytes) -> Iterator[Build]:
    """Yield the services of a Compose file that have both ``build`` and ``image``."""
    from hardener import compose  # noqa: PLC0415

    if COMPOSE_NAME.match(file.name) is None:
        return
    for service in compose.read_services(file, data):
        name = image_name(str(service.values.get("image") or ""))
        if name is not None and service.dockerfile is not None and (root / service.dockerfile).is_file():
            yield Build(name, service.dockerfile, service.target or "")


@lru_cache(maxsize=16)
def owners(root: Path) -> frozenset[str]:
    """Return the namespaces under which a repository publishes: those of its builds, and of its Git remote."""
    found = {build.name.parts[-2] for build in builds(root) if len(build.name.parts) > 1} - {ANY}
    configuration = content(root / ".git" / "config").decode("utf-8", "replace")
    return frozenset(found | {match[1].lower() for match in REMOTE.finditer(configuration)})


def places(root: Path, name: ImageName) -> frozenset[Place]:
    """Return every place where an image of that name may be built, by what builds it, else by the name of a folder.

    A build whose name a variable decides in part counts for the repository's own namespaces only.
    """
    stated = [build for build in builds(root) if agree(build.name, name)]
    own = [one for one in stated if is_literal(one.name) or not is_literal(name) or is_own(root, name)]
    if len({one[1:] for one in own}) > 1:
        own = [one for one in own if one.name.tag == name.tag] or own
    if own:
        return frozenset(Place(one.dockerfile, one.target) for one in own)
    return frozenset(Place(file, "") for file in named_like(root, name.parts[-1]) if is_own(root, name))


def is_own(root: Path, name: ImageName) -> bool:
    """Whether a name is without a namespace, or in one under which the repository publishes."""
    if len(name.parts) == 1:
        return True
    above = name.parts[-2]
    return above == ANY or above.lower() in owners(root) or above in shared_namespaces(root)


@lru_cache(maxsize=16)
def shared_namespaces(root: Path) -> frozenset[str]:
    """Return the namespaces of which at least two unknown base images have the names of folders with a Dockerfile."""
    found: dict[str, set[str]] = {}
    for name in {name for _, name in unknown_bases(root) if len(name.parts) > 1}:
        if named_like(root, name.parts[-1]):
            found.setdefault(name.parts[-2], set()).add(name.parts[-1])
    return frozenset(namespace for namespace, names in found.items() if len(names) > 1)


def named_like(root: Path, name: str) -> tuple[PurePosixPath, ...]:
    """Return the Dockerfiles ``name/Dockerfile``, ``Dockerfile.name`` and ``name.Dockerfile`` of a repository."""
    return by_name(root).get(name, ())


@lru_cache(maxsize=16)
def by_name(root: Path) -> dict[str, tuple[PurePosixPath, ...]]:
    """Return the Dockerfiles of a repository by the names that their folder or file name gives them."""
    found: dict[str, tuple[PurePosixPath, ...]] = {}
    for file in files(root).dockerfiles:
        stem = re.sub(r"(?i)\.?(?:dockerfile|containerfile)\.?", "", file.name)
        name = stem or file.parent.name
        found[name] = (*found.get(name, ()), file)
        if stem and file.parent.name:
            found[file.parent.name] = (*found.get(file.parent.name, ()), file)
    return found


@lru_cache(maxsize=16)
def unknown_bases(root: Path) -> tuple[tuple[PurePosixPath, ImageName], ...]:
    """Return the base images of which ``images.toml`` knows nothing, each with the Dockerfile that names it."""
    found: list[tuple[PurePosixPath, ImageName]] = []
    for file in files(root).dockerfiles:
        data = content(root / file)
        arguments = {name.decode(): value.decode("utf-8", "replace") for name, value in ARG.findall(data)}
        stages: set[bytes] = set()
        for base, alias in FROM.findall(data):
            if base.lower() not in stages:
                name = image_name(base.decode("utf-8", "replace"), arguments)
                if name is not None and not is_known(base.decode("utf-8", "replace").strip("\"'"), arguments):
                    found.append((file, name))
            stages.add(alias.lower())
    return tuple(dict.fromkeys(found))


def is_known(text: str, variables: Mapping[str, str]) -> bool:
    """Whether ``images.toml`` has an image, whatever a variable makes of its tag."""
    name = expanded(text, variables)
    plain = name.rpartition(":")[0] if ANY in name.rpartition("/")[2].partition(":")[2] else name
    return ANY not in plain and image.lookup(plain) is not None


@lru_cache(maxsize=16)
def dependents(root: Path) -> dict[PurePosixPath, tuple[PurePosixPath, ...]]:
    """Return for each Dockerfile of a repository those that may be built FROM its image."""
    found: dict[PurePosixPath, tuple[PurePosixPath, ...]] = {}
    for file, name in unknown_bases(root):
        for place in places(root, name):
            if place.dockerfile != file and file not in found.get(place.dockerfile, ()):
                found[place.dockerfile] = (*found.get(place.dockerfile, ()), file)
    return found


def sibling(project: Project, name: ImageName) -> Place | None:
    """Return where the image of that name is built in the project's repository, ``None`` where that is not certain.

    Not certain: several places, or one that is itself built FROM that name, a copy of somebody else's image.
    """
    if project.root is None:
        return None
    found = places(project.root, name)
    if len(found) != 1:
        return None
    place = next(iter(found))
    copies = any(file == place.dockerfile and agree(base, name) for file, base in unknown_bases(project.root))
    return None if copies else place
