"""The part of a pull request's text that is the bot's, between two comments that nobody sees.

What people write outside it stays, whatever the bot writes again.  The opening comment carries what the next run has to
know, so that the bot needs no memory of its own: https://docs.renovatebot.com/key-concepts/pull-requests/ has the idea.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN = re.compile(r"<!-- harden:v1((?: [a-z]+=[\w.:/-]*)*) -->")
END = "<!-- harden:v1 end -->"
REBUILD = "<!-- harden:rebuild -->"
TICKED = re.compile(rf"^\s*[-*] \[[xX]\] {REBUILD}", re.MULTILINE)


def begin(fields: Mapping[str, str]) -> str:
    """Return the opening comment with its fields; empty ones are left out."""
    return f"<!-- harden:v1{''.join(f' {name}={value}' for name, value in fields.items() if value)} -->"


def wrapped(text: str, fields: Mapping[str, str]) -> str:
    """Return the bot's part of a body."""
    return f"{begin(fields)}\n{text.strip()}\n{END}"


def fields_of(body: str) -> dict[str, str] | None:
    """Return the fields of a body's opening comment, ``None`` where it has none: somebody took it out."""
    found = BEGIN.search(body)
    if found is None:
        return None
    return dict(one.split("=", 1) for one in found[1].split())


def with_fields(body: str, **fields: str) -> str:
    """Return a body with some fields of its opening comment changed; ``""`` takes one out."""
    known = fields_of(body)
    if known is None:
        return body
    return BEGIN.sub(begin({**known, **fields}).replace("\\", r"\\"), body, count=1)


def replaced(body: str, part: str) -> str:
    """Return ``body`` with the bot's part replaced by ``part``; as it is where it has no such part any more."""
    body = body.replace("\r\n", "\n")
    found = BEGIN.search(body)
    if found is None:
        return body
    rest = body[found.end() :]
    _, end, tail = rest.partition(END)
    return body[: found.start()] + part + (tail if end else "")


def wants_rebuild(body: str) -> bool:
    """Whether somebody ticked the box that has the branch built anew."""
    return TICKED.search(body) is not None


def note(key: str) -> str:
    """Return the marker of a comment, by which it is written once."""
    return f"<!-- harden:v1 note={key} -->"
