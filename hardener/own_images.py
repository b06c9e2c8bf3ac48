"""Which Dockerfile of a repository an image is built from, as far as its name tells."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import image, repository
from hardener.compose_links import built, entries, without_tag
from hardener.image_names import agree, image_name, is_literal
from hardener.lazy_pattern import lazy_pattern
from hardener.repository_files import contents, files
from hardener.small_files import content

if TYPE_CHECKING:
    from pathlib import Path

# Names of folders and endings of Dockerfiles that say nothing about which image it is.
COMMON = frozenset(
    (
        "", "src", "app", "docker", "build", "deploy", "services", "apps", "images", "dockerfile", "containerfile",
        "dev", "development", "local", "prod", "production", "test", "base", "main", "compose", "alpine", "debian",
    )
)  # fmt: skip
# Words in the names of images of any project.
EVERYWHERE = frozenset(("web", "api", "server", "service", "frontend", "backend", "client", "site", "nginx", "python"))
LONG_NAME = 6
KIND = lazy_pattern(r"[-_](?:service|svc|server|app|api|image|container|ui|web)$")
DEFAULTED = lazy_pattern(r"\$\{\w+:?-([^{}$]*)\}")
VERSION = lazy_pattern(r"v?\d[\w.-]*")
IMAGE = lazy_pattern(rb"^[ \t-]*image:[ \t]*[\"']?([\w./:@-]+)", re.MULTILINE)
REMOTE = lazy_pattern(r"url\s*=\s*\S*[:/]([\w.-]+)/([\w.-]+?)(?:\.git)?\s*$", re.MULTILINE)


@lru_cache(maxsize=16)
def by_name(root: Path) -> dict[str, tuple[PurePosixPath, ...]]:
    """Return the Dockerfiles of a repository by the names (lower case) that their folder and file name give them."""
    found: dict[str, tuple[PurePosixPath, ...]] = {}
    for file in files(root).dockerfiles:
        # `redis/7.2/Dockerfile` is an image redis:7.2
        folder = file.parent.parent if VERSION.fullmatch(file.parent.name) else file.parent
        for name in {file.parent.name.lower(), folder.name.lower(), *file.name.lower().split(".")} - COMMON:
            found[name] = (*found.get(name, ()), file)
    return found


@lru_cache(maxsize=4096)
def named(root: Path, name: str, seen_from: PurePosixPath) -> frozenset[PurePosixPath]:
    """Return the Dockerfiles whose image is called ``name`` (no tag), as far as names tell; none for foreign images.

    ``x-web`` and ``owner/x-web`` are ``web/Dockerfile`` or ``Dockerfile.web``; of several, those closest to the
    file that says so, ``seen_from``.  A namespace has to be one of the repository's own, or a variable.
    """
    name = with_defaults(name)
    if "$" in name:
        last = name.rpartition("/")[2]
        # `${DOCKER_USER}/shop-web`: whoever is meant, it is the repository's own where that has such a folder
        return built_as(root, name) or (named(root, last, seen_from) if "$" not in last else frozenset())
    if not name or image.lookup(name) is not None:
        return frozenset()
    stated = built_as(root, name)
    if stated:
        return stated
    namespace, _, last = name.rpartition("/")
    repository_is = repository_name(root)
    of_repository = last.lower() == repository_is or last.lower().startswith(f"{repository_is}-")
    if not is_own(root, namespace) and not is_called_after(root, last) and not (of_repository and namespace):
        return frozenset()
    last = last.lower()
    ends = [last, *(last[match.end() :] for match in re.finditer(r"[-_]", last))]
    ends += [KIND.sub("", one) for one in ends if KIND.search(one)]  # `orders-service` is `Orders/Dockerfile`
    found = next((by_name(root)[end] for end in ends if end in by_name(root)), ())
    if not found and namespace and of_repository:
        return named_like_repository(root)
    nearest = max((shared(one, seen_from) for one in found), default=0)
    return frozenset(one for one in found if shared(one, seen_from) == nearest)


@lru_cache(maxsize=4096)
def built_as(root: Path, name: str) -> frozenset[PurePosixPath]:
    """Return the Dockerfiles of which a Compose file, a script or a workflow says that it builds ``name`` (no tag).

    Where a variable decides part of what they say, two components have to be equal, or the namespace one's own.
    """
    stated = frozenset(dockerfile for built, dockerfile in stated_images(root) if with_defaults(built) == name)
    asked = image_name(name)
    if stated or asked is None:
        return stated
    own = is_own(root, name.rpartition("/")[0])
    single = len(files(root).dockerfiles) == 1
    return frozenset(
        build.dockerfile
        for build in repository.builds(root)
        if agree(build.name, asked)
        and (single or build.dockerfile.parent.name)  # what `docker build .` means depends on where it is run
        and (own or is_literal(build.name) or len({*build.name.parts} & {*asked.parts}) > 1)
    )


def is_own(root: Path, namespace: str) -> bool:
    """Whether the repository may publish in a namespace: none, a registry alone, a placeholder, or one of its own."""
    above, _, last = namespace.lower().rpartition("/")
    is_registry = not above and any(mark in last for mark in ".:<{$")
    if not namespace or is_registry or namespace.rpartition("/")[2].isupper():
        return True
    words = re.split(r"[^a-z0-9]+", root.name.lower())  # also `shop-main`, as archives of a branch are called
    own = {*namespaces(root), "-".join(words)}
    return any(part in own or f"-{part}-" in f"-{'-'.join(words)}-" for part in namespace.lower().split("/"))


def named_like_repository(root: Path) -> frozenset[PurePosixPath]:
    """Return the Dockerfiles that an image with the repository's name may be of: the uppermost, or all of them."""
    above = files(root).dockerfiles  # the tag, or the rest of the name, would tell which
    return frozenset([one for one in above if one.parent == PurePosixPath()] or above)


@lru_cache(maxsize=16)
def repository_name(root: Path) -> str:
    """Return the name (lower case) of the repository at its Git remote, else that of its folder."""
    match = REMOTE.search(content(root / ".git" / "config").decode("utf-8", "replace"))
    return (match[2] if match is not None else root.name).lower()


def with_defaults(name: str) -> str:
    """Return an image's name with the defaults of its variables: ``${REGISTRY:-shop}/web`` is ``shop/web``."""
    for _ in range(3):
        name = DEFAULTED.sub(r"\1", name)
    return name


def is_called_after(root: Path, last: str) -> bool:
    """Whether the last part of an image's name begins with the repository's: ``somebody/webshop-frontend``."""
    name = repository_name(root)
    return len(name) >= LONG_NAME and re.match(rf"{re.escape(name)}[-_.]", last.lower()) is not None


def words(name: str) -> set[str]:
    """Return the words of a name (lower case) that tell one project from another."""
    return {one for one in re.split(r"[^a-z0-9]+", name.lower()) if len(one) > 2} - COMMON - EVERYWHERE


@lru_cache(maxsize=16)
def unclaimed(root: Path) -> frozenset[PurePosixPath]:
    """Return the Dockerfiles that no Compose service builds, and no image of a service or manifest is called like."""
    claimed = {file for one in entries(root) if one.build for file in (built(root, one.file.parent, one.build),)}
    for file, image_of in used_images(root):
        claimed |= named(root, image_of, file)
    return frozenset({*files(root).dockerfiles} - claimed)


@lru_cache(maxsize=16)
def used_images(root: Path) -> tuple[tuple[PurePosixPath, str], ...]:
    """Return file and image (no tag) of every service that builds nothing, and of every Kubernetes manifest."""
    found = [(one.file, one.image) for one in entries(root) if one.image and not one.build]
    for file, data in contents(root).manifests:
        found += [(file, without_tag(match[1].decode("utf-8", "replace"))) for match in IMAGE.finditer(data)]
    return tuple(dict.fromkeys(found))


def may_be(root: Path, name: str, seen_from: PurePosixPath, dockerfile: PurePosixPath) -> bool:
    """Whether an image that nothing accounts for may be built from a Dockerfile that nothing speaks of.

    Both are left over, and the image is in a namespace of the repository's own, or has a word of its name or of the
    Dockerfile's folder.  In a collection of projects the namespace alone does not reach from one to another: not where
    another Dockerfile lies two folders nearer.
    """
    if not name or image.lookup(name) is not None or named(root, name, seen_from) or dockerfile not in unclaimed(root):
        return False
    own = words(repository_name(root)) | words(dockerfile.parent.name)
    namespace, _, last = name.rpartition("/")
    if words(last) & own:
        return True
    nearest = max(shared(one, seen_from) for one in files(root).dockerfiles)
    return bool(namespace) and is_own(root, namespace) and shared(dockerfile, seen_from) + 1 >= nearest


def shared(one: PurePosixPath, other: PurePosixPath) -> int:
    """Return how many folders two paths have in common."""
    return len(set(one.parents) & set(other.parents))


@lru_cache(maxsize=16)
def stated_images(root: Path) -> frozenset[tuple[str, PurePosixPath]]:
    """Return image name and Dockerfile of the services that have both ``build`` and ``image``."""
    return frozenset(
        (one.image, dockerfile)
        for one in entries(root)
        if one.build and one.image
        for dockerfile in (built(root, one.file.parent, one.build),)
        if dockerfile is not None
    )


@lru_cache(maxsize=16)
def namespaces(root: Path) -> frozenset[str]:
    """Return the namespaces (lower case) under which a repository publishes: its builds', its Git remote's."""
    found = {name.split("/")[-2].lower() for name, _ in stated_images(root) if "/" in name}
    configuration = content(root / ".git" / "config").decode("utf-8", "replace")
    found |= {match[1].lower() for match in REMOTE.finditer(configuration)}
    several: dict[str, set[str]] = {}
    used = {one.image for one in entries(root)}
    for _, data in contents(root).manifests:
        used |= {without_tag(match[1].decode("utf-8", "replace")) for match in IMAGE.finditer(data)}
    for name in used:
        if "/" in name and name.rpartition("/")[2] in by_name(root) and image.lookup(name) is None:
            several.setdefault(name.split("/")[-2].lower(), set()).add(name)
    return frozenset(found | {name for name, images in several.items() if len(images) > 1})
