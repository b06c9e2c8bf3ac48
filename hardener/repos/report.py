"""A state as a report: Markdown, JSON, CSV, or one HTML page."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

from hardener import __version__
from hardener.repos.summary import KINDS, OUTCOMES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from hardener.repos.summary import Summary

FORMAT = 1
MOST_ROWS = 30
COLUMNS = (
    "key", "name", "team", "outcome", "reason", "base_commit", "base_branch", "commit", "branch", "patch",
    "pull_request", "pull_request_state", "pull_request_outcome", "pull_request_reason",
    "attempts", "dockerfiles", "files", *OUTCOMES, "fetch_seconds",
    "harden_seconds", "peak_megabytes",
)  # fmt: skip


def markdown(found: Summary) -> str:
    """Return the report as Markdown: counts by outcome, team, reason and base image, then what a person has to do."""
    total = sum(found.kinds.values())
    lines = ["# Containers as a non-root user", "", f"{total} repositories, {sum(found.outcomes.values())} images.", ""]
    lines += table(("outcome", "repositories"), ((kind, found.kinds[kind]) for kind in KINDS if found.kinds[kind]))
    lines += table(("images", "count"), ((name, found.outcomes[name]) for name in OUTCOMES if found.outcomes[name]))
    if found.pulls:
        lines += table(("pull requests", "count"), found.pulls.most_common())
    lines += ["## By team", "", *by(found.teams, "team", KINDS)]
    lines += ["## By base image", "", *by(found.bases, "base image", OUTCOMES)]
    if found.reasons:
        lines += ["## Why images were left alone", ""]
        lines += table(("reason", "images"), found.reasons.most_common(MOST_ROWS))
    for kind, title in (("failed", "Failed"), ("manual", "For a person to look at"), ("changed", "Changed")):
        rows = [one for one in found.repositories if one["outcome"] == kind]
        if rows:
            lines += [f"## {title}", ""]
            with_pulls = ("pull request",) if any(map(pull_of, rows)) else ()
            head = ("repository", "team", "what", *with_pulls)
            lines += table(head, ((one["key"], one["team"], one["reason"], pull_of(one))[: len(head)] for one in rows))
    return "\n".join(lines)


def by(groups: dict[str, Counter[str]], title: str, names: tuple[str, ...]) -> list[str]:
    """Return a table with a row for each group, the largest first, and a column for each name that is there."""
    there = [name for name in names if any(group[name] for group in groups.values())]
    ordered = sorted(groups.items(), key=lambda one: (-sum(one[1].values()), one[0]))
    shown = [(name, *(group[column] for column in there)) for name, group in ordered[:MOST_ROWS]]
    rest = ordered[MOST_ROWS:]
    if rest:
        shown.append((f"{len(rest)} more", *(sum(group[column] for _, group in rest) for column in there)))
    return table((title, *there), shown)


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Return a Markdown table and an empty line."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(cell(one) for one in row)} |" for row in rows), ""]


def pull_of(one: dict[str, Any]) -> str:
    """Return a repository's pull request in a few words: how it is and where, else why there is none."""
    if one["pull_request"]:
        return f"{one['pull_request_state'] or one['pull_request_outcome']}: {one['pull_request']}"
    return ": ".join(text for text in (one["pull_request_outcome"], one["pull_request_reason"]) if text)


def cell(value: object) -> str:
    """Return a value as the text of a cell: nothing in it is Markdown, HTML or a line end."""
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(value))
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", text)


def as_json(found: Summary) -> str:
    """Return everything as JSON; its form is described in docs/bulk.md."""
    document = {
        "format": FORMAT,
        "version": __version__,
        "repositories": found.repositories,
        "counts": {"repositories": found.kinds, "pull_requests": found.pulls, "images": found.outcomes,
                   "reasons": found.reasons, "teams": found.teams, "bases": found.bases},
        "runs": found.runs,
    }  # fmt: skip
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def as_csv(found: Summary) -> str:
    """Return a line for each repository as CSV (RFC 4180); no cell begins as a formula of a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in found.repositories:
        writer.writerow([no_formula(one[name]) for name in COLUMNS])
    return text.getvalue()


def no_formula(value: object) -> object:
    """Return a value of a cell, a text that a spreadsheet would compute with ' before it (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def html(found: Summary) -> str:
    """Return the report as one HTML page."""
    from hardener.repos.page import page  # noqa: PLC0415  only where it is asked for

    return page(found)


FORMS: dict[str, Callable[[Summary], str]] = {"markdown": markdown, "json": as_json, "csv": as_csv, "html": html}
ENDINGS = {".md": "markdown", ".json": "json", ".csv": "csv", ".html": "html", ".htm": "html"}
