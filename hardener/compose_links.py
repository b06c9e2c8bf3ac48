"""Which Dockerfile each Compose service of a repository runs: by its build, by its name beside one, by its image.

Compose merges the files that it is given by the names of the services, so all files of a folder together tell about
one service: https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
"""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import image
from hardener.compose_variables import ANY_STAGE, candidates, resolved
from hardener.repository_files import contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Place = tuple[PurePosixPath, str]


class Entry(NamedTuple):
    """What one service says about its image; ``build`` is the table of that key, ``image`` is without its tag.

    ``reference`` is the image as it is written.
    """

    file: PurePosixPath
    name: str
    build: dict[str, Any]
    image: str
    extends: tuple[PurePosixPath, str] | None
    reference: str = ""

    @property
    def is_part(self) -> bool:
        """Whether it cannot stand alone: another file of the project has to say what it runs."""
        return not (self.build or self.image or self.extends)


class Link(NamedTuple):
    """One service that runs the image of a Dockerfile (``target``: a stage of it).

    ``certain`` is false where only names say so: reasons against a change count then, but nothing is edited.
    """

    file: PurePosixPath
    name: str
    target: str | None
    certain: bool


@lru_cache(maxsize=16)
def entries(root: Path) -> tuple[Entry, ...]:
    """Return every service of the repository's Compose files."""
    from hardener.compose import read_services  # noqa: PLC0415  it imports this module

    found: list[Entry] = []
    for file, data in contents(root).compose:
        for service in read_services(file, data):
            build = service.values.get("build")
            table = build if isinstance(build, dict) else {"context": build} if build else {}
            table = resolved(root, file.parent, table)
            reference = str(service.values.get("image") or "")
            other = extended(file, service.values.get("extends"))
            found.append(Entry(file, service.name, table, without_tag(reference), other, reference))
    return tuple(found)


def without_tag(name: str) -> str:
    """Return an image's name without tag and digest."""
    path, slash, last = name.partition("@")[0].rpartition("/")
    return path + slash + last.partition(":")[0]


def extended(file: PurePosixPath, value: Any) -> tuple[PurePosixPath, str] | None:
    """Return file and name of the service that another one ``extends``."""
    if isinstance(value, str):
        return file, value
    if not isinstance(value, dict) or not value.get("service"):
        return None
    other = str(value.get("file") or file.name)
    return PurePosixPath(posixpath.normpath(file.parent / other)), str(value["service"])


@lru_cache(maxsize=16)
def links(root: Path) -> dict[PurePosixPath, tuple[Link, ...]]:
    """Return for each Dockerfile of a repository the services that run it, without those linked by image name alone."""
    groups: dict[Place, list[Entry]] = {}
    for one in entries(root):
        groups.setdefault((one.file.parent, one.name), []).append(one)
    found: dict[PurePosixPath, set[Link]] = {}
    for group in groups.values():
        for dockerfile, link in links_of_group(root, group):
            found.setdefault(dockerfile, set()).add(link)
    places = {(one.file, one.name): one for one in entries(root)}
    parts: dict[str, list[Entry]] = {}
    for one in entries(root):
        if one.is_part:
            parts.setdefault(one.name, []).append(one)
    for known in found.values():
        known |= set(of_extended(places, known))
        known |= set(of_overrides(parts, known))
    return {dockerfile: tuple(sorted(known, key=order)) for dockerfile, known in found.items()}


def order(link: Link) -> tuple[bool, str, str, str]:
    """Return what links are sorted by: those that are certain first."""
    return not link.certain, str(link.file), link.name, link.target or ""


def links_of_group(root: Path, group: list[Entry]) -> Iterator[tuple[PurePosixPath, Link]]:
    """Yield Dockerfile and link of the services of one name in one folder.

    What builds nothing, and what an override of the target is merged with, counts for every stage that is built.
    """
    built = [(one, dockerfile, target) for one in group for dockerfile, target in built_by(root, one, group)]
    for one in group:
        own = [(dockerfile, target) for builder, dockerfile, target in built if builder is one]
        for dockerfile, target in own:
            yield dockerfile, Link(one.file, one.name, target, certain=target != ANY_STAGE)
        for dockerfile in candidates(root, one.file.parent, one.name, one.build):
            yield dockerfile, Link(one.file, one.name, target_of(one.build), certain=False)
        if (one.build and not one.build.get("context")) or (one.image and image.lookup(one.image) is not None):
            continue
        for builder, dockerfile, target in built:
            if not one.build:
                yield dockerfile, Link(one.file, one.name, target, certain=one.image in ("", builder.image))
            elif not builder.build.get("context") and dockerfile in dict(own):
                yield dockerfile, Link(one.file, one.name, target, certain=True)


def of_extended(places: dict[Place, Entry], known: set[Link]) -> Iterator[Link]:
    """Yield what linked services extend, and the services without a build that extend them.

    What is extended may be others' too: nothing is edited there.
    """
    linked = {(link.file, link.name) for link in known}
    for place, one in places.items():
        if one.extends not in places or one.extends is None:
            continue
        for link in known:
            if (link.file, link.name) == place and one.extends not in linked:
                yield Link(*one.extends, link.target, certain=False)
            elif (link.file, link.name) == one.extends and not one.build and place not in linked:
                yield Link(*place, link.target, link.certain and not one.image)


def of_overrides(parts: dict[str, list[Entry]], known: set[Link]) -> Iterator[Link]:
    """Yield the services that cannot stand alone (no build, no image) and are called like linked ones above or below.

    ``docker compose -f compose.yml -f deploy/production.yml`` merges them.  ``parts`` has them by name.
    """
    linked = {(link.file, link.name) for link in known}
    for link in known:
        for one in parts.get(link.name, ()) if link.certain else ():
            here, there = link.file.parent, one.file.parent
            if (one.file, one.name) not in linked and (there in here.parents or here in there.parents):
                yield Link(one.file, one.name, link.target, certain=False)


def built_by(root: Path, one: Entry, group: Iterable[Entry]) -> list[tuple[PurePosixPath, str | None]]:
    """Return Dockerfile and stage that a service builds, alone or merged with the other files of its folder."""
    if not one.build:
        return []
    tables = [one.build]
    for other in group:
        if other is not one and other.build.get("context") and not (one.build.keys() >= {"context", "dockerfile"}):
            merged = {**other.build, **one.build}
            tables = [*(tables if tables != [one.build] or one.build.get("context") else []), merged]
    found = [(built(root, one.file.parent, table), target_of(table)) for table in tables]
    return list(dict.fromkeys((dockerfile, target) for dockerfile, target in found if dockerfile is not None))


def target_of(table: dict[str, Any]) -> str | None:
    """Return the stage that a ``build`` table names: ``None`` for the last, `ANY_STAGE` where that is not known."""
    target = str(table.get("target") or "")
    return ANY_STAGE if "$" in target else target or None


def built(root: Path, folder: PurePosixPath, table: dict[str, Any]) -> PurePosixPath | None:
    """Return the Dockerfile of a ``build`` table, ``None`` for a URL, a variable or an absolute path.

    It is looked for as seen from the file's folder, then from each folder above, which people make the project's
    directory (``--project-directory``, ``include``).
    """
    context = str(table.get("context") or ".")
    if "://" in context or "$" in context or context.startswith("/"):
        return None
    name = str(table.get("dockerfile") or "Dockerfile")
    if "$" in name:
        return None
    places = [posixpath.normpath(posixpath.join(str(one), context, name)) for one in (folder, *folder.parents)]
    there = (place for place in places if not place.startswith("..") and (root / place).is_file())
    return PurePosixPath(next(there, places[0]))
