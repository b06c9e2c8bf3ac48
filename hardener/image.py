"""What is known of base images: who they run as, how a user is made there, and what must not be switched.

The knowledge is data, in ``images.toml`` beside this module; here it is read, never judged.  Nothing is
pulled or run.  An image that the file does not name is not known: ``lookup`` returns ``None`` for it, and
nothing is guessed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardener.inherited import Inherited

_HUB = (
    *("", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"),
    "mirror.gcr.io",
)
# Docker Hub has a copy of every official image for each architecture: arm64v8/python is python.
# https://github.com/docker-library/official-images#architectures-other-than-amd64
_ARCHITECTURES = (
    *("amd64", "arm32v5", "arm32v6", "arm32v7", "arm64v8", "i386", "mips64le", "ppc64le", "riscv64", "s390x"),
    *("winamd64", "armhf", "aarch64"),  # the last two are the names of before 2017
)


class ImageReference(NamedTuple):
    """The parts of ``[registry/]repository[:tag][@digest]``; a part that is not written is ``""``.

    Docker Hub is the registry ``""``, its ``library/`` is taken off, and its mirrors count as Docker Hub, so
    that an image has one name: ``docker.io/library/python`` and ``public.ecr.aws/docker/library/python`` are
    both ``python``.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Registry and repository, as ``images.toml`` names the image."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Split a reference by the rules of https://github.com/distribution/reference; never raises."""
        name, _, digest = text.strip().partition("@")
        path, slash, last = name.rpartition("/")
        last, _, tag = last.partition(":")
        name = path + slash + last
        registry, _, repository = name.partition("/")
        if not repository or not ("." in registry or ":" in registry or registry == "localhost"):
            registry, repository = "", name
        if registry == "public.ecr.aws" and repository.startswith("docker/library/"):
            registry, repository = "", repository.removeprefix("docker/")
        if registry in _HUB:
            registry, repository = "", repository.removeprefix("library/")
        return cls(registry, repository, tag, digest)


class KnownUser(NamedTuple):
    """An account that an image brings along, as in its ``/etc/passwd``."""

    name: str
    uid: int
    gid: int
    home: str


class ImageFacts(NamedTuple):
    """What one base image is, as far as its users and privileges go."""

    family: str
    """How a user is made there: ``debian``, ``rhel``, ``suse`` and ``arch`` have ``groupadd`` and
    ``useradd``, ``alpine`` and ``wolfi`` BusyBox' ``addgroup`` and ``adduser``; ``shell`` has a shell and
    ``/etc/passwd``, and nothing else is certain; ``distroless`` and ``scratch`` cannot run anything;
    ``windows`` has no numeric users; with ``unknown`` only the other facts are known."""
    source: str
    """Where the facts were read: ``repository@commit:path`` or an address."""
    user: str = ""
    """The image's ``USER``; ``""`` is root."""
    users: tuple[KnownUser, ...] = ()
    """The accounts that matter: made for an application, or with an id that a new user may want."""
    ports: tuple[int, ...] = ()
    """The ports below 1024 that the image's own process, or its runtime's default, listens on."""
    outcome: str = "plain"
    """What its own process wants: ``plain`` works as any user; ``already`` is not root by default; ``drops``
    starts as root and drops that by itself; ``server`` has a default command that wants root, root's paths or
    a port below 1024; ``root`` wants them whatever the command, for its entrypoint or its directories."""
    reason: str = ""
    """For all but ``plain``: why the user is not switched, one sentence without a full stop."""
    way_out: str = ""
    """For all but ``plain``: what a person can do instead."""
    writable: tuple[str, ...] = ()
    """Directories that any user (mode 1777) or the image's own user can write: leave owner and mode alone."""
    has_cmd: bool = True
    """Whether the image starts an application or an interpreter by itself, not just a shell."""
    home: str = ""
    """The value of ``HOME`` that the image sets for every user; ``""`` when it sets none."""
    workdir: str = "/"
    """The working directory the image leaves, absolute; ``""`` where its tags differ or nobody looked."""
    variables: tuple[tuple[str, str | None], ...] = ()
    """The ENV that Dockerfiles rely on, ``NAME=value`` in the file; ``None`` for a value that is not decided."""
    inherited: Inherited | None = None
    """What else is known where the image's own Dockerfile or configuration was read; never in ``images.toml``."""

    def holder(self, name: str, uid: int) -> KnownUser | None:
        """Return the known account that has this name or this user id already, if there is one."""
        return next((user for user in self.users if user.name == name or user.uid == uid), None)


@lru_cache(maxsize=1)
def _tables() -> dict[str, str]:
    # The tables of images.toml by header, not parsed: tomllib takes 0.3 ms a kilobyte, and a run needs one or
    # two tables of some two hundred.
    text = Path(__file__).with_name("images.toml").read_text(encoding="utf-8")
    tables = (table.partition("]\n") for table in text.split("\n[")[1:])
    return {header.strip('"'): body for header, _, body in tables}


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    # Every image name, of which a header holds one or more, with that header.
    images = (header for header in _tables() if not header.startswith("variant."))
    return {name: header for header in images for name in header.split()}


def _table(header: str) -> dict[str, Any]:
    return tomli.loads(_tables()[header])


def _header(name: str) -> str | None:
    names = _names()
    if name in names:
        return names[name]
    # The longest glob that fits is the most telling one; comparing the start spares compiling all of them.
    started = (glob for glob in names if "*" in glob and name.startswith(glob.partition("*")[0]))
    fitting = [glob for glob in started if fnmatchcase(name, glob)]
    return names[max(fitting, key=len)] if fitting else None


def _variant(tags: Mapping[str, Any], tag: str) -> dict[str, Any] | None:
    # A value of `tags` is a table, the name of a [variant.*] table, or simply a family.
    for patterns, value in tags.items():
        if any(fnmatchcase(tag, pattern) for pattern in patterns.split("|")):
            if isinstance(value, str):
                return _table(f"variant.{value}") if f"variant.{value}" in _tables() else {"family": value}
            if not isinstance(value, dict):
                return None
            base = _table(f"variant.{value['variant']}") if "variant" in value else {}
            return base | {key: fact for key, fact in value.items() if key != "variant"}
    return None


def _shared(entry: Mapping[str, Any], tags: Mapping[str, Any]) -> dict[str, Any] | None:
    # What holds for a digest, which may be of any tag: an image whose tags differ in their tools, all as one user.
    family_alone = all(isinstance(value, str) and f"variant.{value}" not in _tables() for value in tags.values())
    return {"family": "unknown"} if family_alone and entry.get("outcome") == "already" else None


def _known_user(passwd: str) -> KnownUser:
    name, uid, gid, home = passwd.split(":")
    return KnownUser(name, int(uid), int(gid), home)


@lru_cache(maxsize=256)
def lookup(reference: str) -> ImageFacts | None:
    """Return what is known of the image named by ``reference``, a ``FROM`` argument, or ``None``.

    ``None`` also when the tag is not known: an unexpanded variable, or a digest alone for an image whose tags
    differ.  No tag and no digest means ``latest``.
    """
    image = ImageReference.parse(reference)
    if "$" in reference:
        return None
    header = _header(image.name)
    architecture, _, official = image.name.partition("/")
    if header is None and architecture in _ARCHITECTURES and "/" not in official:
        header = _header(official)
    if header is None:
        return None
    entry = _table(header)
    tags: dict[str, Any] = entry.pop("tags", {"*": {}})
    if image.digest and not image.tag and len(tags) > 1:
        variant = _shared(entry, tags)
    else:
        variant = _variant(tags, image.tag or "latest")
    if variant is None:
        return None
    facts = entry | variant
    facts = with_common(facts)
    facts["users"] = tuple(map(_known_user, facts.get("users", ())))
    for key in ("ports", "writable"):
        facts[key] = tuple(facts.get(key, ()))
    facts["variables"] = assigned(facts.get("variables", ()))
    return ImageFacts(**facts)


def assigned(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return names and values of ``NAME=value`` texts."""
    return tuple((name, value) for name, _, value in (text.partition("=") for text in texts))


def with_common(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the values of an image with what all of its outcome share: reason and way out."""
    common = f"variant.{facts.get('outcome')}"
    return _table(common) | facts if common in _tables() else facts


def overlaid(reference: str, images: tuple[tuple[str, ImageFacts], ...]) -> ImageFacts | None:
    """Return the facts of the first configured image that fits: a glob over the name, or the name and its tag."""
    parsed = ImageReference.parse(reference)
    written = reference.partition("@")[0]
    names = (parsed.name, f"{parsed.name}:{parsed.tag or 'latest'}", written, written.rpartition(":")[0])
    return next((one for glob, one in images if any(fnmatchcase(name, glob) for name in names)), None)
