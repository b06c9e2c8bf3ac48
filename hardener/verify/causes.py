"""Names the cause of what broke, from the words of programs and engines; the words are in ``causes.toml``."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardener.verify.compare import Reason

# A folder for the user's own files that is not there, not theirs, or was root's.
HOMES = re.compile(r"^(?:/root|/nonexistent|/)(?:/?\.(?:cache|config|local|npm|yarn|gem|java|m2|cargo|ssh|\w+)\b|/?$)")
ROOT_HOME = re.compile(r"^/root(?:/|$)")
DESCRIBED = {
    "not-writable": "the path {0} cannot be written",
    "database": "the folder of the database cannot be written",
    "read-only": "the path {0} is on a read-only file system",
    "port": "port {0} is below 1024, and only root may open it",
    "missing-user": "the user {0} is in nobody's /etc/passwd",
    "entrypoint-chown": "its start script changes the owner of {0}, which only root may",
    "drops-root": "its start script gives up root by itself, and needs it for that",
    "npm-cache": "npm's cache {0} belongs to root",
    "not-executable": "the new user may not execute or read {0}",
    "missing-file": "{0} is not there for the new user",
    "home": "HOME is not writable: {0}",
    "root-tools": "{0} lies below /root, which only root may enter",
    "migration": "the printed command does not give the data to the new user",
    "data": "{0} does not belong to the new user, who may not use it",
    "unknown": "why is not known",
}

NAMELESS = {"port": "that it opens", "missing-file": "what it starts", "missing-user": "that it names"}


class Cause(NamedTuple):
    """What is behind a reason: a kind of those above, the path, port or user it is about, the line that says so."""

    kind: str
    about: str = ""
    line: str = ""
    service: str = ""
    scenario: str = "start"

    @property
    def text(self) -> str:
        """The cause in one sentence."""
        return DESCRIBED[self.kind].format(self.about or NAMELESS.get(self.kind, "that it writes"))


@lru_cache(maxsize=1)
def patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return kind and pattern of everything in ``causes.toml``, in order."""
    return tuple((one["kind"], re.compile(one["pattern"])) for one in knowledge())


def knowledge() -> list[dict[str, Any]]:
    """Return the tables of ``causes.toml``."""
    import tomli  # noqa: PLC0415

    table: list[dict[str, Any]] = tomli.loads(files("hardener.verify").joinpath("causes.toml").read_text("utf-8"))[
        "cause"
    ]
    return table


def cause_of_line(line: str) -> Cause | None:
    """Return the cause that a line of a log or of an engine names, ``None`` for none."""
    for kind, pattern in patterns():
        match = pattern.search(line)
        if match is None:
            continue
        about = next((value for value in match.groupdict().values() if value), "")
        return refined(Cause(kind, about.rstrip(".,;'\""), line.strip()))
    return None


def refined(cause: Cause) -> Cause:
    """Return a cause with what its path says besides: a home, something below /root."""
    if cause.kind in ("not-writable", "not-executable", "missing-file", "read-only") and cause.about.startswith("/"):
        if ROOT_HOME.match(cause.about) and not HOMES.match(cause.about):
            return cause._replace(kind="root-tools")
        if HOMES.match(cause.about):
            is_tool = cause.kind != "not-writable" or "/bin/" in cause.about or "/lib/" in cause.about
            kind = "root-tools" if ROOT_HOME.match(cause.about) and is_tool else "home"
            return cause._replace(kind="npm-cache" if "/.npm" in cause.about else kind)
    return cause


def causes_of(reasons: Iterable[Reason]) -> tuple[Cause, ...]:
    """Return the causes of everything that broke, each once, those with a path or a name first."""
    found: list[Cause] = []
    for reason in reasons:
        if reason.kind in ("migration", "data"):  # the lines are a command's or paths, no program's words
            about = reason.excerpt.split("\n", 1)[0]
            found.append(Cause(reason.kind, about, reason.text, reason.service, reason.scenario))
            continue
        for line in reason.excerpt.splitlines():
            cause = cause_of_line(line)
            if cause is not None:
                found.append(cause._replace(service=reason.service, scenario=reason.scenario))
        if not any(one.service == reason.service for one in found):
            found.append(Cause("unknown", "", reason.text, reason.service, reason.scenario))
    unique = {(one.kind, one.about, one.service): one for one in found}
    return tuple(sorted(unique.values(), key=lambda one: (one.kind == "unknown", not one.about)))
