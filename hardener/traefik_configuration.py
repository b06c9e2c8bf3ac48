"""The Traefik configuration reader: entry points of the static file, and what would show their ports or need root.

Version 2 and 3.  The file counts alone: where there is one, options and ``TRAEFIK_`` variables are not read.  A
redirection to an entry point names that one's port to clients unless it is 443 (tried with 3.7: ``to: websecure`` on
:8443 answers ``Location: https://host:8443/``, ``to: ":443"`` answers ``https://host/``).
Sources: https://doc.traefik.io/traefik/reference/static-configuration/file/,
https://doc.traefik.io/traefik/routing/entrypoints/#redirection
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown
from hardener.settings_tables import Entry, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

# Settings that need nothing of root's and open nothing, as dotted paths in lower case; `*` is one part, `**` any rest
# or none.
HARMLESS = (
    "global.**", "log.**", "accesslog.**", "core.**", "hostresolver.**", "serverstransport.**",
    "tcpserverstransport.**", "entrypoints.*.address", "entrypoints.*.asdefault", "entrypoints.*.reuseport",
    "entrypoints.*.transport.**", "entrypoints.*.proxyprotocol.**", "entrypoints.*.forwardedheaders.**",
    "entrypoints.*.http2.**", "entrypoints.*.http.middlewares.**", "entrypoints.*.http.redirections.entrypoint.*",
    "entrypoints.*.observability.**", "entrypoints.*.http.encodequerysemicolons", "entrypoints.*.http.tls",
    "entrypoints.*.http.tls.options", "entrypoints.*.http.tls.domains.**", "entrypoints.*.http.sanitizepath",
    "entrypoints.*.http.maxheaderbytes", "entrypoints.*.http.encodedcharacters.**", "entrypoints.*",
    "providers.file.filename", "providers.file.directory", "providers.file.watch",
    "providers.file.debugloggeneratedtemplate", "providers.providersthrottleduration", "api", "api.insecure",
    "api.dashboard", "api.debug", "api.disabledashboardad", "api.basepath", "ping", "ping.*", "metrics.prometheus",
    "metrics.prometheus.**", "http.**", "tcp.**", "udp.**", "tls.**",
)  # fmt: skip
WHY_NOT = {
    "providers.docker": "its docker provider reads the engine's socket, which belongs to root",
    "providers.swarm": "its swarm provider reads the engine's socket, which belongs to root",
    "certificatesresolvers": "it keeps certificates in a file that only its owner may read",
    "entrypoints.*.http3": "it tells its clients the port of its HTTP/3",
    "experimental": "it fetches plugins into its working directory",
}
ADDRESS = lazy_pattern(r"(?:[\w.*-]*|\[[0-9a-fA-F:.]*\]):(?P<port>\d+)(?P<kind>/\w+)?")
OWN = lazy_pattern(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>\d+))?(?=[/?#]|$)")
INTERNAL = 8080  # of the entry point `traefik`, which the API, ping and metrics get where nobody defines it


def read(data: bytes) -> Reading:
    """Return what one file says, static or dynamic or both.  Raises `Unknown` for anything that is not understood."""
    found = entries(data)
    values = {one.path: one for one in found}
    for one in found:
        refuse(one)
    listens = [*ports(found), *internal(values)]
    own = {one.port for one in listens}
    for one in found:
        match = OWN.match(one.text) if one.path[-1] in ("url", "address") and one.path[0] in ("http", "tcp") else None
        if match is not None and (int(match["port"] or 80) < 1024 or int(match["port"] or 80) in own):
            raise Unknown(one.line, "it calls itself")
    listens = [with_redirections(one, found) for one in listens]
    return Reading(
        listens=tuple(listens),
        includes=tuple(dynamic(values)),
        files=tuple(one.text for one in found if one.path in (("log", "filepath"), ("accesslog", "filepath"))),
        secrets=tuple(one.text for one in found if is_secret(one)),
    )


def refuse(one: Entry) -> None:
    """Raise `Unknown` for a setting that may need root or say where it listens, and is not known not to."""
    dotted = ".".join(one.path)
    for pattern, reason in WHY_NOT.items():
        if fits(dotted, f"{pattern}.**"):
            raise Unknown(one.line, reason)
    if not any(fits(dotted, pattern) for pattern in HARMLESS):
        raise Unknown(one.line, f"what its {dotted} needs is not known")


def fits(dotted: str, pattern: str) -> bool:
    """Whether a dotted path is what a pattern of `HARMLESS` means."""
    return expression(pattern).fullmatch(dotted) is not None


@lru_cache(maxsize=256)
def expression(pattern: str) -> re.Pattern[str]:
    """Return a pattern of `HARMLESS` as a regular expression."""
    return re.compile(re.escape(pattern).replace(r"\.\*\*", r"(?:\..+)?").replace(r"\*", r"[^.]+"))


def ports(found: tuple[Entry, ...]) -> Iterator[Listen]:
    """Yield where entry points listen.  Raises `Unknown` for an address that is not understood."""
    for one in found:
        if one.path[0] != "entrypoints" or len(one.path) != 3 or one.path[2] != "address":
            continue
        match = ADDRESS.fullmatch(one.text)
        if match is None or (match["kind"] or "/tcp") != "/tcp":
            raise Unknown(one.line, f"it listens on {one.text}")
        port = int(match["port"])
        if port >= 1024:
            yield Listen(port, one.line, ())
            continue
        if one.span is None:
            raise Unknown(one.line, "its address is not written as one word")
        quoted = one.span.stop - one.span.start - len(one.text.encode())
        begin = one.span.start + quoted // 2 + len(one.text[: match.start("port")].encode())
        yield Listen(port, one.line, (Change(Span(begin, begin + len(match["port"])), NEW_PORT),))
    if not any(one.path[0] == "entrypoints" for one in found) and any(one.path[0] == "providers" for one in found):
        raise Unknown(1, "it names no entry point, so it listens on port 80")


def internal(values: dict[tuple[str, ...], Entry]) -> Iterator[Listen]:
    """Yield where the API, ping and metrics listen, unless an entry point of that name is defined."""
    insecure = values.get(("api", "insecure"))
    asked = [insecure] if insecure is not None and insecure.text == "true" else []
    for path in (("ping",), ("metrics", "prometheus")):
        under = [one for key, one in values.items() if key[: len(path)] == path]
        named = values.get((*path, "entrypoint"))
        if under and (named is None or named.text == "traefik"):
            asked.append(under[0])
    if asked and ("entrypoints", "traefik", "address") not in values:
        yield Listen(INTERNAL, asked[0].line, ())


def with_redirections(listen: Listen, found: tuple[Entry, ...]) -> Listen:
    """Return a port that moves together with the redirections to it: they name the old number from then on."""
    if not listen.changes:
        return listen
    addresses = {one.path[1]: ADDRESS.fullmatch(one.text) for one in found if one.path[2:] == ("address",)}
    changes = list(listen.changes)
    for one in found:
        if one.path[0] != "entrypoints" or one.path[2:] != ("http", "redirections", "entrypoint", "to"):
            continue
        if re.fullmatch(r":\d+", one.text):
            continue
        target = addresses.get(one.text.lower())
        if target is None or one.span is None:
            raise Unknown(one.line, f"it redirects to {one.text}, which is not known")
        if int(target["port"]) == listen.port:
            changes.append(Change(one.span, f'":{listen.port}"'.encode()))
    return listen._replace(changes=tuple(dict.fromkeys(changes)))


def dynamic(values: dict[tuple[str, ...], Entry]) -> Iterator[str]:
    """Yield the files that the file provider reads.  Raises `Unknown` for a relative path."""
    for key, pattern in (("filename", ""), ("directory", "/*")):
        one = values.get(("providers", "file", key))
        if one is not None and one.text:
            if not one.text.startswith("/"):
                raise Unknown(one.line, f"its file provider reads {one.text} in its working directory")
            yield one.text.rstrip("/") + pattern


def is_secret(one: Entry) -> bool:
    """Whether a setting names a key or certificate that is read."""
    return one.path[-1] in ("certfile", "keyfile") or (
        len(one.path) > 1 and one.path[-2] in ("rootcas", "cafiles") and one.text.startswith("/")
    )


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes Traefik listen on.  Raises `Unknown`."""
    return read(data).listens
