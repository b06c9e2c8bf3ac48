"""The three answers for an image, as values."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hardener.accounts import Account
    from hardener.migration import Migration


class Outcome(Enum):
    """The three answers for an image."""

    SWITCH = "switched"
    ALREADY = "already"
    MANUAL = "manual"


class Reason(NamedTuple):
    """Why something cannot be switched: 1-based line of the Dockerfile, one sentence, and what a person can do."""

    line: int
    text: str
    way_out: str


class Verdict(NamedTuple):
    """The answer for one stage, its reason in one sentence, and what a person can do about it."""

    outcome: Outcome
    line: int
    reason: str
    way_out: str = ""
    account: Account | None = None
    migrations: tuple[Migration, ...] = ()
    """For a switch: what has to be done once with data that the image wrote as root."""
    kept: tuple[str, ...] = ()
    """For a switch: the volumes for which it starts as root still, to give them to the account."""
    question: str = ""
    """Where it is not switched: the name of the question that says so, of `hardener.reasons` or `hardener.decision`."""


class Unit(NamedTuple):
    """What became of one service or container that starts an image: 1-based line, its name, and in words the rest.

    ``outcome`` is ``hardened``, ``already``, ``left`` or ``danger``; ``left_out`` says why something was not written.
    """

    line: int
    name: str
    outcome: str
    text: str
    left_out: str = ""


def manual(line: int, reason: str, way_out: str) -> Verdict:
    """Return the verdict that leaves an image to a person."""
    return Verdict(Outcome.MANUAL, line, reason, way_out)
