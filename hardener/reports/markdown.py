"""The report as Markdown, for a job summary or a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.report import file_diff
from hardener.reports.model import counts, service_counts, text_of, uri_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardener.reports.model import FileReport, Image, Service


def render(files: Sequence[FileReport]) -> str:
    """Return a heading with the counts, a table of the images, and the diffs, folded."""
    lines = ["# Hardening report", "", f"{counted('image', counts(files))}, in {amount(len(files), 'file')}.", ""]
    if any(file.services for file in files):
        lines[-2:] = [f"{lines[-2]} Where they are started: {counted('answer', service_counts(files))}.", ""]
    rows = [row(file, one) for file in files for one in file.images]
    rows += [row(file, one) for file in files for one in file.services]
    rows += [
        f"| {code(uri_path(file.path))} | error | {cell(file.failure.message)} |"
        for file in files
        if file.failure is not None
    ]
    if rows:
        lines += ["| where | answer | why |", "|---|---|---|", *rows, ""]
    steps = [step for file in files for one in file.images for step in one.data_steps]
    if steps:
        lines += ["## Once, for data that are there already", ""]
        lines += [f"- {cell(step.where)}, {code(step.path)}: {code(step.command)}" for step in dict.fromkeys(steps)]
        lines.append("")
    for file in files:
        for change in file.changed:
            diff = text_of(file_diff(uri_path(change.path), change.before, change.after))
            fence = "`" * max(3, 1 + max((len(one) for one in re.findall("`+", diff)), default=0))
            name = cell(uri_path(change.path))
            lines += ["<details>", f"<summary>{name}</summary>", "", f"{fence}diff", diff.rstrip("\n"), fence, ""]
            lines += ["</details>", ""]
    return "\n".join(lines).encode("utf-8", "replace").decode()


def row(file: FileReport, one: Image | Service) -> str:
    """Return the row of an image or a service."""
    return f"| {code(f'{uri_path(file.path)}:{one.line}')} | {one.outcome} | {cell(one.message)} |"


def counted(name: str, found: Mapping[str, int]) -> str:
    """Return how many there are, and how many of them of each outcome."""
    told = ", ".join(f"{number} {outcome}" for outcome, number in found.items() if number)
    return amount(sum(found.values()), name) + (f" ({told})" if told else "")


def amount(number: int, name: str) -> str:
    """Return a number with its noun."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def cell(text: str) -> str:
    """Return text that stays text in one cell of a table: no Markdown, HTML, mention or line end of it counts."""
    flat = re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", flat)


def code(text: str) -> str:
    """Return text as code in a cell of a table."""
    flat = re.sub(r"\s+", " ", text).replace("|", "\\|")
    fence = "`" * (1 + max((len(one) for one in re.findall("`+", flat)), default=0))
    space = " " if fence != "`" else ""
    return f"{fence}{space}{flat}{space}{fence}"
