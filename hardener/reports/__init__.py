"""Reports for people and machines: each format is a pure function from what was found to text."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.reports.model import FileReport

# `--format NAME`: the module that writes it.  Imported when it is asked for.
FORMATS = {
    "json": "hardener.reports.as_json",
    "sarif": "hardener.reports.sarif",
    "github": "hardener.reports.github",
    "gitlab": "hardener.reports.gitlab",
    "markdown": "hardener.reports.markdown",
    "html": "hardener.reports.as_html",
}


def render(name: str, files: Sequence[FileReport]) -> str:
    """Return the report of that format, ending in a line end."""
    text: str = import_module(FORMATS[name]).render(files)
    return text
