"""The report as one page: every change side by side, and at its lines who made it and why."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from hardener.report import file_diff, line_counts
from hardener.reports.model import TO_SWITCH, counts, sentence, service_counts, text_of, uri_path
from hardener.reports.page import badge, linked, page, tiles
from hardener.reports.rules import rules
from hardener.reports.side_by_side import rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.reports.model import FileReport
    from hardener.reports.rules import Rule
    from hardener.reports.side_by_side import Half, Row

CONTEXT = 3
# Half of a way out: the command has a box of its own.
ONCE = re.compile(r"(?:; )?data written before in .*?; once: .*?(?=; |$)")
# A shorter run of lines is not worth a button.
SHORTEST_FOLD = 4
# What became of these is told by the edits at their own lines.
TOLD_BY_EDITS = (*TO_SWITCH, "hardened")
LEGEND = (
    '<p class="legend"><kbd>j</kbd> and <kbd>k</kbd> go to the next and the previous change; a name such as '
    "<code>own_copied</code> leads to what it means.</p>"
)


class Note(NamedTuple):
    """What is said at a line: the outcome (``""`` for an edit), the rule, the text, what to do."""

    outcome: str
    rule: str
    text: str
    way_out: str


def render(files: Sequence[FileReport]) -> str:
    """Return the page."""
    failed = sum(one.failure is not None for one in files)
    found = [*counts(files).items(), *service_counts(files).items()]
    totals = {name: sum(number for other, number in found if other == name) for name, _ in found}
    parts = [tiles({**totals, "failed": failed}), LEGEND]
    if len(files) > 1:
        links = "".join(f'<a href="#f{number}">{text(one.path)}</a>' for number, one in enumerate(files))
        parts.append(f'<nav class="files" aria-label="Files">{links}</nav>')
    parts += [section(number, one) for number, one in enumerate(files)]
    named = {rule for file in files for rule in rules_of(file)}
    explained = "".join(card(rule) for name, rule in rules().items() if name in named)
    parts.append(f'<h2 id="rules">What the names mean</h2><div class="rules">{explained}</div>' if explained else "")
    changed = sum(bool(one.changed) for one in files)
    what = f"{changed} of {len(files)} files change" if len(files) > 1 else uri_path(files[0].path) if files else ""
    return page("Hardening, side by side", what, "\n".join(parts), ("diff",))


def rules_of(file: FileReport) -> set[str]:
    """Return the names of the rules that speak in a file."""
    return {*(one.rule for one in file.images), *(one.rule for one in file.services), *(one.rule for one in file.steps)}


def section(number: int, file: FileReport) -> str:
    """Return one file: what became of its images or services, what is to be done once, and its change."""
    name = f"f{number}"
    changes = {change.path: (change.before, change.after) for change in file.changed}
    if file.failure is None and file.path not in changes and (file.images or file.services):
        changes = {file.path: (file.source, file.source), **changes}
    diff = b"".join(file_diff("file", *pair) for pair in changes.values())
    added, removed = line_counts(diff)
    count = f"+{added} \u2212{removed}" if diff else "no change"
    answers = "".join(answer(name, one) for one in placed(file))
    if file.failure is not None:
        answers = f"<li>{badge('failed')} {text(str(file.failure))}</li>"
        count = ""
    parts = [f'<header><h2>{text(uri_path(file.path))}</h2><span class="count">{count}</span></header>']
    parts.append(f'<ul class="answers">{answers}</ul>' if answers else "")
    commands = dict.fromkeys((one.where, one.path, one.command) for image in file.images for one in image.data_steps)
    if commands:
        lines = "".join(f"<code>{text(command)}</code>" for _, _, command in commands)
        paths = ", ".join(dict.fromkeys(path for _, path, _ in commands))
        parts.append(f'<div class="once"><p>Once, for data in {text(paths)} that are root\'s:</p>{lines}</div>')
    for position, (path, pair) in enumerate(changes.items()):
        parts.append(table(f"{name}-{position}", file, path, *map(split, pair)))
    return f'<section class="file" id="{name}">{"".join(parts)}</section>'


def placed(file: FileReport) -> Iterator[tuple[int, Note]]:
    """Yield what became of the images and services of a file, with its line (1-based, before)."""
    for image in file.images:
        way_out = ONCE.sub("", image.way_out) if image.data_steps else image.way_out
        yield image.line, Note(image.outcome, image.rule, image.reason, way_out)
    for unit in file.services:
        left_out = f"left out: {unit.left_out}" if unit.left_out else ""
        yield unit.line, Note(unit.outcome, unit.rule, f"{unit.name}: {unit.text}", left_out)


def answer(name: str, one: tuple[int, Note]) -> str:
    """Return one answer, with a link to its line."""
    line, note = one
    way_out = f' <span class="way">({text(note.way_out)})</span>' if note.way_out else ""
    at = f'<a href="#{name}-0-{line}">line {line}</a>'
    return f"<li>{badge(note.outcome)} {at} {text(note.text)}{way_out} {rule_link(note.rule)}</li>"


def rule_link(name: str) -> str:
    """Return the name of a rule that leads to what it means."""
    return f'<a class="name" href="#rule-{text(name)}">{text(name)}</a>'


def table(name: str, file: FileReport, path: str, before: list[str], after: list[str]) -> str:
    """Return one file before and after, with what is said between its lines; ``name`` begins the names of its rows."""
    at_old: dict[int, list[Note]] = {}
    at_new: dict[int, list[Note]] = {}
    if path == file.path:
        for line, note in placed(file):
            if note.outcome not in TOLD_BY_EDITS or not file.steps:
                at_old.setdefault(line, []).append(note)
    for step in file.steps:
        for place in (one for one in step.places if one.path == path):
            at_new.setdefault(place.last_line, []).append(Note("", step.rule, step.reason, ""))
        if not step.places and step.path == path:
            at_old.setdefault(step.line, []).append(Note("left", step.rule, step.reason, ""))
    found = list(rows(before, after))
    notes = [notes_of(row, at_old, at_new) for row in found]
    shown = {
        near
        for number, row in enumerate(found)
        if row.changed or notes[number]
        for near in range(number - CONTEXT, number + CONTEXT + 1)
    }
    is_one = before == after
    body = "".join(bodies(name, found, notes, shown, is_one=is_one))
    caption = f"<caption hidden>{text(uri_path(path))} before and after</caption>"
    titles = ("as it is and stays",) if is_one else ("before", "after")
    own = "" if path == file.path else f"{text(uri_path(path))}: "
    head = "".join(f'<th scope="colgroup" colspan="2">{own}{title}</th>' for title in titles)
    columns = '<col class="n"><col>' * len(titles)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(uri_path(path))} side by side">'
        f'<table class="diff{" one" if is_one else ""}">{caption}<colgroup>{columns}</colgroup>'
        f"<thead><tr>{head}</tr></thead>{body}</table></div>"
    )


def notes_of(row: Row, at_old: dict[int, list[Note]], at_new: dict[int, list[Note]]) -> list[Note]:
    """Return what is said at a row."""
    left = at_old.get(row.before.number, []) if row.before is not None else []
    return [*left, *(at_new.get(row.after.number, []) if row.after is not None else [])]


def bodies(name: str, found: list[Row], notes: list[list[Note]], shown: set[int], *, is_one: bool) -> Iterator[str]:
    """Yield the parts of a table's body; rows that are not shown are in parts of their own, behind a button."""
    number = 0
    last = None
    while number < len(found):
        is_shown = number in shown
        stop = number
        while stop < len(found) and (stop in shown) == is_shown:
            stop += 1
        lines = []
        for one in range(number, stop):
            starts = (found[one].changed or bool(notes[one])) and not (last is not None and last)
            last = found[one].changed or bool(notes[one])
            lines.append(line_of(name, found[one], notes[one], is_stop=starts, is_one=is_one))
        if not is_shown and stop - number >= SHORTEST_FOLD:
            button = f'<button type="button">Show {stop - number} lines that stay</button>'
            yield f'<tbody><tr class="fold" hidden><td colspan="{2 if is_one else 4}">{button}</td></tr></tbody>'
        yield f"<tbody>{''.join(lines)}</tbody>"
        number = stop


def line_of(name: str, row: Row, notes: list[Note], *, is_stop: bool, is_one: bool) -> str:
    """Return one row, and below it what is said there.

    ``is_stop`` where the keys go to it; ``is_one`` where both sides are the same and one is shown.
    """
    anchor = f' id="{name}-{row.before.number}"' if row.before is not None else ""
    style = ' class="stop"' if is_stop else ""
    cells = half(row.before, "del", row.changed) + ("" if is_one else half(row.after, "add", row.changed))
    edits = "".join(note_text(one) for one in notes if not one.outcome)
    answers = "".join(note_text(one) for one in notes if one.outcome)
    left = "" if is_one else '<td class="off" colspan="2"></td>'
    below = f'<tr class="why"><td colspan="{2 if is_one else 4}">{answers}</td></tr>' if answers else ""
    below += f'<tr class="why">{left}<td colspan="2">{edits}</td></tr>' if edits else ""
    return f"<tr{anchor}{style}>{cells}</tr>{below}"


def half(one: Half | None, kind: str, changed: bool) -> str:
    """Return the two cells of one side."""
    if one is None:
        return '<td class="n none"></td><td class="none"></td>'
    mark = "del" if kind == "del" else "ins"
    pieces = "".join(f"<{mark}>{text(piece)}</{mark}>" if differs else text(piece) for piece, differs in one.pieces)
    style = f' class="{kind}"' if changed else ""
    return f'<td class="n" data-n="{one.number}"></td><td{style}>{pieces}</td>'


def note_text(note: Note) -> str:
    """Return what is said at a line."""
    head = f"{badge(note.outcome)} " if note.outcome else ""
    way_out = f' <span class="way">({text(note.way_out)})</span>' if note.way_out else ""
    return f"<p>{head}{rule_link(note.rule)} {text(note.text)}{way_out}</p>"


def card(rule: Rule) -> str:
    """Return what a rule means."""
    rows_of = (("Why", rule.why), ("Safety", rule.safety), ("Source", rule.source), ("Way out", rule.way_out))
    told = "".join(f"<p><b>{title}</b> {linked(sentence(told))}</p>" for title, told in rows_of if told)
    head = f"<h3>{rule.name}</h3><p>{linked(rule.what)}</p>"
    return f'<article class="rule" id="rule-{rule.name}" tabindex="-1">{head}{told}</article>'


def split(data: bytes) -> list[str]:
    """Return a file as lines without their ends; what is not UTF-8 becomes U+FFFD."""
    lines = text_of(data).split("\n")
    return [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def text(value: str) -> str:
    """Return text as HTML."""
    return escape(value.encode("utf-8", "replace").decode("utf-8"))
