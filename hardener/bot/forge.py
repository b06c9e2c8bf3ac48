"""What the bot asks of a forge, in one small protocol: GitHub, GitLab, Gitea and Forgejo each have an adapter for it.

A pull request is found again by its head: the branch, and the repository that the branch is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.repos.values import FileChange

SECONDS = 30
"""How long one answer may take.  Longer than any forge's own limit but for the largest repositories."""
TRIES = 5
"""How often a call is made that failed on the way, or that the forge asked to make later."""


class ForgeError(Exception):
    """The forge said no, or nothing: one line without secrets.

    ``status`` is the answer's HTTP status, 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        """Keep both, so that the error survives a pickle."""
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        """Return the line."""
        return str(self.args[0])


class RateLimitError(ForgeError):
    """The forge asks to wait longer than a run waits: ``seconds``."""

    def __init__(self, seconds: float, status: int = 0) -> None:
        """Say how long."""
        ForgeError.__init__(self, f"the forge asks to wait {seconds:.0f} s; run again then", status)
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[RateLimitError], tuple[float, int]]:
        """Survive a pickle."""
        return type(self), (self.seconds, self.status)


class Repository(NamedTuple):
    """A repository as its forge describes it.

    ``path`` is ``owner/name`` (on GitLab with all groups), ``default_branch`` is ``""`` where there is no commit yet,
    ``clone_url`` has no user and no password, ``web_url`` no slash at its end.
    """

    path: str
    default_branch: str
    clone_url: str
    web_url: str
    is_archived: bool
    can_push: bool


class Listed(NamedTuple):
    """A repository in its forge's list of what an owner has; ``path`` is that of `Repository`.

    ``topics`` and ``language`` (the one that most of it is in) are ``None`` where the list does not tell; see
    `Forge.details`.  ``pushed`` is when it changed last, in seconds since 1970, 0 where nobody knows.
    """

    path: str
    is_archived: bool = False
    is_fork: bool = False
    topics: tuple[str, ...] | None = ()
    language: str | None = ""
    pushed: float = 0.0


class Head(NamedTuple):
    """Where a pull request comes from: the repository's path (the same one, or a fork of it) and a branch of it."""

    repository: str
    branch: str


@dataclass(frozen=True)
class PullRequest:
    """A pull request as it is on the forge; ``state`` is ``open``, ``closed`` or ``merged``."""

    number: int
    url: str
    state: str
    title: str
    body: str
    base: str
    labels: tuple[str, ...] = ()


class Wishes(NamedTuple):
    """What a pull request gets beside its text; ``reviewers`` may be ``org/team`` where the forge has teams."""

    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()


class NewCommit(NamedTuple):
    """A commit to make on ``parent`` with these files changed; ``tree`` is the id of the tree that has to come out."""

    parent: str
    tree: str
    message: str
    files: tuple[FileChange, ...]


def seconds_of(time: str | None) -> float:
    """Return a time of an API (ISO 8601) in seconds since 1970, 0 where it says none."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() if time else 0.0


class Forge(Protocol):
    """The verbs.  Every one raises ``ForgeError``; retries and waits for rate limits are the adapter's business."""

    kind: str
    """``github``, ``gitlab`` or ``gitea``."""

    def repository(self, path: str) -> Repository:
        """Return a repository."""

    def repositories(self, owner: str) -> Iterator[Listed]:
        """Yield all that an organisation, a group with those in it, or a person has, as far as the account sees it."""

    def details(self, listed: Listed) -> Listed:
        """Return the same with what the list did not tell."""

    def fork(self, repository: Repository, *, make: bool) -> Repository | None:
        """Return the account's fork; where there is none, one is made (which takes a while) or ``None`` returned."""

    def pull_requests(self, repository: Repository, head: Head) -> Sequence[PullRequest]:
        """Return every pull request from ``head``, whatever became of it, the newest first."""

    def count(self, repository: Repository, branch: str, since: float | None = None) -> int:
        """Return how many pull requests of this account, in all repositories, come from branches of that name.

        They are the open ones, or all that were made after ``since`` (seconds since 1970).  ``repository`` is one that
        the account can read; a GitHub App is known by its installation there.
        """

    def create(
        self, repository: Repository, head: Head, base: str, title: str, body: str, wishes: Wishes
    ) -> PullRequest:
        """Open a pull request, as a draft where that is wished; everything else that is wished comes later."""

    def edit(
        self, repository: Repository, number: int, *, title: str = "", body: str = "", base: str = "", state: str = ""
    ) -> None:
        """Change what is given; ``state`` is ``open`` or ``closed``."""

    def comment(self, repository: Repository, number: int, marker: str, text: str) -> bool:
        """Comment once: not where a comment has ``marker`` in it already.  Return whether one was written."""

    def request(self, repository: Repository, number: int, wishes: Wishes) -> Sequence[str]:
        """Set labels, reviewers and assignees; return one line for each that could not be set."""

    def credentials(self, repository: Repository) -> tuple[str, str]:
        """Return user and password for git over HTTPS, ``("", "")`` where git has to find them itself."""

    def link(self, repository: Repository, commit: str, path: str, line: int = 0) -> str:
        """Return the address of a file (or of a line of it) at a commit."""


class SigningForge(Forge, Protocol):
    """A forge that makes commits itself, and signs them."""

    def commit(self, repository: Repository, new: NewCommit) -> str:
        """Make a commit that no branch has, and return its id."""
