"""The only way bytes change: byte-range edits, and the findings that carry them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath


class Span(NamedTuple):
    """A half-open range ``[start, stop)`` of byte offsets in one file."""

    start: int
    stop: int


class EditConflict(Exception):
    """Two edits of one file overlap: a fault of the fixer that made them, never of the input."""


class Edit(NamedTuple):
    """Replacement of the bytes ``[start, stop)`` of one file by ``text``; ``start == stop`` inserts."""

    path: PurePosixPath
    start: int
    stop: int
    text: bytes


class Applicability(Enum):
    """What a finding's edits promise, in ruff's words (https://docs.rs/ruff_diagnostics)."""

    SAFE = "safe"
    """The edits keep what the image does; they are applied."""
    DISPLAY_ONLY = "display-only"
    """There is nothing to apply: a person has to look, and the reason says why."""


class Finding(NamedTuple):
    """One thing that was found in a project, and the edits that mend it.

    ``line`` is 1-based.  ``fixer`` is the name used by ``--select`` and ``# harden: ignore=``.  The edits may
    touch several files and are applied all or none; without edits the finding tells a person what was left
    alone and why.
    """

    fixer: str
    path: PurePosixPath
    line: int
    reason: str
    edits: tuple[Edit, ...] = ()

    @property
    def applicability(self) -> Applicability:
        """``SAFE`` where there are edits to apply, else ``DISPLAY_ONLY``."""
        return Applicability.SAFE if self.edits else Applicability.DISPLAY_ONLY


def splice(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return ``data`` with all ``edits`` made, which are offsets into ``data`` as it is now.

    Insertions at the same offset keep the order in which they come.  Raises ``EditConflict`` where two edits
    overlap or one lies outside the data.
    """
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits, key=lambda one: (one.start, one.stop)):
        if edit.start < position or not edit.start <= edit.stop <= len(data):
            message = f"edits overlap or lie outside the file at byte {edit.start} of {edit.path}"
            raise EditConflict(message)
        pieces += (data[position : edit.start], edit.text)
        position = edit.stop
    pieces.append(data[position:])
    return b"".join(pieces)
