"""Comments by which people switch a fixer off: ``# harden: ignore[=fixer,...]`` and hadolint's DL3002."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from hardener.dockerfile import Dockerfile
    from hardener.stages import StageFacts

OWN = lazy_pattern(r"^#?\s*harden:\s*ignore(?:\s*=\s*(?P<names>[\w\-, ]+))?\s*$", re.IGNORECASE)
# DL3002 is "last USER should not be root": https://github.com/hadolint/hadolint/wiki/DL3002
HADOLINT = lazy_pattern(r"^#?\s*hadolint\s+(?P<scope>global\s+)?ignore\s*=\s*(?P<names>[\w\-, ]+)", re.IGNORECASE)


def names_in(text: str | None) -> frozenset[str]:
    """Return the comma-separated names of a pragma, with ``_`` for ``-``."""
    return frozenset(name.strip().replace("-", "_") for name in (text or "").split(",") if name.strip())


TAKEN_OUT = lazy_pattern(r"#?\s*USER\s+\S+\s*$")
TROUBLE = lazy_pattern(
    r"(?i)permission|denied|must (?:be|run as) root|(?:needs?|requires?|as) root|\bfail|break|broke|not work|n't work"
)


def is_ignored(dockerfile: Dockerfile, line: int, fixer: str) -> bool:
    """Whether a pragma switches ``fixer`` off for the instruction at ``line`` (1-based).

    A pragma counts for the instruction below it (comments may stand between); before the first instruction it
    counts for the whole file.
    """
    if not dockerfile.comments:
        return False
    first = dockerfile.instructions[0].line
    for comment in dockerfile.comments:
        match = OWN.match(comment.text)
        if match is None or (match["names"] and fixer not in names_in(match["names"])):
            continue
        if comment.line < first or subject_line(dockerfile, comment.line) == line:
            return True
    return False


def subject_line(dockerfile: Dockerfile, comment_line: int) -> int | None:
    """Return the line of the instruction that a comment stands above, ``None`` at the end of the file."""
    return next((one.line for one in dockerfile.instructions if one.end_line >= comment_line), None)


def root_is_wanted(dockerfile: Dockerfile, facts: StageFacts) -> int | None:
    """Return the line of a ``hadolint ignore=DL3002`` that keeps a stage's root on purpose, else ``None``."""
    lines = {step.instruction.line for step in facts.steps if step.instruction.keyword == "USER"}
    for comment in dockerfile.comments:
        match = HADOLINT.match(comment.text)
        if match is None or "DL3002" not in match["names"].upper():
            continue
        if match["scope"] or subject_line(dockerfile, comment.line) in lines:
            return comment.line
    return user_taken_back(dockerfile, facts)


def user_taken_back(dockerfile: Dockerfile, facts: StageFacts) -> int | None:
    """Return the line of a ``# USER app`` in a stage whose comment tells why it was taken out, else ``None``."""
    start, stop = facts.stage.instructions[0].line, facts.stage.instructions[-1].end_line
    comments = {one.line: one.text for one in dockerfile.comments if start <= one.line <= stop}
    for line, text in comments.items():
        if not TAKEN_OUT.match(text):
            continue
        first, last = line, line
        while first - 1 in comments:
            first -= 1
        while last + 1 in comments:
            last += 1
        if any(TROUBLE.search(comments[one]) for one in range(first, last + 1) if one != line):
            return line
    return None
