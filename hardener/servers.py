"""Servers that are made really non-root, of official images or a distribution: what each kind needs, as data.

The knowledge is in ``servers.toml``; here it is read.  To add a kind of server:

1. A table ``[kind]`` in ``servers.toml`` with the keys of `Server`, and a ``[[kind.shipped]]`` table for each
   configuration file that the image brings and the server reads.  ``packages`` makes it one that distributions
   install on a plain base as well.
2. Where projects bring configuration of their own, a reader: a pure module with
   ``read(data: bytes) -> hardener.server_reading.Reading`` (and ``listens(data)``, which is ``read(data).listens``),
   put into `hardener.server_readers` under the name that ``reader`` gives.  It gets the bytes
   of one file and returns the ports with the changes (byte spans in that file) that move them, the files it
   includes, and the paths that the server writes.  It raises ``hardener.server_reading.Unknown`` with the line and
   the reason for whatever it does not understand completely; the image is then left alone.  It prints nothing, and
   looks at no other file.

Everything else is shared: `hardener.server_files` finds out which files the image has in the end,
`hardener.server_configuration` follows them through the reader, ``ports.moves`` moves what it found together with
EXPOSE, Compose and health checks, ``fixers/prepare_server.py`` writes the one RUN.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener import shell
from hardener.image import ImageReference
from hardener.packages import package_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardener.settings import Settings
    from hardener.stages import StageFacts


# What may stand beside a server in the start of an image that installs it.
BESIDE = frozenset(("", "sh", "bash", "exec", "echo", "tini", "dumb-init"))


class Shipped(NamedTuple):
    """A configuration file that the image brings along.

    ``prepare`` and ``move`` are shell commands for the RUN, used where the image still has its own file in the
    end: ``prepare`` always, ``move`` where its ports move (``{80}`` is the new port of 80).  ``move`` also serves a
    file that a RUN prints under that name, where ``pattern`` is all that listens in it.
    """

    path: str
    ports: tuple[int, ...] = ()
    hosts: tuple[int, ...] = ()
    """Ports on which something in it answers, where something else listens: ``move`` serves these too."""
    includes: tuple[str, ...] = ()
    prepare: str = ""
    move: str = ""
    pattern: str = ""
    text: str = ""
    """What in it listens, as it stands there; for a ``sed`` over it."""
    source: str = ""


class Server(NamedTuple):
    """One kind of server as its official images have it; paths are absolute paths of the image."""

    kind: str
    source: str
    images: tuple[str, ...]
    """Image names as `ImageReference.name` gives them, globs; ``name:tag`` globs where only some tags are meant."""
    packages: tuple[str, ...] = ()
    """Packages of distributions that bring it: an image is one too where a build step installs one of them on a
    plain base, and ENTRYPOINT or CMD starts the program itself."""
    tags: str = ""
    """Regular expression of the tags that are as it says here; all where it is empty."""
    workdir: str = ""
    """The image's own WORKDIR, where it is not ``/``."""
    programs: tuple[str, ...] = ()
    """The names of the server's own program, or of the script that starts it."""
    user: str = ""
    """The image's own account that it shall run as; ``""`` for a new one."""
    ids: Mapping[str, str] | None = None
    """``uid:gid`` of that account by family of distributions; for the rest of the families it is not known."""
    reader: str = ""
    folders: tuple[str, ...] = ()
    """Where its configuration lies."""
    main: str = ""
    """The file that is read first."""
    alternatives: tuple[str, ...] = ()
    """Where that file may be too, in the order in which the server looks; ``main`` is one of them."""
    options: tuple[str, ...] = ()
    """Options of the program that change which file that is: such a start is not understood."""
    own: tuple[str, ...] = ()
    """Directories of the image that the server writes in: given to the account, not recursively."""
    may_own: tuple[str, ...] = ()
    """Directories that only start scripts write in: given to the account where they do."""
    logs: tuple[str, ...] = ()
    """Log files that anybody can write: links to /dev/stdout."""
    log_folder: str = ""
    """Where other logs may go, once the directory is the account's."""
    scripts: str = ""
    """A directory whose scripts the image's entrypoint runs."""
    hooks: tuple[str, ...] = ()
    """Scripts that the server's own start script runs, where a project puts them in."""
    foreign_logs: str = ""
    """Regular expression of options, in variables and hooks, that make it write where it may not."""
    only_reads: bool = False
    """Whether the server only reads what is copied: then the files stay root's."""
    traces: tuple[str, ...] = ()
    """What a check of the configuration during the build (``nginx -t``) leaves behind as root's."""
    own_pid: str = ""
    """Regular expression of what looks for the pid file at its old place: such a Dockerfile is not understood."""
    is_proxy: bool = False
    """Whether its configuration is all that it serves: an image with one is no base image."""
    same_workers: bool = False
    """Whether the image's own workers are that account already: then what they read and write stays as it was, and
    only what the first process did as root is a question."""
    sensitive: str = ""
    """Regular expression of what a ``sed`` over its configuration must not speak of to leave ports, paths and users
    alone."""
    plain_edits: bool = False
    """Whether that goes for substitutions of plain text alone."""
    refused: Mapping[str, str] | None = None
    """Build commands after which it needs root, with the reason, by regular expression."""
    fixed: tuple[str, ...] = ()
    """Files of the image that must stay as they are: its start scripts, and what they read."""
    settings: tuple[str, ...] = ()
    """Folders whose files the first process reads: others must be able to as well."""
    environment: Mapping[str, str] | None = None
    """Environment variables that change what its configuration means: values that do not, as regular expressions."""
    ignored: tuple[str, ...] = ()
    """Included files and folders of the image that neither listen nor write."""
    variables: tuple[str, ...] = ()
    """Environment variables that put its configuration elsewhere."""
    make: tuple[str, ...] = ()
    """Directories to make, and to give to the account."""
    prepare: tuple[str, ...] = ()
    """Further commands for the RUN."""
    why: str = ""
    """Why the image's own process wants root, one clause."""
    variant: str = ""
    """The maintained image of the same server that runs without root."""
    variant_ports: Mapping[str, int] | None = None
    """Where that image moves the ports of its own configuration."""
    variant_tags: str = ""
    """Regular expression of the tags that such an image has too."""
    shipped: tuple[Shipped, ...] = ()
    unread: Mapping[str, str] | None = None
    """Configuration files of which nothing is known where the project brings none of its own: why, as a clause."""
    takes_options: bool = False
    """Whether the image's entrypoint puts the program before a CMD that begins with an option."""
    includes_from_main: bool = False
    """Whether relative includes are taken from the folder of the file that is read first."""


@lru_cache(maxsize=1)
def text_of_servers() -> str:
    """Return ``servers.toml``, which is parsed only for an image whose name it begins an entry with."""
    return Path(__file__).with_name("servers.toml").read_text(encoding="utf-8")


@lru_cache(maxsize=1024)
def has_text(text: str) -> bool:
    """Whether ``servers.toml`` has a text anywhere."""
    return text in text_of_servers()


@lru_cache(maxsize=1)
def servers() -> tuple[Server, ...]:
    """Return every kind of server of ``servers.toml``."""
    tables = tomli.loads(text_of_servers())
    known = set(Server._fields)
    found = []
    for kind, table in tables.items():
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in table.items()}
        values["shipped"] = tuple(shipped_file(one) for one in table.get("shipped", ()))
        assert values.keys() <= known, f"servers.toml: {kind} has keys that nobody reads"
        found.append(Server(kind=kind, **values))
    return tuple(found)


def shipped_file(table: Mapping[str, Any]) -> Shipped:
    """Return one ``[[kind.shipped]]`` table."""
    values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in table.items()}
    return Shipped(**values)


@lru_cache(maxsize=256)
def server_of(facts: StageFacts) -> Server | None:
    """Return the kind of server that a stage's base image is, or that it installs and starts; ``None`` without one."""
    image = facts.image
    if image is None or image.outcome == "drops" or not facts.reference:
        return None
    if image.outcome == "already" and not facts.runs_as_root:
        return None  # nobody took root back
    if image.inherited is not None:
        return None  # what another Dockerfile did to its configuration is not in these steps
    reference = ImageReference.parse(facts.reference)
    if not has_text(f'"{reference.name}'):
        return packaged(facts)
    names = (reference.name, f"{reference.name}:{reference.tag or 'latest'}")
    for one in servers():
        if any(fnmatchcase(name, glob) for glob in one.images for name in names):
            return one if not one.tags or re.fullmatch(one.tags, reference.tag or "latest") else None
    return packaged(facts)


def packaged(facts: StageFacts) -> Server | None:
    """Return the kind of server that a build step installs from a distribution, where the image starts nothing else.

    A program of the project's beside it would write in files that stay root's here.
    """
    from hardener.processes import started  # noqa: PLC0415  it imports the shell's reader

    if facts.image is None or facts.image.outcome != "plain":
        return None
    names = {shell.program(command.name) for command in started(facts) or ()}
    if not any(has_text(f'"{name}"') for name in names if name):
        return None
    candidates = [one for one in servers() if one.packages and names.intersection(one.programs)]
    candidates = [one for one in candidates if names <= {*one.programs, *BESIDE}]
    installed = {name for _, command in facts.run_commands for name in package_names(command)} if candidates else set()
    return next((one for one in candidates if installed.intersection(one.packages)), None)


def variant_of(facts: StageFacts, settings: Settings) -> str | None:
    """Return the reference of the base image's unprivileged variant, where the user wants it and it has the tag."""
    server = server_of(facts)
    if not settings.prefer_unprivileged_variant or server is None or not server.variant or len(facts.chain) > 1:
        return None
    reference = ImageReference.parse(facts.reference or "")
    moved = {int(old): new for old, new in (server.variant_ports or {}).items()}
    tag = reference.tag or "latest"
    if reference.digest or reference.registry or re.fullmatch(server.variant_tags, tag) is None:
        return None
    if any(settings.new_port(old) != new for old, new in moved.items()) or "$" in facts.stage.base:
        return None
    return f"{server.variant}:{reference.tag}" if reference.tag else server.variant


def is_server_program(facts: StageFacts, name: str) -> bool:
    """Whether a command is the own server of a stage's base image, which `prepare_server` prepares."""
    server = server_of(facts)
    return server is not None and shell.program(name) in server.programs
