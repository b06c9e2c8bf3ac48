"""What a run shows and writes: each file as it is done, its summary on standard error, the rest where it is wanted."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener import report, writing
from hardener.bulk import Failure, harden_paths, harden_stream
from hardener.project import UnsafePath
from hardener.terminal import coloured, output, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.bulk import Hardened, Pending


@contextmanager
def destination(target: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Give the function that takes what is printed: standard output's, or, with a file, one that collects for it.

    The file is written in one step, at the end; where that fails the program ends with one line and exit code 2.
    """
    if target is None:
        yield output
        return
    printed: list[bytes] = []
    yield printed.append
    try:
        writing.write_file(target, b"".join(printed))
    except OSError as error:
        say(f"error: {target}: cannot be written: {error.strerror or error}")
        sys.exit(2)


def print_text(
    paths: tuple[str, ...],
    overrides: dict[str, Any],
    mode: str | None,
    out: Callable[[bytes], object],
    *,
    quiet: bool,
    verbose: bool,
) -> int:
    """Show what becomes of every path, write them with ``--in-place``, and return the exit code."""
    failed = changed = False
    pending: Pending = {}
    for one in results(paths, overrides, pending):
        status = show(one, mode, out, quiet=quiet, verbose=verbose)
        if mode == "write":
            pending.clear()
        failed = failed or status == "failed"
        changed = changed or status == "changed"
    return 2 if failed else int(changed and mode == "check")


def results(paths: tuple[str, ...], overrides: dict[str, Any], pending: Pending) -> Iterator[Hardened | Failure]:
    """Yield the outcome of every path, in order."""
    for path in paths:
        if path == "-":
            yield harden_stream(sys.stdin.buffer.read(), overrides)
        else:
            yield from harden_paths([Path(path)], overrides, pending)


def show(
    one: Hardened | Failure,
    mode: str | None,
    out: Callable[[bytes], object] = output,
    *,
    quiet: bool,
    verbose: bool,
) -> str:
    """Print or write one outcome and return ``failed``, ``changed`` or ``same``; ``out`` takes what is printed."""
    if isinstance(one, Failure):
        say(f"error: {one}")
        return "failed"
    result = one.result
    if mode == "write" and result.changed:
        failure = write(one)
        if failure is not None:
            say(f"error: {failure}")
            return "failed"
    if mode is None:
        out(result.after.files[result.after.dockerfile_path] if one.printed else b"")
    elif mode == "diff":
        diff = report.unified_diff(result, one.folder)
        out(coloured(diff) if out is output else diff)
    if not quiet:
        for line in report.summary(result, one.name):
            say(line)
    if verbose:
        for line in (*report.details(result, one.name), *report.data_steps(result), *report.size(result, one.name)):
            say(f"  {line}")
    return "changed" if result.changed else "same"


def write(one: Hardened) -> Failure | None:
    """Write one result; an error of the file system becomes a ``Failure``."""
    try:
        writing.write(one.result)
    except OSError as error:
        return Failure(one.name, 0, f"cannot be written: {error.strerror or error}")
    except UnsafePath as error:
        return Failure(one.name, 0, str(error))
    return None
