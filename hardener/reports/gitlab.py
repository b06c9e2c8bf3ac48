"""The report in GitLab's code quality format, for `artifacts: reports: codequality`.

Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener.reports.model import as_json, fingerprint, uri_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.reports.model import FileReport

SEVERITIES = {"switched": "major", "prepared": "major", "manual": "minor"}
SERVICE_SEVERITIES = {"danger": "major", "hardened": "minor", "left": "info"}


def render(files: Sequence[FileReport]) -> str:
    """Return one issue for each image or service that is not hardened, and each file that cannot be read.

    What the fixers would do is part of that: a fingerprint for each edit would come and go with every line.
    """
    issues = []
    for file in files:
        if file.failure is not None:
            issues.append(issue(file.path, file.failure.line, "unreadable", file.failure.message, "critical", image=""))
        for one in file.images:
            if one.outcome in SEVERITIES:
                severity = SEVERITIES[one.outcome]
                issues.append(issue(file.path, one.line, one.rule, one.problem, severity, image=str(one.stage)))
        for unit in file.services:
            if unit.outcome in SERVICE_SEVERITIES:
                about = f"{unit.name}\0{unit.text}" if unit.outcome == "danger" else unit.name
                severity = SERVICE_SEVERITIES[unit.outcome]
                issues.append(issue(file.path, unit.line, unit.rule, unit.message, severity, image=about))
    return as_json(issues)


def issue(path: str, line: int, rule: str, text: str, severity: str, *, image: str) -> dict[str, Any]:
    """Return one issue; its fingerprint stays the same where only lines move."""
    return {
        "description": text,
        "check_name": f"harden/{rule}",
        "fingerprint": fingerprint(uri_path(path), rule, image),
        "severity": severity,
        "location": {"path": uri_path(path), "lines": {"begin": max(line, 1)}},
    }
