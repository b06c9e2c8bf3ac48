"""Repositories that a forge lists, and one pull request for each: against a fake forge with a state, and real git."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from forge.quick import quick  # noqa: F401  a fixture of every test
from forge.scene import BRANCH, DONE, FILES, KINDS
from forge.server import served
from forge.world import ACCOUNT, TOKEN, World

from hardener.bot import access, branch, waiting
from hardener.cli import main
from hardener.repos import budget
from hardener.repos.queries import Queries, filters_of, query_of
from hardener.repos.sources import SourceError, expand

pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")
pytest.importorskip("gitlab", reason="python-gitlab is not installed: pip install 'hardener[gitlab]'")

YEAR = 365 * 86400.0
NO_FILTERS = {"topics": (), "languages": (), "pushed_since": "", "archived": False, "forks": False}


@pytest.fixture(autouse=True)
def signed_in(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811  the fixture of that name
    """Have the test's account, and no forge of an earlier test."""
    monkeypatch.setenv("HARDEN_TOKEN", TOKEN)
    access.kept_forge.cache_clear()


@pytest.fixture
def world(tmp_path: Path):
    with served(World(tmp_path / "forge")) as found:
        yield found


def listed(world: World, kind: str, owner: str = "acme", said: list[str] | None = None, **filters) -> list[str]:
    """Return the paths that a query finds."""
    asked = Queries(
        filters_of({**NO_FILTERS, **filters}),
        (said if said is not None else []).append,
        lambda web, kind: access.kept_forge(web, kind, ""),
    )
    found = list(expand([f"{kind}:{world.url}/{owner}"], asked.listings()))
    assert all(one.forge == kind and one.location.startswith(f"{world.url}/") for one in found)
    return [one.location.removeprefix(f"{world.url}/").removesuffix(".git") for one in found]


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_finds_all_pages_and_leaves_archived_ones_and_forks_out(world: World, kind: str) -> None:
    for number in range(130):
        world.repos[f"acme/r{number:03}"] = world.add(f"acme/r{number:03}") if number == 0 else light(world, number)
    world.repos["acme/r005"].archived = True
    world.repos["acme/r129"].fork_of = "acme/r000"
    said: list[str] = []
    found = listed(world, kind, said=said)
    assert sorted(found) == [f"acme/r{number:03}" for number in range(129) if number != 5]
    assert said == [f"{kind}:{world.url[7:]}/acme: 128 repositories (left out: 1 archived, 1 forks)"]
    assert len(listed(world, kind, archived=True, forks=True)) == 130


def light(world: World, number: int):
    """Return a repository without a folder of its own: quick to make."""
    from dataclasses import replace

    first = world.repos["acme/r000"]
    return replace(first, path=f"acme/r{number:03}", number=number + 1, pulls=[])


@pytest.mark.parametrize("kind", KINDS)
def test_topic_language_and_time_choose(world: World, kind: str) -> None:
    now = time.time()
    world.add("acme/old", pushed=now - YEAR, topics=["web"], language="Go")
    world.add("acme/web", topics=["Web", "shop"], language="Python")
    world.add("acme/none")
    world.add("other/web", topics=["web"], language="Python")
    assert listed(world, kind, topics=("web",)) == ["acme/old", "acme/web"]
    assert listed(world, kind, languages=("python", "rust")) == ["acme/web"]
    assert listed(world, kind, topics=("web",), pushed_since="30d") == ["acme/web"]
    assert listed(world, kind, pushed_since=time.strftime("%Y-%m-%d", time.gmtime(now - 2 * YEAR))) == [
        "acme/old", "acme/web", "acme/none",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_persons_repositories_are_found_too(world: World, kind: str) -> None:
    world.people.add("ada")
    world.add("ada/tool")
    world.add(f"{ACCOUNT}/own", private=True)
    assert listed(world, kind, "ada") == ["ada/tool"]
    assert listed(world, kind, ACCOUNT) == [f"{ACCOUNT}/own"]


def test_a_group_of_gitlab_means_those_in_it(world: World) -> None:
    world.add("acme/web/shop")
    world.add("acme/tool")
    assert listed(world, "gitlab") == ["acme/web/shop", "acme/tool"]
    assert listed(world, "gitlab", "acme/web") == ["acme/web/shop"]
    assert listed(world, "gitlab", "acme/web/shop") == ["acme/web/shop"]  # one project


def test_an_app_lists_what_it_is_installed_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    monkeypatch.delenv("HARDEN_TOKEN")
    monkeypatch.setenv("HARDEN_APP_ID", "7")
    monkeypatch.setenv("HARDEN_APP_PRIVATE_KEY", pem.decode())
    world.add("acme/shop", dict(FILES), private=True)
    world.add("other/shop")
    assert listed(world, "github") == ["acme/shop"]
    assert access.git_credentials(f"{world.url}/acme/shop.git", "github") == ("x-access-token", TOKEN)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_limit_is_waited_for_and_a_long_one_is_one_line(world: World, kind: str) -> None:
    world.add("acme/shop")
    world.fault("GET", "acme", 429, times=2, headers={"Retry-After": "0"})
    assert listed(world, kind) == ["acme/shop"]
    world.fault("GET", "acme", 429, times=9, headers={"Retry-After": "7200"})
    with pytest.raises(SourceError, match="asks to wait 7200 s"):
        listed(world, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_of_that_name_is_one_line(world: World, kind: str) -> None:
    with pytest.raises(SourceError, match="404") as error:
        listed(world, kind, "nobody")
    assert "\n" not in str(error.value)


HOSTILE = (
    "acme/../../etc", "acme/--upload-pack=touch x", "acme/a\nb", "acme/\x1b[2J", "acme/a b", "acme", "../acme/x",
    "acme/x?token=1", "acme/x#y", "@evil.example/x", "acme/..", "",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_are_left_out_and_lead_nowhere(world: World, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("acme/shop")
    module = sys.modules[f"forge.{kind}"]
    real = module.project if kind == "gitlab" else module.repository
    name = "project" if kind == "gitlab" else "repository"
    field = "path_with_namespace" if kind == "gitlab" else "full_name"
    for number in range(len(HOSTILE)):
        world.repos[f"acme/h{number}"] = light_of(world, f"acme/h{number}", number + 2)

    def lying(world_, repo):
        found = real(world_, repo)
        place = repo.path.removeprefix("acme/h")
        urls = dict.fromkeys(("clone_url", "http_url_to_repo", "ssh_url", "html_url", "web_url"), "file:///etc")
        return {**found, **urls, **({field: HOSTILE[int(place)]} if place.isdigit() else {})}

    monkeypatch.setattr(module, name, lying)
    said: list[str] = []
    assert listed(world, kind, said=said) == ["acme/shop"]
    assert "of unsafe names" in said[0] or kind == "github"  # there only those of the owner are taken at all


def light_of(world: World, path: str, number: int):
    from dataclasses import replace

    return replace(world.repos["acme/shop"], path=path, number=number, pulls=[])


@pytest.mark.parametrize(
    "text",
    [
        "github:", "gitea:acme", "github:a/b/c", "github:-x", "github:../x", "github:https://u:secretpass@host/acme",
        "github:https://secretpass@host/acme", "gitlab:a//b", "gitlab:a/../b", "github:a b", "github:a\nb",
        "gitea:https://host", "gitea:file:///etc/acme", "github:ext::sh", "gitlab:https://host/acme?x=secretpass",
    ],
)  # fmt: skip
def test_a_query_that_names_nobody_is_one_line(text: str) -> None:
    with pytest.raises(SourceError) as error:
        list(expand([text], Queries(filters_of(NO_FILTERS), print, None).listings()))
    assert "\n" not in str(error.value)
    assert "secretpass" not in str(error.value) or "?x=" in text


def test_the_forms_of_a_query() -> None:
    assert query_of("github", "acme") == ("github", "https://github.com", "acme")
    assert query_of("github", "ghe.example.com/acme") == ("github", "https://ghe.example.com", "acme")
    assert query_of("gitlab", "group/sub") == ("gitlab", "https://gitlab.com", "group/sub")
    assert query_of("gitlab", "git.example.com/group/sub/") == ("gitlab", "https://git.example.com", "group/sub")
    assert query_of("gitea", "localhost:3000/acme") == ("gitea", "https://localhost:3000", "acme")
    assert query_of("gitea", "http://localhost:3000/acme") == ("gitea", "http://localhost:3000", "acme")
    (one,) = expand(["github:acme/shop"], Queries(filters_of(NO_FILTERS), print, None).listings())
    assert (one.location, one.forge) == ("https://github.com/acme/shop.git", "github")


def test_a_token_goes_to_the_forge_that_it_is_for_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARDEN_TOKEN")
    monkeypatch.setenv("GITHUB_TOKEN", "of-github-com")
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", "of-the-company")
    assert access.token_for("github", "https://github.com") == "of-github-com"
    assert access.token_for("github", "https://acme.ghe.com") == "of-github-com"
    assert access.token_for("github", "https://github.evil.example") == "of-the-company"
    monkeypatch.delenv("GH_ENTERPRISE_TOKEN")
    assert access.token_for("github", "https://github.com.evil.example") == ""


# ---------------------------------------------------------------------------------------------------- pull requests


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Bot")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "bot@example.com")
    return folder


def repos(*words: str, code: int = 0) -> str:
    """Run ``harden repos`` and return what it says on standard error."""
    result = CliRunner().invoke(main, ["repos", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert TOKEN not in result.output
    assert result.exit_code == code, result.output
    repos.stdout = result.stdout
    return result.stderr


def rows() -> dict[str, dict]:
    found = json.loads(CliRunner().invoke(main, ["repos", "report", "--format", "json"]).stdout)["repositories"]
    return {one["name"].partition("/")[2]: one for one in found}


def organisation(world: World, count: int = 3) -> None:
    """Make some repositories to change, and one without a Dockerfile."""
    for number in range(count):
        world.add(f"acme/r{number}", dict(FILES), private=number == 0)
    world.add("acme/docs", {"README.md": b"x\n"})


def pulls(world: World, state: str = "open") -> Counter[str]:
    return Counter(repo.path for repo in world.repos.values() for one in world.pulls(repo) if one.state == state)


def are_right(world: World, count: int) -> bool:
    """Whether each repository has one pull request from one commit on the default branch."""
    for number in range(count):
        repo = world.repos[f"acme/r{number}"]
        parents = repo.git("rev-list", "--parents", "-1", BRANCH).split()
        if parents[1:] != [repo.tip("main")] or "USER 5000:5000" not in repo.show(BRANCH, "Dockerfile"):
            return False
    return pulls(world) == {f"acme/r{number}": 1 for number in range(count)}


@pytest.mark.parametrize("kind", KINDS)
def test_each_repository_gets_one_pull_request_and_keeps_it(world: World, here: Path, kind: str) -> None:
    organisation(world)
    query = f"{kind}:{world.url}/acme"
    text = repos(query, "--pr", "--label", "security")
    assert text.count("[opened: http") == 3
    assert are_right(world, 3)
    found = rows()
    assert found["r0"]["pull_request"].startswith("http")
    assert {one["pull_request_state"] for one in found.values()} == {"open", ""}
    assert (found["docs"]["outcome"], found["docs"]["pull_request_outcome"]) == ("unchanged", "")
    # Later: one base moved, one was merged, one has nothing left to do, one was closed by people.
    world.repos["acme/r0"].commit({"README.md": b"more\n"})
    world.merge(world.repos["acme/r1"], world.pulls(world.repos["acme/r1"])[0])
    world.repos["acme/r2"].commit({"Dockerfile": DONE})
    world.add("acme/r3", dict(FILES))
    text = repos(query, "--resume", "--refresh")
    found = rows()
    assert [found[f"r{number}"]["pull_request_outcome"] for number in range(4)] == [
        "updated", "unchanged", "closed", "opened",
    ]  # fmt: skip
    assert [found[f"r{number}"]["pull_request_state"] for number in range(4)] == ["open", "merged", "closed", "open"]
    assert pulls(world) == {"acme/r0": 1, "acme/r3": 1}
    world.pulls(world.repos["acme/r3"])[0].state = "closed"
    assert "declined" in repos("--resume", "--refresh")
    assert rows()["r3"]["pull_request_state"] == "closed"
    assert "pull requests: " in CliRunner().invoke(main, ["repos", "status"]).stdout


def test_a_dry_run_shows_title_text_and_diff_of_each_and_writes_nothing(world: World, here: Path) -> None:
    organisation(world)
    text = repos(f"github:{world.url}/acme", "--pr", "--dry-run")
    assert text.count("[would be opened: ") == 3
    assert repos.stdout.count("Run the container as a non-root user\n") == 3
    assert repos.stdout.count("### What was verified?") == 3
    assert repos.stdout.count("+USER 5000:5000") == 3
    assert not pulls(world)
    assert {verb for verb, path in world.calls if "upload-pack" not in path} == {"GET"}
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("words", [("--patches", "patches"), ("--branch", "b", "--clones", "clones")])
def test_what_a_query_found_is_fetched_with_its_token(world: World, here: Path, words: tuple[str, ...]) -> None:
    organisation(world, 1)
    repos(f"gitlab:{world.url}/acme", *words)
    assert rows()["r0"]["outcome"] == "changed"
    assert not [verb for verb, path in world.calls if verb != "GET" and "upload-pack" not in path]


def test_no_secret_stays_anywhere(world: World, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    organisation(world, 2)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace.txt"))
    world.fault("GET", "acme/r1$", 403, times=9, message=f"{TOKEN} is not for you")
    repos(f"github:{world.url}/acme", "--pr", "--report", "r.html", "--report", "r.json", code=1)
    assert (tmp_path / "trace.txt").stat().st_size
    found = subprocess.run(["grep", "-rl", TOKEN, str(tmp_path)], capture_output=True, text=True).stdout
    assert found == ""
    assert list(scratch.iterdir()) == []
    assert "HARDEN_GIT_PASSWORD" not in os.environ


def test_a_secret_in_an_address_is_refused_before_anything_is_written(here: Path) -> None:
    text = repos("github:acme", "--pr", "--api-url", "https://ada:secretpass@host/api/v3", code=2)
    assert "--api-url holds a user name or password" in text
    assert "secretpass" not in text
    assert list(here.iterdir()) == []


def test_limits_end_a_run_and_the_next_one_goes_on(world: World, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    organisation(world, 6)
    text = repos(f"github:{world.url}/acme", "--pr", "--per-hour", "2", "-j", "1")
    assert sum(pulls(world).values()) == 2
    assert "the limit of --per-hour 2 is reached: " in text
    assert "go on with `harden repos --resume` in " in text
    repos("--resume")
    assert sum(pulls(world).values()) == 2  # the hour is not over
    monkeypatch.setattr(budget, "HOUR", 0.0)
    repos("--resume", "--max-open", "3")
    assert sum(pulls(world).values()) == 3
    assert "the limit of --max-open 3 is reached" in repos("--resume")
    assert sum(pulls(world).values()) == 3
    for repo in world.repos.values():
        for one in world.pulls(repo):
            world.merge(repo, one)
    repos("--resume", "--max-open", "9", "--per-hour", "9")
    assert sum(pulls(world).values()) == 3
    assert len({repo.path for repo in world.repos.values() for one in repo.pulls}) == 6
    assert "0 postponed" not in repos("--resume")


def test_a_lost_state_does_not_lose_the_limits(world: World, here: Path) -> None:
    organisation(world, 3)
    repos(f"github:{world.url}/acme", "--pr", "--max-open", "2")
    assert "the limit of --max-open 2" in repos(f"github:{world.url}/acme", "--pr", "--max-open", "2", "--state", "2")
    assert sum(pulls(world).values()) == 2


def test_a_run_may_wait_for_the_hour_to_go_on(world: World, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    organisation(world, 3)
    monkeypatch.setattr(budget, "HOUR", 2.0)
    repos(f"github:{world.url}/acme", "--pr", "--per-hour", "1", "--wait")
    assert are_right(world, 3)
    times = sorted(one.created for repo in world.repos.values() for one in repo.pulls)
    assert all(later - earlier >= 1.9 for earlier, later in zip(times, times[1:], strict=False))


def test_folders_stand_for_what_their_remotes_name_and_hostile_ones_get_no_secret(world: World, here: Path) -> None:
    organisation(world, 1)
    world.repos["acme/r0"].private = False
    for name in ("one", "two"):  # two clones of one repository: one pull request
        subprocess.run(["git", "clone", "-q", f"{world.url}/acme/r0.git", here / "src" / name], check=True)
    (here / "src/one/Dockerfile").write_text("FROM scratch\n")
    subprocess.run(["git", "init", "-q", here / "src/none"], check=True)
    text = repos("src", "--pr", "--forge", "github", code=1)
    assert "its remote leads to 127.0.0.1, which nobody named" in text
    assert "has no remote" in text
    assert not [call for call in world.calls if ".git/" not in call[1]]
    repos("src", "--pr", "--forge", "github", "--api-url", f"{world.url}/api/v3", "--state", "2", code=1)
    assert are_right(world, 1)


def test_a_token_that_is_refused_and_a_long_wait_stop_the_run(
    world: World, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisation(world, 3)
    query = f"github:{world.url}/acme"
    world.fault("POST", "pulls$", 429, times=9, headers={"Retry-After": "7200"})
    text = repos(query, "--pr", code=2)
    assert "error: the run stopped: the forge asks to wait 7200 s" in text
    assert text.count("asks to wait") == 1
    world.faults.clear()
    world.fault("GET", "acme/r.$", 401, times=9)
    assert "401" in repos("--resume", code=2)
    world.faults.clear()
    repos("--resume")
    assert are_right(world, 3)


@pytest.mark.parametrize("status", [403, 404, 422, 500])
def test_a_repository_that_the_forge_refuses_is_one_line_and_the_others_go_on(
    world: World, here: Path, status: int
) -> None:
    organisation(world, 3)
    world.fault("GET", "acme/r1$", status, times=99)
    text = repos(f"github:{world.url}/acme", "--pr", code=1)
    assert len([line for line in text.splitlines() if line.startswith("failed:")]) == 1
    assert pulls(world) == {"acme/r0": 1, "acme/r2": 1}
    world.faults.clear()
    repos("--resume", "--retry-failed")
    assert are_right(world, 3)


DRIVER = (
    "from hardener.bot import waiting, branch\n"
    "waiting.BETWEEN_WRITES = 0.0\n"
    "waiting.BACKOFF = branch.BACKOFF = 0.01\n"
    "from hardener.cli import main\n"
    "import sys\n"
    "main(['repos', *sys.argv[1:]])\n"
)


@pytest.mark.parametrize(
    ("request_", "when"),
    [("receive-pack", "before"), ("receive-pack", "after"), ("POST .*/pulls", "after"), ("PATCH", "before")],
)  # fmt: skip
def test_a_driver_that_is_killed_at_a_step_leaves_one_pull_request_each(
    world: World, here: Path, request_: str, when: str
) -> None:
    organisation(world, 3)
    killed: list[subprocess.Popen] = []
    running: list[subprocess.Popen] = []

    def gate(request: str, moment: str) -> None:
        if running and moment == when and re.search(request_, request):
            killed.append(running.pop())
            killed[-1].kill()
            killed[-1].wait()

    world.gate = gate
    words = ["--pr", "--label", "security", f"github:{world.url}/acme"]
    for _ in range(2):  # the first run, and the one that goes on
        process = subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=here, stderr=subprocess.DEVNULL)
        running.append(process)
        assert process.wait(60) == -signal.SIGKILL
        words = ["--resume"]
    assert len(killed) == 2
    world.gate = None
    repos("--resume")
    assert are_right(world, 3)
    assert {one["pull_request_state"] for name, one in rows().items() if name != "docs"} == {"open"}
    calls = [call for call in world.calls if call[0] != "GET" and "upload-pack" not in call[1]]
    repos("--resume", "--refresh")
    assert [call for call in world.calls if call[0] != "GET" and "upload-pack" not in call[1]] == calls
