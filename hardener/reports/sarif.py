"""The report as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), with the change as a fix.

One result for each image, and one for each edit that tells why; the fix belongs to the image, since its edits only
work together.
"""

from __future__ import annotations

import base64
import difflib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hardener import __version__
from hardener.report import lines_of
from hardener.reports.model import as_json, fingerprint, uri_path
from hardener.reports.rules import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.reports.model import Changed, FileReport, Image, Service, Step
    from hardener.reports.rules import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
HOME = "https://github.com/hardener/hardener"
# From 4.0 medium, from 7.0 high, as GitHub shows them.
SEVERITIES = {"image": "6.0", "service": "4.0", "danger": "7.0"}
# What GitHub shows as an alert: https://docs.github.com/en/code-security/code-scanning
VERDICTS = {
    "switched": ("fail", "warning"),
    "prepared": ("fail", "warning"),
    "manual": ("review", "none"),
    "already": ("pass", "none"),
}
SERVICE_VERDICTS = {
    "danger": ("fail", "warning"),
    "hardened": ("fail", "warning"),
    "left": ("review", "none"),
    "already": ("pass", "none"),
}


def render(files: Sequence[FileReport]) -> str:
    """Return one run of the tool with all its files."""
    known = rules()
    index = {name: position for position, name in enumerate(known)}
    found = [one for file in files for one in results(file)]
    run = {
        "tool": {
            "driver": {
                "name": "harden",
                "informationUri": HOME,
                "semanticVersion": __version__,
                "rules": [descriptor(one) for one in known.values()],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not any(file.failure for file in files),
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": {"text": file.failure.message},
                        "locations": [location(file.path, file.failure.line)],
                    }
                    for file in files
                    if file.failure is not None
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [{**one, "ruleIndex": index[one["ruleId"]]} for one in found],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return as_json(document)


def descriptor(rule: Rule) -> dict[str, Any]:
    """Return one rule, with what its docstring says."""
    whole = " ".join(text for text in (rule.what, rule.why, rule.safety) if text)
    parts = {"What": rule.what, "Why": rule.why, "Safety": rule.safety, "Source": rule.source}
    told: dict[str, Any] = {
        "id": rule.name,
        "name": "".join(word.capitalize() for word in rule.name.split("_")),
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": whole},
        "help": {
            "text": f"{whole} More: harden explain {rule.name}",
            "markdown": "\n\n".join(f"**{name}**: {text}" for name, text in parts.items() if text),
        },
        "defaultConfiguration": {"level": "warning" if rule.kind in ("image", "service", "danger") else "note"},
        "properties": {"kind": rule.kind, "tags": ["security", "docker"]},
    }
    if rule.kind in SEVERITIES:
        told["properties"]["security-severity"] = SEVERITIES[rule.kind]
    return told


def results(file: FileReport) -> Iterator[dict[str, Any]]:
    """Yield the results of one file: its images or services, then what the fixers did."""
    for one in file.images:
        yield image_result(file, one)
    for unit in file.services:
        yield service_result(file, unit)
    for step in file.steps:
        yield step_result(step)


def image_result(file: FileReport, one: Image) -> dict[str, Any]:
    """Return the result of one image; of one to switch with the whole change as its fix."""
    kind, level = VERDICTS[one.outcome]
    found = {
        "ruleId": one.rule,
        "kind": kind,
        "level": level,
        "message": {"text": one.problem},
        "locations": [location(file.path, one.line)],
        "partialFingerprints": {"image/v1": fingerprint(file.path, one.rule, str(one.stage))},
        "properties": {"outcome": one.outcome, "stage": one.name or str(one.stage)},
    }
    if one.is_root and file.changed:
        found["fixes"] = [fix(file, "Run the image as another user.")]
    return found


def service_result(file: FileReport, one: Service) -> dict[str, Any]:
    """Return the result of one service; of one to harden with the change of its file as its fix."""
    kind, level = SERVICE_VERDICTS[one.outcome]
    known = (file.path, one.rule, one.name, *([one.text] if one.outcome == "danger" else []))
    found = {
        "ruleId": one.rule,
        "kind": kind,
        "level": level,
        "message": {"text": one.message},
        "locations": [location(file.path, one.line)],
        "partialFingerprints": {"service/v1": fingerprint(*known)},
        "properties": {"outcome": one.outcome, "service": one.name},
    }
    if one.outcome == "hardened" and file.changed:
        found["fixes"] = [fix(file, "Write the run-time options of every service of this file.")]
    return found


def fix(file: FileReport, text: str) -> dict[str, Any]:
    """Return the whole change of a file and of those that change with it."""
    return {"description": {"text": text}, "artifactChanges": [artifact_change(one) for one in file.changed]}


def step_result(step: Step) -> dict[str, Any]:
    """Return what one fixer did or left, as information."""
    return {
        "ruleId": step.rule,
        "kind": "informational" if step.is_edit else "review",
        "level": "none",
        "message": {"text": step.reason},
        "locations": [location(step.path, step.line)],
        "partialFingerprints": {"step/v1": fingerprint(step.path, step.rule, step.reason)},
    }


def location(path: str, line: int) -> dict[str, Any]:
    """Return a place; ``line`` is 1-based, 0 for the file as such."""
    place: dict[str, Any] = {"artifactLocation": {"uri": uri(path)}}
    if line:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def uri(path: str) -> str:
    """Return a path as a URI: relative where the path is."""
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(uri_path(path), errors="surrogateescape")


def artifact_change(change: Changed) -> dict[str, Any]:
    """Return the change of one file as replacements of lines, each by text and by bytes."""
    return {"artifactLocation": {"uri": uri(change.path)}, "replacements": list(replacements(change))}


def replacements(change: Changed) -> Iterator[dict[str, Any]]:
    """Yield the replacements of one file, first to last; they do not overlap, and all refer to the file as it was."""
    old, new = lines_of(change.before), lines_of(change.after)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line.encode("utf-8", "surrogateescape")))
    for tag, first, last, begin, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        text = "".join(new[begin:end])
        region = {
            **text_region(old, first, last),
            "byteOffset": starts[first],
            "byteLength": starts[last] - starts[first],
        }
        replacement: dict[str, Any] = {"deletedRegion": region}
        if text:
            replacement["insertedContent"] = content(text)
        yield replacement


def text_region(lines: list[str], first: int, last: int) -> dict[str, int]:
    """Return the lines ``[first, last)``, 0-based, as a region whose lines and columns count from 1."""

    def place(line: int) -> tuple[int, int]:
        if line < len(lines) or not lines or lines[-1].endswith("\n"):
            return line + 1, 1
        return len(lines), len(lines[-1]) + 1

    (start_line, start_column), (end_line, end_column) = place(first), place(last)
    return {"startLine": start_line, "startColumn": start_column, "endLine": end_line, "endColumn": end_column}


def content(text: str) -> dict[str, str]:
    """Return text as SARIF has it; as bytes in base64 where it is not UTF-8."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"binary": base64.b64encode(data).decode("ascii")}
