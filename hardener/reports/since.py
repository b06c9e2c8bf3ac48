"""``--changed-since REVISION``: only what stands on lines that changed, so that old sins fail nobody's pull request.

An image is shown where its line changed, and where a USER or FROM was taken away, which leaves no line behind; a
service where any line of it changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hardener.project import repository_root
from hardener.repos.git import GitError, git
from hardener.repos.local import UnsafeRepositoryError, open_repository
from hardener.repos.shadow import shadow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.reports.model import FileReport

# What decides whose user an image has: with it gone, no line of the file is as it was.
DECIDES = re.compile(r"\s*(?:USER|FROM)\b", re.IGNORECASE)


class SinceError(Exception):
    """There is nothing to compare with; one line that says what to do."""


class Lines(NamedTuple):
    """Lines of one file, 1-based; ``everything`` where it is new, or changed as a whole."""

    some: frozenset[int] = frozenset()
    everything: bool = False

    def has(self, first: int, last: int = 0) -> bool:
        """Whether a line, or one from ``first`` to ``last``, is among them."""
        return self.everything or any(first <= line <= (last or first) for line in self.some)


class Changes(NamedTuple):
    """What differs in the work tree at ``root``: lines by path (/-separated), and the paths that Git knows."""

    root: Path
    lines: Mapping[str, Lines]
    tracked: frozenset[str]

    def of(self, path: str) -> Lines:
        """Return the lines of a file, named relative to the current folder; one that Git does not know is new."""
        name = Path(os.path.relpath(path, self.root)).as_posix()
        return self.lines.get(name, Lines(everything=name not in self.tracked))


def changes_since(revision: str) -> Changes:
    """Return what differs between the work tree and where it left ``revision``; raises ``SinceError``."""
    root = repository_root(Path.cwd())
    if root is None:
        raise SinceError("--changed-since needs a Git repository, and this folder is in none")
    try:
        repository = open_repository(root)
        with shadow(repository) as git_dir:
            words = (f"--work-tree={root}", "-c", "core.bare=false", "-c", "core.quotePath=false")
            extra = {"GIT_INDEX_FILE": str(repository.git_dir / "index")}
            named = git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", git_dir=git_dir
            )
            base = git("merge-base", named.decode("ascii").strip(), "HEAD", git_dir=git_dir).decode("ascii").strip()
            options = (
                "--no-color",
                "--no-ext-diff",
                "--no-textconv",
                "--no-renames",
                "--unified=0",
                "--inter-hunk-context=0",
            )
            diff = git(*words, "diff", *options, base, git_dir=git_dir, extra=extra)
            known = git(*words, "ls-files", "-z", git_dir=git_dir, extra=extra)
    except UnsafeRepositoryError as error:
        raise SinceError(f"--changed-since: {error}") from error
    except GitError as error:
        raise SinceError(
            f"--changed-since {revision}: it is not here, or shares no history with HEAD; in CI, fetch more of it"
        ) from error
    tracked = frozenset(os.fsdecode(path) for path in known.split(b"\0"))
    return Changes(root, dict(lines_of(diff)), tracked)


def lines_of(diff: bytes) -> Iterator[tuple[str, Lines]]:
    """Yield the lines that a diff adds or changes, by path."""
    from unidiff.patch import PatchSet  # noqa: PLC0415  only where a diff is read

    for file in PatchSet(diff.decode("utf-8", "surrogateescape")):
        changed = [line for hunk in file for line in hunk]
        gone = any(line.is_removed and DECIDES.match(line.value) for line in changed)
        some = frozenset(line.target_line_no or 0 for line in changed if line.is_added)
        yield file.path, Lines(some, everything=gone or file.is_added_file)


def restricted(report: FileReport, changes: Changes) -> FileReport:
    """Return what of a report stands on lines that changed; it changes nothing where none of its edits do."""
    own = changes.of(report.path)
    ends = sorted(one.line for one in report.services)
    images = tuple(one for one in report.images if own.has(one.line))
    services = tuple(
        one for one in report.services if own.has(one.line, next((end - 1 for end in ends if end > one.line), 1 << 30))
    )
    steps = tuple(one for one in report.steps if changes.of(one.path).has(one.line))
    to_do = any(one.is_root for one in images)
    to_do = to_do or any(one.outcome == "hardened" for one in services) or any(one.is_edit for one in steps)
    failure = report.failure if own.some or own.everything else None
    changed = report.changed if to_do else ()
    return report._replace(images=images, services=services, steps=steps, changed=changed, failure=failure)
