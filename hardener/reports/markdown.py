"""The report as Markdown, for a job summary or a comment."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hardener.markdown import block, code, counted, folded, plain, table
from hardener.report import file_diff
from hardener.reports.model import counts, service_counts, text_of, uri_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardener.reports.model import FileReport, Image, Service


def render(files: Sequence[FileReport]) -> str:
    """Return a heading with the counts, a table of the images, and the diffs, folded."""
    lines = ["# Hardening report", "", f"{counted_by('image', counts(files))}, in {counted(len(files), 'file')}.", ""]
    if any(file.services for file in files):
        lines[-2:] = [f"{lines[-2]} Where they are started: {counted_by('answer', service_counts(files))}.", ""]
    rows = [row(file, one) for file in files for one in file.images]
    rows += [row(file, one) for file in files for one in file.services]
    rows += [
        (code(uri_path(file.path)), "error", plain(file.failure.message)) for file in files if file.failure is not None
    ]
    if rows:
        lines += [table(("where", "answer", "why"), rows), ""]
    steps = [step for file in files for one in file.images for step in one.data_steps]
    if steps:
        lines += ["## Once, for data that are there already", ""]
        lines += [f"- {plain(step.where)}, {code(step.path)}: {code(step.command)}" for step in dict.fromkeys(steps)]
        lines.append("")
    for file in files:
        for change in file.changed:
            diff = text_of(file_diff(uri_path(change.path), change.before, change.after))
            lines += [folded(escape(uri_path(change.path)), block(diff, "diff")), ""]
    return "\n".join(lines).encode("utf-8", "replace").decode()


def row(file: FileReport, one: Image | Service) -> tuple[str, str, str]:
    """Return the cells of an image or a service."""
    return code(f"{uri_path(file.path)}:{one.line}"), one.outcome, plain(one.message)


def counted_by(name: str, found: Mapping[str, int]) -> str:
    """Return how many there are, and how many of them of each outcome."""
    told = ", ".join(f"{number} {outcome}" for outcome, number in found.items() if number)
    return counted(sum(found.values()), name) + (f" ({told})" if told else "")
