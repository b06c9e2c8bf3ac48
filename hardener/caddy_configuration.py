"""The Caddyfile reader: the ports of its sites, and everything that Caddy cannot do without root.

``http_port`` and ``https_port`` are for inside alone: clients, and the redirects of automatic HTTPS, stay at 80 and
443 (https://caddyserver.com/docs/caddyfile/options#http-port).  A site with a host but no port listens on the second,
and what redirects to it on the first: both options have to be written where they are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener import caddy_syntax
from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.caddy_syntax import Line, Word

ADDRESS = lazy_pattern(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-fA-F:]*\]|[^\s:/{}\[\]]*)(?::(?P<port>\d+))?(?:/\S*)?"
)
# What makes the port that it listens on visible, to clients or to what stands behind it.
SHOWS_ITS_PORT = lazy_pattern(rb"\{(?:http\.request\.)?local(?:\.port|_port)?\}|\{http\.request\.local\.")
# Directives and options that listen, write or start programs themselves; https://caddyserver.com/download lists them.
FOREIGN = frozenset(
    ("layer4", "exec", "supervisor", "frankenphp", "php_server", "webdav", "upload", "cgi", "git", "load")
)
UPSTREAMS = frozenset(("reverse_proxy", "to", "forward_auth", "php_fastcgi"))
ITSELF = lazy_pattern(r"(?:https?://)?(?:localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>\d+))?(?:/.*)?")


class Options(NamedTuple):
    """The global options that say where sites without a port listen: numbers, and the words with them, if any."""

    http: int = 80
    https: int = 443
    http_word: Word | None = None
    https_word: Word | None = None
    redirects: bool = True
    """Whether a site of HTTPS makes Caddy listen on the port of HTTP too."""


class Site(NamedTuple):
    """One address: the port it means, that port's digits where they are written, and its line (1-based).

    ``certain`` is false where only the port says which protocol it speaks: then the option has to say so too.
    """

    port: int
    digits: Span | None
    secure: bool
    certain: bool
    line: int


def read(data: bytes) -> Reading:
    """Return what one Caddyfile says.  Raises `Unknown` for anything that is not understood."""
    if re.match(rb"\s*\{\s*\"", data):
        raise Unknown(1, "it is written in JSON")
    lines = caddy_syntax.parse(data)
    first = lines[0] if lines and not lines[0].words and lines[0].block is not None else None
    shown = SHOWS_ITS_PORT.search(data)
    if shown is not None:
        raise Unknown(data.count(b"\n", 0, shown.start()) + 1, "it uses the number of the port that it listens on")
    options = options_of(first)
    heads = heads_of(lines[1:] if first is not None else lines)
    sites = [site for words in heads for word in words for site in sites_of(word, options)]
    body = [one for line in lines for one in all_lines(line)]
    for one in body:
        refuse(one)
    listens = tuple(listens_of(data, lines, first, options, sites))
    own = {one.port for one in listens}
    for one in body:
        if one.name in UPSTREAMS and any(calls_itself(text, own) for text in one.texts):
            raise Unknown(one.words[0].line, "it calls itself")
    return Reading(
        listens=(*listens, *servers_options(first)),
        directories=tuple(one.texts[-1] for one in body if one.name in ("storage", "root") and is_store(one, body)),
        files=tuple(
            one.texts[1] for one in body if one.name == "output" and one.texts[:1] == ("file",) and one.texts[1:]
        ),
        secrets=tuple(text for one in body if one.name == "tls" for text in one.texts if text.startswith("/")),
    )


def options_of(block: Line | None) -> Options:
    """Return what the block of global options says; raises `Unknown` for a number that is none."""
    found = Options()
    for one in (block.block or ()) if block is not None else ():
        if one.name in ("http_port", "https_port"):
            if len(one.words) != 2 or not one.words[1].text.isdecimal():
                raise Unknown(one.words[0].line, f"its {one.name} is not a number")
            number, word = int(one.words[1].text), one.words[1]
            found = (
                found._replace(http=number, http_word=word)
                if one.name == "http_port"
                else found._replace(https=number, https_word=word)
            )
        elif one.name == "auto_https" and {*one.texts} & {"off", "disable_redirects"}:
            found = found._replace(redirects=False)
        elif one.name == "admin" and any("unix/" in text or "fd/" in text for text in one.texts):
            raise Unknown(one.words[0].line, "its admin end point is a socket")
    return found


def heads_of(lines: tuple[Line, ...]) -> Iterator[tuple[Word, ...]]:
    """Yield the words of each line of addresses.

    A file with one site needs no braces: its first line is the address.  Raises `Unknown` for anything else at the top.
    """
    if lines and lines[0].block is None and lines[0].name != "import":
        yield lines[0].words
        return
    for one in lines:
        if one.block is None:
            raise Unknown(one.words[0].line, f"it has a {one.name} of its own beside the sites")
        if not one.words:
            raise Unknown(1, "it has a block without an address")
        if not one.name.startswith(("(", "&(")):
            yield one.words


def sites_of(word: Word, options: Options) -> Iterator[Site]:
    """Yield the addresses in one word of a head; raises `Unknown` for one that is not understood."""
    start = word.span.start + word.quoted
    for match in re.finditer(r"[^,]+", word.text):
        found = ADDRESS.fullmatch(match[0])
        if found is None or "$" in match[0]:
            raise Unknown(word.line, f"its address {match[0]} is a variable, or not understood")
        scheme, host, port = found["scheme"], found["host"], found["port"]
        if port is None and not (host or scheme):
            raise Unknown(word.line, f"its address {match[0]} is not understood")
        number = int(port) if port is not None else options.http if scheme == "http" else options.https
        digits = None
        if port is not None:
            before = word.text[: match.start() + found.start("port")]
            begin = start + len(before.encode("utf-8", "surrogateescape"))
            digits = Span(begin, begin + len(port))
        secure = scheme == "https" or (
            scheme is None and number != options.http and (bool(host) or number == options.https)
        )
        if port is not None and secure and number < 1024 and number != options.https:
            raise Unknown(word.line, f"it serves TLS on port {number}, to which it redirects")
        yield Site(number, digits, secure, not host and not secure and scheme is None, word.line)


def all_lines(line: Line) -> Iterator[Line]:
    """Yield a line and every line in its block."""
    yield line
    for one in line.block or ():
        yield from all_lines(one)


def refuse(line: Line) -> None:
    """Raise `Unknown` for what needs root, or brings what is not read here."""
    number = line.words[0].line if line.words else 1
    if line.name in FOREIGN:
        raise Unknown(number, f"it uses {line.name}")
    if line.name == "import" and any(mark in line.texts[0] for mark in "/*.") if line.texts else False:
        raise Unknown(number, f"it imports {line.texts[0]}")
    if any("unix/" in text or text.startswith("fd/") for text in line.texts):
        raise Unknown(number, "it uses a socket whose rights are not known")


def is_store(line: Line, body: list[Line]) -> bool:
    """Whether a line names the folder in which Caddy keeps its certificates."""
    if line.name == "storage":
        return len(line.texts) == 2 and line.texts[0] == "file_system"
    return any(one.name == "storage" and line in (one.block or ()) for one in body) and len(line.texts) == 1


def calls_itself(text: str, ports: set[int]) -> bool:
    """Whether an upstream is a port of Caddy's own."""
    match = ITSELF.fullmatch(text)
    return match is not None and int(match["port"] or (443 if text.startswith("https") else 80)) in ports


def listens_of(
    data: bytes, lines: tuple[Line, ...], block: Line | None, options: Options, sites: list[Site]
) -> Iterator[Listen]:
    """Yield the ports of the sites, with the changes that move them: digits of addresses, and the options."""
    secure = [one for one in sites if one.secure]
    # What redirects to HTTPS listens on the port of HTTP.
    plain = [one for one in sites if one.port == options.http] or (secure if options.redirects else [])
    places = {
        options.http: (plain, options.http_word, "http_port"),
        options.https: ([one for one in sites if one.port == options.https], options.https_word, "https_port"),
    }
    needed = {
        port
        for port, (found, word, _) in places.items()
        if found and word is None and port < 1024 and not all(one.certain for one in found)
    } | (
        {options.http} if secure and options.redirects and options.http_word is None and options.http < 1024 else set()
    )
    for port, (found, word, name) in places.items():
        if not found:
            continue
        changes = [Change(one.digits, NEW_PORT) for one in found if one.digits is not None and one.port == port]
        if word is not None:
            changes.append(Change(word.span, NEW_PORT))
        elif port in needed:
            changes.append(option(data, lines, block, name, alone=len(needed) == 1))
        yield Listen(port, found[0].line, tuple(changes) if port < 1024 else ())
    for one in sites:
        if one.port not in places and one.digits is not None:
            yield Listen(one.port, one.line, (Change(one.digits, NEW_PORT),) if one.port < 1024 else ())


def option(data: bytes, lines: tuple[Line, ...], block: Line | None, name: str, *, alone: bool) -> Change:
    """Return the change that writes a global option, with the block of options where there is none."""
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    if block is not None and block.inside is not None:
        inside = data[block.inside.start : block.inside.stop]
        if b"\n" not in inside:
            raise Unknown(1, "its global options are on one line")
        match = re.search(rb"\n([ \t]*)[^\s}]", inside)
        line = (match[1] if match is not None else b"\t") + name.encode() + b" " + NEW_PORT
        first = block.inside.start
        last = block.inside.start + inside.rfind(b"\n") + 1
        return (
            Change(Span(first, first), newline + line)
            if name == "http_port"
            else Change(Span(last, last), line + newline)
        )
    begin = data.rfind(b"\n", 0, lines[0].words[0].span.start) + 1
    begin = max(begin, 3 if data.startswith(b"\xef\xbb\xbf") else 0)
    line = b"\t" + name.encode() + b" " + NEW_PORT + newline
    head, tail = b"{" + newline, b"}" + newline + newline
    if alone:
        return Change(Span(begin, begin), head + line + tail)
    if name == "http_port":
        return Change(Span(begin, begin), head + line)
    # The two stand at one place, and each is a change of its own: this one takes the byte after it along.
    return Change(Span(begin, begin + 1), line + tail + data[begin : begin + 1])


def servers_options(block: Line | None) -> Iterator[Listen]:
    """Yield the addresses of ``servers`` in the global options, which name a port that a site listens on."""
    for one in (block.block or ()) if block is not None else ():
        for word in one.words[1:] if one.name == "servers" else ():
            match = re.fullmatch(r"[^\s:/]*:(\d+)", word.text)
            if match is None or "$" in word.text:
                raise Unknown(word.line, f"its servers {word.text} are not understood")
            begin = word.span.start + word.quoted + match.start(1)
            change = Change(Span(begin, begin + len(match[1])), NEW_PORT)
            yield Listen(int(match[1]), word.line, (change,) if int(match[1]) < 1024 else ())


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a Caddyfile makes Caddy listen on.  Raises `Unknown`."""
    return read(data).listens
