"""`harden checklist PATH`: the guide's questions, answered for every image, service and workload of a project."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hardener.checklist.answer import Answer


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@click.option("-a", "--all", "everything", is_flag=True, help="In the table, also what is answered well.")
def command(path: Path, form: str, *, everything: bool) -> None:
    """Answer the checklist for a project as it stands: root, ports, capabilities, read-only, privileges, scan.

    Exit codes: 0 everything is answered well, 1 something is open or not known, 2 a file could not be read.
    """
    from hardener import terminal  # noqa: PLC0415
    from hardener.checklist import project  # noqa: PLC0415
    from hardener.checklist.answer import OK  # noqa: PLC0415
    from hardener.project import project_root  # noqa: PLC0415

    absolute = path.absolute()
    answers, failures = project.answers(path, project_root(absolute if path.is_dir() else absolute.parent))
    answers = [one._replace(way_out=one.way_out.replace("harden PATH", f"harden {path}")) for one in answers]
    for failure in failures:
        terminal.say(f"error: {failure}")
    if form == "json":
        rows = [{**one._asdict(), "where": one.where} for one in answers]
        click.echo(json.dumps({"answers": rows, "open": sum(one.state != OK for one in answers)}, indent=2))
    else:
        click.echo("\n".join(table(answers, everything=everything)))
    is_open = any(one.state != OK for one in answers)
    sys.exit(2 if failures else int(is_open))


def table(answers: list[Answer], *, everything: bool) -> list[str]:
    """Return the answers as lines: a heading for each subject, a row for each question."""
    from hardener.checklist.answer import OK, QUESTIONS  # noqa: PLC0415

    width = max(shutil.get_terminal_size((110, 24)).columns, 60)
    label = max(map(len, QUESTIONS))
    lines: list[str] = []
    subject = ""
    for one in answers:
        heading = one.subject if one.subject == "project" else f"{one.subject} ({one.file})"
        if heading != subject:
            lines += ["", heading]
            subject = heading
        if one.state == OK and not everything:
            continue
        begin = f"  {one.state:7}  {one.question:{label}}  "
        text = f"{one.where}: {one.text}" + (f" -> {one.way_out}" if one.way_out else "")
        lines += textwrap.wrap(text, width, initial_indent=begin, subsequent_indent=" " * len(begin)) or [begin]
    good = sum(one.state == OK for one in answers)
    return [*lines, "", f"{good} of {len(answers)} answers are good, {len(answers) - good} are open."]
