"""What was verified of a change, as the text tells it."""

from __future__ import annotations

from typing import NamedTuple

from hardener.bot.markdown import table


class Proof(NamedTuple):
    """What ``harden verify`` saw: rows of a table, already Markdown, and what it did not do."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missing: tuple[str, ...] = ()


STATIC = (
    "Nothing was built or started: no container engine was asked. Checked without one: every byte outside the changed "
    "lines is as it was, a second run changes nothing, and every user that is named exists. Your pipeline is the test."
)


def section(proof: Proof | None) -> str:
    """Return the section of the text."""
    title = "### What was verified?"
    if proof is None:
        return f"{title}\n\n{STATIC}"
    notes = "\n".join(f"- {line}" for line in proof.missing)
    return "\n\n".join(part for part in (title, table(proof.head, proof.rows), notes) if part)
