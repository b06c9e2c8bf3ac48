"""A result as text: unified diff, and the one-line summaries for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.outcome import Outcome
from hardener.settings import Settings
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.pipeline import Result


def lines_of(data: bytes) -> list[str]:
    r"""Return the lines of a file as text that keeps every byte; only ``\n`` ends a line, as it does for Git."""
    pieces = data.decode("utf-8", "surrogateescape").split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def quoted(name: str) -> str:
    """Return a path as Git writes it in a patch: in C's quotes where it holds a tab or a line end."""
    if not any(one < " " or one == "\x7f" for one in name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\{ord(one):03o}" if one < " " or one == "\x7f" else one for one in escaped) + '"'


def unified_diff(result: Result, folder: str = "") -> bytes:
    """Return the change as a patch that ``git apply`` takes, with ``a/`` and ``b/`` paths; empty without one.

    ``folder`` is where the project lies, relative to where the patch will be applied.
    """
    changes = ((f"{folder}/{path}" if folder else str(path), data) for path, data in result.changed.items())
    return b"".join(file_diff(name, before, after) for name, (before, after) in changes)


def file_diff(name: str, before: bytes, after: bytes, context: int = 3) -> bytes:
    """Return the change of one file as a part of a patch, with ``a/`` and ``b/`` before its path."""
    import difflib  # noqa: PLC0415  most files stay as they are

    names = quoted(f"a/{name}"), quoted(f"b/{name}")
    lines = difflib.unified_diff(lines_of(before), lines_of(after), *names, n=context)
    text = (line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
    return "".join(text).encode("utf-8", "surrogateescape")


def line_counts(diff: bytes) -> tuple[int, int]:
    """Return the numbers of added and removed lines of a unified diff, as ``unidiff`` reads it."""
    from unidiff.patch import PatchSet  # noqa: PLC0415  only where a count is shown

    patch = PatchSet(diff.decode("utf-8", "surrogateescape"))
    return patch.added, patch.removed


def summary(result: Result, name: str) -> Iterator[str]:
    """Yield one line for each stage that people build, or service that is started: outcome, reason, way out."""
    many = len(result.stages) > 1
    for stage in result.stages:
        found = stage.verdict
        where = f"{name}:{found.line}" if name else f"line {found.line}"
        label = f" [{stage.name or stage.index}]" if many else ""
        way_out = f" ({found.way_out})" if found.way_out else ""
        outcome = found.outcome.value
        if found.outcome is Outcome.SWITCH and not stage.applied:
            outcome, way_out = "prepared", " (but run_as_user was left out)"
        yield f"{where}:{label} {outcome}: {found.reason}{way_out}"
    for unit in result.units:
        left_out = f" (left out: {unit.left_out})" if unit.left_out else ""
        yield f"{name}:{unit.line}: {unit.name}: {unit.outcome}: {unit.text}{left_out}"


def details(result: Result, name: str) -> Iterator[str]:
    """Yield one line for each finding: where, which fixer, why; and where the ports of what is left alone are named."""
    for finding in result.findings:
        yield f"{name}:{finding.line}: {finding.fixer}: {finding.reason}"
    left = [stage for stage in result.stages if stage.verdict.outcome is Outcome.MANUAL]
    if left:
        from hardener import port_places  # noqa: PLC0415  only where somebody asks for it

        for stage in left:
            facts = stage_facts(result.before.dockerfile, stage.index)
            for text in port_places.left(result.before, facts, Settings(), stage.verdict.reason):
                yield f"{name}:{stage.verdict.line}: {text}"


def data_steps(result: Result) -> Iterator[str]:
    """Yield one line for each volume or folder with data of root: where it is mounted, and the one-time command."""
    from hardener.migration import lines  # noqa: PLC0415  it is loaded already where there is anything to show

    found = (one for stage in result.stages if stage.applied for one in stage.verdict.migrations)
    yield from lines(tuple(dict.fromkeys(found)))


def size(result: Result, name: str) -> Iterator[str]:
    """Yield one line with the size of the change, nothing where there is none."""
    if result.changed:
        added, removed = line_counts(unified_diff(result))
        files = len(result.changed)
        yield f"{name}: {added} lines added, {removed} removed in {files} file{'s' if files > 1 else ''}"
