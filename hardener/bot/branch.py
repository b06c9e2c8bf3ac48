"""The bot's branch: what is on it, and pushes to it, none of which overwrites a surprise."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hardener.bot.decision import Branch
from hardener.repos.clone import FILTER, QUIET, REMOTE, fetch_blobs, remote_options
from hardener.repos.commit import is_own
from hardener.repos.git import GitError, git, user_setting
from hardener.repos.snapshot import Entry, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hardener.repos.commit import Identity

SECONDS = 120.0
TRIES = 4
BACKOFF = 2.0
"""Seconds before the second try; twice as long before each one after it."""
HISTORY = 40
# What `git commit-tree -S` reads: https://git-scm.com/docs/git-config#Documentation/git-config.txt-gpgformat
SIGNING = (
    "user.signingKey", "gpg.format", "gpg.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand", "gpg.x509.program",
)  # fmt: skip
MOST_CHANGES = 2000
"""Files of a commit; one that changes more is not looked into, and so is not the bot's."""


class LostRaceError(Exception):
    """Somebody else moved the branch since it was looked at: nothing was overwritten; look again."""


def network(*words: str, git_dir: Path, stdin: bytes = b"") -> bytes:
    """Run one git command that talks to the forge, again where the connection failed; raises ``GitError``."""
    for attempt in range(1, TRIES + 1):
        try:
            return git(*words, git_dir=git_dir, stdin=stdin, network=True, seconds=SECONDS)
        except GitError as error:  # noqa: PERF203
            if not error.transient or attempt == TRIES:
                raise
            time.sleep(BACKOFF * 2 ** (attempt - 1))
    raise AssertionError


def branch_at(git_dir: Path, url: str, name: str) -> Branch | None:
    """Return the branch as it is at ``url``, ``None`` where there is none."""
    commit = tip(git_dir, url, name)
    if not commit:
        return None
    fetch_commit(git_dir, url, commit)
    tree_id, parents = commit_at(git_dir, commit)
    if len(parents) != 1:
        return Branch(commit, is_own=False, tree=tree_id, parent="")
    fetch_blobs(url, git_dir, changed(git_dir, parents[0], commit), SECONDS)
    return Branch(commit, is_own(git_dir, commit), tree_id, parents[0])


def changed(git_dir: Path, parent: str, commit: str) -> list[Entry]:
    """Return the files of a commit that its parent has otherwise; none where these are too many to be the bot's."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=AM", parent, commit)
    records = git(*words, git_dir=git_dir).split(b"\0")
    pairs = list(zip(records[::2], records[1::2], strict=False))
    if len(pairs) > MOST_CHANGES:
        return []
    fields = ((status.decode("ascii").split(), os.fsdecode(path)) for status, path in pairs)
    return [Entry(mode, oid, -1, path) for (_, mode, _, oid, *_), path in fields]


def fetch_commit(git_dir: Path, url: str, commit: str) -> None:
    """Fetch one commit and its parent, with their trees; raises ``GitError``.

    Without negotiation: commits of the history are here without their trees, and git would take them for whole.
    """
    words = ("-c", "fetch.negotiationAlgorithm=noop", "fetch", *QUIET, "--depth=2", FILTER, REMOTE, commit)
    network(*remote_options(url), *words, git_dir=git_dir)


def tip(git_dir: Path, url: str, name: str) -> str:
    """Return the commit of a branch at ``url``, ``""`` where there is none."""
    line = network("ls-remote", "--", url, f"refs/heads/{name}", git_dir=git_dir).partition(b"\n")[0]
    return line.split()[0].decode("ascii") if line else ""


def commit_at(git_dir: Path, commit: str) -> tuple[str, list[str]]:
    """Return tree and parents of a commit that is here."""
    head = git("cat-file", "commit", commit, git_dir=git_dir).partition(b"\n\n")[0].decode("utf-8", "replace")
    words = [line.partition(" ") for line in head.split("\n")]
    return words[0][2], [value for name, _, value in words if name == "parent"]


def history(git_dir: Path, url: str, commit: str) -> list[str]:
    """Return the newest commit messages, from ``commit`` on; a repository that does not give them has no habits.

    They are fetched without trees and files, and only into the list of what is shallow.
    """
    try:
        words = ("fetch", *QUIET, f"--depth={HISTORY}", "--filter=tree:0", REMOTE, commit)
        network(*remote_options(url), *words, git_dir=git_dir)
        text = git("log", f"--max-count={HISTORY}", "--no-merges", "--format=%B%x00", commit, git_dir=git_dir)
    except GitError:
        return []
    return [one.strip() for one in text.decode("utf-8", "replace").split("\0") if one.strip()]


def reader(git_dir: Path, url: str, commit: str, names: Iterable[str]) -> Callable[[str], str]:
    """Return what gives the text of some files of a commit, ``""`` of one that is not there; fetched at once."""
    wanted = set(names)
    there = {one.path: one for one in tree(git_dir, commit, sizes=False) if one.path in wanted}
    fetch_blobs(url, git_dir, list(there.values()), SECONDS)
    texts = {
        path: git("cat-file", "blob", one.oid, git_dir=git_dir).decode("utf-8", "replace")
        for path, one in there.items()
    }
    return lambda name: texts.get(name, "")


def push(git_dir: Path, url: str, name: str, commit: str, expected: str) -> None:
    """Make ``commit`` (``""`` for none) the tip of a branch whose tip is ``expected`` (``""`` for no branch).

    Raises ``LostRaceError`` where it is another one, ``GitError`` where the forge does not take it.
    """
    ref = f"refs/heads/{name}"
    words = ("push", "--quiet", "--no-verify", f"--force-with-lease={ref}:{expected}", "--", url, f"{commit}:{ref}")
    try:
        network(*words, git_dir=git_dir)
    except GitError as error:
        now = tip(git_dir, url, name)
        if now == commit:  # it went through, and the answer was lost
            return
        if now != expected:
            raise LostRaceError(str(error)) from error
        raise


def wait_for(git_dir: Path, url: str, seconds: float) -> None:
    """Wait until a fork that was just made has branches; raises ``GitError`` where it has none after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        try:
            if network("ls-remote", "--heads", "--", url, git_dir=git_dir):
                return
        except GitError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise GitError(f"the fork at {url} has no branch after {seconds:.0f} s")
        time.sleep(BACKOFF)


def signed(git_dir: Path, commit: str, message: str, who: Identity) -> str:
    """Return ``commit``, or the same one signed, where the user's own configuration signs all commits."""
    if user_setting("commit.gpgSign").lower() not in ("true", "yes", "on", "1"):
        return commit
    tree_id, parents = commit_at(git_dir, commit)
    date = f"{who.when} +0000"
    extra = {f"GIT_{role}_NAME": who.name for role in ("AUTHOR", "COMMITTER")}
    extra |= {f"GIT_{role}_EMAIL": who.email for role in ("AUTHOR", "COMMITTER")}
    extra |= {f"GIT_{role}_DATE": date for role in ("AUTHOR", "COMMITTER")}
    settings = ((name, user_setting(name)) for name in SIGNING)
    options = [word for name, value in settings if value for word in ("-c", f"{name}={value}")]
    words = (*options, "commit-tree", "-S", "-p", parents[0], "-F", "-", tree_id)
    text = message.encode("utf-8", "surrogateescape")
    return git(*words, git_dir=git_dir, extra=extra, stdin=text).decode("ascii").strip()
