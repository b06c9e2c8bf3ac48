"""Gitea and Forgejo, whose APIs are alike: https://docs.gitea.com/api/ (extra ``hardener[gitea]``)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from requests import RequestException
from urllib3.exceptions import HTTPError

from hardener.bot import marker, waiting
from hardener.bot.forge import ForgeError, Listed, PullRequest, Repository, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.bot.forge import Head, Wishes

PAGE = 50
NOT_FOUND = 404
# The default of [repository.pull-request] WORK_IN_PROGRESS_PREFIXES.
DRAFT = re.compile(r"^\s*(?:WIP:|\[WIP\])\s*", re.IGNORECASE)


class Gitea:
    """One Gitea or Forgejo, as one account."""

    kind = "gitea"

    def __init__(self, api_url: str, web_url: str, token: str = "") -> None:
        """Take the address of the instance (or of its API), and a token."""
        self.api_url = f"{re.sub(r'/api/v1/?$', '', api_url)}/api/v1"
        self.web_url, self.token = web_url, token
        self.session = waiting.session()
        self.session.headers["Accept"] = "application/json"
        if token:
            self.session.headers["Authorization"] = f"token {token}"

    def call(self, what: str, method: str, place: str, data: Any = None, **parameters: Any) -> Any:
        """Return the answer of one call as JSON; raises ``ForgeError``."""
        return self.answer(what, method, place, data, **parameters)[0]

    def answer(self, what: str, method: str, place: str, data: Any = None, **parameters: Any) -> tuple[Any, int]:
        """Return the answer of one call as JSON, and how long the whole list is, -1 where that is not said."""
        try:
            answer = self.session.request(method, f"{self.api_url}{place}", json=data, params=parameters)
            body = answer.json() if answer.content else None
        except (RequestException, HTTPError, ValueError) as error:
            raise ForgeError(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error
        if not answer.ok:
            message = body.get("message", "") if isinstance(body, dict) else str(body)
            raise ForgeError(f"{what}: {answer.status_code} {str(message)[:300]}", answer.status_code)
        total = answer.headers.get("X-Total-Count", "")
        return body, int(total) if total.isdecimal() else -1

    def pages(self, what: str, place: str, **parameters: Any) -> Iterator[Any]:
        """Yield what a list has, page by page; a server may give shorter pages than it is asked for."""
        page, seen = 1, 0
        while True:
            found, total = self.answer(what, "GET", place, page=page, limit=PAGE, **parameters)
            yield from found or ()
            seen += len(found or ())
            if not found or seen == total:
                return
            page += 1

    def repositories(self, owner: str) -> Iterator[Listed]:
        """Yield the repositories of an organisation or a person."""
        what = f"repositories of {owner}"
        try:
            self.call(what, "GET", f"/orgs/{quote(owner, safe='')}")
            kind = "orgs"
        except ForgeError as error:
            if error.status != NOT_FOUND:
                raise
            kind = "users"
        for one in self.pages(what, f"/{kind}/{quote(owner, safe='')}/repos"):
            topics = None if one.get("topics") is None else tuple(one["topics"])
            yield Listed(
                one["full_name"],
                bool(one.get("archived")),
                bool(one.get("fork")),
                topics,
                one.get("language") or "",
                seconds_of(one.get("updated_at")),
            )

    def details(self, listed: Listed) -> Listed:
        """Return the same with the topics, which older versions do not list."""
        if listed.topics is not None:
            return listed
        found = self.call(f"topics of {listed.path}", "GET", f"/repos/{listed.path}/topics")
        return listed._replace(topics=tuple(found.get("topics") or ()))

    def repository(self, path: str) -> Repository:
        """Return a repository."""
        return described(self.call(f"repository {path}", "GET", f"/repos/{quote(path)}"))

    def fork(self, repository: Repository, *, make: bool) -> Repository | None:
        """Return the account's fork of a repository."""
        what, me = f"fork of {repository.path}", self.me()
        for one in self.pages(what, f"/repos/{repository.path}/forks"):
            if one["owner"]["login"] == me:
                return described(one)
        return described(self.call(what, "POST", f"/repos/{repository.path}/forks", {})) if make else None

    def me(self) -> str:
        """Return the name of the account."""
        return str(self.call("the account", "GET", "/user")["login"])

    def pull_requests(self, repository: Repository, head: Head) -> Sequence[PullRequest]:
        """Return every pull request from ``head``, the newest first."""
        what, place = f"pull requests of {repository.path}", f"/repos/{repository.path}/pulls"
        found = []
        for one in self.pages(what, place, state="all", sort="recentupdate"):
            came = one["head"]
            source = (came.get("repo") or {}).get("full_name", "")
            if came["ref"] == head.branch and source == head.repository:
                found.append(pull_request(one))
        return sorted(found, key=lambda one: -one.number)

    def count(self, repository: Repository, branch: str, since: float | None = None) -> int:  # noqa: ARG002
        """Return how many pull requests of this account with the bot's text are open, or were made after ``since``.

        Gitea searches issues, which do not tell their branch.
        """
        given: dict[str, Any] = {"type": "pulls", "created": "true", "state": "open" if since is None else "all"}
        if since is not None:  # of the last change
            given["since"] = datetime.fromtimestamp(int(since), timezone.utc).isoformat().replace("+00:00", "Z")
        found = self.pages("the pull requests of this account", "/repos/issues/search", **given)
        return sum(
            marker.fields_of(one.get("body") or "") is not None
            and (since is None or seconds_of(one["created_at"]) >= since)
            for one in found
        )

    def create(
        self, repository: Repository, head: Head, base: str, title: str, body: str, wishes: Wishes
    ) -> PullRequest:
        """Open a pull request."""
        own = head.repository == repository.path
        data = {
            "title": f"WIP: {title}" if wishes.draft else title,
            "body": body,
            "base": base,
            "head": head.branch if own else f"{head.repository.partition('/')[0]}:{head.branch}",
        }
        what = f"pull request in {repository.path}"
        return pull_request(self.call(what, "POST", f"/repos/{repository.path}/pulls", data))

    def edit(
        self, repository: Repository, number: int, *, title: str = "", body: str = "", base: str = "", state: str = ""
    ) -> None:
        """Change what is given; a draft stays one."""
        what, place = f"pull request {number} of {repository.path}", f"/repos/{repository.path}/pulls/{number}"
        if title and DRAFT.match(self.call(what, "GET", place)["title"]):
            title = f"WIP: {title}"
        given = {"title": title, "body": body, "base": base, "state": state}
        self.call(what, "PATCH", place, {name: value for name, value in given.items() if value})

    def comment(self, repository: Repository, number: int, marker: str, text: str) -> bool:
        """Comment once."""
        what, place = f"comments of {repository.path}#{number}", f"/repos/{repository.path}/issues/{number}/comments"
        if any(marker in (one.get("body") or "") for one in self.call(what, "GET", place)):  # it has no pages
            return False
        self.call(what, "POST", place, {"body": f"{marker}\n{text}"})
        return True

    def request(self, repository: Repository, number: int, wishes: Wishes) -> Sequence[str]:
        """Set labels (those that the repository has), reviewers and assignees."""
        place, failed = f"/repos/{repository.path}", []
        ids: list[int] = []
        calls: list[tuple[str, str, str, Any]] = []
        if wishes.labels:
            try:
                ids, missing = self.label_ids(place, wishes.labels)
                failed += [f"label {name}: there is none of that name" for name in missing]
            except ForgeError as error:
                failed.append(str(error))
        if ids:
            calls.append(("labels", "POST", f"{place}/issues/{number}/labels", {"labels": ids}))
        if wishes.reviewers:
            people = [name for name in wishes.reviewers if "/" not in name]
            teams = [name.partition("/")[2] for name in wishes.reviewers if "/" in name]
            data = {"reviewers": people, "team_reviewers": teams}
            calls.append(("reviewers", "POST", f"{place}/pulls/{number}/requested_reviewers", data))
        if wishes.assignees:
            calls.append(("assignees", "PATCH", f"{place}/issues/{number}", {"assignees": list(wishes.assignees)}))
        for what, method, where, body in calls:
            try:
                self.call(what, method, where, body)
            except ForgeError as error:  # noqa: PERF203
                failed.append(str(error))
        return failed

    def label_ids(self, place: str, names: Sequence[str]) -> tuple[list[int], list[str]]:
        """Return the ids of labels, and the names that the repository does not have."""
        known = {one["name"]: one["id"] for one in self.pages("labels", f"{place}/labels")}
        return [known[name] for name in names if name in known], [name for name in names if name not in known]

    def credentials(self, repository: Repository) -> tuple[str, str]:  # noqa: ARG002  one token for all
        """Return what Gitea takes for git over HTTPS: any user, with the token as password."""
        return ("x-access-token", self.token) if self.token else ("", "")

    def link(self, repository: Repository, commit: str, path: str, line: int = 0) -> str:
        """Return the address of a file or line."""
        return f"{repository.web_url}/src/commit/{commit}/{quote(path)}{f'#L{line}' if line else ''}"


def described(one: Any) -> Repository:
    """Return a repository of the API as a value."""
    return Repository(
        one["full_name"],
        one.get("default_branch") or "",
        one["clone_url"],
        one["html_url"],
        bool(one.get("archived")),
        bool((one.get("permissions") or {}).get("push")),
    )


def pull_request(one: Any) -> PullRequest:
    """Return a pull request of the API as a value, its title without the word for a draft."""
    state = "merged" if one.get("merged") else one["state"]
    labels = tuple(label["name"] for label in one.get("labels") or ())
    return PullRequest(
        one["number"],
        one["html_url"],
        state,
        DRAFT.sub("", one["title"]),
        one.get("body") or "",
        one["base"]["ref"],
        labels,
    )
