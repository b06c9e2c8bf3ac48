"""Which Compose services run the image of a project: those that build it, and those that may by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import image
from hardener.compose_links import Link, built_by, entries, links
from hardener.own_images import COMMON, built_as, is_own, named

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from hardener.compose_links import Entry, Place
    from hardener.project import Project


def places(project: Project, root: Path) -> dict[Place, list[Link]]:
    """Return the services that run the project's image by file and name, each with its links to the Dockerfile.

    ``root`` is the project's.
    """
    wanted: dict[Place, list[Link]] = {}
    for link in links(root).get(project.dockerfile_path, ()):
        wanted.setdefault((link.file, link.name), []).append(link)
    own, near = project.dockerfile_path, (str(project.context), str(project.context.parent))
    for user in users_of_images(root):
        # cheap: most services of a large repository are far away, and no name leads here
        if not (user.folder in near or own in user.beside or own in user.named):
            continue
        one = user.entry
        if (one.file, one.name) not in wanted:
            if is_built_here(project, user):
                wanted[one.file, one.name] = [Link(one.file, one.name, None, certain=True)]
            elif runs(one, project) or own in user.named:
                wanted[one.file, one.name] = [Link(one.file, one.name, None, certain=False)]
    for one in entries(root):
        # What adds to such a service in another file of its folder, where it has no image of its own.
        if one.is_part and (one.file, one.name) not in wanted:
            beside = [
                link
                for (file, name), group in wanted.items()
                for link in group
                if name == one.name and file.parent == one.file.parent
            ]
            wanted |= {(one.file, one.name): beside} if beside else {}
    return wanted


class ImageUser(NamedTuple):
    """A service that has an image and builds nothing, and the folder of its file.

    ``beside`` are the Dockerfiles of builds in that folder that make the image, tag and all; ``named`` those that the
    name of the image may mean.
    """

    entry: Entry
    folder: str
    beside: frozenset[PurePosixPath]
    named: frozenset[PurePosixPath]


@lru_cache(maxsize=16)
def users_of_images(root: Path) -> tuple[ImageUser, ...]:
    """Return the services of a repository that have an image and build nothing, in order."""
    made: dict[tuple[str, str], set[PurePosixPath]] = {}
    for one in entries(root):
        if one.build:
            dockerfiles = {dockerfile for dockerfile, _ in built_by(root, one, [one])}
            made.setdefault((str(one.file.parent), one.reference), set()).update(dockerfiles)
    found = []
    for one in entries(root):
        if one.image and not one.build:
            folder = str(one.file.parent)
            beside = frozenset(made.get((folder, one.reference), ()))
            found.append(ImageUser(one, folder, beside, named(root, one.image, one.file)))
    return tuple(found)


def is_built_here(project: Project, user: ImageUser) -> bool:
    """Whether the image of a service that builds nothing is certainly the project's.

    Either a build beside it makes that image, tag and all; or its name is that of the folder (`is_called_like`),
    and the namespace one's own, or a build of this Dockerfile is known under that name.
    """
    assert project.root is not None
    one = user.entry
    if user.beside or not is_called_like(one, project):
        return user.beside == {project.dockerfile_path}
    namespace = one.image.rpartition("/")[0]
    stated = built_as(project.root, one.image)
    if stated:
        return stated == {project.dockerfile_path}
    return bool(namespace) and is_own(project.root, namespace)


def is_called_like(one: Entry, project: Project) -> bool:
    """Whether the last part of an image is the name of the Dockerfile or of its folder, beside or below the file."""
    folder = project.context
    if one.file.parent not in (folder, folder.parent) or image.lookup(one.image) is not None:
        return False
    own = {folder.name, f"{folder.parent.name}-{folder.name}", *project.dockerfile_path.name.lower().split(".")}
    return one.image.rpartition("/")[2] in own - {"", "dockerfile", "containerfile"}


def runs(one: Entry, project: Project) -> bool:
    """Whether a service that builds nothing may run the project's image, told by the last part of its name.

    ``image: somebody/web`` beside ``web/Dockerfile`` or ``Dockerfile.web``; in the Dockerfile's own folder, also a
    name that begins with the folder's (``somebody/web-arm``); where nothing builds it, a service ``web`` or ``web1``
    with the image ``somebody/webshop``.  Others have such names too: it is never certain.
    """
    folder = project.context
    if is_called_like(one, project):
        return True
    assert project.root is not None
    if (
        "/" in one.image
        and one.file.parent == folder.parent != folder
        and folder.name.lower() not in COMMON
        and re.sub(r"[-_]?\d+$", "", one.name.lower()) == folder.name.lower()
        and image.lookup(one.image) is None
        and not links(project.root).get(project.dockerfile_path)
        and not built_as(project.root, one.image)
    ):
        return True
    if one.file.parent != folder or "/" not in one.image or image.lookup(one.image) is not None:
        return False
    first = one.image.rpartition("/")[2]
    return any(re.match(rf"{re.escape(name)}(?![a-z0-9])", first) for name in (folder.name, folder.parent.name) if name)
