"""Fetches of a repository just what is needed: one commit, no history, and the files that a fixer may read.

First the commit with its trees and no files (``--depth 1 --filter=blob:none``); most repositories of an organisation
have no Dockerfile, and end there.  Then, in one request, the files that are text by their name.  A server without
filters sends them all at once, and nothing else changes.  https://git-scm.com/docs/partial-clone
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hardener.repos.git import GitError, git
from hardener.repos.shadow import new_git_directory
from hardener.repos.snapshot import BATCH_FILES, has_dockerfile, is_wanted, tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hardener.repos.snapshot import Entry

REMOTE = "origin"
FILTER = "--filter=blob:none"
QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
SYMREF = re.compile(rb"^ref: refs/heads/(\S+)\tHEAD$", re.MULTILINE)


class Clone(NamedTuple):
    """A commit that was fetched: the Git directory, the commit, the branch that it is the tip of, the tree's files.

    ``has_other`` is whether the repository has the other branch that was asked for.
    """

    git_dir: Path
    commit: str
    branch: str
    entries: tuple[Entry, ...]
    has_other: bool = False


@contextmanager
def signed_in_for(url: str, forge: str, api_url: str = "") -> Iterator[None]:
    """Let git know the environment's secret for a forge of that kind for a while; raises ``GitError``.

    Without a kind nobody said that this host may get a secret, and git has its own helpers only.
    """
    if not forge:
        yield
        return
    from hardener.bot import access  # noqa: PLC0415  only for a source on a forge
    from hardener.bot.forge import ForgeError  # noqa: PLC0415

    try:
        secret = access.git_credentials(url, forge, api_url)
    except ForgeError as error:
        raise GitError(str(error)) from error
    with access.signed_in(url, *secret):
        yield


def fetch(url: str, folder: Path, seconds: float, branch: str = "", other: str = "") -> Clone | None:
    """Fetch the tip of ``branch``, by default the remote's own, into the empty ``folder``; ``None`` without a commit.

    ``other`` is a branch that is only looked for.  Raises ``GitError``.
    """
    wanted = (branch and f"refs/heads/{branch}") or "HEAD"
    also = f"refs/heads/{other}"
    new_git_directory(folder)
    heads = git(
        "ls-remote",
        "--symref",
        "--",
        url,
        wanted,
        *((also,) if other else ()),
        git_dir=folder,
        network=True,
        seconds=seconds,
    )
    symref = SYMREF.search(heads)
    tips = {os.fsdecode(name): oid for oid, _, name in (line.partition(b"\t") for line in heads.splitlines())
            if not oid.startswith(b"ref:")}  # fmt: skip
    commit = tips.get(wanted, b"").decode("ascii")
    if not commit:
        return None
    fetch_commit(url, commit, folder, seconds)
    entries = tuple(tree(folder, commit, sizes=False))
    if has_dockerfile(entries):
        fetch_blobs(url, folder, [one for one in entries if is_wanted(one)], seconds)
    name = branch or (os.fsdecode(symref[1]) if symref else "")
    return Clone(folder, commit, name, entries, also in tips)


def fetch_commit(url: str, commit: str, git_dir: Path, seconds: float) -> None:
    """Fetch one commit and its trees into ``git_dir``, as a partial clone of ``url``; raises ``GitError``."""
    if len(commit) == 64:
        new_git_directory(git_dir, "sha256")
    words = ("fetch", *QUIET, "--depth=1", FILTER, REMOTE, commit)
    git(*remote_options(url), *words, git_dir=git_dir, network=True, seconds=seconds)


def remote_options(url: str) -> tuple[str, ...]:
    """Return the options that make ``url`` the remote that has the objects which are not here, for one call of git.

    They are in no configuration file: so a call without them takes a missing object for missing, and asks nobody.
    """
    settings = {"url": url, "promisor": "true", "partialCloneFilter": "blob:none"}
    return tuple(word for name, value in settings.items() for word in ("-c", f"remote.{REMOTE}.{name}={value}"))


def fetch_blobs(url: str, git_dir: Path, entries: Sequence[Entry], seconds: float) -> None:
    """Fetch the files in few requests, but for those that are there; raises ``GitError``."""
    wanted = list(dict.fromkeys(one.oid for one in entries))
    missing = missing_of(git_dir, wanted)
    for start in range(0, len(missing), BATCH_FILES):
        asked = "".join(f"{oid}\n" for oid in missing[start : start + BATCH_FILES]).encode("ascii")
        options = (*remote_options(url), "-c", "fetch.negotiationAlgorithm=noop")
        words = (*options, "fetch", *QUIET, FILTER, "--stdin", REMOTE)
        git(*words, git_dir=git_dir, stdin=asked, network=True, seconds=seconds)


def missing_of(git_dir: Path, oids: Sequence[str]) -> list[str]:
    """Return the objects that are not here."""
    asked = "".join(f"{oid}\n" for oid in oids).encode("ascii")
    found = git("cat-file", "--batch-check=%(objecttype)", "--buffer", git_dir=git_dir, stdin=asked)
    return [line.split()[0].decode("ascii") for line in found.splitlines() if line.endswith(b" missing")]


__all__ = ["Clone", "GitError", "fetch", "fetch_blobs", "fetch_commit"]
