"""`harden explain`: what a fixer, a reason or one line of a file means, by an example and with who says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hardener.reports.model import FileReport


def names(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names that a word begins, for shell completion."""
    from hardener.reports.rules import rules  # noqa: PLC0415

    return [name for name in rules() if name.startswith(incomplete.replace("-", "_"))]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("about", metavar="FIXER|FINDING|PATH[:LINE]", shell_complete=names)
def command(about: str) -> None:
    """Explain a fixer, a finding, or what harden does and says at a line of a file.

    FIXER and FINDING are the names that reports have and `harden rules` lists; a program, a capability or an option
    that reports name (sshd, SYS_ADMIN, privileged) is explained too.
    """
    from hardener.reports import explanation, sources  # noqa: PLC0415
    from hardener.reports.rules import rules  # noqa: PLC0415
    from hardener.terminal import show_text  # noqa: PLC0415

    known = rules()
    wanted = about.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("harden/")
    path, line = place(about)
    if wanted in known:
        show_text(explanation.of_rule(known[wanted]))
    elif path.exists():
        show_text(of_file(path, line))
    elif found := sources.named(about.strip()):
        show_text(explanation.of_facts(about.strip(), found))
    else:
        raise click.UsageError(unknown(about, wanted, tuple(known)))


def place(about: str) -> tuple[Path, int | None]:
    """Return the path and the line of ``PATH``, ``PATH:LINE``, or either with what follows it in harden's output."""
    head, _, tail = about.rstrip(":").rpartition(":")
    if head and tail.isdecimal() and not Path(about).exists():
        return Path(head), int(tail)
    return Path(about), None


def of_file(path: Path, line: int | None) -> str:
    """Return what harden does and says at a line of a file (1-based), or anywhere in it."""
    from hardener.bulk import harden_paths  # noqa: PLC0415
    from hardener.reports import explanation  # noqa: PLC0415
    from hardener.reports.model import file_report  # noqa: PLC0415

    if path.is_dir():
        raise click.UsageError(f"{path} is a folder; name a file, or `harden {path} --verbose` for all of them")
    files: list[FileReport] = [file_report(one) for one in harden_paths([path])]
    for one in files:
        if one.failure is not None:
            raise click.UsageError(str(one.failure))
    found = explanation.entries(files[0])
    there = [one for one in found if line is None or one.line == line]
    if not there:
        lines = ", ".join(str(number) for number in sorted({one.line for one in found})) or "no line"
        raise click.UsageError(f"harden has nothing to say about {path}:{line}; it has about {lines}")
    return explanation.of_entries(files[0], there)


def unknown(about: str, wanted: str, known: tuple[str, ...]) -> str:
    """Return the message for what is neither a rule nor a file."""
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(wanted, known, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`harden rules` lists the names"
    return f"there is no fixer, finding or file {about!r}; {hint}"
