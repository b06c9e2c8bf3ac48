"""Whole lines of a Dockerfile: where one starts, and how new ones are put in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.dockerfile import Dockerfile, Instruction
    from hardener.project import Project


def line_start(dockerfile: Dockerfile, instruction: Instruction) -> int:
    """Return the offset of the first line of an instruction, or of the comment that stands right above it."""
    floor = max(
        (one.span.stop for one in dockerfile.instructions if one.span.stop <= instruction.span.start),
        default=0,
    )
    start = instruction.span.start
    while start > floor:
        previous = dockerfile.data.rfind(b"\n", 0, start - 1) + 1
        if previous < floor or not dockerfile.data[previous:start].lstrip().startswith(b"#"):
            break
        start = previous
    return start


def insertion(project: Project, offset: int, lines: Sequence[str]) -> Edit:
    """Return the edit that inserts whole lines at ``offset``, the start of a line or the end of the file."""
    dockerfile = project.dockerfile
    data = dockerfile.data
    newline = dockerfile.newline_at(max(offset - 1, 0))
    text = "\n".join(lines).encode("utf-8", "surrogateescape").replace(b"\n", newline)  # one may go over several
    if offset == len(data) and data and not data.endswith(b"\n"):
        return Edit(project.dockerfile_path, offset, offset, newline + text)
    return Edit(project.dockerfile_path, offset, offset, text + newline)
