"""The lighttpd configuration reader: the ports it listens on, what it writes, and what it cannot do without root.

A lighttpd that is not root says nothing of `server.username` and `server.max-fds`, which it ignores; it ends where
it cannot write its pid file or a log (tried with 1.4.69).
Source: https://redmine.lighttpd.net/projects/lighttpd/wiki/Docs_ConfigurationOptions
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.lighttpd_syntax import Condition, Parsed, Statement, Value, parse
from hardener.paths import OWN_OUTPUT, TEMPORARY, below
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of these keys nothing depends on root or on a port.
HARMLESS = lazy_pattern(
    r"server\.(?:document-root|modules|username|groupname|tag|bind|use-ipv6|set-v6only|error-handler(?:-404)?|error-intercept"
    r"|errorfile-prefix|follow-symlink|indexfiles|dir-listing|max-[\w-]+|stat-cache-engine|range-requests"
    r"|event-handler|network-backend|http-parseopts|feature-flags|force-lowercase-filenames|stream-\w+-body|kbytes-per-second"
    r"|listen-backlog|reject-expect-100-with-417|name|port|pid-file|errorlog|breakagelog|upload-dirs|protocol-http11|chunkqueue-chunk-sz"
    r"|h2proto|h2c|syslog-facility|errorlog-use-syslog|core-files|graceful-shutdown-bg)"
    r"|index-file\.names|url\.(?:access-deny|access-allow|rewrite[\w-]*|redirect[\w-]*)|static-file\.[\w-]+|mimetype\.[\w-]+"
    r"|(?:etag|dir-listing|alias|debug|expire|evhost|simple-vhost|status|setenv|accesslog|deflate|compress|auth|extforward)\.[\w.-]+"
    r"|ssl\.[\w.-]+|proxy\.(?:server|balance|debug|header|forwarded|replace-http-host)|fastcgi\.(?:server|debug|map-extensions)|var\.\w+"
)  # fmt: skip
MODULES = frozenset(
    ("mod_access", "mod_accesslog", "mod_alias", "mod_auth", "mod_authn_file", "mod_compress", "mod_deflate",
     "mod_dirlisting", "mod_evhost", "mod_expire", "mod_extforward", "mod_fastcgi", "mod_gnutls", "mod_indexfile",
     "mod_openssl", "mod_proxy", "mod_redirect", "mod_rewrite", "mod_setenv", "mod_simple_vhost", "mod_staticfile",
     "mod_status")
)  # fmt: skip
LOGS = ("server.errorlog", "server.breakagelog", "accesslog.filename")
STREAM = lazy_pattern(OWN_OUTPUT)
FOLDERS = ("server.upload-dirs", "compress.cache-dir", "deflate.cache-dir")
SECRETS = lazy_pattern(
    r"ssl\.(?:pemfile|privkey|ca-file|ca-crl-file|dh-file|verifyclient\.ca-[\w-]+)|auth\.backend\.\w+\.\w+file"
)
ADDRESS = lazy_pattern(r"(?:[\w.*-]*|\[[0-9a-fA-F:.]*\]):(?P<port>\d+)")
BIND = lazy_pattern(r"[\d.*]*|localhost|\[?[0-9a-fA-F:]*\]?")
# What Debian's package makes of /etc/mime.types, and the same port once more for IPv6.
MIME = ("/usr/share/lighttpd/create-mime.conf.pl", "/usr/share/lighttpd/create-mime.assign.pl")
IPV6 = "/usr/share/lighttpd/use-ipv6.pl "
# Alpine's list of types.
KNOWN = frozenset(("mime-types.conf", "/etc/lighttpd/mime-types.conf"))
# In a redirect: the port of the socket that a request came in on.
SHOWS_ITS_PORT = lazy_pattern(r"url\.(?:port|authority)|SERVER_PORT")
PID = "/tmp/lighttpd.pid"  # noqa: S108  a path of the image


class Port(NamedTuple):
    """The statement of ``server.port``, and its number."""

    statement: Statement
    number: int


def read(data: bytes) -> Reading:
    """Return what one file of configuration says.  Raises `Unknown` for anything that is not understood."""
    parsed = parse(data)
    variables: dict[str, str] = {}
    included: list[str] = []
    for one in parsed.statements:
        if one.key in ("include", "include_shell"):
            included += include(one)
        elif HARMLESS.fullmatch(one.key) is None:
            raise Unknown(one.line, f"what its {one.key} needs is not known")
        elif one.key.startswith("var."):
            variables[one.key] = text(one, variables)
        elif one.key == "server.modules" and (foreign := [m for m in one.value.strings() if m not in MODULES]):
            raise Unknown(one.line, f"what its {foreign[0]} needs is not known")
    listens = (*main_port(data, parsed, included), *sockets(parsed))
    own = {one.port for one in listens}
    shown = list(shows_its_port(parsed))
    if shown and any(port < 1024 for port in own):
        raise Unknown(shown[0], "it hands on the number of the port that it listens on")
    refuse_itself(parsed, own)
    return Reading(
        listens=listens,
        includes=tuple(included),
        directories=tuple(path for one in parsed.statements if one.key in FOLDERS for path in folders(one, variables)),
        files=tuple(path for one in parsed.statements if one.key in LOGS for path in logs(one, variables)),
        secrets=tuple(text(one, variables) for one in parsed.statements if SECRETS.fullmatch(one.key)),
        changes=tuple(change for one in parsed.statements for change in pid_changes(one, variables)),
    )


def include(one: Statement) -> Iterator[str]:
    """Yield the file that an include names.  Raises `Unknown` for a pattern, and for a command that is not known."""
    first = one.value.tokens[0]
    if one.key == "include_shell":
        words = [token.text for token in one.value.tokens]
        if (len(words) == 1 and words[0].strip() in MIME) or words == [IPV6, "+", "server.port"]:
            return
        raise Unknown(one.line, f"it includes what {first.text} prints")
    if len(one.value.tokens) != 1 or first.kind != "string" or any(mark in first.text for mark in "*?["):
        raise Unknown(one.line, "it includes files that are not named")
    if one.conditions:
        raise Unknown(one.line, f"it includes {first.text} under a condition")
    yield first.text


def text(one: Statement, variables: dict[str, str]) -> str:
    """Return the text of an expression.  Raises `Unknown` for one that the file alone does not tell."""
    found = ""
    for position, token in enumerate(one.value.tokens):
        if position % 2:
            if token.text != "+":
                raise Unknown(one.line, f"the value of its {one.key} is not understood")
        elif token.kind in ("string", "number"):
            found += token.text
        elif token.text in variables:
            found += variables[token.text]
        else:
            raise Unknown(one.line, f"its {one.key} uses {token.text}, which is not known")
    return found


def main_port(data: bytes, parsed: Parsed, included: list[str]) -> Iterator[Listen]:
    """Yield where ``server.port`` makes it listen, which is 80 where nothing says so.

    Whether another file of the configuration says so is not seen from one file alone: a file that has the document
    root, which every configuration has, has to have the port too, or to be all of the configuration.
    """
    found = [one for one in parsed.statements if one.key == "server.port"]
    roots = [one for one in parsed.statements if one.key == "server.document-root" and not one.conditions]
    for one in parsed.statements:
        if one.key == "server.bind" and (BIND.fullmatch("".join(one.value.strings())) is None or one.conditions):
            raise Unknown(one.line, f"it binds {' '.join(one.value.strings())}")
    if len(found) > 1 or any(one.conditions for one in found):
        raise Unknown(found[-1].line, "it states its port more than once")
    if not found and not roots:
        return
    if not roots:
        raise Unknown(found[0].line, "its port and its document root are in two files")
    if found:
        tokens = found[0].value.tokens
        if len(tokens) != 1 or tokens[0].kind not in ("number", "string") or not tokens[0].text.isdecimal():
            raise Unknown(found[0].line, "its port is a variable")
        begin, stop = tokens[0].span
        span = Span(begin + 1, stop - 1) if tokens[0].kind == "string" else tokens[0].span
        port = int(tokens[0].text)
        yield Listen(port, found[0].line, (Change(span, NEW_PORT),) if port < 1024 else ())
        return
    first = roots[0]
    encrypted = any(one.key == "ssl.engine" and not one.conditions for one in parsed.statements)
    if encrypted or not KNOWN.issuperset(included):
        raise Unknown(first.line, "it does not say on which port it listens")
    end = b"\r\n" if b"\r\n" in data else b"\n"
    yield Listen(80, first.line, (Change(Span(first.start, first.start), b"server.port = " + NEW_PORT + end),))


def sockets(parsed: Parsed) -> Iterator[Listen]:
    """Yield where ``$SERVER["socket"]`` makes it listen too.  Raises `Unknown` for what is no address with a port."""
    for one in parsed.conditions:
        token = one.string
        if token is None:
            continue
        if one.field != '$SERVER["socket"]':
            if one.field.startswith("$SERVER") or (is_host(one) and re.search(r":\d", token.text)):
                raise Unknown(token.line, f"it asks for {one.field}")
            continue
        match = ADDRESS.fullmatch(token.text)
        if match is None or one.operator != "==":
            raise Unknown(token.line, f"it listens on {token.text}")
        begin = token.span.start + 1 + match.start("port")
        change = Change(Span(begin, begin + len(match["port"])), NEW_PORT)
        yield Listen(int(match["port"]), token.line, (change,) if int(match["port"]) < 1024 else ())


def is_host(one: Condition) -> bool:
    """Whether a condition asks for the host that a client called, where a port may stand behind it."""
    return one.field == '$HTTP["host"]' or one.field.lower() == '$request_header["host"]'


def shows_its_port(parsed: Parsed) -> Iterator[int]:
    """Yield the lines that hand the number of the port on: to programs, or to clients in a redirect."""
    for one in parsed.statements:
        if one.key.startswith("fastcgi."):
            if any(word in ("bin-path", "socket") for word in one.value.strings()):
                raise Unknown(one.line, "it starts programs, or calls them by a socket in the file system")
            yield one.line
        elif any(SHOWS_ITS_PORT.search(word) for word in one.value.strings()):
            yield one.line


def refuse_itself(parsed: Parsed, own: set[int]) -> None:
    """Raise `Unknown` where it calls a port of its own."""
    for one in parsed.statements:
        words = one.value.strings()
        local = any(re.fullmatch(r"localhost|127\.0\.0\.1|::1", word) for word in words)
        if one.key.startswith(("proxy.", "fastcgi.")) and local:
            ports = {int(token.text) for token in one.value.tokens if token.text.isdecimal()} or {80}
            if ports & own:
                raise Unknown(one.line, "it calls itself")


def logs(one: Statement, variables: dict[str, str]) -> Iterator[str]:
    """Yield the log that a statement names, unless it is the container's own output."""
    path = text(one, variables)
    if not path.startswith("/"):
        raise Unknown(one.line, f"its log is {path}")
    if STREAM.fullmatch(path) is None:
        if path.startswith(("/dev/", "/proc/")):
            raise Unknown(one.line, f"its log is {path}")
        yield path


def folders(one: Statement, variables: dict[str, str]) -> Iterator[str]:
    """Yield the folders that it writes in by a statement."""
    value: Value = one.value
    paths = value.strings() if value.tokens[0].text == "(" else (text(one, variables),)
    for path in paths:
        if not path.startswith("/"):
            raise Unknown(one.line, f"it writes in {path}")
        if not below(path, TEMPORARY):
            yield posixpath.normpath(path)


def pid_changes(one: Statement, variables: dict[str, str]) -> Iterator[Change]:
    """Yield the change that puts the pid file where it may be written."""
    if one.key == "server.pid-file" and not below(text(one, variables), TEMPORARY):
        yield Change(one.value.span, f'"{PID}"'.encode())


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes lighttpd listen on.  Raises `Unknown`."""
    return read(data).listens
