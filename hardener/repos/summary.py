"""What a state says, counted: the numbers that every form of the report shows."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hardener.repos.journal import Journal

KINDS = ("changed", "unchanged", "manual", "failed", "pending")
OUTCOMES = ("switched", "prepared", "already", "manual")
# What differs from image to image in reasons that are the same: file and line, paths, numbers, names in quotes.
DETAIL = re.compile(r"^\S+:\d+: |\S*[/\d]\S*")


class Summary(NamedTuple):
    """The counts of a state, and its rows as plain values that JSON takes.

    ``pulls``: how a pull request is (``open``, ``merged``, …), else what became of it (``postponed``) → repositories.
    ``teams``: team → kind → repositories; ``reasons``: reason without details → images left alone; ``bases``: base
    image without tag → outcome → images.
    """

    kinds: Counter[str]
    pulls: Counter[str]
    outcomes: Counter[str]
    teams: dict[str, Counter[str]]
    reasons: Counter[str]
    bases: dict[str, Counter[str]]
    repositories: list[dict[str, Any]]
    runs: list[dict[str, Any]]


def summary(journal: Journal) -> Summary:
    """Return the summary of a state."""
    kinds: Counter[str] = Counter()
    pulls: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    teams: defaultdict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    bases: defaultdict[str, Counter[str]] = defaultdict(Counter)
    images: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in journal.images():
        outcomes[row["outcome"]] += 1
        bases[base_name(row["base"])][row["outcome"]] += 1
        if row["outcome"] == "manual":
            reasons[DETAIL.sub("…", row["reason"].removeprefix(f"{row['path']}:{row['line']}: "))] += 1
        names = ("path", "line", "stage", "base", "outcome", "reason", "way_out")
        images[row["key"]].append({**{name: row[name] for name in names}, "migrations": json.loads(row["migrations"])})
    findings: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in journal.findings():
        known = ("path", "line", "fixer", "reason")
        findings[row["key"]].append({**{name: row[name] for name in known}, "applied": bool(row["applied"])})
    repositories = []
    for row in journal.repositories():
        kind = row["outcome"] if row["state"] == "done" else "pending"
        kinds[kind] += 1
        pulls[row["pr_state"] or row["pr_outcome"] or ""] += 1
        teams[row["team"] or row["name"].rpartition("/")[0] or "nobody named"][kind] += 1
        repositories.append(
            {
                "key": row["key"],
                "name": row["name"],
                "team": row["team"],
                "outcome": kind,
                "reason": row["reason"] or "",
                "base_commit": row["base_commit"] or "",
                "base_branch": row["base_branch"] or "",
                "commit": row["commit_id"] or "",
                "branch": row["branch"] or "",
                "patch": row["patch"] or "",
                "pull_request": row["pr_url"] or "",
                "pull_request_state": row["pr_state"] or "",
                "pull_request_outcome": row["pr_outcome"] or "",
                "pull_request_reason": row["pr_reason"] or "",
                "attempts": row["attempts"],
                "dockerfiles": row["dockerfiles"] or 0,
                "files": row["files"] or 0,
                **{outcome: row[outcome] or 0 for outcome in OUTCOMES},
                "fetch_seconds": row["fetch_seconds"] or 0.0,
                "harden_seconds": row["harden_seconds"] or 0.0,
                "peak_megabytes": row["peak_megabytes"] or 0.0,
                "finished": row["finished"],
                "errors": json.loads(row["errors"] or "[]"),
                "notes": json.loads(row["notes"] or "[]"),
                "images": images.get(row["key"], []),
                "findings": findings.get(row["key"], []),
            }
        )
    runs = [{**dict(row), "options": json.loads(row["options"])} for row in journal.runs()]
    del pulls[""]
    return Summary(kinds, pulls, outcomes, dict(teams), reasons, dict(bases), repositories, runs)


def base_name(base: str) -> str:
    """Return a base image without tag and digest: ``python`` of ``python:3.12-slim``."""
    name = base.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
