"""Turns a plan into a commit without a checkout: ``git fast-import`` makes it, ``git update-ref`` moves the branch.

The branch moves by compare-and-swap, never away from commits of somebody else, and never under a work tree.  The same
plan, identity and time give the same commit, so doing it twice is doing it once.
https://git-scm.com/docs/git-fast-import and https://git-scm.com/docs/git-update-ref
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hardener.repos.git import GitError, git, user_setting
from hardener.repos.local import checked_out, formats, shown
from hardener.repos.message import MARK, digest
from hardener.repos.shadow import scratch, shadow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hardener.repos.local import Repository
    from hardener.repos.values import FileChange, Plan

WORK_REF = "refs/heads/harden-work"
# What is thrown away at once needs no flush of the disk, and no program that makes single files of a pack.
FOR_A_MOMENT = ("-c", "core.fsync=none", "-c", "fastimport.unpackLimit=1")


class BranchError(Exception):
    """The branch cannot be made or moved; one line that says why."""


class Commit(NamedTuple):
    """One commit for ``fast-import``: its mark, message, parent (an id or a mark), and mode, path, content of files."""

    mark: int
    message: str
    parent: str
    files: Iterable[tuple[str, str, bytes]]


class Identity(NamedTuple):
    """Who commits, and when: seconds since 1970, the same for the whole run."""

    name: str
    email: str
    when: int

    def line(self) -> bytes:
        """Return the identity as ``fast-import`` takes it."""
        name, email = (clean(one) for one in (self.name, self.email))
        return f"{name} <{email}> {self.when} +0000".encode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """Return a name or address without what would end it."""
    return "".join(one for one in text if one.isprintable() and one not in "<>").strip()


def user_identity(when: int, author: str = "") -> Identity:
    """Return the identity: ``author`` (``Name <mail>``), else the environment's, else that of the user's own git.

    Raises ``BranchError`` where there is none.  A repository's own configuration is not asked.
    """
    if author:
        name, _, rest = author.partition("<")
        name, email = name.strip(), rest.rpartition(">")[0].strip()
    else:
        name = os.environ.get("GIT_AUTHOR_NAME") or user_setting("user.name")
        email = os.environ.get("GIT_AUTHOR_EMAIL") or user_setting("user.email")
    if not (clean(name) and clean(email)):
        raise BranchError(
            "nobody to commit as: give --author 'Name <mail>', or `git config --global user.name` and user.email"
        )
    return Identity(name, email, when)


def stream(commit: Commit, identity: Identity) -> bytes:
    """Return one commit as ``fast-import`` reads it."""
    text = commit.message.encode("utf-8", "surrogateescape")
    who = identity.line()
    parts = [b"commit %s\nmark :%d\nauthor %s\ncommitter %s\n" % (WORK_REF.encode(), commit.mark, who, who)]
    parts.append(b"data %d\n%s\n" % (len(text), text))
    parts += [b"from %s\n" % commit.parent.encode()] if commit.parent else []
    for mode, path, data in commit.files:
        parts.append(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted(path), len(data), data))
    return b"".join(parts)


def quoted(path: str) -> bytes:
    """Return a path in the C style that ``fast-import`` reads."""
    data = os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + data + b'"'


def make(git_dir: Path, plan: Plan, message: str, identity: Identity, objects: Path | None = None) -> str:
    """Write the plan's commit, on top of ``plan.commit``, and return its id; no branch knows it.

    ``git_dir`` is one of our own, ``objects`` where the objects are and go, by default its own.  Raises ``GitError``.
    """
    files = [(one.mode, one.path, one.after) for one in plan.files]
    text = stream(Commit(1, message, plan.commit, files), identity) + b"get-mark :1\ndone\n"
    extra = {"GIT_OBJECT_DIRECTORY": os.path.abspath(objects)} if objects else {}
    made = git("fast-import", "--quiet", "--done", "--force", git_dir=git_dir, stdin=text, extra=extra)
    return made.decode("ascii").strip()


def commit_on_branch(repository: Repository, plan: Plan, branch: str, message: str, identity: Identity) -> str:
    """Commit the plan on a branch of a local repository and return the commit.

    The branch is made on top of ``plan.commit``; one that has only our commit is moved there.  Raises
    ``BranchError`` for one that is checked out or has commits of others, and ``GitError``.
    """
    ref = f"refs/heads/{branch}"
    if ref in checked_out(repository):
        raise BranchError(f"the branch {branch} is checked out; it was left as it is")
    guard_path(repository, ref)
    with shadow(repository) as git_dir:
        old = tip(git_dir, ref)
        if old and not is_own(git_dir, old):
            raise BranchError(f"the branch {branch} has commits that are not harden's; it was left as it is")
        with scratch(objects=formats(repository)[0]) as own:
            new = make(own, plan, message, identity, repository.common / "objects")
        if old and same(git_dir, old, new):
            return old
        try:
            git("update-ref", "--no-deref", ref, new, old or "0" * len(new), git_dir=git_dir)
        except GitError as error:
            raise BranchError(f"the branch {branch} could not be written: {error}") from error
    return new


def guard_path(repository: Repository, ref: str) -> None:
    """Raise ``BranchError`` where a part of the branch's file is a symbolic link, which would lead elsewhere."""
    place = repository.common
    for part in ref.split("/"):
        place = place / part
        if place.is_symlink():
            raise BranchError(f"{shown(ref)} is a symbolic link; it was left as it is")


def tip(git_dir: Path, ref: str) -> str:
    """Return the commit of a branch, ``""`` without one; raises ``BranchError`` for one that stands for another."""
    found = git("for-each-ref", "--format=%(objectname) %(symref)", ref, git_dir=git_dir).decode("utf-8", "replace")
    oid, _, symref = found.partition("\n")[0].partition(" ")
    if symref:
        raise BranchError(f"{ref.removeprefix('refs/heads/')} stands for another branch; it was left as it is")
    return oid


def is_own(git_dir: Path, commit: str) -> bool:
    """Whether a commit is as harden made it: one parent, and the mark in its message fits its files."""
    text = git("cat-file", "commit", commit, git_dir=git_dir).decode("utf-8", "replace")
    head, _, body = text.partition("\n\n")
    parents = [line.split()[1] for line in head.splitlines() if line.startswith("parent ")]
    found = MARK.search(body)
    if found is None or len(parents) != 1:
        return False
    words = ("diff-tree", "-r", "-z", "--no-renames", parents[0], commit)
    try:
        records = git(*words, git_dir=git_dir).split(b"\0")
        files = {
            os.fsdecode(path): git("cat-file", "blob", status.split()[3].decode("ascii"), git_dir=git_dir)
            for status, path in zip(records[::2], records[1::2], strict=False)
        }
    except GitError:  # the parent is not here (a shallow clone), or a file was deleted
        return False
    return digest(files) == found[1]


def same(git_dir: Path, one: str, other: str) -> bool:
    """Whether two commits have the same tree and the same parents."""
    words = ("rev-parse", f"{one}^{{tree}}", f"{one}^@", f"{other}^{{tree}}", f"{other}^@")
    lines = git(*words, git_dir=git_dir).split()
    half = len(lines) // 2
    return lines[:half] == lines[half:]


def patch(plan: Plan, message: str, identity: Identity) -> bytes:
    """Return the plan as a mail that ``git am`` and ``git apply`` take; raises ``GitError``.

    It is made in a repository of its own that has just these files, so nothing is read or written elsewhere.
    """
    with scratch() as git_dir:
        before = [(one.mode, one.path, one.before) for one in plan.files]
        after = [(one.mode, one.path, one.after) for one in plan.files]
        text = stream(Commit(1, "before\n", "", before), identity) + stream(Commit(2, message, ":1", after), identity)
        git(*FOR_A_MOMENT, "fast-import", "--quiet", "--done", git_dir=git_dir, stdin=text + b"done\n")
        # `git am` drops the CR of text (git-mailsplit, --keep-cr), so such files go as binary.
        binary = [one for one in plan.files if b"\r\n" in one.before or b"\r\n" in one.after]
        (git_dir / "info").mkdir()
        (git_dir / "info" / "attributes").write_bytes(attributes(binary))
        words = ("--stdout", "--full-index", "--binary", "--no-renames", "--zero-commit", "-1", WORK_REF)
        signature = f"--signature=base-commit: {plan.commit}" if plan.commit else "--no-signature"
        return git("format-patch", signature, *words, git_dir=git_dir)


def attributes(files: Iterable[FileChange]) -> bytes:
    """Return a Git attributes file that takes the files for binary."""
    lines = []
    for one in files:
        pattern = "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in one.path)
        lines.append(quoted(f"/{pattern}") + b" binary\n")
    return b"".join(lines)
