"""What the server of an official image has to own to run without root: directories to make, and those it has."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import context, privileges, server_configuration, server_sharing, servers
from hardener.paths import absolute, below, is_system
from hardener.server_reading import Unknown
from hardener.server_start import start_commands
from hardener.user_steps import HOME

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.server_configured import Configuration
    from hardener.server_files import ImageFile
    from hardener.settings import Settings
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step


class Needs(NamedTuple):
    """What the RUN of `prepare_server` has to give to the account: directories to make, and those that are there."""

    make: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


def obstacle(project: Project, facts: StageFacts, settings: Settings, found: Configuration | Unknown) -> Unknown | None:
    """Return why a server that is configured so cannot be prepared, ``None`` if it can."""
    reason = found if isinstance(found, Unknown) else silent_host(found, facts, settings)
    if reason is not None:
        return reason
    needed = needs(project, facts)
    return needed if isinstance(needed, Unknown) else None


def silent_host(found: Configuration, facts: StageFacts, settings: Settings) -> Unknown | None:
    """Return why a site of the image's, on a port where nothing listens, would wake up with `prepare_server`'s RUN."""
    for port in sorted(found.hosts - found.ports):
        if settings.new_port(port) in found.own_ports:
            line = facts.stage.instructions[0].line
            return Unknown(line, f"the image's own site is on port {port}, where nothing listens")
    return None


@lru_cache(maxsize=64)
def needs(project: Project, facts: StageFacts) -> Needs | Unknown:
    """Return what the server of a stage has to own, or why that cannot be given."""
    found = server_configuration.configuration(project, facts)
    if found is None or isinstance(found, Unknown):
        return found or Needs()
    try:
        return collect(project, facts, found)
    except Unknown as error:
        return error


def collect(project: Project, facts: StageFacts, found: Configuration) -> Needs:
    """Return what the server has to own; raises `Unknown`."""
    server = found.server
    own, make = [*server.own], [*server.make]
    for one in found.read:
        if one.file.path is not None:
            if not can_be_read(project, one.file):
                raise Unknown(one.file.line, f"{one.path} can be read by root alone")
            moves = any(listen.port < 1024 for listen in one.reading.listens)
            other = server_sharing.other_user(project, one.file.path, its_ports=moves)
            if other is not None:
                raise Unknown(one.file.line, f"{one.file.path}, whose port would move, is used by {other} too")
        for path in (absolute(path, posixpath.dirname(server.main)) for path in one.reading.directories):
            if below(path, (*server.own, "/tmp", "/dev/shm")):  # noqa: S108  paths of the image
                continue
            if (is_system(path) or path.startswith("/run/")) and not below(path, server.may_own):
                raise Unknown(one.file.line, f"{one.path} keeps files in {path}")
            make.append(path)
        for path in (absolute(path, posixpath.dirname(server.main)) for path in one.reading.files):
            folder = posixpath.dirname(path)
            if path in server.logs or below(path, ("/tmp", "/dev")):  # noqa: S108
                continue
            if folder != server.log_folder:
                raise Unknown(one.file.line, f"{one.path} writes the log {path}")
            own.append(folder)
        for path in (absolute(path, posixpath.dirname(server.main)) for path in one.reading.secrets):
            if not is_readable(project, facts, path):
                raise Unknown(one.file.line, f"{one.path} reads {path}, which may be root's alone")
    if found.rendered:
        own += dict.fromkeys(map(posixpath.dirname, found.rendered))
        own += found.replaced
    own += written_at_start(project, facts)
    if any(server.log_folder and server.log_folder in words_of(command) for _, command in facts.run_commands):
        own.append(server.log_folder)
    return Needs(tuple(dict.fromkeys(make)), tuple(dict.fromkeys(own)))


def can_be_read(project: Project, file: ImageFile) -> bool:
    """Whether a copied file keeps rights that let others than root read it."""
    if project.root is None or file.path is None or file.path == project.dockerfile_path:
        return True
    place = project.root / file.path
    return not place.is_file() or bool(place.stat().st_mode & 0o004)


def words_of(command: Command) -> str:
    """Return the words of a command as one text."""
    return " ".join(one.raw for one in command.arguments)


def is_readable(project: Project, facts: StageFacts, path: str) -> bool:
    """Whether a file comes out of the build context, with rights that let others read it."""
    origin = context.origin(project, facts, path)
    if origin is None or origin.path is None or project.root is None:
        return False
    file = project.root / origin.path
    return file.is_file() and bool(file.stat().st_mode & 0o004)


@lru_cache(maxsize=64)
def written_at_start(project: Project, facts: StageFacts) -> tuple[str, ...]:
    """Return the directories of the image's that start scripts write in.  Raises `Unknown` where a RUN fills them."""
    server = servers.server_of(facts)
    if server is None:
        return ()
    found: list[str] = []
    for command, text in start_commands(project, facts):
        if servers.is_server_program(facts, command.name) or privileges.only_reads(command):
            continue
        for folder in server.may_own:
            owned = tuple(one for one in server.may_own if one != folder)
            reason = privileges.root_reason(command, (*owned, HOME), HOME)
            if reason is not None and (
                privileges.root_reason(command, (*server.may_own, HOME), HOME) is None
                or folder in " ".join((text, *(one.raw for one in command.arguments)))
            ):
                found.append(folder)
    return tuple(dict.fromkeys(found))


def is_written_at_start(project: Project, facts: StageFacts, step: Step) -> bool:
    """Whether a COPY fills a directory that start scripts write in."""
    target = context.destination(step)
    folders = written_at_start(project, facts)
    return target is not None and bool(folders) and below(target, folders)
