"""The HAProxy configuration reader: its ``bind`` lines, and everything that it cannot do without root.

Source: https://docs.haproxy.org/3.0/configuration.html (2.2 quoting, 3.1 process management, 5.1 bind options)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS = frozenset(
    ("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "mailers", "cache",
     "program", "http-errors", "ring", "log-forward", "fcgi-app", "crt-store", "traces", "acme")
)  # fmt: skip
WORD = lazy_pattern(rb"(?:\\.|\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s\\\"'#])+|#[^\n]*")
ENDPOINT = lazy_pattern(r"(?:(?:ipv4|ipv6)@)?(?:\*|[\w.-]*|\[[0-9a-fA-F:.]*\]|[0-9a-fA-F:]*):(?P<port>\d+)")
# What needs root when HAProxy starts, whoever it runs as afterwards (haproxy.c, init and set_identity).
ROOT = {
    "chroot": "it changes its root directory",
    "program": "it starts another program",
    "set-dumpable": "it changes what the kernel lets it dump",
    "setcap": "it keeps capabilities",
    "namespace": "it enters a network namespace",
}
# The ports it listens on as values: conditions and headers that would see the new one.
SHOWS_ITS_PORT = lazy_pattern(rb"\b(?:dst_port|fc_dst_port|so_id|X-Forwarded-Port)\b|%\[dst_port|%fp\b", re.IGNORECASE)
SECRETS = ("crt", "ca-file", "crl-file", "crt-list")
OWN = lazy_pattern(r"(?:localhost|127\.0\.0\.1|\[?::1\]?)(?::(?P<port>\d+))?")


class Word(NamedTuple):
    """One word as it is written, and its span."""

    text: str
    span: Span


class Line(NamedTuple):
    """The words of one line, the section it stands in (``""`` before the first), and its 1-based number."""

    section: str
    words: tuple[Word, ...]
    number: int

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of all words."""
        return tuple(one.text for one in self.words)


def read(data: bytes) -> Reading:
    """Return what one file of configuration says.  Raises `Unknown` for anything that is not understood."""
    listens: list[Listen] = []
    directories: list[str] = []
    secrets: list[str] = []
    parsed = tuple(lines(data))
    if any(one.section == "" for one in parsed):
        raise Unknown(1, "it begins outside of every section")
    for one in parsed:
        first = one.texts[0]
        if first in ROOT:
            raise Unknown(one.number, ROOT[first])
        if first == "source" and "usesrc" in one.texts:
            raise Unknown(one.number, "it takes the addresses of its clients")
        directories += written(one)
        for word in binding(one):
            listens += addresses(word, one.number)
        if first in ("bind", "server", "default-server"):
            pairs = zip(one.texts, one.texts[1:], strict=False)
            secrets += [
                value for key, value in pairs if key in ("crt", "ca-file", "crl-file", "crt-list") and value[:1] == "/"
            ]
    own = {one.port for one in listens}
    shown = SHOWS_ITS_PORT.search(data)
    if shown is not None and any(port < 1024 for port in own):
        raise Unknown(data.count(b"\n", 0, shown.start()) + 1, "it uses the number of the port that it listens on")
    for one in parsed:
        match = OWN.fullmatch(one.texts[2]) if one.texts[0] == "server" and len(one.texts) > 2 else None
        if match is not None and int(match["port"] or 0) in own:
            raise Unknown(one.number, "it calls itself")
    return Reading(listens=tuple(listens), directories=tuple(directories), secrets=tuple(secrets))


def lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that say something."""
    section, position = "", 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for number, raw in enumerate(data[position:].split(b"\n"), 1):
        words: list[Word] = []
        for match in WORD.finditer(raw):
            if match[0].startswith(b"#"):
                break
            text = match[0].decode("utf-8", "surrogateescape")
            words.append(Word(text, Span(position + match.start(), position + match.end())))
        position += len(raw) + 1
        if words and words[0].text in SECTIONS:
            section = words[0].text
        if words:
            yield Line(section, tuple(words), number)


def binding(line: Line) -> Iterator[Word]:
    """Yield the words of a line that are addresses to listen on, each a list with commas."""
    if line.section in ("frontend", "listen", "peers", "log-forward") and line.texts[0] == "bind":
        yield from line.words[1:2]
    elif line.texts[0] in ("frontend", "listen") and len(line.words) > 2:
        yield line.words[2]  # before 1.6: `listen web :80`


def addresses(word: Word, number: int) -> Iterator[Listen]:
    """Yield the ports of one list of addresses.  Raises `Unknown` for a variable, a range or a socket."""
    for match in re.finditer(r"[^,]+", word.text.strip("\"'")):
        found = ENDPOINT.fullmatch(match[0])
        if found is None:
            raise Unknown(number, f"it binds {match[0]}")
        start = word.span.start + (word.text[0] in "\"'") + match.start() + found.start("port")
        port = int(found["port"])
        change = Change(Span(start, start + len(found["port"])), NEW_PORT)
        yield Listen(port, number, (change,) if port < 1024 else ())


def written(line: Line) -> Iterator[str]:
    """Yield the folders of the sockets and files that a line makes HAProxy create."""
    texts = line.texts
    if texts[0] == "pidfile" or texts[:2] == ("stats", "socket"):
        place = "".join(texts[2:3] if texts[0] == "stats" else texts[1:2])
        path = re.sub(r"^unix@", "", place.strip("\"'"))
        if path.startswith("/"):
            yield path.rpartition("/")[0]


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes HAProxy listen on.  Raises `Unknown`."""
    return read(data).listens
