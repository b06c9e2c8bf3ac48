"""``harden repos status`` and ``harden repos report``: what a state file says.  They write the report only."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener import terminal
from hardener.repos.journal import JournalError
from hardener.repos.journal import reading as opened
from hardener.repos.options import STATE
from hardener.repos.progress import duration
from hardener.repos.report import ENDINGS, FORMS, pull_of
from hardener.repos.scraps import prefix
from hardener.repos.summary import KINDS, OUTCOMES, summary

if TYPE_CHECKING:
    from hardener.repos.summary import Summary

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
MOST_LINES = 20


@click.command(context_settings=SETTINGS)
@click.argument("state", default=STATE, metavar="[STATE]")
@click.option("--all", "everything", is_flag=True, help="Show every repository, not only those that need a person.")
def status(state: str, *, everything: bool) -> None:
    """Show how far a run is, what became of its repositories, and which ones failed."""
    found = read(state)
    total = sum(found.kinds.values())
    last = found.runs[-1] if found.runs else None
    if last is not None:
        ended = last["finished"]
        how = f"stopped ({last['stopped']})" if last["stopped"] else "finished" if ended else "running, or killed"
        begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(last["started"]))
        took = f" after {duration(ended - last['started'])}" if ended else ""
        click.echo(f"run {len(found.runs)}, begun {begun}: {how}{took}")
    click.echo(f"{total} repositories: " + ", ".join(f"{found.kinds[one]} {one}" for one in KINDS if found.kinds[one]))
    if found.outcomes:
        images = ", ".join(f"{found.outcomes[one]} {one}" for one in OUTCOMES if found.outcomes[one])
        click.echo(f"{sum(found.outcomes.values())} images: {images}")
    if found.pulls:
        click.echo("pull requests: " + ", ".join(f"{number} {name}" for name, number in found.pulls.most_common()))
    rows = [one for one in found.repositories if everything or one["outcome"] == "failed"]
    for one in rows if everything else rows[:MOST_LINES]:
        pull = f" [{pull_of(one)}]" if pull_of(one) else ""
        click.echo(printable(f"{one['outcome'] + ':':10} {one['key']}: {one['reason']}{pull}"))
    if not everything and len(rows) > MOST_LINES:
        click.echo(f"... and {len(rows) - MOST_LINES} more; --all shows them")


@click.command(context_settings=SETTINGS)
@click.argument("state", default=STATE, metavar="[STATE]")
@click.option("--format", "form", type=click.Choice(sorted(FORMS)), help="Its form.  [default: by --output, markdown]")
@click.option("--output", "-o", metavar="FILE", help="Where to write it.  [default: standard output]")
def report(state: str, form: str | None, output: str | None) -> None:
    """Write what became of every repository: Markdown, JSON, CSV, or one searchable HTML page with plots."""
    found = read(state)
    try:
        write(found, form_of(form, output), output)
    except JournalError as error:
        terminal.say(f"error: {error}")
        sys.exit(2)


def read(state: str) -> Summary:
    """Return the summary of a state file; one line and exit code 2 where there is none."""
    try:
        with opened(Path(state)) as journal:
            return summary(journal)
    except JournalError as error:
        terminal.say(f"error: {error}")
        sys.exit(2)


def form_of(form: str | None, output: str | None) -> str:
    """Return the form of a report: the one that was asked for, else by the ending of its file."""
    return form or ENDINGS.get(Path(output or "").suffix.lower(), "markdown")


def write(found: Summary, form: str, output: str | None) -> None:
    """Write a report to a file, in one step, or to standard output; raises ``JournalError``."""
    data = FORMS[form](found).encode("utf-8", "backslashreplace")
    if output is None or output == "-":
        terminal.output(data)
        return
    target = Path(output)
    temporary = target.with_name(f".{prefix()}{target.name}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise JournalError(f"{output}: cannot be written: {error.strerror}") from error


def printable(line: str) -> str:
    """Return a line with what could steer a terminal made visible."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
