"""The text of an explanation: what and why, an example that was hardened just now, safety, source, way out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from hardener.report import file_diff
from hardener.reports import sources
from hardener.reports.examples import example
from hardener.reports.model import sentence, text_of
from hardener.reports.rules import Rule, rules
from hardener.terminal import diff_in_colours, painted, wants_colour, width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.reports.model import FileReport
    from hardener.reports.sources import Fact

WIDEST = 110


class Entry(NamedTuple):
    """One thing that is done or said at a line (1-based, before the run): by which rule, what, and what to do."""

    line: int
    rule: str
    outcome: str
    text: str
    way_out: str


def of_rule(rule: Rule, *, with_example: bool = True) -> str:
    """Return the text of a rule."""
    rows = [
        ("What", rule.what),
        ("Why", sentence(rule.why)),
        ("Safety", sentence(rule.safety)),
        ("Source", rule.source),
        ("Way out", rule.way_out),
    ]
    text = f"{heading(rule.name)} ({rule.kind})\n{table(rows)}"
    return f"{text}\n{of_example(rule)}" if with_example else text


def of_facts(word: str, found: Sequence[Fact]) -> str:
    """Return what is known of a program, a package or an option."""
    texts = []
    for fact in found:
        rows = [("Why", sentence(fact.reason)), ("Way out", sentence(fact.way_out)), ("Source", fact.source)]
        texts.append(f"{heading(word)}\n{table(rows)}")
    return "\n".join(texts)


def of_example(rule: Rule) -> str:
    """Return a small project for which the rule speaks, and what it says: the change as a diff, else the answer."""
    shown = example(rule.name)
    if rule.kind in ("fixer", "service", "image"):
        return f"{heading('Example')}\n{indented(in_colours(shown.diff))}"
    files = "".join(f"{name}:\n{indented(text)}" for name, text in shown.files.items() if not name.startswith("app."))
    answer = "".join(f"-> {line}\n" for line in shown.lines)
    return f"{heading('Example')}\n{indented(files)}{indented(answer)}"


def entries(file: FileReport) -> list[Entry]:
    """Return everything that is done or said in a file, by line."""
    found = [Entry(one.line, one.rule, one.outcome, one.reason, one.way_out) for one in file.images]
    found += [Entry(one.line, one.rule, one.outcome, f"{one.name}: {one.text}", one.left_out) for one in file.services]
    found += [
        Entry(one.line, one.rule, "edited" if one.is_edit else "left", one.reason, "")
        for one in file.steps
        if one.path == file.path
    ]
    return sorted(found, key=lambda one: one.line)


def of_entries(file: FileReport, found: Sequence[Entry]) -> str:
    """Return the text of what is done or said at some lines: each with its change, and each rule once."""
    known, texts = rules(), []
    for number, one in enumerate(found):
        rows = [("Way out", sentence(one.way_out)), ("Source", sources.behind(f"{one.text} {one.way_out}"))]
        text = f"{heading(f'{file.path}:{one.line}')}: {one.outcome}: {one.text}\n{table(rows)}"
        if one.line not in [before.line for before in found[:number]]:
            text += indented(in_colours("".join(hunks(file, one.line)).encode("utf-8", "surrogateescape")))
        texts.append(text)
    texts += [of_rule(known[name], with_example=False) for name in dict.fromkeys(one.rule for one in found)]
    return "\n".join(texts)


def hunks(file: FileReport, line: int) -> Iterator[str]:
    """Yield the parts of the file's change that contain a line (1-based, before the run)."""
    from unidiff.patch import PatchSet  # noqa: PLC0415

    for change in file.changed:
        if change.path == file.path:
            for part in PatchSet(text_of(file_diff("file", change.before, change.after, context=0))):
                for hunk in part:
                    first = hunk.source_start if hunk.source_length else hunk.source_start + 1  # put in behind a line
                    if first <= line < first + max(hunk.source_length, 1):
                        yield str(hunk)


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return titles and texts side by side, no wider than the terminal; rows without a text are left out."""
    kept = [(title, text) for title, text in rows if text]
    if not kept:
        return ""
    formatter = click.HelpFormatter(width=min(width(sys.stdout), WIDEST))
    with formatter.indentation():
        formatter.write_dl(kept)
    return formatter.getvalue()


def heading(text: str) -> str:
    """Return a heading, in bold where colours are wanted."""
    return painted(text, "bold") if wants_colour(sys.stdout) else text


def in_colours(diff: bytes) -> str:
    """Return a diff as text, with colours where they are wanted."""
    return text_of(diff_in_colours(diff) if wants_colour(sys.stdout) else diff)


def indented(text: str) -> str:
    """Return lines two columns further right."""
    return "".join(f"  {line}" if line.strip() else line for line in text.splitlines(keepends=True))
