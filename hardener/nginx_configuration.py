"""The nginx configuration reader: ports, and everything that a master process without root cannot do.

Sources: https://nginx.org/en/docs/ngx_core_module.html (pid, user), .../http/ngx_http_core_module.html (listen,
port_in_redirect, client_body_temp_path), .../http/ngx_http_proxy_module.html (proxy_cache_path), the README of
nginxinc/docker-nginx-unprivileged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.nginx_syntax import Directive, Word, parse
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

PID = b"/tmp/nginx.pid"  # where nginxinc/docker-nginx-unprivileged puts it
# Their bodies hold values or patterns, no directives.
TABLES = frozenset(("map", "geo", "types", "split_clients", "charset_map", "match", "geoip2"))
TEMPORARY = lazy_pattern(r"(?:client_body|proxy|fastcgi|uwsgi|scgi)_temp_path|(?:proxy|fastcgi|uwsgi|scgi)_cache_path")
READ_AS_ROOT = frozenset(
    (
        *("ssl_certificate_key", "ssl_certificate", "ssl_password_file", "ssl_dhparam", "ssl_trusted_certificate"),
        *("ssl_client_certificate", "ssl_crl", "ssl_session_ticket_key", "proxy_ssl_certificate_key"),
    )
)
NOT_FILES = ("off", "syslog:", "stderr", "memory:", "/dev/stdout", "/dev/stderr", "/dev/null", "/proc/self/fd/")
ADDRESS = lazy_pattern(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.*-]*[A-Za-z*][\w.*-]*|\d+(?:\.\d+){3}):)?(?P<port>\d{1,5})")
# A call of the container itself; the port of another server of the same file may be one that moves.
PASSES = frozenset(("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "server", "auth_request"))
ITSELF = lazy_pattern(
    r"(?:(?P<scheme>https?|grpcs?)://)?(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(?P<port>\d+))?(?=/|$)"
)
HOST = lazy_pattern(r"\[[0-9A-Fa-f:.]+\]|\*|[A-Za-z][\w.-]*|\d+(?:\.\d+){3}")
SERVER_PORT = lazy_pattern(rb"\$(?:server_port\b|\{server_port\})")
# The files that hand it to the application, and the directive that overrides one of their parameters.
PARAMETERS = {"fastcgi_params": "fastcgi_param", "fastcgi.conf": "fastcgi_param", "uwsgi_params": "uwsgi_param"}


class Place(NamedTuple):
    """A directive and the blocks around it, outermost first."""

    directive: Directive
    around: tuple[Directive, ...]

    def within(self, *names: str) -> bool:
        """Whether one of the blocks around it has one of the names."""
        return any(one.name.text in names for one in self.around)


def read(data: bytes) -> Reading:
    """Return what one file says.  Raises `Unknown` for anything that is not understood completely."""
    top = parse(data)
    places = tuple(walk(top, ()))
    for place in places:
        refuse(data, place)
    listens = tuple(found for server in scopes(top, places) for found in server_listens(data, server, places))
    return Reading(
        listens=listens,
        includes=tuple(one.directive.texts[0] for one in places if one.directive.name.text == "include"),
        directories=tuple(
            one.directive.texts[0]
            for one in places
            if TEMPORARY.fullmatch(one.directive.name.text) and one.directive.texts[0] != "off"
        ),
        files=tuple(log_files(places)),
        secrets=tuple(
            one.directive.texts[0]
            for one in places
            if one.directive.name.text in READ_AS_ROOT and not one.directive.texts[0].startswith(("data:", "$"))
        ),
        changes=tuple(pid_changes(data, top)),
    )


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes nginx listen on.  Raises `Unknown`."""
    return read(data).listens


def walk(block: tuple[Directive, ...], around: tuple[Directive, ...]) -> Iterator[Place]:
    """Yield every directive with the blocks around it, but not what is in tables."""
    for one in block:
        yield Place(one, around)
        if one.block is not None and one.name.text not in TABLES:
            yield from walk(one.block, (*around, one))


def refuse(data: bytes, place: Place) -> None:
    """Raise `Unknown` for a directive that a master process without root, or this reader, cannot deal with."""
    one = place.directive
    name, texts = one.name.text, one.texts
    line = line_of(data, one)
    if not texts and (name in READ_AS_ROOT or name in ("include", "access_log", "error_log") or is_path(name)):
        raise Unknown(line, f"{name} has no value")
    if name == "user" and not place.around and texts[:1] in (("root",), ("0",)):
        raise Unknown(line, "its workers run as root (`user root`)")
    if name in ("dav_methods", "proxy_store", "fastcgi_store", "uwsgi_store", "scgi_store") and texts != ("off",):
        raise Unknown(line, f"{name} writes what others send")
    if "transparent" in texts and name.endswith("_bind"):
        raise Unknown(line, f"{name} transparent needs root")
    if name == "include" and (place.within("stream", "mail") or "$" in texts[0]):
        raise Unknown(line, f"what `include {texts[0]}` brings is not followed")
    if (is_path(name) or name in ("access_log", "error_log")) and "$" in texts[0]:
        raise Unknown(line, f"the path of {name} is a variable")
    itself = ITSELF.match(texts[0]) if name in PASSES and texts and one.block is None else None
    if itself is not None and int(itself["port"] or 80) < 1024:
        raise Unknown(line, f"it calls itself: {name} {texts[0]}")
    if name == "port_in_redirect" and texts != ("off",):
        raise Unknown(line, "port_in_redirect would show another port")
    if not place.within("server") and name != "server":
        own = data[one.name.span.start : one.stop]
        handed_on = name in PARAMETERS.values() and texts[:2] == ("SERVER_PORT", "$server_port")
        if SERVER_PORT.search(own) and not handed_on:
            raise Unknown(line, "it uses $server_port outside a server")


def is_path(name: str) -> bool:
    """Whether a directive's first argument is a directory that nginx makes."""
    return TEMPORARY.fullmatch(name) is not None


def scopes(top: tuple[Directive, ...], places: tuple[Place, ...]) -> Iterator[Place]:
    """Yield each server block, and the file itself where `listen` stands outside of any (an included piece)."""
    yield from (one for one in places if one.directive.name.text == "server" and one.directive.block is not None)
    if any(one.name.text == "listen" for one in top):
        first = top[0]
        yield Place(Directive(Word("", first.name.span), (), first.name.span.start, top), ())


def server_listens(data: bytes, server: Place, places: tuple[Place, ...]) -> Iterator[Listen]:
    """Yield the ports of one server block, the first with what keeps its redirects and variables as they were."""
    block = server.directive.block or ()
    stated = [one for one in block if one.name.text == "listen"]
    is_http = not server.within("stream", "mail")
    found = [one for directive in stated if (one := listen(data, directive)) is not None]
    if not stated:
        if not is_http:
            raise Unknown(line_of(data, server.directive), "a server has no listen")
        if any(one.name.text == "include" for one in block):
            raise Unknown(line_of(data, server.directive), "a server without listen includes other files")
        text = b" listen " + NEW_PORT + b";"
        if not {"port_in_redirect", "absolute_redirect"} & {one.name.text for one in block}:
            text += b" port_in_redirect off;"
        stop = server.directive.stop
        found = [Listen(80, line_of(data, server.directive), (Change(Span(stop, stop), text),))]
    if not is_http or not any(one.port < 1024 for one in found):
        yield from found
        return
    kept = tuple(keeping(data, server, places, found))
    first = next(one for one in found if one.port < 1024)
    for one in found:
        yield one._replace(changes=(*one.changes, *kept)) if one is first else one


def keeping(data: bytes, server: Place, places: tuple[Place, ...], found: list[Listen]) -> Iterator[Change]:
    """Yield what makes a server that moves answer as before.

    nginx puts a port other than 80 (443 with TLS) into the redirects that it makes, and into $server_port.
    """
    block = server.directive
    inside = [one for one in places if not block.name.text or block in one.around]
    own = [one.name.text for one in block.block or ()]
    line = line_of(data, block)
    ports = {one.port for one in found}
    absolute_off = any(one.name.text == "absolute_redirect" and one.texts == ("off",) for one in block.block or ())
    if "port_in_redirect" not in own and not absolute_off:
        if any(port >= 1024 for port in ports):
            raise Unknown(line, "a server listens on ports below and above 1024, and redirects to them")
        if block.name.text and not any(one.name.text == "listen" for one in block.block or ()):
            pass  # stands with the `listen` that is put in
        elif block.name.text:
            stated = next((one for one in block.block or () if one.name.text == "listen"), None)
            stop = stated.stop if stated is not None else block.stop
            yield Change(Span(stop, stop), indented(data, stated) + b"port_in_redirect off;")
        else:
            raise Unknown(line, "its listen stands outside a server")
    if len(ports) != 1:
        if any(mentions_port(data, one) for one in inside):
            raise Unknown(line, "a server of more than one port uses $server_port")
        return
    text = str(ports.pop()).encode()
    for one in inside:
        directive = one.directive
        for word in directive.arguments:
            for match in SERVER_PORT.finditer(data, word.span.start, word.span.stop):
                if directive.name.text == "if":
                    raise Unknown(line_of(data, directive), "a condition looks at $server_port")
                yield Change(Span(*match.span()), text)
        parameter = parameters_of(directive)
        if parameter:
            stop = directive.stop
            line_break = indented(data, directive)
            yield Change(Span(stop, stop), line_break + parameter.encode() + b" SERVER_PORT " + text + b";")


def mentions_port(data: bytes, place: Place) -> bool:
    """Whether a directive uses $server_port, or hands it to the application by the usual file."""
    one = place.directive
    return SERVER_PORT.search(data, one.name.span.start, one.stop) is not None or parameters_of(one) != ""


def parameters_of(directive: Directive) -> str:
    """Return what overrides a parameter of the file that a directive includes, ``""`` for any other directive."""
    return PARAMETERS.get(directive.texts[0].rpartition("/")[2], "") if directive.name.text == "include" else ""


def listen(data: bytes, directive: Directive) -> Listen | None:
    """Return the port of one `listen`; ``None`` for a socket of the file system's that nobody else reaches."""
    line = line_of(data, directive)
    if not directive.arguments:
        raise Unknown(line, "listen has no value")
    word, flags = directive.arguments[0], directive.texts[1:]
    if word.text.startswith("unix:"):
        raise Unknown(line, f"it listens on {word.text}")
    if "udp" in flags or "quic" in flags:
        raise Unknown(line, "it listens on UDP")
    match = ADDRESS.fullmatch(word.text)
    if match is not None:
        start = data.rindex(match["port"].encode(), word.span.start, word.span.stop)
        return Listen(int(match["port"]), line, (Change(Span(start, start + len(match["port"])), NEW_PORT),))
    if HOST.fullmatch(word.text) is None or data[word.span.start : word.span.start + 1] in (b'"', b"'"):
        raise Unknown(line, f"`listen {word.text}` is not understood")
    return Listen(80, line, (Change(Span(word.span.stop, word.span.stop), b":" + NEW_PORT),))


def pid_changes(data: bytes, top: tuple[Directive, ...]) -> Iterator[Change]:
    """Yield what puts the pid file where every user may write; only the main file has `events` or `http`."""
    stated = [one for one in top if one.name.text == "pid"]
    for one in stated:
        word = one.arguments[0]
        if not word.text.startswith(("/tmp/", "/dev/null")):  # noqa: S108
            yield Change(word.span, PID)
    if not stated and any(one.name.text in ("events", "http") for one in top):
        start = top[0].name.span.start
        newline = b"\r\n" if b"\r\n" in data else b"\n"
        yield Change(Span(start, start), b"pid " + PID + b";" + newline)


def log_files(places: tuple[Place, ...]) -> Iterator[str]:
    """Yield the files of logs."""
    for one in places:
        if one.directive.name.text in ("access_log", "error_log"):
            path = one.directive.texts[0]
            if not path.startswith(NOT_FILES):
                yield path


def indented(data: bytes, directive: Directive | None) -> bytes:
    """Return the line break and the blanks that put a new directive below another; one blank on a shared line."""
    if directive is None:
        return b" "
    start = data.rfind(b"\n", 0, directive.name.span.start) + 1
    blanks = data[start : directive.name.span.start]
    if blanks.strip(b" \t"):
        return b" "
    newline = b"\r\n" if data[:start].endswith(b"\r\n") or b"\r\n" in data else b"\n"
    return newline + blanks


def line_of(data: bytes, directive: Directive) -> int:
    """Return the line (1-based) of a directive."""
    return data.count(b"\n", 0, directive.name.span.start) + 1
