"""Sources that ask a forge: ``github:acme``, ``gitlab:group/subgroup``, ``gitea:HOST/acme``; and what of it counts."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from hardener.repos.local import shown
from hardener.repos.sources import SourceError, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.bot.forge import Forge, Listed
    from hardener.repos.sources import Listing, Source

KINDS = ("github", "gitlab", "gitea")
HOMES = {"github": "https://github.com", "gitlab": "https://gitlab.com"}
FORMS = {
    "github": "github:OWNER, github:HOST/OWNER or github:https://HOST/OWNER",
    "gitlab": "gitlab:GROUP/SUBGROUP, gitlab:HOST/GROUP or gitlab:https://HOST/GROUP",
    "gitea": "gitea:HOST/OWNER or gitea:https://HOST/OWNER",
}
HOST = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?(?::\d+)?"
# Without https:// before it, a host is told from an owner by its dot or port.
PLAIN_HOST = r"[A-Za-z0-9][\w-]*(?:(?:\.[\w-]+)+(?::\d+)?|:\d+)"
# What the forges take as names, and no . or .. that would lead a path elsewhere.
NAME = r"(?!\.\.?(?:/|$))[\w.][\w.-]*"
URL = re.compile(rf"(?P<web>https?://{HOST})/(?P<owner>{NAME}(?:/{NAME})*)/?", re.ASCII)
SHORT = re.compile(rf"(?:(?P<host>{PLAIN_HOST})/)?(?P<owner>{NAME}(?:/{NAME})*)/?", re.ASCII)
REPOSITORY = re.compile(rf"{NAME}(?:/{NAME})+", re.ASCII)
DAYS = re.compile(r"(?P<number>\d{1,5})d")


class Query(NamedTuple):
    """Whose repositories are asked for: an organisation, group or person, and the address of the forge.

    ``owner`` may also be the path of one repository.
    """

    kind: str
    web: str
    owner: str


@dataclass(frozen=True)
class Filters:
    """Which repositories of a forge count; one without topics, or without languages, takes all.

    ``pushed_since`` is in seconds since 1970.
    """

    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    pushed_since: float = 0.0
    archived: bool = False
    forks: bool = False

    def why_not(self, one: Listed) -> str:
        """Return in a word or two why a repository is left out, ``""`` where it is not; the unknown is no reason."""
        if one.is_archived and not self.archived:
            return "archived"
        if one.is_fork and not self.forks:
            return "forks"
        if one.pushed and one.pushed < self.pushed_since:
            return "not pushed since"
        if self.topics and one.topics is not None and not fits(one.topics, self.topics):
            return "of other topics"
        if self.languages and one.language is not None and not fits((one.language,), self.languages):
            return "in other languages"
        return ""


def fits(there: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether one of the words that are there is wanted, whatever its case."""
    return not {one.lower() for one in there}.isdisjoint(one.lower() for one in wanted)


def query_of(kind: str, text: str) -> Query:
    """Return what is asked for by the text behind ``github:`` and the like; raises ``SourceError``."""
    if "://" in text:
        remote(text)  # it says what is wrong with a URL that holds a secret
        match = URL.fullmatch(text)
        web = match["web"] if match else ""
    else:
        match = SHORT.fullmatch(text)
        host = match["host"] if match else None
        web = f"https://{host}" if host else HOMES.get(kind, "")
    if match is None or not web or (kind != "gitlab" and match["owner"].count("/") > 1):
        raise SourceError(f"{kind}:{shown(text)[:100]}: this names nobody; write {FORMS[kind]}")
    return Query(kind, web, match["owner"])


@dataclass
class Queries:
    """Asks the forges; ``say`` gets one line about each answer, ``connect`` returns the forge of an address.

    ``hosts`` are those that were asked: the user named them, so secrets may go there.
    """

    filters: Filters
    say: Callable[[str], None]
    connect: Callable[[str, str], Forge]
    hosts: set[str] = field(default_factory=set)

    def listings(self) -> dict[str, Listing]:
        """Return the functions that `sources.expand` calls, by the beginning of a source."""
        return {kind: self.listing(kind) for kind in KINDS}

    def listing(self, kind: str) -> Listing:
        """Return the function for one kind of forge."""

        def found(query: str) -> Iterator[Source]:
            return self.found(query_of(kind, query))

        return found

    def found(self, query: Query) -> Iterator[Source]:
        """Yield the repositories that count; raises ``SourceError`` where the forge does not answer."""
        from hardener.bot.forge import ForgeError  # noqa: PLC0415  only for a source that asks one

        name = f"{query.kind}:{query.web.partition('://')[2]}/{query.owner}"
        self.hosts.add(urlsplit(query.web).hostname or "")
        if "/" in query.owner and query.kind != "gitlab":  # GitLab's groups have slashes too, so it is asked
            yield remote(f"{query.web}/{query.owner.removesuffix('.git')}.git", query.kind)
            return
        left: Counter[str] = Counter()
        count = 0
        try:
            forge = self.connect(query.web, query.kind)
            for one in forge.repositories(query.owner):
                why = "of unsafe names" if REPOSITORY.fullmatch(one.path) is None else self.why_not(forge, one)
                left[why] += 1
                if not why:
                    count += 1
                    # The address is made here: an answer cannot lead to another host, or to a file of this machine.
                    yield remote(f"{query.web}/{one.path}.git", query.kind)
        except ForgeError as error:
            raise SourceError(f"{name}: {error}") from error
        rest = ", ".join(f"{number} {why}" for why, number in left.items() if why)
        self.say(f"{name}: {count} repositories{f' (left out: {rest})' if rest else ''}")

    def why_not(self, forge: Forge, one: Listed) -> str:
        """Return why a repository is left out, asking for what the list did not tell only where that decides."""
        why = self.filters.why_not(one)
        if why or not (
            (self.filters.topics and one.topics is None) or (self.filters.languages and one.language is None)
        ):
            return why
        return self.filters.why_not(forge.details(one))


def filters_of(options: dict[str, Any]) -> Filters:
    """Return the filters that the options of the command say; raises ``SourceError``."""
    return Filters(
        tuple(options["topics"]),
        tuple(options["languages"]),
        moment(options["pushed_since"] or ""),
        options["archived"],
        options["forks"],
    )


def moment(text: str) -> float:
    """Return a date (``2026-01-31``), or days ago (``90d``), in seconds since 1970; raises ``SourceError``."""
    days = DAYS.fullmatch(text)
    if days:
        return time.time() - 86400.0 * int(days["number"])
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp() if text else 0.0
    except ValueError as error:
        raise SourceError(f"--pushed-since {shown(text)[:50]}: write a date, 2026-01-31, or days, 90d") from error
