"""Follows the configuration of a server from its first file on, through what its reader says of each."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hardener import compose, context
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.server_configured import Configuration, Image, Read
from hardener.server_files import ImageFile
from hardener.server_reading import Change, Reading, Unknown

if TYPE_CHECKING:
    from hardener.servers import Server

DEEPEST = 10
VARIABLE_LISTEN = lazy_pattern(rb"(?P<before>\blisten[ \t]+(?:\[::\]:)?)(?P<word>\$\{(?P<name>\w+)\})")


def follow(image: Image, found: Configuration, patterns: tuple[str, ...], line: int, depth: int = 0) -> Configuration:
    """Return ``found`` with the files that ``patterns`` mean, and those that they include; raises `Unknown`."""
    server, files = found.server, found.files or {}
    if depth > DEEPEST:
        raise Unknown(line, "its configuration includes itself")
    for pattern in patterns:
        path = absolute(pattern, found.home)
        if below(path, server.ignored) and path not in files:
            continue
        if below(path, found.opaque):
            raise Unknown(line, f"{path} is mounted from outside the project")
        is_glob = any(mark in path for mark in "*?[")
        if is_glob and not below(path, server.folders):
            raise Unknown(line, f"what {path} brings is not known")
        names = [one for one in sorted(files) if fnmatchcase(one, path)] if is_glob else [path]
        for name in names:
            if posixpath.dirname(name) != posixpath.dirname(path):
                continue  # a star of the server's does not mean a slash
            found = follow_one(image, found, name, line, depth)
    return found


def follow_one(image: Image, found: Configuration, path: str, line: int, depth: int) -> Configuration:
    """Return ``found`` with one file; raises `Unknown`."""
    server = found.server
    file = (found.files or {}).get(path)
    if file is None and not below(path, server.folders):
        origin = context.origin(image.project, image.facts, path)
        if origin is not None and origin.path is not None and origin.data is not None:
            file = ImageFile(origin.step.instruction.line, origin.path, 0, origin.data)
    if file is None:
        raise Unknown(line, f"{path}, which its configuration includes, is not known")
    if file.unknown:
        raise Unknown(file.line, f"{path} {file.unknown}")
    if file.added:
        found = follow_added(image, found, path, file, depth)
    for one in file.appended:
        found = follow_text(image, found, path, one, depth)
    if file.path is None and file.data is not None:
        return found
    if file.data is None:
        own = next((one for one in server.shipped if one.path == path), None)
        if own is None:
            raise Unknown(file.line, f"{path} is a copy of a file of the image")
        if own in found.shipped:
            return found
        return follow(image, found._replace(shipped=(*found.shipped, own)), own.includes, line, depth + 1)
    return follow_text(image, found, path, file, depth)


def follow_text(image: Image, found: Configuration, path: str, file: ImageFile, depth: int) -> Configuration:
    """Return ``found`` with a text that stands in a file of the project; raises `Unknown`."""
    server = found.server
    assert file.data is not None
    data = file.data
    if path in found.rendered:
        data = VARIABLE_LISTEN.sub(lambda match: with_high_port(image, match), data)
    try:
        reading = reading_of(server, data)
    except Unknown as error:
        number = error.line + (image.project.dockerfile.line_of(file.offset) - 1 if file.offset else 0)
        raise Unknown(file.line, f"{file.path}:{number}: {error.reason}") from error
    if file.inline and server.reader == "nginx":
        reading = in_one_line(reading)
    changes = [one for listen in (*reading.listens, *reading.hosts) for one in listen.changes]
    if file.inline and any(re.search(rb"[\n'\"$`\\]", one.text) for one in (*changes, *reading.changes)):
        raise Unknown(file.line, f"{path} is written by a RUN, where it cannot be changed")
    found = found._replace(read=(*found.read, Read(path, file, reading)))
    return follow(image, found, reading.includes, file.line, depth + 1)


def in_one_line(reading: Reading) -> Reading:
    """Return what a file of nginx says with changes that put in no line ends, which mean nothing there."""

    def blank(changes: tuple[Change, ...]) -> tuple[Change, ...]:
        return tuple(one._replace(text=re.sub(rb"\n\s*", b" ", one.text)) for one in changes)

    listens = tuple(one._replace(changes=blank(one.changes)) for one in reading.listens)
    return reading._replace(listens=listens, changes=blank(reading.changes))


def reading_of(server: Server, data: bytes) -> Reading:
    """Return what the server's reader finds in one configuration file; raises `Unknown`."""
    from hardener.server_readers import READERS  # noqa: PLC0415  most images are no server's

    return READERS[server.reader](data)


def with_high_port(image: Image, match: re.Match[bytes]) -> bytes:
    """Return a `listen ${NAME}` with the port that ENV gives it, as long as it was, where that need not move."""
    name = match["name"].decode()
    value = image.facts.variables.get(name) or ""
    set_by_compose = any(name in str(one.values.get("environment")) for one in compose.services(image.project))
    if not value.isdecimal() or int(value) < 1024 or set_by_compose or len(value) > len(match["word"]):
        return match[0]
    return match["before"] + value.encode().ljust(len(match["word"]))


def follow_added(image: Image, found: Configuration, path: str, file: ImageFile, depth: int) -> Configuration:
    """Return ``found`` with the text that RUN steps print into a file; raises `Unknown`.

    A port in it cannot be edited there: it is where the image's own file of that name has it, or not understood.
    """
    try:
        reading = reading_of(found.server, file.added)
    except Unknown as error:
        raise Unknown(file.line, f"what it makes of {path}: {error.reason}") from error
    moving = [one for one in (*reading.listens, *reading.hosts) if one.port < 1024]
    if moving or reading.changes:
        own = next((one for one in found.server.shipped if one.path == path), None)
        anew = file.path is None and file.data is not None
        pattern = own.pattern.encode() if own is not None else b""
        if own is None or not anew or not pattern or file.added.count(pattern) != len(moving):
            raise Unknown(file.line, f"what it makes of {path} listens on a port")
        found = found._replace(shipped=(*found.shipped, own))
    high = tuple(one._replace(changes=()) for one in reading.listens if one.port >= 1024)
    rest = reading._replace(listens=high, hosts=(), changes=())
    found = found._replace(read=(*found.read, Read(path, file, rest)))
    return follow(image, found, reading.includes, file.line, depth + 1)
