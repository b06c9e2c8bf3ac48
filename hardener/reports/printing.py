"""Prints the report of a run, and writes the files of the run where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener.bulk import Failure
from hardener.reports import render, text
from hardener.reports.model import file_report
from hardener.reports.since import SinceError, changes_since, restricted
from hardener.showing import results, write
from hardener.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.bulk import Pending


def print_report(
    form: str, paths: tuple[str, ...], overrides: dict[str, Any], mode: str | None, out: Callable[[bytes], object],
    *, since: str | None = None, quiet: bool = False,
) -> int:  # fmt: skip
    """Give ``out`` the report of all paths, write them with ``--in-place``, and return the exit code.

    With ``since``, a revision, only what stands on lines that changed since then counts and is printed.
    """
    pending: Pending = {}
    try:
        changes = changes_since(since) if since else None
    except SinceError as error:
        say(f"error: {error}")
        return 2
    files = []
    for one in results(paths, overrides, pending):
        failure = None
        if mode == "write" and not isinstance(one, Failure):
            failure = write(one) if one.result.changed else None
            pending.clear()
        report = file_report(failure or one)
        files.append(restricted(report, changes) if changes is not None else report)
        if files[-1].failure is not None:
            say(f"error: {files[-1].failure}")
    if form != "text":
        out(render(form, files).encode())
    elif not quiet:
        for line in text.lines(files):
            say(line)
    if any(one.failure is not None for one in files):
        return 2
    return int(mode == "check" and any(one.changed for one in files))
