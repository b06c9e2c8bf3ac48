"""``harden pr --verify``: the commit is checked out whole, and ``harden verify`` runs it before and after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hardener.bot.forge import ForgeError
from hardener.bot.proof import Proof, proof_of
from hardener.repos.clone import fetch_blobs
from hardener.repos.git import git
from hardener.repos.snapshot import EXECUTABLE, FILE, SYMLINK, tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hardener.repos.values import Plan

SECONDS = 600.0
MOST_BYTES = 64 * 1024 * 1024
NO_ENGINE = 3


def from_report(file: Path, plan: Plan) -> Proof:
    """Return the proof of a report that ``harden verify --json`` wrote; raises ``ForgeError``."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ForgeError(f"{file} is too large for a report of harden verify")
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ForgeError(f"{file} cannot be read as a report of harden verify: {error}") from error
    return proof_of(document, plan)


def from_engine(git_dir: Path, url: str, plan: Plan, folder: Path, overrides: Mapping[str, Any]) -> Proof:
    """Return the proof of a verification that is made now, in the new ``folder``; raises ``ForgeError``, ``GitError``.

    The options of ``harden verify`` are those of `hardener.verify.in_place`.
    """
    from hardener.verify.command import verify  # noqa: PLC0415  few runs need it
    from hardener.verify.in_place import context_for  # noqa: PLC0415

    check_out(git_dir, url, plan.commit, folder)
    finished = verify(folder, context_for(folder, quiet=False, verbose=False), dict(overrides))
    if not finished.document:
        why = "no container engine answers" if finished.code == NO_ENGINE else "the verification failed"
        raise ForgeError(f"{why}; nothing was proposed")
    return proof_of(finished.document, plan)


def check_out(git_dir: Path, url: str, commit: str, folder: Path) -> None:
    """Write every file of a commit below the new ``folder``, as a checkout has them; raises ``GitError``.

    Nothing of the repository runs: hooks, filters and attributes of the user are not asked.  Submodules and large
    files that are kept elsewhere (LFS) stay what they are in the commit.
    """
    entries = [one for one in tree(git_dir, commit, sizes=False) if one.mode in (FILE, EXECUTABLE, SYMLINK)]
    fetch_blobs(url, git_dir, entries, SECONDS)
    (folder / ".git").mkdir(parents=True)  # where the project ends
    index = {"GIT_INDEX_FILE": str(git_dir / "checkout-index")}
    git("read-tree", commit, git_dir=git_dir, extra=index)
    words = (f"--work-tree={folder}", "-c", "core.bare=false", "checkout-index", "--all", "--force", "--quiet")
    git(*words, git_dir=git_dir, extra=index, seconds=SECONDS)
