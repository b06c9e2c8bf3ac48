"""Where every finding stands: its lines in the file as it was, and its lines in the file as it is in the end.

A finding's edits are byte offsets into what the fixers before it left, so the fixers are replayed here, one after the
other.  Annotations need the old lines (they are shown on the file that people see), links into a result the new ones.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Applicability, EditConflict, splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import PurePosixPath

    from hardener.edit import Edit, Finding
    from hardener.pipeline import Result


class Change(NamedTuple):
    """What one finding does to one file.

    ``old`` is the line where it begins in the file before the run, ``new`` and ``last`` the first and last line of it
    in the file after the run; all 1-based.
    """

    finding: Finding
    path: PurePosixPath
    old: int
    new: int
    last: int


class Shift(NamedTuple):
    """How offsets move under one set of edits of one file, by ``start`` and ``stop`` of each and its growth."""

    edits: tuple[Edit, ...]

    def forward(self, offset: int, *, end: bool = False) -> int:
        """Return where a byte is afterwards; with ``end``, where a range that ended there ends."""
        moved = offset
        for edit in self.edits:
            if edit.stop < offset or (edit.stop == offset and (not end or edit.start < offset)):
                moved += len(edit.text) - (edit.stop - edit.start)
            elif edit.start < offset:
                moved += min(len(edit.text), offset - edit.start) - (offset - edit.start)
        return moved

    def back(self, offset: int) -> int:
        """Return where a byte was before; for one that is new, where it was put in."""
        shift = 0
        for edit in self.edits:
            start = edit.start + shift
            if start > offset:
                break
            if offset < start + len(edit.text):
                return edit.start
            shift += len(edit.text) - (edit.stop - edit.start)
        return offset - shift


def changes(result: Result) -> tuple[Change, ...]:
    """Return one `Change` for each finding and file it edits, in the order of the fixers.

    Nothing is returned for a file whose replay does not end in the result's bytes: better no line than a wrong one.
    """
    found: list[tuple[Finding, PurePosixPath, int, int, int]] = []  # finding, path, steps before it, start, stop
    data = {path: before for path, (before, _) in result.changed.items()}
    steps: dict[PurePosixPath, list[Shift]] = {path: [] for path in data}
    broken: set[PurePosixPath] = set()
    for _, group in groupby(result.findings, lambda one: one.fixer):
        edits: dict[PurePosixPath, list[tuple[Edit, Finding]]] = {}
        for finding in group:
            if finding.applicability is Applicability.SAFE:
                for edit in finding.edits:
                    edits.setdefault(edit.path, []).append((edit, finding))
        for path, pairs in edits.items():
            if path not in data or path in broken:
                continue
            pairs.sort(key=lambda pair: (pair[0].start, pair[0].stop))
            try:
                data[path] = splice(data[path], [edit for edit, _ in pairs])
            except EditConflict:  # two passes of one fixer, which look like one here
                broken.add(path)
                continue
            steps[path].append(Shift(tuple(edit for edit, _ in pairs)))
            growth = accumulate((len(edit.text) - (edit.stop - edit.start) for edit, _ in pairs), initial=0)
            spans: dict[int, tuple[Finding, int, int]] = {}
            for (edit, finding), shift in zip(pairs, growth, strict=False):
                start, stop = edit.start + shift, edit.start + shift + len(edit.text)
                _, first, _ = spans.get(id(finding), (finding, start, stop))
                spans[id(finding)] = (finding, min(first, start), stop)
            found += [(one, path, len(steps[path]), start, stop) for one, start, stop in spans.values()]
    broken |= {path for path, (_, after) in result.changed.items() if data[path] != after}
    starts = {path: (line_starts(before), line_starts(after)) for path, (before, after) in result.changed.items()}
    placed = (placed_at(one, steps[one[1]], *starts[one[1]]) for one in found if one[1] not in broken)
    return tuple(placed)


def placed_at(
    one: tuple[Finding, PurePosixPath, int, int, int], steps: Sequence[Shift], old: Sequence[int], new: Sequence[int]
) -> Change:
    """Return the lines of one finding in a file, from where its bytes were after its own step."""
    finding, path, done, start, stop = one
    before = start
    for step in reversed(steps[:done]):
        before = step.back(before)
    for step in steps[done:]:
        start, stop = step.forward(start), step.forward(stop, end=True)
    # The end of a whole line belongs to it, not to the next one.
    return Change(finding, path, line_at(old, before), line_at(new, start), line_at(new, max(start, stop - 1)))


def line_starts(data: bytes) -> tuple[int, ...]:
    """Return the offset at which each line begins."""
    found = [0]
    while (position := data.find(b"\n", found[-1])) >= 0:
        found.append(position + 1)
    return tuple(found)


def line_at(starts: Sequence[int], offset: int) -> int:
    """Return the 1-based line of an offset; at the end of a file that ends with a line, its last line."""
    line = bisect_right(starts, offset)
    return max(1, line)


def by_file(found: Iterable[Change]) -> dict[PurePosixPath, list[Change]]:
    """Return the changes by file, in the order of their lines."""
    files: dict[PurePosixPath, list[Change]] = {}
    for one in sorted(found, key=lambda one: (str(one.path), one.new)):
        files.setdefault(one.path, []).append(one)
    return files
