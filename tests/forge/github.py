"""GitHub's REST API over a `World`, as far as the bot goes."""

from __future__ import annotations

import base64
import copy
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from forge.world import ACCOUNT, TOKEN, Pull, Repo, World

SHAPES = json.loads((Path(__file__).parent / "github_shapes.json").read_text(encoding="utf-8"))
Answer = tuple[int, Any]


def shape(kind: str, **values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SHAPES[kind]), **values}


def error(status: int, message: str) -> Answer:
    errors = [{"resource": "PullRequest", "code": "custom", "message": message}]
    return status, {"message": "Validation Failed", "errors": errors, "documentation_url": "https://docs.github.com"}


def user(login: str) -> dict[str, Any]:
    return shape("user", login=login, id=len(login) + 1)


def repository(world: World, repo: Repo) -> dict[str, Any]:
    owner, _, name = repo.path.partition("/")
    return shape(
        "repository",
        id=repo.number,
        name=name,
        full_name=repo.path,
        owner=user(owner),
        default_branch=repo.default_branch,
        archived=repo.archived,
        clone_url=f"{world.url}/{repo.path}.git",
        html_url=f"https://github.example/{repo.path}",
        url=f"{world.url}{world.prefix}/repos/{repo.path}",
        permissions={"admin": False, "push": repo.can_push, "pull": True},
        has_downloads=True,
        topics=repo.topics,
        language=repo.language or None,
        private=repo.private,
        pushed_at=datetime.fromtimestamp(repo.pushed, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        fork=bool(repo.fork_of),
        **({"parent": parent(world, repo.fork_of)} if repo.fork_of else {}),
    )


def parent(world: World, path: str) -> dict[str, Any]:
    return {**repository(world, world.repos[path]), "permissions": {"admin": False, "push": False, "pull": True}}


def pull(world: World, repo: Repo, one: Pull, kind: str = "pull") -> dict[str, Any]:
    source = world.repos[one.head[0]]

    def side(where: Repo, branch: str) -> dict[str, Any]:
        owner = where.path.partition("/")[0]
        return {
            "label": f"{owner}:{branch}",
            "ref": branch,
            "sha": where.tip(branch) or "0" * 40,
            "user": user(owner),
            "repo": repository(world, where),
        }

    return shape(
        kind,
        number=one.number,
        title=one.title,
        body=one.body,
        state=one.state,
        draft=one.draft,
        user=user(one.author),
        head=side(source, one.head[1]),
        base=side(repo, one.base),
        merged_at="2026-01-02T00:00:00Z" if one.merged else None,
        labels=[label(name) for name in one.labels],
        html_url=f"https://github.example/{repo.path}/pull/{one.number}",
        url=f"{world.url}{world.prefix}/repos/{repo.path}/pulls/{one.number}",
    )


def label(name: str) -> dict[str, Any]:
    return shape("label", name=name, id=len(name), color="cccccc", default=False, description="")


def named(function: Any) -> Any:
    def call(world: World, query: dict[str, str], data: dict[str, Any], path: str, *rest: str) -> Answer:
        repo = world.repos.get(path)
        if repo is None:
            return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}
        return function(world, repo, query, data, *rest)

    return call


def get_user(world: World, query: Any, data: Any) -> Answer:
    return 200, shape("me", login=ACCOUNT)


@named
def get_repository(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, repository(world, repo)


def paged(items: list[Any], query: dict[str, str]) -> list[Any]:
    page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
    return items[(page - 1) * size : page * size]


def list_of(world: World, query: dict[str, str], owner: str) -> Answer:
    return 200, paged([repository(world, one) for one in world.owned(owner)], query)


def get_organization(world: World, query: Any, data: Any, owner: str) -> Answer:
    if owner in world.people or not world.owned(owner):
        return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}
    return 200, shape("organization", login=owner, url=f"{world.url}{world.prefix}/orgs/{owner}")


def list_repositories(world: World, query: dict[str, str], data: Any, owner: str) -> Answer:
    return list_of(world, query, owner)


def list_persons(world: World, query: dict[str, str], data: Any, owner: str) -> Answer:
    if owner not in world.people:
        return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}
    public = [one for one in world.owned(owner) if not one.private]
    return 200, paged([repository(world, one) for one in public], query)


def get_person(world: World, query: Any, data: Any, name: str) -> Answer:
    if name not in world.people:
        return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com"}
    return 200, shape("me", login=name, url=f"{world.url}{world.prefix}/users/{name}")


def list_own(world: World, query: dict[str, str], data: Any) -> Answer:
    assert query["affiliation"] == "owner"
    return list_of(world, query, ACCOUNT)


def list_installed(world: World, query: dict[str, str], data: Any) -> Answer:
    items = [repository(world, one) for one in world.repos.values()]
    return 200, {"total_count": len(items), "repositories": paged(items, query)}


@named
def make_fork(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 202, repository(world, world.fork(repo))


@named
def list_pulls(world: World, repo: Repo, query: dict[str, str], data: Any) -> Answer:
    owner, _, branch = query.get("head", "").partition(":")
    found = [
        one
        for one in reversed(world.pulls(repo))
        if not branch or (one.head[0].partition("/")[0], one.head[1]) == (owner, branch)
    ]
    page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
    return 200, [pull(world, repo, one, "pull-simple") for one in found[(page - 1) * size : page * size]]


def search_issues(world: World, query: dict[str, str], data: Any) -> Answer:
    words = dict(re.findall(r'([a-z]+):"?([^\s"]+)"?', query["q"].replace("is:pr ", "")))
    assert words["author"] in ("@me", "app/harden"), words
    since = 0.0
    if "created" in words:
        since = datetime.fromisoformat(words["created"].removeprefix(">=").replace("Z", "+00:00")).timestamp()
    found = world.search(words["head"], state=words.get("is", ""), since=since)
    items = [
        shape("search-item", number=one.number, title=one.title, body=one.body, state=one.state, user=user(one.author))
        for _, one in found
    ]
    return 200, {
        "total_count": len(items),
        "incomplete_results": False,
        "items": items[: int(query.get("per_page", 30))],
    }


def get_app(world: World, query: Any, data: Any) -> Answer:
    return 200, shape("app", slug="harden")


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
    facts = {"title": data["title"], "body": data.get("body") or "", "draft": bool(data.get("draft"))}
    made = world.open_pull(repo, (source, branch), data["base"], **facts)
    return error(422, made) if isinstance(made, str) else (201, pull(world, repo, made))


def one_of(world: World, repo: Repo, number: str) -> Pull | None:
    return next((one for one in world.pulls(repo) if one.number == int(number)), None)


@named
def get_pull(world: World, repo: Repo, query: Any, data: Any, number: str) -> Answer:
    found = one_of(world, repo, number)
    return (200, pull(world, repo, found)) if found else error(404, "Not Found")


@named
def edit_pull(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    found = one_of(world, repo, number)
    if found is None:
        return error(404, "Not Found")
    for name in ("title", "body", "state", "base"):
        if name in data:
            setattr(found, name, data[name])
    return 200, pull(world, repo, found)


@named
def list_comments(world: World, repo: Repo, query: dict[str, str], data: Any, number: str) -> Answer:
    found = one_of(world, repo, number)
    page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
    texts = (found.comments if found else [])[(page - 1) * size : page * size]
    return 200, [shape("comment", body=text, user=user(ACCOUNT)) for text in texts]


@named
def make_comment(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    found = one_of(world, repo, number)
    if found is None:
        return error(404, "Not Found")
    found.comments.append(data["body"])
    return 201, shape("comment", body=data["body"], user=user(ACCOUNT))


@named
def add_labels(world: World, repo: Repo, query: Any, data: Any, number: str) -> Answer:
    names = data["labels"] if isinstance(data, dict) else data
    found = one_of(world, repo, number)
    assert found is not None
    found.labels += [name for name in names if name not in found.labels]
    return 200, [label(name) for name in found.labels]


@named
def add_reviewers(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    found = one_of(world, repo, number)
    assert found is not None
    names = data.get("reviewers", []) + [f"team:{name}" for name in data.get("team_reviewers", [])]
    if "nobody" in names:
        return error(422, "Reviews may only be requested from collaborators.")
    found.reviewers += names
    return 201, pull(world, repo, found, "pull-simple")


@named
def add_assignees(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    found = one_of(world, repo, number)
    assert found is not None
    found.assignees += data["assignees"]
    return 201, shape("issue", number=found.number, title=found.title, state="open", user=user(ACCOUNT))


@named
def make_blob(world: World, repo: Repo, query: Any, data: dict[str, Any]) -> Answer:
    content = base64.b64decode(data["content"]) if data["encoding"] == "base64" else data["content"].encode()
    sha = repo.git("hash-object", "-w", "--stdin", stdin=content)
    return 201, shape("blob", sha=sha, url=f"{world.url}{world.prefix}/repos/{repo.path}/git/blobs/{sha}")


def tree_answer(world: World, repo: Repo, sha: str) -> dict[str, Any]:
    return shape("tree", sha=sha, url=f"{world.url}{world.prefix}/repos/{repo.path}/git/trees/{sha}")


@named
def get_tree(world: World, repo: Repo, query: Any, data: Any, sha: str) -> Answer:
    return 200, tree_answer(world, repo, repo.git("rev-parse", f"{sha}^{{tree}}"))


@named
def make_tree(world: World, repo: Repo, query: Any, data: dict[str, Any]) -> Answer:
    index = {"GIT_INDEX_FILE": str(repo.folder / "api-index")}
    repo.git("read-tree", data["base_tree"], **index)
    for one in data["tree"]:
        repo.git("update-index", "--add", "--cacheinfo", f"{one['mode']},{one['sha']},{one['path']}", **index)
    return 201, tree_answer(world, repo, repo.git("write-tree", **index))


def commit_answer(world: World, repo: Repo, sha: str) -> dict[str, Any]:
    tree = repo.git("rev-parse", f"{sha}^{{tree}}")
    return shape("commit", sha=sha, tree={"sha": tree, "url": f"{world.url}/repos/{repo.path}/git/trees/{tree}"})


@named
def get_commit(world: World, repo: Repo, query: Any, data: Any, sha: str) -> Answer:
    return 200, commit_answer(world, repo, sha)


@named
def make_commit(world: World, repo: Repo, query: Any, data: dict[str, Any]) -> Answer:
    assert "author" not in data, "GitHub signs only what names no author"
    parents = [word for parent in data["parents"] for word in ("-p", parent)]
    who = {
        "GIT_AUTHOR_NAME": "harden[bot]",
        "GIT_AUTHOR_EMAIL": "bot@users.noreply.github.com",
        "GIT_COMMITTER_NAME": "GitHub",
        "GIT_COMMITTER_EMAIL": "noreply@github.com",
    }
    sha = repo.git("commit-tree", *parents, "-F", "-", data["tree"], stdin=data["message"].encode(), **who)
    return 201, commit_answer(world, repo, sha)


@named
def installation(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, shape("installation", id=77, app_id=7, account=user("acme"), target_id=1, target_type="Organization")


def owners_installation(world: World, query: Any, data: Any, owner: str) -> Answer:
    return 200, shape("installation", id=77, app_id=7, account=user(owner), target_id=1, target_type="Organization")


def installation_token(world: World, query: Any, data: Any, number: str) -> Answer:
    return 201, shape("token", token=TOKEN, expires_at="2099-01-01T00:00:00Z")


R = r"/repos/([^/]+/[^/]+)"
ROUTES = [
    ("GET", "/user", get_user),
    ("GET", "/user/repos", list_own),
    ("GET", r"/orgs/([^/]+)", get_organization),
    ("GET", r"/orgs/([^/]+)/repos", list_repositories),
    ("GET", r"/users/([^/]+)/repos", list_persons),
    ("GET", r"/users/([^/]+)", get_person),
    ("GET", "/installation/repositories", list_installed),
    ("GET", "/app", get_app),
    ("GET", "/search/issues", search_issues),
    ("GET", R, get_repository),
    ("POST", R + "/forks", make_fork),
    ("GET", R + "/pulls", list_pulls),
    ("POST", R + "/pulls", make_pull),
    ("GET", R + r"/pulls/(\d+)", get_pull),
    ("PATCH", R + r"/pulls/(\d+)", edit_pull),
    ("POST", R + r"/pulls/(\d+)/requested_reviewers", add_reviewers),
    ("GET", R + r"/issues/(\d+)/comments", list_comments),
    ("POST", R + r"/issues/(\d+)/comments", make_comment),
    ("POST", R + r"/issues/(\d+)/labels", add_labels),
    ("POST", R + r"/issues/(\d+)/assignees", add_assignees),
    ("POST", R + "/git/blobs", make_blob),
    ("GET", R + "/git/trees/(.+)", get_tree),
    ("POST", R + "/git/trees", make_tree),
    ("GET", R + "/git/commits/(.+)", get_commit),
    ("POST", R + "/git/commits", make_commit),
    ("GET", R + "/installation", installation),
    ("GET", r"/orgs/([^/]+)/installation", owners_installation),
    ("POST", r"/app/installations/(\d+)/access_tokens", installation_token),
]
