"""GitLab's REST API over a `World`, as far as the bot goes: https://docs.gitlab.com/api/merge_requests/"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from forge.world import ACCOUNT, Pull, Repo, World

Answer = tuple[int, Any]
PEOPLE = {"zoe": 21, "ada": 22}
STATES = {"open": "opened", "closed": "closed"}


def found(world: World, name: str) -> Repo | None:
    return next((one for one in world.repos.values() if name in (one.path, str(one.number))), None)


def project(world: World, repo: Repo) -> dict[str, Any]:
    access = {"access_level": 30 if repo.can_push else 20, "notification_level": 3}
    return {
        "id": repo.number,
        "path_with_namespace": repo.path,
        "default_branch": repo.default_branch if repo.tip(repo.default_branch) else None,
        "http_url_to_repo": f"{world.url}/{repo.path}.git",
        "web_url": f"https://gitlab.example/{repo.path}",
        "archived": repo.archived,
        "topics": repo.topics,
        "last_activity_at": datetime.fromtimestamp(repo.pushed, timezone.utc).isoformat(),
        **({"forked_from_project": {"id": 1}} if repo.fork_of else {}),
        "empty_repo": not repo.tip(repo.default_branch),
        "import_status": "finished",
        "permissions": {"project_access": access, "group_access": None},
    }


def merge_request(world: World, repo: Repo, one: Pull) -> dict[str, Any]:
    title = f"Draft: {one.title}" if one.draft else one.title
    return {
        "id": 1000 + one.number,
        "iid": one.number,
        "project_id": repo.number,
        "title": title,
        "description": one.body,
        "state": "merged" if one.merged else STATES[one.state],
        "source_branch": one.head[1],
        "source_project_id": world.repos[one.head[0]].number,
        "target_branch": one.base,
        "target_project_id": repo.number,
        "labels": one.labels,
        "draft": one.draft,
        "web_url": f"https://gitlab.example/{repo.path}/-/merge_requests/{one.number}",
        "sha": world.repos[one.head[0]].tip(one.head[1]),
    }


def named(function: Any) -> Any:
    def call(world: World, query: dict[str, str], data: dict[str, Any], name: str, *rest: str) -> Answer:
        repo = found(world, name)
        return (
            (404, {"message": "404 Project Not Found"}) if repo is None else function(world, repo, query, data, *rest)
        )

    return call


def paged(items: list[Any], query: dict[str, str]) -> list[Any]:
    page, size = int(query.get("page", 1)), int(query.get("per_page", 20))
    return items[(page - 1) * size : page * size]


@named
def get_project(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, project(world, repo)


@named
def list_forks(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, [project(world, one) for one in world.repos.values() if one.fork_of == repo.path]


@named
def make_fork(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 201, project(world, world.fork(repo))


@named
def list_requests(world: World, repo: Repo, query: dict[str, str], data: Any) -> Answer:
    hits = [one for one in reversed(world.pulls(repo)) if one.head[1] == query.get("source_branch", one.head[1])]
    return 200, paged([merge_request(world, repo, one) for one in hits], query)


def list_own(world: World, query: dict[str, str], data: Any) -> Answer:
    assert query["scope"] == "created_by_me"
    since = datetime.fromisoformat(query["created_after"]).timestamp() if "created_after" in query else 0.0
    state = {"opened": "open", "all": ""}[query["state"]]
    found = world.search(query["source_branch"], state=state, since=since)
    return 200, paged([merge_request(world, repo, one) for repo, one in found], query)


@named
def make_request(world: World, repo: Repo, query: Any, data: dict[str, Any]) -> Answer:
    target = found(world, str(data["target_project_id"])) if "target_project_id" in data else repo
    assert target is not None
    title = data["title"]
    draft = title.startswith("Draft: ")
    facts = {"title": title.removeprefix("Draft: "), "body": data.get("description", ""), "draft": draft}
    made = world.open_pull(target, (repo.path, data["source_branch"]), data["target_branch"], **facts)
    if isinstance(made, str):
        return 409 if "already exists" in made else 400, {"message": [made]}
    return 201, merge_request(world, target, made)


def one_of(world: World, repo: Repo, number: str) -> Pull:
    return next(one for one in world.pulls(repo) if one.number == int(number))


@named
def get_request(world: World, repo: Repo, query: Any, data: Any, number: str) -> Answer:
    return 200, merge_request(world, repo, one_of(world, repo, number))


@named
def edit_request(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one = one_of(world, repo, number)
    if "title" in data:
        one.draft, one.title = data["title"].startswith("Draft: "), data["title"].removeprefix("Draft: ")
    one.body = data.get("description", one.body)
    one.base = data.get("target_branch", one.base)
    one.state = {"close": "closed", "reopen": "open"}.get(data.get("state_event", ""), one.state)
    one.labels += [name for name in data.get("add_labels", "").split(",") if name and name not in one.labels]
    names = {number: name for name, number in PEOPLE.items()}
    one.reviewers += [names[number] for number in data.get("reviewer_ids", ())]
    one.assignees += [names[number] for number in data.get("assignee_ids", ())]
    return 200, merge_request(world, repo, one)


@named
def list_notes(world: World, repo: Repo, query: dict[str, str], data: Any, number: str) -> Answer:
    notes = one_of(world, repo, number).comments
    return 200, paged([{"id": place, "body": text} for place, text in enumerate(notes, 1)], query)


@named
def make_note(world: World, repo: Repo, query: Any, data: dict[str, Any], number: str) -> Answer:
    one_of(world, repo, number).comments.append(data["body"])
    return 201, {"id": 1, "body": data["body"], "author": {"username": ACCOUNT}}


def group(world: World, name: str) -> bool:
    return name not in world.people and name not in world.repos and bool(world.owned(name))


def get_group(world: World, query: Any, data: Any, name: str) -> Answer:
    return (200, {"id": name, "full_path": name}) if group(world, name) else (404, {"message": "404 Group Not Found"})


def list_projects(world: World, query: dict[str, str], data: Any, name: str) -> Answer:
    assert query["include_subgroups"] == "True" or query["include_subgroups"] == "1", query
    return 200, paged([project(world, one) for one in world.owned(name)], query)


def list_own_projects(world: World, query: dict[str, str], data: Any, name: str) -> Answer:
    return 200, paged([project(world, one) for one in world.owned(name)], query)


@named
def get_languages(world: World, repo: Repo, query: Any, data: Any) -> Answer:
    return 200, {"Shell": 10.5, repo.language: 89.5} if repo.language else {}


def list_users(world: World, query: dict[str, str], data: Any) -> Answer:
    name = query["username"]
    if name in world.people:
        return 200, [{"id": name, "username": name}]
    return 200, [{"id": PEOPLE[name], "username": name}] if name in PEOPLE else []


P = r"/projects/(.+?)"
ROUTES = [
    ("GET", "/users", list_users),
    ("GET", r"/users/([^/]+)/projects", list_own_projects),
    ("GET", r"/groups/(.+?)/projects", list_projects),
    ("GET", r"/groups/(.+)", get_group),
    ("GET", P + "/languages", get_languages),
    ("GET", "/merge_requests", list_own),
    ("GET", P + "/forks", list_forks),
    ("POST", P + "/fork", make_fork),
    ("GET", P + "/merge_requests", list_requests),
    ("POST", P + "/merge_requests", make_request),
    ("GET", P + r"/merge_requests/(\d+)", get_request),
    ("PUT", P + r"/merge_requests/(\d+)", edit_request),
    ("GET", P + r"/merge_requests/(\d+)/notes", list_notes),
    ("POST", P + r"/merge_requests/(\d+)/notes", make_note),
    ("GET", P, get_project),
]
