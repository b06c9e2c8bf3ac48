"""``harden PATH --in-place --verify``: writes those hardenings that were built, run and found no worse."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener.bulk import Failure, harden_paths
from hardener.showing import show
from hardener.terminal import say
from hardener.verify.command import command, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

# Options of `harden verify` that belong to a machine, for this form: as one would write them behind it.
OPTIONS = "HARDEN_VERIFY_OPTIONS"


def verify_and_write(
    paths: Sequence[str], overrides: dict[str, Any], given: Sequence[str], *, quiet: bool, verbose: bool
) -> int:
    """Verify every path, write what passed, and return the exit code: that of ``harden verify``.

    ``given`` are options of ``harden verify``, as words of a command line.
    A file that another image shares, which did not pass, is never written: then the bytes would not be those that
    were verified.
    """
    code = 0
    for path in paths:
        context = context_for(path, given, quiet=quiet, verbose=verbose)
        finished = verify(Path(path), context, overrides)
        code = max(code, finished.code)
        for name in finished.passed:
            one = next(iter(harden_paths([finished.root / name], overrides)))
            if isinstance(one, Failure) or {str(file): new for file, (_, new) in one.result.changed.items()} != (
                finished.verified.get(name)
            ):
                say(f"{name}: not written: it shares files with an image that did not pass")
                code = max(code, 2)
                continue
            show(one, "write", quiet=quiet, verbose=verbose)
        for name in finished.failed:
            say(f"{name}: not written: it did not pass")
    return code


def context_for(path: str | Path, given: Sequence[str] = (), *, quiet: bool, verbose: bool) -> click.Context:
    """Return the options of a verification that another command starts: those of the environment, then ``given``."""
    words = [*shlex.split(os.environ.get(OPTIONS, "")), *given, *(["--quiet"] if quiet else [])]
    return command.make_context("harden verify", [*words, *(["--verbose"] if verbose else []), str(path)])
