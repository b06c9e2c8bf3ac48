"""Calls of a health check to its own container: where they name a port, and what moves them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from pathlib import PurePosixPath

# `http://localhost:80/x`, `localhost:80`, `http://127.0.0.1`: a health check that calls its own container.
OWN_ADDRESS = lazy_pattern(
    rb"(?:(?P<scheme>https?)://)?(?P<host>localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\])(?::(?P<port>\d+))?(?=[/\s\"'?;|)&,]|$)"
)
# `http://api:80`, `api:80`: another host; `localhost:80` and `0.0.0.0:80` are not.
OTHER_HOST = lazy_pattern(r"(?<![\w.+*-])(?!localhost\b)(?=[\w.-]*[A-Za-z])[A-Za-z0-9][\w.-]*:\d+\b")
SETTING = lazy_pattern(r"PORT|LISTEN|BIND|ADDR", re.IGNORECASE)
OPTIONS = lazy_pattern(
    r"PORT|URL|URI|LISTEN|BIND|ADDR|ENDPOINT|SERVER|OPT(?:ION)?S|ARG(?:UMENT)?S|CMD|COMMAND|FLAGS|PARAMS", re.IGNORECASE
)
# In a program, `host: "localhost"` is an option beside the port, not an address that a port may be added to.
BARE_HOST = lazy_pattern(rb"(?<![\w./:@-])(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?![\w.:-])")
IMPLICIT = {None: 80, b"http": 80, b"https": 443}


def calls(data: bytes, port: int, new: int, *, only_ipv4: bool = False) -> list[tuple[Span, bytes]] | None:
    """Return what moves the calls in a text (byte spans in it), ``None`` where a use of the port is not understood.

    ``only_ipv4`` is for a server that listens on IPv4 alone afterwards: ``localhost`` becomes 127.0.0.1.
    """
    found: list[tuple[Span, bytes]] = []
    text = str(new).encode()
    covered: list[tuple[int, int]] = []
    for match in OWN_ADDRESS.finditer(data):
        stated = match["port"]
        if (int(stated) if stated is not None else IMPLICIT[match["scheme"]]) != port:
            continue
        if stated is not None:
            found.append((Span(*match.span("port")), text))
            covered.append(match.span("port"))
        else:
            found.append((Span(match.end(), match.end()), b":" + text))
        if only_ipv4 and match["host"] == b"localhost":
            found.append((Span(*match.span("host")), b"127.0.0.1"))
    for match in re.finditer(rb"(?<![\w.])%d(?![\w.])" % port, data):
        if match.span() not in covered:
            return None
    return found


def health_calls(
    path: PurePosixPath, data: bytes, port: int, new: int, *, only_ipv4: bool
) -> list[tuple[Span, bytes]] | None:
    """Return what moves the calls of a health check's file to its own container, ``None`` where that is not clear."""
    found = calls(data, port, new, only_ipv4=only_ipv4)
    if found is None or path.suffix in ("", ".sh"):
        return found
    if BARE_HOST.search(data) and port in (80, 443) and not re.search(rb"(?i)port", data):
        return None  # the program's default
    bare = {match.end() for match in BARE_HOST.finditer(data)}
    return [(span, text) for span, text in found if span.start != span.stop or span.start not in bare]


def may_set(name: str, value: str, port: int) -> bool:
    """Whether a variable that is not understood may set the port: ``JAVA_OPTS=-Dserver.port=80``, two addresses.

    A plain number does so only under a name that speaks of ports; an address of another host never does.
    """
    rest = OTHER_HOST.sub("", value)
    if not re.search(rf"(?<![\w.]){port}(?![\w.])", rest):
        return False
    return (SETTING if re.fullmatch(r"\s*\d+\s*", rest) else OPTIONS).search(name) is not None
