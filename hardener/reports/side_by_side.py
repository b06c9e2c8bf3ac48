"""Two texts beside each other: rows of lines that belong together, with the words that differ.

`difflib.HtmlDiff` does that too, but as a table that cannot be styled for the dark, reached by key, or have anything
between its lines; the comparison itself is difflib's here too.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORD = r"\w+|\s+|."
# Two lines are one that was changed where this much of them is the same.  The first word counts as so much more: what
# was `COPY . .` is `COPY --chown=1:1 . .` now.
ALIKE, FIRST_WORD = 0.5, 0.3


class Half(NamedTuple):
    """One line of one side: its 1-based number, and its text in pieces, each with whether it differs."""

    number: int
    pieces: tuple[tuple[str, bool], ...]


class Row(NamedTuple):
    """One row: the line before, the line after (``None`` where there is none), and whether they differ."""

    before: Half | None
    after: Half | None
    changed: bool


def rows(before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of two texts, given as lines without their ends."""
    for tag, first, last, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            for offset in range(last - first):
                yield Row(plain(before, first + offset), plain(after, begin + offset), changed=False)
            continue
        for old, new in pairs(before, after, range(first, last), range(begin, end)):
            if old is not None and new is not None:
                yield Row(*compared(before, old, after, new), changed=True)
            else:
                left = None if old is None else plain(before, old)
                yield Row(left, None if new is None else plain(after, new), changed=True)


def plain(lines: Sequence[str], index: int) -> Half:
    """Return a line of which nothing is marked."""
    return Half(index + 1, ((lines[index], False),))


def pairs(
    before: Sequence[str], after: Sequence[str], olds: range, news: range
) -> Iterator[tuple[int | None, int | None]]:
    """Yield the lines of a changed part by index, in order; those that are much alike as one pair."""
    at = news.start
    for old in olds:
        likeness = [(alike(before[old], after[new]), -new) for new in range(at, news.stop)]
        best, position = max(likeness, default=(0.0, 0))
        if best < ALIKE:
            yield old, None
            continue
        yield from ((None, new) for new in range(at, -position))
        yield old, -position
        at = -position + 1
    yield from ((None, new) for new in range(at, news.stop))


def alike(old: str, new: str) -> float:
    """Return how much two lines have in common: 0 is nothing, from 1 on they are nearly the same."""
    same = old.split()[:1] == new.split()[:1] != []
    return SequenceMatcher(None, old, new).ratio() + (FIRST_WORD if same else 0)


def compared(before: Sequence[str], old: int, after: Sequence[str], new: int) -> tuple[Half, Half]:
    """Return two lines with the words marked that differ."""
    left, right = re.findall(WORD, before[old]), re.findall(WORD, after[new])
    kept: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for tag, first, last, begin, end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for pieces, words in zip(kept, (left[first:last], right[begin:end]), strict=True):
            if words:
                pieces.append(("".join(words), tag != "equal"))
    return Half(old + 1, tuple(kept[0])), Half(new + 1, tuple(kept[1]))
