"""`harden explain NAME`: what a fixer or a reason against a switch means."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from hardener.terminal import show_text

if TYPE_CHECKING:
    from hardener.reports.rules import Rule


def names(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that a word begins, for shell completion."""
    from hardener.reports.rules import rules  # noqa: PLC0415

    return [name for name in rules() if name.startswith(incomplete.replace("-", "_"))]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("name", metavar="FIXER|REASON", shell_complete=names)
def command(name: str) -> None:
    """Explain a fixer or a reason against a switch.

    `harden rules` lists them; reports name them for every finding.
    """
    from hardener.reports.rules import rules  # noqa: PLC0415

    known = rules()
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("harden/")
    if wanted not in known:
        near = get_close_matches(wanted, known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`harden rules` lists them"
        raise click.UsageError(f"there is no fixer or reason {name!r}; {hint}")
    show_text(explained(known[wanted]))


def explained(rule: Rule) -> str:
    """Return the text for one rule, wrapped at 110 columns."""
    if rule.kind == "fixer":
        option = rule.name.replace("_", "-")
        way_out = f"--ignore {option}, or a comment `# harden: ignore={option}` above the line or at the top."
    elif rule.kind == "service":
        way_out = f"--ignore {rule.name}, or a comment `# harden: ignore={rule.name}` above the service."
    elif rule.kind in ("reason", "danger"):
        way_out = "The line that names it in the output of harden says what to do, in brackets."
    else:
        way_out = "A comment `# harden: ignore` at the top keeps root, and says so to others."
    formatter = click.HelpFormatter(width=110)
    formatter.write(f"{rule.name} ({rule.kind})\n")
    parts = (
        ("What", rule.what),
        ("Why", rule.why[:1].upper() + rule.why[1:]),
        ("Safety", rule.safety[:1].upper() + rule.safety[1:]),
        ("Source", rule.references),
        ("Way out", way_out),
    )
    with formatter.indentation():
        formatter.write_dl([(title, text) for title, text in parts if text])
    return formatter.getvalue()
