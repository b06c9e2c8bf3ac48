"""What ``harden repos`` is pointed at: folders, files of URLs, clone URLs, and queries to a forge."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardener.repos.local import is_repository, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMES = ("https", "http", "ssh", "git", "file")
URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:(?P<user>[^/@]*)@)?(?P<host>[^/:@]*)(?::\d+)?(?P<path>/.*)?")
# git@host:owner/name, as `git clone` takes it; https://git-scm.com/docs/git-clone#_git_urls
SCP = re.compile(r"(?:(?P<user>[\w.+-]+)@)?(?P<host>[\w.-]+):(?P<path>[^:].*)")
HELPER = re.compile(r"[A-Za-z0-9]+::")
DEEPEST = 4
TEAM = re.compile(r"\s+team=(?P<team>\S+)\s*$")


class SourceError(Exception):
    """A source that cannot be used; one line without the secret that it may hold."""


@dataclass(frozen=True)
class Source:
    """One repository: ``key`` names it in the state and in reports, ``location`` is where it is.

    ``location`` is an absolute path for a local one (``is_local``), else a URL that git takes, free of secrets.
    ``team`` is who owns it, where the list of sources says so.  ``forge`` is the kind of forge that it is on
    (``github``), where its source or an option says so: only then its host gets a secret of the environment.
    """

    key: str
    location: str
    is_local: bool
    team: str = ""
    forge: str = ""

    @property
    def name(self) -> str:
        """The last two parts of the location, without ``.git``: ``owner/name``."""
        path = self.location if self.is_local else path_of(self.location)
        return "/".join(path.removesuffix("/").removesuffix(".git").split("/")[-2:]).strip("/")

    @property
    def namespace(self) -> str:
        """The part before the name: who owns it, as far as its address tells."""
        return self.name.rpartition("/")[0]


class Listing(Protocol):
    """What a forge client offers: every repository that a query finds.

    ``query`` is what stands behind the scheme of the source: ``acme`` of ``github:acme``.  Raises ``SourceError``.
    """

    def __call__(self, query: str) -> Iterator[Source]: ...


def expand(texts: Iterable[str], listings: dict[str, Listing] | None = None) -> Iterator[Source]:
    """Yield the repositories that the words of a command line, or the lines of a file, mean; each once.

    ``listings`` has the forge clients by the prefix of their sources.  Raises ``SourceError``.
    """
    seen: set[str] = set()
    for text in texts:
        for source in one(text, listings or {}):
            if source.key not in seen:
                seen.add(source.key)
                yield source


def one(text: str, listings: dict[str, Listing], *, lists: bool = True) -> Iterator[Source]:
    """Yield the repositories that one source means; a list may not name another one."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in listings:
        yield from listings[scheme](rest)
        return
    path = Path(text)
    if path.is_dir():
        yield from folders(path)
    elif path.is_file() and lists:
        yield from lines(path, listings)
    elif "://" in text or "::" in text or SCP.fullmatch(text):
        yield remote(text)
    else:
        raise SourceError(f"{shown(text)}: there is no such folder or file, and it is no URL")


def folders(folder: Path) -> Iterator[Source]:
    """Yield the folder if it is a repository, else those at most `DEEPEST` levels below it, else the folder still."""
    found = list(below(Path(os.path.abspath(folder)), DEEPEST))
    yield from (local(path) for path in found or [folder])


def below(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the repositories at or below a folder, sorted; none inside another, no links followed."""
    if is_repository(folder):
        yield folder
    elif depth:
        try:
            inner = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
        except OSError:
            return
        for name in inner:
            yield from below(folder / name, depth - 1)


def local(folder: Path, team: str = "") -> Source:
    """Return the source of a folder on this machine."""
    path = os.path.abspath(folder)
    return Source(shown(path), path, is_local=True, team=team)


def lines(file: Path, listings: dict[str, Listing]) -> Iterator[Source]:
    """Yield the repositories of a file: a URL, folder or query a line, then ``team=NAME``; ``#`` begins a comment."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{shown(str(file))}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        what = re.sub(r"(^|\s)#.*", "", line).strip()
        team = TEAM.search(what)
        what = what[: team.start()] if team else what
        if not what:
            continue
        try:
            for source in one(what, listings, lists=False):
                yield replace(source, team=team["team"]) if team else source
        except SourceError as error:
            raise SourceError(f"{shown(str(file))}:{number}: {error}") from error


def host_of(url: str) -> str:
    """Return the host of a URL in either form, in lower case; ``""`` without one."""
    match = URL.fullmatch(url) or SCP.fullmatch(url)
    return (match["host"] or "").lower() if match else ""


def remote(text: str, forge: str = "") -> Source:
    """Return the source of a URL; raises ``SourceError`` for a secret in it, or for one that would run something."""
    if text.startswith("-") or HELPER.match(text) or not text.isprintable() or " " in text:
        raise SourceError(
            f"{shown(hidden(text))}: this is no URL that is fetched: give https://, ssh://, git:// or file://"
        )
    match = URL.fullmatch(text)
    if match is None:
        match = SCP.fullmatch(text)
        if match is None or match["host"].startswith("-") or match["path"].startswith("-"):
            raise SourceError(f"{shown(hidden(text))}: this is no URL")
        return Source(text, text, is_local=False, forge=forge)
    scheme, user = match["scheme"].lower(), match["user"] or ""
    if scheme not in SCHEMES:
        raise SourceError(f"{hidden(text)}: {scheme}:// is not fetched; there are: {', '.join(SCHEMES)}")
    if match["host"].startswith("-") or user.startswith("-"):
        raise SourceError(f"{hidden(text)}: a name that begins with - would be an option")
    if ":" in user or (user and scheme != "ssh"):
        raise SourceError(
            f"{hidden(text)}: the URL holds a user name or password; leave it out, "
            "and let git ask a credential helper (`git config --global credential.helper`)"
        )
    return Source(text, text, is_local=False, forge=forge)


def hidden(text: str) -> str:
    """Return a URL without what stands before its host."""
    return re.sub(r"(://)[^/]*@", r"\1", text)


def path_of(url: str) -> str:
    """Return the path of a URL."""
    match = URL.fullmatch(url) or SCP.fullmatch(url)
    return (match["path"] or "") if match else url


def chosen(sources: Iterable[Source], include: tuple[str, ...], exclude: tuple[str, ...]) -> Iterator[Source]:
    """Yield the sources whose key or name fits a glob of ``include`` (any, without one) and none of ``exclude``."""
    for source in sources:
        names = (source.key, source.name, source.name.rpartition("/")[2])
        if include and not any(fnmatchcase(name, glob) for name in names for glob in include):
            continue
        if not any(fnmatchcase(name, glob) for name in names for glob in exclude):
            yield source
