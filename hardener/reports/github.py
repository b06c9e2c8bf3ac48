"""The report as commands of a GitHub workflow, which shows them at the lines of a pull request.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.reports.model import uri_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.reports.model import FileReport

LEVELS = {"switched": "warning", "prepared": "warning", "manual": "notice"}
SERVICE_LEVELS = {"danger": "warning", "hardened": "warning", "left": "notice"}


def render(files: Sequence[FileReport]) -> str:
    """Return one command for each file that cannot be read, image or service that is not hardened, and edit."""
    lines = []
    for file in files:
        if file.failure is not None:
            lines.append(command("error", file.path, file.failure.line, "harden", file.failure.message))
        for one in file.images:
            if one.outcome in LEVELS:
                label = f" [{one.name or one.stage}]" if len(file.images) > 1 else ""
                title = f"harden{label}: {one.rule}"
                lines.append(command(LEVELS[one.outcome], file.path, one.line, title, one.problem))
        for unit in file.services:
            if unit.outcome in SERVICE_LEVELS:
                title = f"harden: {unit.rule}"
                lines.append(command(SERVICE_LEVELS[unit.outcome], file.path, unit.line, title, unit.message))
        if not file.services:  # else they say the same once more
            lines += [command("notice", one.path, one.line, f"harden: {one.rule}", one.reason) for one in file.steps]
    return "".join(line + "\n" for line in lines)


def command(level: str, path: str, line: int, title: str, message: str) -> str:
    """Return one workflow command, with what would end it or its fields escaped."""
    where = f",line={line}" if line else ""
    return f"::{level} file={field(uri_path(path))}{where},title={field(title)}::{escaped(message)}"


def escaped(text: str) -> str:
    """Return text that stays one message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def field(text: str) -> str:
    """Return text that stays one field."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")
