"""`harden rules`: the fixers and the reasons against a switch, one line each."""

from __future__ import annotations

import click

from hardener.terminal import show_text


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def command() -> None:
    """List the fixers and the reasons against a switch.

    The names are those of `--select`, `# harden: ignore=` (fixers), `harden explain` and the reports.
    """
    from hardener.reports.rules import rules  # noqa: PLC0415

    formatter = click.HelpFormatter(width=min(click.formatting.FORCED_WIDTH or 110, 110))
    sections = (
        ("fixer", "Fixers, in order"),
        ("service", "Where images are started"),
        ("danger", "Told, and never changed"),
        ("reason", "Reasons against a switch, in order"),
    )
    for kind, title in sections:
        with formatter.section(title):
            formatter.write_dl([(one.name, one.what) for one in rules().values() if one.kind == kind])
    show_text(formatter.getvalue())
