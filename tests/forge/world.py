"""What a fake forge holds: real bare repositories, and pull requests as plain values. No HTTP here."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

TOKEN = "t0ken-that-must-not-leak"
ACCOUNT = "harden-bot"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
ALONE = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


@dataclass
class Pull:
    """One pull request; ``head`` is the path of a repository and a branch of it."""

    number: int
    title: str
    body: str
    head: tuple[str, str]
    base: str
    author: str = ACCOUNT
    state: str = "open"
    merged: bool = False
    draft: bool = False
    created: float = field(default_factory=time.time)
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


@dataclass
class Repo:
    """One repository: a bare one on disk, and what the forge says of it."""

    path: str
    folder: Path
    number: int
    default_branch: str = "main"
    archived: bool = False
    private: bool = False
    topics: list[str] = field(default_factory=list)
    language: str = ""
    pushed: float = field(default_factory=time.time)
    can_push: bool = True
    fork_of: str = ""
    pulls: list[Pull] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)

    def git(self, *words: str, stdin: bytes = b"", **extra: str) -> str:
        """Run git in the bare repository."""
        env = {**ALONE, **IDENTITY, **extra}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=env, input=stdin, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, (words, done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8", "replace").strip()

    def tip(self, branch: str) -> str:
        """Return the commit of a branch, ``""`` where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def commit(self, files: dict[str, bytes | None], branch: str = "", message: str = "Work", parent: str = "") -> str:
        """Commit files on a branch (``None`` takes one away) and return the commit."""
        branch = branch or self.default_branch
        parent = parent or self.tip(branch)
        index = {"GIT_INDEX_FILE": str(self.folder / "test-index")}
        (self.folder / "test-index").unlink(missing_ok=True)
        if parent:
            self.git("read-tree", parent, **index)
        for path, data in files.items():
            if data is None:
                self.git("rm", "--cached", "-q", path, GIT_WORK_TREE=str(self.folder), **index)
            else:
                blob = self.git("hash-object", "-w", "--stdin", stdin=data)
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
        tree = self.git("write-tree", **index)
        parents = ["-p", parent] if parent else []
        made = self.git("commit-tree", *parents, "-m", message, tree)
        self.git("update-ref", f"refs/heads/{branch}", made)
        return made

    def show(self, branch: str, path: str) -> str:
        """Return a file of a branch."""
        return self.git("show", f"{branch}:{path}")


class World:
    """All repositories of one forge, and the faults it was told to have."""

    def __init__(self, folder: Path) -> None:
        self.people: set[str] = {ACCOUNT}
        self.prefix = ""  # of the API's last call
        self.folder = folder
        self.repos: dict[str, Repo] = {}
        self.faults: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.gate: Callable[[str, str], None] | None = None
        """Told of every request as it comes and, with its answer still to be sent, when it was done."""
        self.url = ""
        self.lock = RLock()

    def add(self, path: str, files: dict[str, bytes] | None = None, **facts: Any) -> Repo:
        """Make a repository, empty where there are no files."""
        folder = self.folder / f"{path}.git"
        folder.mkdir(parents=True)
        repo = Repo(path, folder, len(self.repos) + 1, **facts)
        repo.git("init", "-q", "--bare", "-b", repo.default_branch)
        repo.git("config", "uploadpack.allowFilter", "true")
        repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
        hook = folder / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            '#!/bin/sh\nif grep -qxF "$1" protected 2>/dev/null; then\n'
            '  echo "GH006: Protected branch update failed for $1." >&2; exit 1\nfi\n'
        )
        hook.chmod(0o755)
        self.repos[path] = repo
        if files:
            repo.commit(files, message="Begin")
        return repo

    def protect(self, repo: Repo, branch: str) -> None:
        """Refuse every push to a branch."""
        with open(repo.folder / "protected", "a") as file:
            file.write(f"refs/heads/{branch}\n")

    def fork(self, repo: Repo) -> Repo:
        """Return the account's fork, made where there is none."""
        path = f"{ACCOUNT}/{repo.path.rpartition('/')[2]}"
        if path not in self.repos:
            made = self.add(path, default_branch=repo.default_branch, fork_of=repo.path)
            made.git(
                "fetch", "-q", str(repo.folder), f"refs/heads/{repo.default_branch}:refs/heads/{repo.default_branch}"
            )
        return self.repos[path]

    def pulls(self, repo: Repo) -> list[Pull]:
        """Return the pull requests, those without their branch closed, as forges do."""
        for one in repo.pulls:
            head = self.repos.get(one.head[0])
            if one.state == "open" and (head is None or not head.tip(one.head[1])):
                one.state = "closed"
        return repo.pulls

    def owned(self, owner: str) -> list[Repo]:
        """Return the repositories of an organisation, of a group with those in it, or of a person."""
        return [one for one in self.repos.values() if one.path.startswith(f"{owner}/")]

    def search(self, branch: str = "", *, state: str = "", since: float = 0.0) -> list[tuple[Repo, Pull]]:
        """Return the account's pull requests in all repositories."""
        return [
            (repo, one)
            for repo in self.repos.values()
            for one in self.pulls(repo)
            if one.author == ACCOUNT
            and branch in ("", one.head[1])
            and state in ("", one.state)
            and one.created >= since
        ]

    def open_pull(self, repo: Repo, head: tuple[str, str], base: str, **facts: Any) -> Pull | str:
        """Open a pull request, or return why not."""
        source = self.repos.get(head[0])
        if source is None or not source.tip(head[1]):
            return "head: invalid"
        if not repo.tip(base):
            return "base: invalid"
        if any(one.state == "open" and (one.head, one.base) == (head, base) for one in self.pulls(repo)):
            return f"A pull request already exists for {head[0].partition('/')[0]}:{head[1]}."
        if source.tip(head[1]) == repo.tip(base):
            return f"No commits between {base} and {head[1]}"
        made = Pull(sum(len(one.pulls) for one in self.repos.values()) + 1, head=head, base=base, **facts)
        repo.pulls.append(made)
        return made

    def merge(self, repo: Repo, pull: Pull) -> None:
        """Merge a pull request as a squash does, and keep its branch."""
        source = self.repos[pull.head[0]]
        repo.git("fetch", "-q", str(source.folder), pull.head[1])
        tree = repo.git("rev-parse", f"{repo.git('rev-parse', 'FETCH_HEAD')}^{{tree}}")
        made = repo.git("commit-tree", "-p", repo.tip(pull.base), "-m", pull.title, tree)
        repo.git("update-ref", f"refs/heads/{pull.base}", made)
        pull.state, pull.merged = "closed", True

    def fault(self, method: str, path: str, status: int = 500, times: int = 1, **more: Any) -> None:
        """Answer calls wrongly: ``status`` 0 hangs up; ``after=True`` does what was asked first."""
        self.faults.append({"method": method, "path": path, "status": status, "times": times, **more})
