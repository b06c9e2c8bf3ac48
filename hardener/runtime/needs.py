"""What an image needs at run time: its user, its capabilities, where it writes, and whether it gains privileges.

One value, `Needs`, whoever asks: Compose services, pods, ``docker run``.  Here from the knowledge file ``needs.toml``,
for services that run an official image as it is; `hardener.runtime.stage_needs` makes one for a stage that is built.
What is not known is ``None``, and nothing may be written from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener import image
from hardener.paths import below
from hardener.stages import is_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardener.image import ImageFacts

# What Docker gives a container by default; nothing else is ever added, or hardening would give more than there was.
# https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
DEFAULT_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
     "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip


# In `Needs.unknown`, for every field.
ANY = "*"

# What is mounted there is read by everybody, and tells no program where to write.
HARMLESS = ("/etc/localtime", "/etc/timezone", "/dev/shm")  # noqa: S108  paths of an image


class Writable(NamedTuple):
    """A directory that is written at run time.

    ``kept`` is data: it needs a volume (``volume``: the image declares one itself), never a tmpfs.  Else a tmpfs does,
    with ``mode`` (octal, as text), ``size`` (as Docker writes it) and, where not root's, ``uid`` and ``gid``.
    """

    path: str
    kept: bool = False
    volume: bool = False
    mode: str = "1777"
    size: str = "512m"
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True)
class Needs:
    """What one image needs at run time; ``None`` is not known, ``()`` and ``""`` are known to be nothing.

    ``sources`` has for each of ``capabilities``, ``user``, ``writes`` and ``gains`` where that was read.
    """

    starts_as_root: bool | None
    """Whether its first process is root's."""
    user: str | None = None
    """Its user at run time as it is, ``uid:gid`` where the numbers are known; ``None`` for root or not known."""
    runs_as: str | None = None
    """For an image that starts as root: the ``uid:gid`` that it works as from the start, without any capability."""
    owned: tuple[str, ...] = ()
    """The directories of the image that belong to ``runs_as``: an empty volume there does too."""
    mounts: tuple[str, ...] = ()
    """Where files may be mounted that it only reads, as ``runs_as``."""
    capabilities: tuple[str, ...] | None = None
    """What must be added after dropping all, for the first start and for every later one."""
    writes: tuple[Writable, ...] | None = None
    """Every directory that it writes in; ``None`` where the list is not known to be complete."""
    gains: str | None = None
    """How something in it gains privileges (sudo, setuid, file capabilities); ``""`` for nothing."""
    unknown: tuple[tuple[str, str], ...] = ()
    """For what is ``None``: the field and why it is not known, for people."""
    sources: tuple[tuple[str, str], ...] = ()

    file_capabilities: tuple[str, ...] = ()
    """What the file of its program says it must have: with less in the bounding set it does not start."""

    def why_unknown(self, field: str) -> str:
        """Return why a field is not known."""
        known = dict(self.unknown)
        return known.get(field) or known.get(ANY) or "what it needs is not known"

    def as_user(self, user: str) -> Needs:
        """Return the needs of the same image started as ``user`` (``uid:gid``) in place of root."""
        uid, _, gid = user.partition(":")
        numbers = (int(uid), int(gid)) if uid.isdecimal() and gid.isdecimal() else None
        writes = self.writes
        if writes is not None and any(one.uid is not None for one in writes):
            given = (
                one if one.uid is None else one._replace(uid=numbers[0], gid=numbers[1]) for one in writes if numbers
            )
            writes = tuple(given) or None
        kept = self.file_capabilities
        gains = f"its program has the file capability {', '.join(kept)}" if kept else self.gains
        return replace(
            self, starts_as_root=False, user=user, runs_as=None, capabilities=kept, writes=writes, gains=gains
        )


UNKNOWN = Needs(starts_as_root=None)


@lru_cache(maxsize=1)
def knowledge() -> dict[str, dict[str, Any]]:
    """Return the tables of ``needs.toml`` by the name of each image."""
    tables = tomli.loads(Path(__file__).with_name("needs.toml").read_text(encoding="utf-8"))
    return {name: table for header, table in tables.items() for name in header.split()}


def needs_of_image(
    reference: str,
    command: Sequence[str] | None = None,
    *,
    own_entrypoint: bool = True,
    variables: Mapping[str, str | None] | None = None,
    mounts: Sequence[str] = (),
    health: str = "",
) -> Needs:
    """Return the needs of an image that is run as it is, ``reference`` as in Compose or a pod.

    ``command`` are the words given in place of the image's CMD (``None``: none, an empty sequence is none too),
    ``own_entrypoint`` tells that its ENTRYPOINT is not replaced, ``variables`` is the environment given to it, and
    ``mounts`` are the absolute paths that something is mounted at, ``health`` is the text of a health check of its
    own.  Never raises; what nobody knows is ``None`` in the result.
    """
    facts = image.lookup(reference)
    table = knowledge().get(image.ImageReference.parse(reference).name)
    known = starts_as_root(facts)
    if facts is None or table is None:
        return Needs(known, user_of(facts), unknown=((ANY, f"what {shown(reference)} needs is not known"),))
    if not own_entrypoint:
        return Needs(known, user_of(facts), unknown=((ANY, "its entrypoint is replaced"),))
    if not fits(command, table["commands"]):
        return Needs(
            known, user_of(facts), unknown=((ANY, f"it runs {command[0] if command else ''}, not the server"),)
        )
    account = owner(facts)
    capabilities: tuple[str, ...] | None = tuple(table["capabilities"]) if "capabilities" in table else None
    owned = tuple(table.get("owned", ()))
    is_old = (
        re.match(table.get("user_not_tags", "$."), image.ImageReference.parse(reference).tag or "latest") is not None
    )
    elsewhere = any(
        not below((variables or {}).get(one) or "/", owned)
        for one in table.get("paths", ())
        if one in (variables or {})
    )
    found = Needs(
        known,
        user_of(facts),
        runs_as=account if known and table.get("runs_as_user") and not (elsewhere or is_old) else None,
        owned=owned,
        mounts=(*table.get("mounts", ()), *HARMLESS),
        capabilities=capabilities,
        gains="",
        file_capabilities=tuple(table.get("file_capabilities", ())),
        sources=tuple((key.removesuffix("_source"), value) for key, value in table.items() if key.endswith("_source")),
    )
    writes, missing = writes_of(table, account, command or (), variables or {}, mounts)
    if writes is not None and table.get("not_health") and re.search(table["not_health"], health):
        writes, missing = None, f"its health check: {table['health_reason']}"
    found = replace(found, writes=writes, unknown=(("writes", missing),) if missing else ())
    return found if known else found.as_user(user_of(facts) or "")


def shown(reference: str) -> str:
    """Return an image's name for a sentence."""
    return reference or "its image"


def starts_as_root(facts: ImageFacts | None) -> bool | None:
    """Return whether an image's first process is root's, ``None`` where nobody knows the image."""
    return None if facts is None else is_root(facts.user)


def user_of(facts: ImageFacts | None) -> str | None:
    """Return the user of an image that is not root: in numbers where they are known."""
    if facts is None or is_root(facts.user):
        return None
    name = facts.user.partition(":")[0]
    known = next((one for one in facts.users if name in (one.name, str(one.uid))), None)
    return f"{known.uid}:{known.gid}" if known is not None else facts.user


def owner(facts: ImageFacts) -> str | None:
    """Return the account that an image's server works as, ``uid:gid``."""
    if not is_root(facts.user):
        return user_of(facts)
    return f"{facts.users[0].uid}:{facts.users[0].gid}" if facts.users else None


def fits(command: Sequence[str] | None, patterns: Sequence[str]) -> bool:
    """Whether a command is one of the image's server: none at all, or its first word fits."""
    if not command:
        return True
    first = command[0].rpartition("/")[2] if not command[0].startswith("-") else command[0]
    return any(fnmatchcase(first, pattern) for pattern in patterns)


def writes_of(
    table: Mapping[str, Any],
    account: str | None,
    command: Sequence[str],
    variables: Mapping[str, str | None],
    mounts: Sequence[str],
) -> tuple[tuple[Writable, ...] | None, str]:
    """Return the complete list of what is written, or ``None`` and what puts it in question."""
    if "writes" not in table:
        return None, "where it writes is not known"
    kept = tuple(one["path"] for one in table["writes"] if one.get("kept"))
    everywhere = tuple(one["path"] for one in table["writes"])
    for name in table.get("paths", ()):
        value = variables.get(name)
        if name in variables and (value is None or not below(value, kept)):
            return None, f"{name} names a place of its own"
    for path in absolute_paths(command):
        if not below(path, everywhere):
            return None, f"its command names {path}"
    harmless = (*everywhere, *table.get("mounts", ()), *HARMLESS, "/run/secrets")
    other = next((one for one in mounts if not below(one, harmless)), None)
    if other is not None:
        return None, f"what is mounted at {other} may tell it to write elsewhere"
    return tuple(writables(table["writes"], account)), ""


def absolute_paths(words: Sequence[str]) -> Iterator[str]:
    """Yield the absolute paths that the words of a command name, also behind ``=``."""
    for word in words:
        for piece in (word, word.partition("=")[2]):
            if piece.startswith("/") and piece != words[0]:
                yield piece


def writables(rows: Sequence[Mapping[str, Any]], account: str | None) -> Iterator[Writable]:
    """Yield the rows of ``writes`` as values; those that the process must own get its account."""
    uid, _, gid = (account or "").partition(":")
    for row in rows:
        is_owned = row.get("owned") and uid.isdecimal() and gid.isdecimal()
        fields = {key: value for key, value in row.items() if key != "owned"}
        yield Writable(**fields, uid=int(uid) if is_owned else None, gid=int(gid) if is_owned else None)
