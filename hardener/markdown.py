"""Text for GitHub-flavoured Markdown, with nothing in it that a repository could smuggle into a page.

https://github.github.com/gfm/ ; a table cell needs its bars escaped even in code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\`*_\[\]<>~|]|&(?=#?\w+;))")
# Somebody's name in a reason must not call that person, nor a number link to an issue.
CALLS = re.compile(r"([@#])(?=\w)")
BETWEEN = "<!-- -->"


def plain(text: str, limit: int = 0) -> str:
    """Return text to be read as it is, on one line; cut after ``limit`` characters where that is given."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    if limit and len(line) > limit:
        line = f"{line[: limit - 1].rstrip()}…"
    return CALLS.sub(rf"\1{BETWEEN}", SPECIAL.sub(r"\\\1", line))


def code(text: str) -> str:
    """Return text as code, for a table cell too."""
    line = "".join(one if one.isprintable() else "?" for one in text)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def linked(text: str, address: str) -> str:
    """Return a link with Markdown ``text``."""
    return f"[{text}]({address.replace('(', '%28').replace(')', '%29')})" if address else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def block(text: str, language: str = "") -> str:
    """Return a block of code."""
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def folded(summary: str, content: str) -> str:
    """Return content that a reader opens, below a ``summary`` of HTML; the empty lines let Markdown be Markdown."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content.strip()}\n\n</details>"


def counted(number: int, thing: str) -> str:
    """Return ``1 image``, ``2 images``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
