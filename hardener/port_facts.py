"""One port below 1024 of a stage, as values: where it is stated, what decides it, and what became of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Edit, Span
from hardener.listening import PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardener.server_ports import Served
    from hardener.stages import StageFacts, Step

WAY_OUT = "make it listen on {} by hand, then run harden again"


class Stuck(NamedTuple):
    """Why a port cannot move: 1-based line in the Dockerfile, reason and way out, and what is known of its uses."""

    line: int
    reason: str
    way_out: str
    uses: Uses | None = None


class Move(NamedTuple):
    """One port that can move: every edit that does it, in all files, and the line of its EXPOSE or start command."""

    old: int
    new: int
    line: int
    edits: tuple[Edit, ...]


class Exposed(NamedTuple):
    """A port of EXPOSE; ``span`` is where its digits stand, ``None`` for a range or another protocol than TCP."""

    port: int
    step: Step
    span: Span | None


class Uses(NamedTuple):
    """Everything in the image's own files that states or decides one port; ``line`` is the first of it."""

    port: int
    line: int
    stated: tuple[Exposed, ...]
    decided: tuple[Edit, ...]
    served: Served | None = None
    """The own server of the base image, where that is what runs."""
    where: str | None = None
    """``path:line`` of a file of Compose, Kubernetes or a script that states it."""


def exposed(facts: StageFacts) -> Iterator[Exposed]:
    """Yield each port below 1024 that EXPOSE states."""
    for step in facts.steps:
        if step.instruction.keyword != "EXPOSE":
            continue
        for word in step.instruction.words:
            match = re.fullmatch(r"[\"']?(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?[\"']?", word.text, re.IGNORECASE)
            if match is not None and int(match[1]) in PRIVILEGED:
                start = word.span.start + match.start(1)
                plain = match[2] is None and (match[3] or "tcp").lower() == "tcp"
                exact = word.span.stop - word.span.start == len(word.text)
                span = Span(start, start + len(match[1])) if plain and exact else None
                yield Exposed(int(match[1]), step, span)


def all_exposed(facts: StageFacts) -> Iterator[int]:
    """Yield every port number that EXPOSE states."""
    for step in facts.steps:
        if step.instruction.keyword == "EXPOSE":
            for word in step.instruction.words:
                match = re.match(r"[\"']?(\d+)", word.text)
                if match is not None:
                    yield int(match[1])


def listed(places: Iterable[str]) -> str:
    """Return places (``path:line``) as one text, ``""`` for none; a few of many."""
    shown = list(places)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
