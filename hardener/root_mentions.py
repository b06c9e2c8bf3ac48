"""Where a Dockerfile names a place below /root, and what stands there after a move."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import below
from hardener.root_links import copied_stage, sources
from hardener.stages import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.stages import Step

# A path below the home directory of root, as a shell or a person writes it.
MENTION = lazy_pattern(rb"(?<![\w\-./}~$\\])(/root|~|\$HOME|\$\{HOME\})(/[\w.@%+/-]*)")
HOME_WORD = lazy_pattern(rb"(?<![\w/])(?:~|\$HOME|\$\{HOME\})(?=/)")


def moved(path: str, places: Mapping[str, str]) -> str | None:
    """Return where a path below /root is after the move, ``None`` where it stays."""
    inside = [place for place in places if below(posixpath.normpath(path), (place,))]
    if not inside:
        return None
    place = max(inside, key=len)
    return places[place] + path[len(place) :]


def rewritten(data: bytes, places: Mapping[str, str]) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, stop (offsets in ``data``) and new text of every mention of a place."""
    for match in MENTION.finditer(data):
        new = moved("/root" + match[2].decode("latin-1"), places)
        if new is not None:
            yield match.start(), match.end(), new.encode("latin-1")


def mentions(text: str, places: Mapping[str, str]) -> bool:
    """Whether a text has a place in it, in whatever way it is written."""
    return any(re.search(re.escape(place.removeprefix("/root")) + r"(?![\w.-])", text) for place in places)


def is_clear(step: Step, places: Mapping[str, str]) -> bool:
    """Whether every mention of a place in an instruction is one that is understood."""
    instruction = step.instruction
    text = step.dockerfile.data[instruction.span.start : instruction.span.stop]
    found = list(rewritten(text, places))
    rest = text
    for start, stop, _ in reversed(found):
        rest = rest[:start] + rest[stop:]
    left = rest.decode("latin-1")
    if any(re.search(rf"(?:root|~|HOME\}}?){re.escape(one.removeprefix('/root'))}(?![\w.-])", left) for one in places):
        return False  # behind an option's letter, in a list that is no path, ...
    if below(step.workdir or "/", ("/root",)) and mentions("/" + left.replace(" ", " /"), places):
        return False
    if instruction.keyword == "VOLUME":
        return not found
    if any("from=" in (flag.value or "") and mentions(flag.value or "", places) for flag in instruction.flags):
        return False  # what is mounted from another stage
    shell_form = instruction.keyword in RUNNING and not (instruction.keyword == "RUN" and instruction.json)
    head = min((document.body.start for document in instruction.heredocs), default=instruction.span.stop)
    head -= instruction.span.start  # a script in a heredoc expands its own `~`, but `$HOME` is BuildKit's there
    return shell_form or not any(
        HOME_WORD.match(text, start) and (start < head or text[start : start + 1] == b"$") for start, _, _ in found
    )


def replacements(step: Step, places: Mapping[str, str], stages: tuple[int, ...]) -> Iterator[tuple[Span, bytes]]:
    """Yield the spans of a step's mentions with the new text; what a COPY takes from elsewhere stays.

    ``stages`` are those in which the files move.
    """
    instruction = step.instruction
    data = step.dockerfile.data
    spans = [instruction.span]
    if instruction.keyword in ("COPY", "ADD"):
        words = instruction.json or instruction.words
        own = copied_stage(step.dockerfile, step) in stages
        spans = [word.span for word in (words if own else words[-1:])]
        spans += [document.body for document in instruction.heredocs]
    for span in spans:
        for start, stop, new in rewritten(data[span.start : span.stop], places):
            yield Span(span.start + start, span.start + stop), new


def copied_places(step: Step, places: Mapping[str, str]) -> tuple[str, ...]:
    """Return where the places that a ``COPY --from`` takes are after the move."""
    return tuple(new for one in sources(step) if (new := moved(one, places)) is not None)
