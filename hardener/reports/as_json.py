"""The report as JSON, in the form of docs/schema/report-1.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener import __version__
from hardener.report import file_diff, line_counts
from hardener.reports.model import as_json, counts, service_counts, text_of, uri_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.reports.model import Changed, FileReport, Image, Step

# Grows by its second number where keys are added; a reader of 1.0 can read every 1.x.
SCHEMA_VERSION = "1.0"


def render(files: Sequence[FileReport]) -> str:
    """Return the report; its ``version`` is that of the schema."""
    document = {
        "version": SCHEMA_VERSION,
        "tool": {"name": "harden", "version": __version__},
        "summary": {
            "files": len(files),
            "changed": sum(bool(one.changed) for one in files),
            "failed": sum(one.failure is not None for one in files),
            "images": counts(files),
            "services": service_counts(files),
        },
        "files": [entry(one) for one in files],
    }
    return as_json(document)


def entry(file: FileReport) -> dict[str, Any]:
    """Return one file."""
    failure = file.failure
    return {
        "path": uri_path(file.path),
        "error": None if failure is None else {"line": failure.line or None, "message": failure.message},
        "images": [image(one) for one in file.images],
        "services": [one._asdict() for one in file.services],
        "steps": [step(one) for one in file.steps],
        "changes": [change(one) for one in file.changed],
    }


def image(one: Image) -> dict[str, Any]:
    """Return one image."""
    steps = [step._asdict() for step in one.data_steps]
    return {**one._asdict(), "name": one.name or None, "user": one.user or None, "data_steps": steps}


def step(one: Step) -> dict[str, Any]:
    """Return one step."""
    places = [{**place._asdict(), "path": uri_path(place.path)} for place in one.places]
    return {**one._asdict(), "path": uri_path(one.path), "places": places}


def change(one: Changed) -> dict[str, Any]:
    """Return one changed file with its diff, which `git apply` takes where the file is UTF-8."""
    diff = file_diff(uri_path(one.path), one.before, one.after)
    added, removed = line_counts(diff)
    return {"path": uri_path(one.path), "added": added, "removed": removed, "diff": text_of(diff)}
