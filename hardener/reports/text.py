"""The report as the lines that people read: one for each image and service, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.reports.model import FileReport


def lines(files: Sequence[FileReport]) -> Iterator[str]:
    """Yield one line for each image, service and edit."""
    for file in files:
        for one in file.images:
            yield f"{file.path}:{one.line}:{f' [{one.name}]' if one.name else ''} {one.outcome}: {one.message}"
        for unit in file.services:
            yield f"{file.path}:{unit.line}: {unit.outcome}: {unit.message}"
        for step in file.steps:
            if step.is_edit and not file.services:  # else they say the same once more
                yield f"{step.path}:{step.line}: {step.rule}: {step.reason}"
