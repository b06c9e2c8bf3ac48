"""`harden rules`: the fixers and the reasons against a switch, as a table or as JSON."""

from __future__ import annotations

import sys

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
def command(form: str) -> None:
    """List the fixers and the reasons against a switch.

    The names are those of `--select`, `# harden: ignore=` (fixers), `harden explain` and the reports.  JSON has all
    that `harden explain` tells, without the examples.
    """
    from hardener.terminal import show_text  # noqa: PLC0415

    show_text(as_json() if form == "json" else as_table())


def as_json() -> str:
    """Return every rule with its fields."""
    import json  # noqa: PLC0415

    from hardener.reports.rules import rules  # noqa: PLC0415

    return json.dumps({"rules": [one._asdict() for one in rules().values()]}, indent=2, ensure_ascii=False) + "\n"


def as_table() -> str:
    """Return one row for each rule, by kinds, no wider than the terminal."""
    from hardener.reports.rules import rules  # noqa: PLC0415
    from hardener.terminal import width  # noqa: PLC0415

    sections = (
        ("image", "What is found"),
        ("fixer", "Fixers, in order"),
        ("service", "Where images are started"),
        ("danger", "Told, and never changed"),
        ("reason", "Reasons against a switch, in order"),
    )
    formatter = click.HelpFormatter(width=min(width(sys.stdout), 110))
    for kind, title in sections:
        with formatter.section(title):
            formatter.write_dl([(one.name, one.what) for one in rules().values() if one.kind == kind])
    return formatter.getvalue()
