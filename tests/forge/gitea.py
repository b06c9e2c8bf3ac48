"""Gitea's REST API over a `World`, as far as the bot goes: https://docs.gitea.com/api/"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from forge.world import ACCOUNT, Pull, Repo, World

Answer = tuple[int, Any]


def repository(world: World, repo: Repo) -> dict[str, Any]:
    owner, _, name = repo.path.partition("/")
    return {
        "id": repo.number,
        "name": name,
        "full_name": repo.path,
        "owner": {"id": 1, "login": owner},
        "default_branch": repo.default_branch,
        "archived": repo.archived,
        "fork": bool(repo.fork_of),
        "topics": repo.topics,
        "language": repo.language,
        "updated_at": datetime.fromtimestamp(repo.pushed, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "empty": not repo.tip(repo.default_branch),
        "clone_url": f"{world.url}/{repo.path}.git",
        "html_url": f"https://gitea.example/{repo.path}",
        "permissions": {"admin": False, "push": repo.can_push, "pull": True},
    }


def pull(world: World, repo: Repo, one: Pull) -> dict[str, Any]:
    source = world.repos[one.head[0]]
    return {
        "id": 1000 + one.number,
        "number": one.number,
        "title": f"WIP: {one.title}" if one.draft else one.title,
        "body": one.body,
        "state": one.state,
        "merged": one.merged,
        "draft": one.draft,
        "labels": [{"id": place, "name": name} for place, name in enumerate(one.labels, 1)],
        "html_url": f"https://gitea.example/{repo.path}/pulls/{one.number}",
        "head": {
            "label": one.head[1],
            "ref": one.head[1],
            "sha": source.tip(one.head[1]),
            "repo": repository(world, source),
        },
        "base": {"label": one.base, "ref": one.base, "sha": repo.tip(one.base), "repo": repository(world, repo)},
    }


MOST = 20  # an instance may give less than it is asked for: [api] MAX_RESPONSE_ITEMS


def get_owner(world: World, query: Any, data: Any, owner: str) -> Answer:
    there = owner not in world.people and world.owned(owner)
    return (200, {"id": 9, "username": owner}) if there else (404, {"message": "not found"})


def list_repositories(world: World, query: dict[str, str], data: Any, owner: str) -> Answer:
    if not world.owned(owner):
        return 404, {"message": "not found"}
    return 200, paged([repository(world, one) for one in world.owned(owner)], query)


def named(function: Any) -> Any:
    def call(world: World, query: dict[str, str], data: Any, path: str, *rest: str) -> Answer:
        repo = world.repos.get(path)
        return (404, {"message": "not found"}) if repo is None else function(world, repo, query, data, *rest)

    return call


def paged(items: list[Any], query: dict[str, str]) -> list[Any]:
    page, size = int(query.get("page", 1)), min(int(query.get("limit", 30)), MOST)
    return items[(page - 1) * size : page * size]


@named
def get_repository(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, repository(world, repo)


@named
def make_fork(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    if any(one.fork_of == repo.path for one in world.repos.values()):
        return 409, {"message": "repository is already forked by user"}
    return 202, repository(world, world.fork(repo))


@named
def list_forks(world: World, repo: Repo, query: dict[str, str], data: Any) -> Answer:
    return 200, paged([repository(world, one) for one in world.repos.values() if one.fork_of == repo.path], query)


def get_user(world: World, query: Any, data: Any) -> Answer:
    return 200, {"id": 5, "login": ACCOUNT}


@named
def list_pulls(world: World, repo: Repo, query: dict[str, str], data: Any) -> Answer:
    return 200, paged([pull(world, repo, one) for one in world.pulls(repo)], query)


def search_issues(world: World, query: dict[str, str], data: Any) -> Answer:
    assert (query["type"], query["created"]) == ("pulls", "true")
    found = world.search(state={"open": "open", "all": ""}[query["state"]])
    items = [
        {"id": one.number, "number": one.number, "title": one.title, "body": one.body, "state": one.state,
         "created_at": datetime.fromtimestamp(one.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
        for _, one in found
    ]  # fmt: skip
    return 200, paged(items, query)


@named
def make_pull(world: World, repo: Repo, query: Any, data: dict[str, Any]) -> Answer:
    owner, _, branch = data["head"].rpartition(":")
    source = next(
        (
            one.path
            for one in world.repos.values()
            if owner and one.path.startswith(f"{owner}/") and one.fork_of == repo.path
        ),
        repo.path,
    )
    draft = data["title"].startswith("WIP: ")
    facts = {"title": data["title"].removeprefix("WIP: "), "body": data.get("body", ""), "draft": draft}
    made = world.open_pull(repo, (source, branch), data["base"], **facts)
    if isinstance(made, str):
        return 409 if "already exists" in made else 422, {"message": made}
    return 201, pull(world, repo, made)


def one_of(world: World, repo: Repo, number: str) -> Pull:
    return next(one for one in world.pulls(repo) if one.number == int(number))


@named
def get_pull(world: World, repo: Repo, query: Any, data: Any, number: str) -> Answer:
    return 200, pull(world, repo, one_of(world, repo, number))


@named
def edit_pull(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one = one_of(world, repo, number)
    if "title" in data:
        one.draft, one.title = data["title"].startswith("WIP: "), data["title"].removeprefix("WIP: ")
    for name in ("body", "state", "base"):
        if name in data:
            setattr(one, name, data[name])
    return 201, pull(world, repo, one)


@named
def list_comments(world: World, repo: Repo, query: Any, data: Any, number: str) -> Answer:
    return 200, [{"id": place, "body": text} for place, text in enumerate(one_of(world, repo, number).comments, 1)]


@named
def make_comment(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one_of(world, repo, number).comments.append(data["body"])
    return 201, {"id": 1, "body": data["body"]}


@named
def list_labels(world: World, repo: Repo, query: dict[str, str], data: Any) -> Answer:
    return 200, paged([{"id": place, "name": name} for place, name in enumerate(repo.labels, 1)], query)


@named
def add_labels(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one = one_of(world, repo, number)
    one.labels += [repo.labels[place - 1] for place in data["labels"]]
    return 200, [{"id": 1, "name": name} for name in one.labels]


@named
def add_reviewers(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one_of(world, repo, number).reviewers += [*data["reviewers"], *(f"team:{name}" for name in data["team_reviewers"])]
    return 201, []


@named
def edit_issue(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one = one_of(world, repo, number)
    one.assignees += data.get("assignees", [])
    return 201, {"id": one.number, "number": one.number, "title": one.title}


R = r"/repos/([^/]+/[^/]+)"
ROUTES = [
    ("GET", "/repos/issues/search", search_issues),
    ("GET", "/user", get_user),
    ("GET", r"/orgs/([^/]+)", get_owner),
    ("GET", r"/(?:orgs|users)/([^/]+)/repos", list_repositories),
    ("GET", R, get_repository),
    ("POST", R + "/forks", make_fork),
    ("GET", R + "/forks", list_forks),
    ("GET", R + "/pulls", list_pulls),
    ("POST", R + "/pulls", make_pull),
    ("GET", R + r"/pulls/(\d+)", get_pull),
    ("PATCH", R + r"/pulls/(\d+)", edit_pull),
    ("POST", R + r"/pulls/(\d+)/requested_reviewers", add_reviewers),
    ("GET", R + r"/issues/(\d+)/comments", list_comments),
    ("POST", R + r"/issues/(\d+)/comments", make_comment),
    ("GET", R + "/labels", list_labels),
    ("POST", R + r"/issues/(\d+)/labels", add_labels),
    ("PATCH", R + r"/issues/(\d+)", edit_issue),
]
