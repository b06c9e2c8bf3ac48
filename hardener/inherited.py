"""What an image hands down besides its user: seen in its own Dockerfile, or in its configuration."""

from __future__ import annotations

from typing import NamedTuple


class Handed(NamedTuple):
    """A tool of ``root_tools.toml`` that left files below /root for a program: see there for what the fields are."""

    started_as: str
    unless: tuple[str, ...]
    reason: str
    way_out: str


class Inherited(NamedTuple):
    """What a Dockerfile gets from its base image, where that image's own Dockerfile or configuration could be read."""

    origin: str
    """Where it was read, to be named in reasons: ``docker/base/Dockerfile``, or the engine's command."""
    reference: str = ""
    """The image of the knowledge file that it is built on in turn; ``""`` where none is known."""
    workdir: str | None = "/"
    """The absolute working directory it ends with; ``None`` where the text does not decide it."""
    entrypoint: bool = False
    """Whether it has an ENTRYPOINT, which a CMD of the Dockerfile does not replace."""
    starts: bool = False
    """Whether its own start command is known to work as any user."""
    application: bool = False
    """Whether it has files of an application already."""
    reserved: tuple[tuple[str, int | None], ...] = ()
    """Names of users and groups that it makes, with their ids where they are fixed."""
    state: tuple[str, ...] = ()
    """Absolute paths of the directories that it makes for its application to write in, and that belong to root."""
    filled: bool = False
    """Whether its build steps write as root in the application's directories."""
    tools: tuple[Handed, ...] = ()
    """What its build left below /root for programs that it does not start itself."""
