"""GitLab, gitlab.com or self-managed, through python-gitlab (extra ``hardener[gitlab]``)."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitlab import Gitlab
from gitlab.exceptions import GitlabError
from requests import RequestException
from urllib3.exceptions import HTTPError

from hardener.bot import waiting
from hardener.bot.forge import SECONDS, ForgeError, Listed, PullRequest, Repository, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.bot.forge import Head, Wishes

# https://docs.gitlab.com/api/access_requests/#valid-access-levels
DEVELOPER = 30
NOT_FOUND = 404
STATES = {"opened": "open", "locked": "open", "closed": "closed", "merged": "merged"}
EVENTS = {"open": "reopen", "closed": "close"}
# https://docs.gitlab.com/user/project/merge_requests/drafts/
DRAFT = re.compile(r"^\s*(?:\[Draft\]|Draft:|\(Draft\))\s*", re.IGNORECASE)
FORK_SECONDS = 120.0


@contextmanager
def errors(what: str) -> Iterator[None]:
    """Turn everything that the client raises into a ``ForgeError`` that tells what was asked."""
    try:
        yield
    except GitlabError as error:
        status = error.response_code or 0
        raise ForgeError(f"{what}: {status} {str(error.error_message)[:300]}", status) from error
    except (RequestException, HTTPError) as error:
        raise ForgeError(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error


class GitLab:
    """One GitLab, as one account."""

    kind = "gitlab"

    def __init__(self, api_url: str, web_url: str, token: str = "", job_token: str = "") -> None:
        """Take the address of the instance (or of its API), and a token."""
        self.web_url, self.token = web_url, token or job_token
        self.user = "oauth2" if token else "gitlab-ci-token"
        self.client = Gitlab(
            re.sub(r"/api/v4/?$", "", api_url),
            private_token=token or None,
            job_token=(job_token or None) if not token else None,
            timeout=SECONDS,
            session=waiting.session(),
            keep_base_url=True,
            per_page=100,
        )

    def repository(self, path: str) -> Repository:
        """Return a project."""
        with errors(f"project {path}"):
            return described(self.client.projects.get(path))

    def repositories(self, owner: str) -> Iterator[Listed]:
        """Yield the projects of a group and of those in it, or of a person; or the one project of that path.

        The list tells no languages, and instead of pushes the last activity: https://docs.gitlab.com/api/groups/
        """
        with errors(f"projects of {owner}"):
            options: dict[str, Any] = {"order_by": "id", "sort": "asc", "iterator": True}
            found: Any
            try:
                found = self.client.groups.get(owner, with_projects=False).projects.list(
                    include_subgroups=True, with_shared=False, **options
                )
            except GitlabError as error:
                if error.response_code != NOT_FOUND:
                    raise
                people = [] if "/" in owner else self.client.users.list(username=owner, get_all=False)
                found = people[0].projects.list(**options) if people else [self.client.projects.get(owner)]
            for one in found:
                yield Listed(
                    one.path_with_namespace,
                    bool(one.archived),
                    getattr(one, "forked_from_project", None) is not None,
                    tuple(getattr(one, "topics", None) or getattr(one, "tag_list", None) or ()),
                    None,
                    seconds_of(one.last_activity_at),
                )

    def details(self, listed: Listed) -> Listed:
        """Return the same with its language."""
        with errors(f"languages of {listed.path}"):
            shares: Any = self.client.projects.get(listed.path, lazy=True).languages()
            return listed._replace(language=max(shares, key=lambda name: float(shares[name]), default=""))

    def fork(self, repository: Repository, *, make: bool) -> Repository | None:
        """Return the account's fork of a project; waits until the branches of a new one are there."""
        with errors(f"fork of {repository.path}"):
            project = self.client.projects.get(repository.path, lazy=True)
            owned = project.forks.list(owned=True, get_all=True)
            if not owned and not make:
                return None
            number = int((owned[0] if owned else project.forks.create({})).get_id() or 0)
            fork = self.client.projects.get(number)
            end = time.monotonic() + FORK_SECONDS
            while getattr(fork, "import_status", "none") in ("scheduled", "started") and time.monotonic() < end:
                time.sleep(2 * waiting.BACKOFF)
                fork = self.client.projects.get(number)
            return described(fork)

    def pull_requests(self, repository: Repository, head: Head) -> Sequence[PullRequest]:
        """Return every merge request from ``head``, the newest first."""
        with errors(f"merge requests of {repository.path}"):
            source = self.client.projects.get(head.repository).get_id()
            found = self.client.projects.get(repository.path, lazy=True).mergerequests.list(
                state="all", source_branch=head.branch, order_by="created_at", sort="desc", get_all=True
            )
            return [pull_request(one) for one in found if one.source_project_id == source]

    def count(self, repository: Repository, branch: str, since: float | None = None) -> int:  # noqa: ARG002
        """Return how many merge requests of this account are open, or were made after ``since``."""
        made = {"state": "opened"}
        if since is not None:
            made = {"state": "all", "created_after": datetime.fromtimestamp(since, timezone.utc).isoformat()}
        with errors("the merge requests of this account"):
            found = self.client.mergerequests.list(
                scope="created_by_me", source_branch=branch, iterator=True, per_page=100, **made
            )
            return sum(1 for _ in found)  # X-Total is not always there

    def create(
        self, repository: Repository, head: Head, base: str, title: str, body: str, wishes: Wishes
    ) -> PullRequest:
        """Open a merge request; its branch goes when it is merged."""
        with errors(f"merge request in {repository.path}"):
            data: dict[str, Any] = {
                "source_branch": head.branch,
                "target_branch": base,
                "title": f"Draft: {title}" if wishes.draft else title,
                "description": body,
                "remove_source_branch": True,
            }
            if head.repository != repository.path:
                data["target_project_id"] = self.client.projects.get(repository.path).get_id()
                data["allow_collaboration"] = True
            source = self.client.projects.get(head.repository, lazy=True)
            return pull_request(source.mergerequests.create(data))

    def edit(
        self, repository: Repository, number: int, *, title: str = "", body: str = "", base: str = "", state: str = ""
    ) -> None:
        """Change what is given; a draft stays one."""
        with errors(f"merge request {number} of {repository.path}"):
            requests = self.client.projects.get(repository.path, lazy=True).mergerequests
            if title and DRAFT.match(requests.get(number).title):
                title = f"Draft: {title}"
            given = {"title": title, "description": body, "target_branch": base, "state_event": EVENTS.get(state, "")}
            requests.update(number, {name: value for name, value in given.items() if value})

    def comment(self, repository: Repository, number: int, marker: str, text: str) -> bool:
        """Comment once."""
        with errors(f"notes of {repository.path}!{number}"):
            project = self.client.projects.get(repository.path, lazy=True)
            notes = project.mergerequests.get(number, lazy=True).notes
            if any(marker in (one.body or "") for one in notes.list(iterator=True)):
                return False
            notes.create({"body": f"{marker}\n{text}"})
            return True

    def request(self, repository: Repository, number: int, wishes: Wishes) -> Sequence[str]:
        """Set labels, reviewers and assignees."""
        failed: list[str] = []
        reviewers, assignees = self.ids(wishes.reviewers, failed), self.ids(wishes.assignees, failed)
        given = {"add_labels": ",".join(wishes.labels), "reviewer_ids": reviewers, "assignee_ids": assignees}
        for name, value in given.items():
            if value:
                try:
                    with errors(f"{name} {value}"):
                        self.client.projects.get(repository.path, lazy=True).mergerequests.update(number, {name: value})
                except ForgeError as error:
                    failed.append(str(error))
        return failed

    def ids(self, names: Sequence[str], failed: list[str]) -> list[int]:
        """Return the ids of users, and add a line for each that is not there."""
        found = []
        for name in names:
            try:
                with errors(f"user {name}"):
                    users = self.client.users.list(username=name, get_all=False)
            except ForgeError as error:
                failed.append(str(error))
                continue
            found += [user.get_id() for user in users[:1]]
            failed += [] if users else [f"user {name}: there is none of that name"]
        return [one for one in found if isinstance(one, int)]

    def credentials(self, repository: Repository) -> tuple[str, str]:  # noqa: ARG002  one token for all projects
        """Return what GitLab takes for git over HTTPS."""
        return (self.user, self.token) if self.token else ("", "")

    def link(self, repository: Repository, commit: str, path: str, line: int = 0) -> str:
        """Return the address of a file or line."""
        return f"{repository.web_url}/-/blob/{commit}/{quote(path)}{f'#L{line}' if line else ''}"


def described(one: Any) -> Repository:
    """Return a project of python-gitlab as a value."""
    granted = [access for access in (getattr(one, "permissions", None) or {}).values() if access]
    can_push = any(access.get("access_level", 0) >= DEVELOPER for access in granted)
    return Repository(
        one.path_with_namespace, one.default_branch or "", one.http_url_to_repo, one.web_url, one.archived, can_push
    )


def pull_request(one: Any) -> PullRequest:
    """Return a merge request of python-gitlab as a value, its title without the word for a draft."""
    title = DRAFT.sub("", one.title)
    state = STATES.get(one.state, "closed")
    return PullRequest(
        one.iid, one.web_url, state, title, one.description or "", one.target_branch, tuple(one.labels or ())
    )
