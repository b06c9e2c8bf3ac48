"""GitHub and GitHub Enterprise, through PyGithub (extra ``hardener[github]``)."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from github import (
    Auth,
    Github,
    GithubException,
    GithubIntegration,
    GithubRetry,
    InputGitTreeElement,
    RateLimitExceededExceedsMaxWait,
    UnknownObjectException,
)
from github.PaginatedList import PaginatedList
from github.Repository import Repository as GithubRepository
from requests import RequestException
from urllib3.exceptions import HTTPError

from hardener.bot import waiting
from hardener.bot.forge import SECONDS, ForgeError, Listed, PullRequest, RateLimitError, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hardener.bot.forge import Head, NewCommit, Wishes

NOBODY = 422
PAGE = 100


class GithubPatience(waiting.Patience, GithubRetry):
    """What GitHub answers in its own way: 403 for a rate limit (`GithubRetry`)."""


def patience() -> GithubPatience:
    """Return the retries of one client."""
    return GithubPatience(
        secondary_rate_wait=60 * waiting.BACKOFF, max_rate_limit_wait=waiting.LONGEST, **waiting.arguments()
    )


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Turn everything that the client raises into a ``ForgeError`` that tells what was asked."""
    try:
        yield
    except RateLimitExceededExceedsMaxWait as error:
        raise RateLimitError(error.wait or waiting.LONGEST, error.status) from error
    except GithubException as error:
        raise ForgeError(f"{what}: {error.status} {reason(error)}", error.status) from error
    except (RequestException, HTTPError, AssertionError) as error:
        raise ForgeError(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error


def reason(error: GithubException) -> str:
    """Return what GitHub says about an error, in one line."""
    data = error.data if isinstance(error.data, dict) else {"message": str(error.data or error.message or "")[:200]}
    details = [one.get("message") or one.get("code") or "" for one in data.get("errors", ()) if isinstance(one, dict)]
    return "; ".join(text for text in (str(data.get("message", "")), *map(str, details)) if text)


class GitHub:
    """One GitHub, as one account: a token's, or an App's installations."""

    kind = "github"

    def __init__(self, api_url: str, web_url: str, token: str = "", app: tuple[str, str] = ("", "")) -> None:
        """Take the addresses of API and web pages, and a token or an App's id and private key."""
        self.api_url, self.web_url, self.token, self.app = api_url, web_url, token, app
        self.options: dict[str, Any] = {
            "base_url": self.api_url,
            "timeout": SECONDS,
            "per_page": PAGE,
            "seconds_between_requests": 0.1 * waiting.BETWEEN_WRITES,
            "seconds_between_writes": waiting.BETWEEN_WRITES,
        }
        self.known = lru_cache(maxsize=64)(self.client)

    def client_of(self, owner: str, name: str) -> tuple[Github, Auth.Auth | None]:
        """Return what `client` does: the same one for all repositories of a token, or of an App's installation."""
        return self.known(owner, name) if self.app[0] else self.known("", "")

    def integration(self) -> GithubIntegration:
        """Return the App that speaks for itself, not for an installation."""
        return GithubIntegration(auth=Auth.AppAuth(*self.app), retry=patience(), **self.options)

    def client(self, owner: str, name: str) -> tuple[Github, Auth.Auth | None]:
        """Return the client for one repository, and what it authenticates with."""
        auth: Auth.Auth | None = Auth.Token(self.token) if self.token else None
        if self.app[0]:
            integration = self.integration()
            with errors(f"the App's installation for {owner}/{name}"):
                found = installation(integration, owner, name)
                auth = Auth.AppAuth(*self.app).get_installation_auth(found.id)
        return Github(auth=auth, retry=patience(), lazy=True, **self.options), auth

    def of(self, path: str) -> Any:
        """Return PyGithub's repository; nothing is asked yet."""
        owner, _, name = path.partition("/")
        return self.client_of(owner, name)[0].get_repo(path)

    def repository(self, path: str) -> Repository:
        """Return a repository."""
        with errors(f"repository {path}"):
            return described(self.of(path).complete())

    def repositories(self, owner: str) -> Iterator[Listed]:
        """Yield the repositories of an organisation or a person; for an App, those that it is installed on."""
        with errors(f"repositories of {owner}"):
            client = self.client_of(owner, "")[0]
            for one in owned(client, owner) if not self.app[0] else installed(client):
                if one.full_name.lower().startswith(f"{owner.lower()}/"):
                    pushed = one.pushed_at.timestamp() if one.pushed_at else 0.0
                    yield Listed(one.full_name, one.archived, one.fork, tuple(one.topics), one.language or "", pushed)

    def details(self, listed: Listed) -> Listed:
        """Return the same: the list tells all."""
        return listed

    def fork(self, repository: Repository, *, make: bool) -> Repository | None:
        """Return the account's fork; asked for one, GitHub answers with the one that is there."""
        owner, _, name = repository.path.partition("/")
        with errors(f"fork of {repository.path}"):
            if make:
                return described(self.of(repository.path).create_fork(default_branch_only=True))
            client = self.client_of(owner, name)[0]
            try:
                found = client.get_repo(f"{client.get_user().login}/{name}").complete()
            except UnknownObjectException:
                return None
            return described(found) if found.fork and found.parent.full_name == repository.path else None

    def pull_requests(self, repository: Repository, head: Head) -> Sequence[PullRequest]:
        """Return every pull request from ``head``, the newest first."""
        owner = head.repository.partition("/")[0]
        with errors(f"pull requests of {repository.path}"):
            found = self.of(repository.path).get_pulls(
                state="all", head=f"{owner}:{head.branch}", sort="created", direction="desc"
            )
            return [pull_request(one) for one in found if one.head.ref == head.branch]

    def count(self, repository: Repository, branch: str, since: float | None = None) -> int:
        """Return how many pull requests of this account are open, or were made after ``since``.

        https://docs.github.com/en/search-github/searching-on-github/searching-issues-and-pull-requests
        """
        owner, _, name = repository.path.partition("/")
        which = (
            "is:open"
            if since is None
            else f"created:>={datetime.fromtimestamp(since, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        )
        with errors("the pull requests of this account"):
            author = "@me"
            if self.app[0]:
                author = f"app/{self.integration().get_app().slug}"
            client = self.client_of(owner, name)[0]
            return int(client.search_issues(f'is:pr author:{author} head:"{branch}" {which}').totalCount)

    def create(
        self, repository: Repository, head: Head, base: str, title: str, body: str, wishes: Wishes
    ) -> PullRequest:
        """Open a pull request; where plan or settings know no drafts, an open one."""
        own = head.repository == repository.path
        name = head.branch if own else f"{head.repository.partition('/')[0]}:{head.branch}"
        with errors(f"pull request in {repository.path}"):
            try:
                made = self.of(repository.path).create_pull(
                    base=base, head=name, title=title, body=body, draft=wishes.draft, maintainer_can_modify=not own
                )
            except GithubException as error:
                if not wishes.draft or error.status != NOBODY or "draft" not in reason(error).lower():
                    raise
                made = self.of(repository.path).create_pull(
                    base=base, head=name, title=title, body=body, draft=False, maintainer_can_modify=not own
                )
            return pull_request(made)

    def edit(
        self, repository: Repository, number: int, *, title: str = "", body: str = "", base: str = "", state: str = ""
    ) -> None:
        """Change what is given."""
        given = {"title": title, "body": body, "base": base, "state": state}
        with errors(f"pull request {number} of {repository.path}"):
            self.of(repository.path).get_pull(number).edit(**{name: value for name, value in given.items() if value})

    def comment(self, repository: Repository, number: int, marker: str, text: str) -> bool:
        """Comment once."""
        with errors(f"comments of {repository.path}#{number}"):
            issue = self.of(repository.path).get_issue(number)
            if any(marker in (one.body or "") for one in issue.get_comments()):
                return False
            issue.create_comment(f"{marker}\n{text}")
            return True

    def request(self, repository: Repository, number: int, wishes: Wishes) -> Sequence[str]:
        """Set labels, reviewers and assignees, each kind by itself: one that fails keeps none of the others back."""
        one = self.of(repository.path)
        people = [name for name in wishes.reviewers if "/" not in name]
        teams = [name.partition("/")[2] for name in wishes.reviewers if "/" in name]
        calls: tuple[tuple[str, Sequence[str], Callable[[], object]], ...] = (
            ("labels", wishes.labels, lambda: add_labels(one.get_issue(number), wishes.labels)),
            ("reviewers", people, lambda: one.get_pull(number).create_review_request(reviewers=people)),
            ("team reviewers", teams, lambda: one.get_pull(number).create_review_request(team_reviewers=teams)),
            ("assignees", wishes.assignees, lambda: one.get_issue(number).add_to_assignees(*wishes.assignees)),
        )
        failed = []
        for what, names, call in calls:
            if names:
                try:
                    with errors(f"{what} {', '.join(names)}"):
                        call()
                except ForgeError as error:
                    failed.append(str(error))
        return failed

    def credentials(self, repository: Repository) -> tuple[str, str]:
        """Return what GitHub takes for git over HTTPS."""
        owner, _, name = repository.path.partition("/")
        token = getattr(self.client_of(owner, name)[1], "token", "")
        return ("x-access-token", token) if token else ("", "")

    def link(self, repository: Repository, commit: str, path: str, line: int = 0) -> str:
        """Return the address of a file or line."""
        return f"{repository.web_url}/blob/{commit}/{quote(path)}{f'#L{line}' if line else ''}"

    def commit(self, repository: Repository, new: NewCommit) -> str:
        """Make a commit without an author of its own, which GitHub then signs for an App.

        https://docs.github.com/en/authentication/managing-commit-signature-verification/about-commit-signature-verification
        """
        with errors(f"signed commit in {repository.path}"):
            one = self.of(repository.path)
            elements = []
            for change in new.files:
                content = base64.b64encode(change.after).decode("ascii")
                blob = one.create_git_blob(content, "base64")
                elements.append(InputGitTreeElement(change.path, change.mode, "blob", sha=blob.sha))
            tree = one.create_git_tree(elements, one.get_git_tree(new.parent))
            if tree.sha != new.tree:
                raise ForgeError(f"signed commit in {repository.path}: the forge made another tree of the files")
            made = one.create_git_commit(new.message, tree, [one.get_git_commit(new.parent)])
            return str(made.sha)


def add_labels(issue: Any, names: Sequence[str]) -> None:
    """Add labels in the form that GitHub recommends, and publishes; PyGithub sends a bare list.

    https://docs.github.com/en/rest/issues/labels#add-labels-to-an-issue
    """
    issue.requester.requestJsonAndCheck("POST", f"{issue.url}/labels", input={"labels": list(names)})


def installation(integration: GithubIntegration, owner: str, name: str) -> Any:
    """Return an App's installation for a repository, or without a name for all that it is installed on of an owner."""
    if name:
        return integration.get_repo_installation(owner, name)
    try:
        return integration.get_org_installation(owner)
    except UnknownObjectException:
        return integration.get_user_installation(owner)


def owned(client: Github, owner: str) -> Iterator[Any]:
    """Yield PyGithub's repositories of an organisation, else of a person: one's own with those that are private."""
    try:
        organization = client.get_organization(owner).complete()
    except UnknownObjectException:
        me: Any = client.get_user()
        own = me.login.lower() == owner.lower()
        yield from me.get_repos(affiliation="owner") if own else client.get_user(owner).get_repos()
    else:
        yield from organization.get_repos(sort="full_name")


def installed(client: Github) -> Iterator[Any]:
    """Yield PyGithub's repositories of an App's installation."""
    place = "/installation/repositories"
    yield from PaginatedList(GithubRepository, client.requester, place, {}, list_item="repositories")


def described(one: Any) -> Repository:
    """Return a repository of PyGithub as a value."""
    permissions = one.permissions
    can_push = permissions is None or bool(permissions.push)
    return Repository(one.full_name, one.default_branch or "", one.clone_url, one.html_url, one.archived, can_push)


def pull_request(one: Any) -> PullRequest:
    """Return a pull request of PyGithub as a value."""
    state = "merged" if one.merged_at is not None else one.state
    labels = tuple(label.name for label in one.labels)
    return PullRequest(one.number, one.html_url, state, one.title, one.body or "", one.base.ref, labels)
