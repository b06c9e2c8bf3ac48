"""Many repositories in one run: every mode does what it says, once, and touches nothing else."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FIXTURES
from repositories import APPLICATION, ENVIRONMENT, git, harden_repos, repository, snapshot

from hardener.repos.plan import plan
from hardener.repos.sources import SourceError, chosen, expand, remote
from hardener.repos.values import Kind, Task

CRLF = {"Dockerfile": APPLICATION["Dockerfile"].replace("\n", "\r\n"), "app.py": "print()\r\n"}


@pytest.fixture
def org(tmp_path: Path) -> Path:
    """A folder with a work tree to change, a bare one, one without Dockerfile, a manual one, an empty one."""
    repository(tmp_path / "org/one")
    repository(tmp_path / "org/crlf", CRLF)
    repository(tmp_path / "made")
    git(tmp_path, "clone", "-q", "--bare", "made", "org/bare.git")
    repository(tmp_path / "org/plain", {"README.md": "nothing\n"})
    repository(
        tmp_path / "org/manual", {"Dockerfile": 'FROM postgres:16\nCMD ["x", "y"]\nRUN sshd\nENTRYPOINT ["sshd"]\n'}
    )
    (tmp_path / "org/empty").mkdir()
    git(tmp_path / "org/empty", "init", "-q", "-b", "main")
    return tmp_path


def rows(here: Path) -> dict[str, dict]:
    done = harden_repos(here, "report", "--format", "json")
    return {Path(one["key"]).name: one for one in json.loads(done.stdout)["repositories"]}


def test_a_branch_gets_the_commit_and_nothing_else_moves(org: Path) -> None:
    before = {one: git(org / "org" / one, "rev-parse", "HEAD") for one in ("one", "crlf", "bare.git")}
    (org / "org/one/uncommitted").write_text("stays")
    harden_repos(org, "org", "--branch", "harden/non-root")
    found = rows(org)
    for name, head in before.items():
        folder = org / "org" / name
        assert found[name]["outcome"] == "changed"
        assert git(folder, "rev-parse", "HEAD") == head
        assert git(folder, "rev-parse", "harden/non-root") == found[name]["commit"]
        assert git(folder, "rev-parse", "harden/non-root^") == head
        assert "USER 5000:5000" in git(folder, "show", "harden/non-root:Dockerfile")
        git(folder, "fsck", "--strict")
    assert git(org / "org/one", "status", "--porcelain") == "?? uncommitted"
    assert {name: one["outcome"] for name, one in found.items() if name not in before} == {
        "plain": "unchanged", "manual": "manual", "empty": "unchanged",
    }  # fmt: skip


def test_a_second_run_commits_nothing_again(org: Path) -> None:
    harden_repos(org, "org", "--branch", "b")
    first = git(org / "org/one", "rev-parse", "b")
    harden_repos(org, "org", "--branch", "b", "--state", "other.sqlite")
    assert git(org / "org/one", "rev-parse", "b") == first


def test_the_branch_moves_with_its_base_but_never_over_commits_of_others(org: Path) -> None:
    harden_repos(org, "org/one", "--branch", "b")
    (org / "org/one/app.py").write_text("print('new')\n")
    git(org / "org/one", "commit", "-qam", "second")
    harden_repos(org, "org/one", "--branch", "b", "--state", "2.sqlite")
    assert git(org / "org/one", "rev-parse", "b^") == git(org / "org/one", "rev-parse", "main")
    git(org / "org/one", "checkout", "-q", "b")
    done = harden_repos(org, "org/one", "--branch", "b", "--base", "main", "--state", "3.sqlite", code=1)
    assert b"the branch b is checked out" in done.stderr
    (org / "org/one/app.py").write_text("print('a person')\n")
    git(org / "org/one", "commit", "-q", "-a", "--amend", "--no-edit")
    mine = git(org / "org/one", "rev-parse", "b")
    git(org / "org/one", "checkout", "-q", "main")
    done = harden_repos(org, "org/one", "--branch", "b", "--state", "4.sqlite", code=1)
    assert b"has commits that are not harden's" in done.stderr
    assert git(org / "org/one", "rev-parse", "b") == mine


@pytest.mark.parametrize("name", ["one", "crlf"])
def test_a_patch_is_taken_by_git_am(org: Path, name: str) -> None:
    before = snapshot(org / "org")
    harden_repos(org, f"org/{name}", "--patches", "patches")
    assert snapshot(org / "org") == before
    (patch,) = (org / "patches").iterdir()
    git(org / "org" / name, "am", "-q", str(patch))
    harden_repos(org, f"org/{name}", "--branch", "b", "--base", "main", "--state", "2.sqlite")
    assert rows_of(org, "2.sqlite")[0]["outcome"] == "unchanged"  # the patch was all that there was to do
    assert git(org / "org" / name, "log", "-1", "--format=%s") == "Run containers as a non-root user"


def rows_of(here: Path, state: str) -> list[dict]:
    return json.loads(harden_repos(here, "report", state, "--format", "json").stdout)["repositories"]


def test_in_place_writes_clean_trees_only(org: Path) -> None:
    dirty = repository(org / "org/dirty")
    (dirty / "app.py").write_text("print('not committed')\n")
    before = snapshot(dirty)
    done = harden_repos(org, "org/one", "org/dirty", "--in-place", code=1)
    assert b"the work tree is not clean: app.py is changed" in done.stderr
    assert snapshot(dirty) == before
    assert git(org / "org/one", "status", "--porcelain") == "M Dockerfile"
    harden_repos(org, "org/dirty", "--in-place", "--allow-dirty", "--state", "2.sqlite")
    assert b"USER 5000:5000" in (dirty / "Dockerfile").read_bytes()


def test_an_untracked_dockerfile_is_not_changed_in_place(org: Path) -> None:
    (org / "org/plain/Dockerfile").write_text(APPLICATION["Dockerfile"])
    done = harden_repos(org, "org/plain", "--in-place", code=1)
    assert b"Dockerfile is not in Git" in done.stderr


def test_a_dry_run_shows_the_change_and_writes_nothing(org: Path) -> None:
    before = snapshot(org)
    done = harden_repos(org, "org", "--dry-run")
    assert snapshot(org) == before
    assert done.stdout.count(b"+USER 5000:5000") == 3
    assert b"changed:   " in done.stderr


def test_urls_are_fetched_in_part_and_patched(org: Path) -> None:
    git(org / "org/bare.git", "config", "uploadpack.allowFilter", "true")
    url = f"file://{org}/org/bare.git"
    (org / "urls.txt").write_text(f"# the list\n{url}  team=payments\n")
    harden_repos(org, "urls.txt", "--patches", "patches", "--report", "r.html")
    (row,) = rows_of(org, "harden-repos.sqlite")
    assert (row["outcome"], row["team"], row["base_branch"]) == ("changed", "payments", "main")
    harden_repos(org, url, "--branch", "b", "--clones", "clones", "--state", "2.sqlite")
    (clone,) = (org / "clones").iterdir()
    assert "USER 5000:5000" in git(clone, "show", "b:Dockerfile")
    git(clone, "push", "-q", "origin", "b")
    assert git(org / "org/bare.git", "rev-parse", "b") == rows_of(org, "2.sqlite")[0]["commit"]


@pytest.mark.parametrize("project", sorted(one.name for one in (FIXTURES / "projects").iterdir()))
def test_a_part_of_the_files_gives_the_plan_of_all(tmp_path: Path, project: str) -> None:
    """The plan from a clone without pictures, data and packages is the plan from the whole work tree."""
    shutil.copytree(FIXTURES / "projects" / project / "before", tmp_path / "p", symlinks=True)
    git(tmp_path / "p", "init", "-q", "-b", "main")
    git(tmp_path / "p", "add", "-A", "-f")
    git(tmp_path / "p", "commit", "-q", "-m", "first")
    git(tmp_path / "p", "config", "uploadpack.allowFilter", "true")
    (here,) = expand([str(tmp_path / "p")])
    whole, commit, part = (
        plan(Task(here, from_work_tree=True)),
        plan(Task(here)),
        plan(Task(remote(f"file://{tmp_path}/p"))),
    )
    assert whole.dockerfiles
    assert whole.files == commit.files == part.files
    assert whole.images == commit.images == part.images


def test_resume_goes_on_with_what_is_left_and_the_same_options(org: Path) -> None:
    harden_repos(org, "org/one", "--patches", "patches", "--uid", "7000")
    done = harden_repos(org, "org/crlf", "--resume")
    assert b"org/one" not in done.stderr
    assert len(list((org / "patches").iterdir())) == 2
    assert all(
        b"7000:5000" in file.read_bytes() for file in (org / "patches").iterdir() if b"one" in file.name.encode()
    )
    assert harden_repos(org, "org", "--patches", "patches", code=2).stderr.count(b"\n") == 1


def test_every_form_of_the_report_says_the_same(org: Path) -> None:
    hostile = repository(org / "org/<script>alert(1)</script>|=cmd", {"Dockerfile": "FROM x</script>\n"})
    harden_repos(
        org,
        "org",
        "--patches",
        "p",
        "--report",
        "r.md",
        "--report",
        "r.csv",
        "--report",
        "r.html",
        "--report",
        "r.json",
    )
    found = json.loads((org / "r.json").read_text())["repositories"]
    lines = list(csv.DictReader(io.StringIO((org / "r.csv").read_text())))
    assert [one["key"] for one in lines] == [one["key"] for one in found]
    page = (org / "r.html").read_text()
    assert "<script>alert" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert [one["key"] for one in json.loads(data[1])] == [one["key"] for one in found]
    assert str(hostile) in [one["key"] for one in found]
    assert "<script>" not in (org / "r.md").read_text()
    assert b"7 repositories: " in harden_repos(org, "status").stdout


def test_a_killed_worker_costs_its_repository_and_no_other(org: Path) -> None:
    """A process that dies of its memory is one failure in one line; the next repository gets a new one."""
    text = "FROM python:3.12-slim\n" + "".join(f"COPY f{number} /app/\n" for number in range(3))
    repository(org / "two/big", {"Dockerfile": text})
    repository(org / "two/small")
    code = (
        "import os, hardener.repos.plan as p, hardener.repos.worker as w\n"
        "real = p.plan\n"
        "p.plan = lambda task: os.kill(os.getpid(), 9) if 'big' in task.source.key else real(task)\n"
        "w.main()\n"
    )
    driver = (
        "import sys, hardener.repos.worker as w\n"
        f"w.COMMAND = [sys.executable, '-c', {code!r}]\n"
        "from hardener.cli import main\n"
        "main(['repos', 'two', '--patches', 'p', '-j', '1'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver], cwd=org, capture_output=True, env={**os.environ, **ENVIRONMENT}
    )
    assert done.returncode == 1, done.stderr
    assert b"was killed by SIGKILL" in done.stderr
    assert {Path(one["key"]).name: one["outcome"] for one in rows_of(org, "harden-repos.sqlite")} == {
        "big": "failed", "small": "changed",
    }  # fmt: skip


def test_a_repository_that_takes_too_long_is_given_up(org: Path, tmp_path: Path) -> None:
    code = "import time, hardener.repos.plan as p, hardener.repos.worker as w\np.plan = lambda task: time.sleep(60)\nw.main()\n"
    driver = (
        "import sys, hardener.repos.worker as w\n"
        f"w.COMMAND, w.GRACE_SECONDS = [sys.executable, '-c', {code!r}], 0\n"
        "from hardener.cli import main\n"
        "main(['repos', 'org/one', '--patches', 'p', '--time-limit', '1'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver], cwd=org, capture_output=True, env={**os.environ, **ENVIRONMENT}
    )
    assert done.returncode == 1
    assert b"it took more than 1 s" in done.stderr


def test_a_network_that_fails_is_asked_again_a_few_times(org: Path) -> None:
    driver = (
        "import hardener.repos.run as r\n"
        "r.Retries.__init__.__defaults__ = (3, 0.01)\n"
        "from hardener.cli import main\n"
        "main(['repos', 'http://127.0.0.1:9/a/b', '--patches', 'p'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver], cwd=org, capture_output=True, env={**os.environ, **ENVIRONMENT}
    )
    assert done.returncode == 1, done.stderr
    assert rows_of(org, "harden-repos.sqlite")[0]["attempts"] == 3


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/x", "--upload-pack=touch x", "https://user:secretpass@host/a", "https://ghp_secretpass@h/a",
        "ssh://-oProxyCommand=x/a", "-oProxyCommand=x:a", "javascript://x/y", "ssh://git:secretpass@host/a", "fd::17",
    ],
)  # fmt: skip
def test_a_url_that_runs_something_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(SourceError) as error:
        list(expand([url]))
    assert "secretpass" not in str(error.value)
    assert "\n" not in str(error.value)


def test_globs_choose_by_name() -> None:
    found = [remote(f"https://host/acme/{name}") for name in ("web", "api", "old-api")]
    assert [one.name for one in chosen(found, ("*api",), ("acme/old-*",))] == ["acme/api"]


def test_the_plan_of_a_folder_without_git_says_so(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(APPLICATION["Dockerfile"])
    (here,) = expand([str(tmp_path)])
    assert plan(Task(here)).kind is Kind.FAILED
    assert plan(Task(here, from_work_tree=True)).kind is Kind.CHANGED


def test_a_clone_that_lacks_a_file_says_so_in_one_line_and_goes_on(org: Path) -> None:
    one = repository(org / "org/part", {**APPLICATION, "notes.txt": "x\n"})
    oid = git(one, "rev-parse", "HEAD:notes.txt")
    (one / ".git/objects" / oid[:2] / oid[2:]).unlink()
    done = harden_repos(org, "org/part", "--patches", "patches")
    assert b"org/part: notes.txt is not in this copy of the repository, and not read\n" in done.stderr
    assert rows(org)["part"]["outcome"] == "changed"


def test_nothing_is_remembered_of_the_last_repository(org: Path) -> None:
    from hardener import project
    from hardener.repos.caches import caches, forget

    (here,) = expand([str(org / "org/one")])
    plan(Task(here))
    assert project.entries.cache_info().currsize
    forget()
    assert not project.entries.cache_info().currsize
    assert len(caches(0)) > 30
