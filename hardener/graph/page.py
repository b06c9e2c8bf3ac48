"""The body of the page of pictures: each picture, and the same as a table, which can be read aloud and searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.graph.svg import text
from hardener.reports.page import badge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardener.graph.model import Box, Picture


def body(pictures: Sequence[Picture], draw: Callable[[Sequence[Picture]], str]) -> str:
    """Return the pictures and their tables as HTML."""
    return (
        f'<div class="picture" tabindex="0" role="region" aria-label="Picture">{draw(pictures)}</div>{tables(pictures)}'
    )


def tables(pictures: Sequence[Picture]) -> str:
    """Return what the pictures show as tables, folded."""
    head = "<thead><tr><th>what</th><th>about</th><th>before</th><th>after</th></tr></thead>"
    parts = []
    for one in pictures:
        rows = "".join(map(rows_of, one.boxes))
        parts.append(f"<h2>{text(one.title)}</h2><table>{head}<tbody>{rows}</tbody></table>")
    return f'<details class="tables"><summary>The same as a table</summary>{"".join(parts)}</details>'


def rows_of(box: Box) -> str:
    """Return the rows of one box."""
    label = f"{badge(box.outcome)} " if box.outcome else ""
    first = f"<td>{label}{text(box.title)} <small>{text(box.subtitle)}</small></td>"
    rows = [(one.label, one.before, one.after) for one in box.rows] + [("note", note, note) for note in box.notes]
    cells = (
        f"<td>{text(name)}</td>"
        + (f"<td>{text(old)}</td><td><b>{text(new)}</b></td>" if old != new else f'<td colspan="2">{text(old)}</td>')
        for name, old, new in rows or [("", "", "")]
    )
    return "".join(f"<tr>{first if number == 0 else '<td></td>'}{cell}</tr>" for number, cell in enumerate(cells))
