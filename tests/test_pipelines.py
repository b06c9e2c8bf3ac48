"""The GitHub Action and the GitLab component: valid by their schemas, and their scripts run for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from forge.scene import Scene
from forge.server import served
from forge.world import ALONE, TOKEN, World
from repositories import ENVIRONMENT, git, repository

HARDEN = Path(sys.executable).parent / "harden"
ROOTED = 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n'
DONE = ROOTED.replace("CMD", "USER 1000:1000\nCMD")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {one["name"]: one for one in ACTION["runs"]["steps"]}
TEMPLATE = (ROOT / "templates" / "harden.yml").read_text(encoding="utf-8")


def component(**inputs: str) -> dict[str, Any]:
    """Return the GitLab component with its inputs filled in, as GitLab does it before it reads the file."""
    header, _, body = TEMPLATE.partition("\n---\n")
    values = {name: one["default"] for name, one in yaml.safe_load(header)["spec"]["inputs"].items()} | inputs
    return yaml.safe_load(re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda one: values[one[1]], body))


def valid(schema: str, file: Path, *options: str) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *options, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_is_valid_and_what_it_uses_is_pinned() -> None:
    valid("vendor.github-actions", ROOT / "action.yml")
    used = [one["uses"] for one in STEPS.values() if "uses" in one]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one) for one in used)
    for one in STEPS.values():
        assert "${{" not in one.get("run", ""), "what a script is given comes by its environment"


def test_the_component_is_valid(tmp_path: Path) -> None:
    (tmp_path / "ci.yml").write_text(yaml.safe_dump(component()), encoding="utf-8")
    valid("vendor.gitlab-ci", tmp_path / "ci.yml", "--data-transform", "gitlab-ci")


@pytest.mark.parametrize("event", ["pull_request", "merge_group", "push", "schedule", "workflow_dispatch"])
@pytest.mark.parametrize("mode", ["auto", "check", "pull-request"])
def test_an_event_has_one_of_the_steps(mode: str, event: str) -> None:
    chosen = [name for name in ("Check", "Open or refresh the pull request") if holds(STEPS[name]["if"], mode, event)]
    checks = mode == "check" or (mode == "auto" and event in ("pull_request", "merge_group", "push"))
    assert chosen == ["Check" if checks else "Open or refresh the pull request"]


def holds(condition: str, mode: str, event: str) -> bool:
    """Evaluate a step's condition; its operators are written so in Python."""
    text = re.sub(r"contains\(fromJSON\(\s*'([^']*)'\), github\.event_name\)", rf"('{event}' in \1)", condition)
    text = text.replace("inputs.mode", repr(mode)).replace("||", "or").replace("&&", "and").replace("!(", "not (")
    return bool(eval(" ".join(text.replace("!(", "not (").split())))


class Job:
    """A runner's folders, and steps of the action run in them as GitHub runs them."""

    def __init__(self, folder: Path, *, installed: bool = True) -> None:
        self.folder, self.work = folder, folder / "work"
        self.environment = {
            **ALONE, **ENVIRONMENT,
            "RUNNER_TEMP": str(folder / "temp"), "GITHUB_OUTPUT": str(folder / "output.txt"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }  # fmt: skip
        (folder / "temp" / "harden" / "bin").mkdir(parents=True)
        if installed:
            (folder / "temp" / "harden" / "bin" / "harden").symlink_to(HARDEN)

    def run(self, name: str, given: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        """Run a step; ``given`` are the values of expressions beside inputs, which are their defaults or ``given``."""

        def value(one: re.Match[str]) -> str:
            if one[1] in given:
                return given[one[1]]
            return str(ACTION["inputs"][one[1].removeprefix("inputs.")]["default"])

        wanted = STEPS[name].get("env", {})
        filled = {key: re.sub(r"\$\{\{ (.*?) \}\}", value, text) for key, text in wanted.items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
        environment = {**self.environment, **filled, **more}
        self.work.mkdir(exist_ok=True)
        return subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True, check=False)

    def status(self) -> str:
        return re.findall(r"^status=(\d+)$", (self.folder / "output.txt").read_text(), re.MULTILINE)[-1]


BASE = "github.event.pull_request.base.sha || github.event.merge_group.base_sha"


@pytest.fixture
def pull_request(tmp_path: Path) -> dict[str, str]:
    """A repository with an old image as root, a pull request that brings another, and what others merged meanwhile."""
    origin = repository(tmp_path / "origin", {"old/Dockerfile": ROOTED, "README.md": "x\n"})
    commits = {"base": git(origin, "rev-parse", "HEAD")}
    git(origin, "switch", "-q", "-c", "feature")
    for number in range(3):
        (origin / "new").mkdir(exist_ok=True)
        (origin / "new" / "Dockerfile").write_text(ROOTED + "#\n" * number)
        git(origin, "add", "--all")
        git(origin, "commit", "-q", "-m", "Work")
    commits["head"] = git(origin, "rev-parse", "HEAD")
    git(origin, "switch", "-q", "main")
    (origin / "theirs").mkdir()
    (origin / "theirs" / "Dockerfile").write_text(ROOTED)
    git(origin, "add", "--all")
    git(origin, "commit", "-q", "-m", "Theirs")
    git(origin, "merge", "-q", "--no-ff", "-m", "Merge", "feature")
    commits["merge"] = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "refs/pull/1/merge", commits["merge"])
    git(origin, "reset", "-q", "--hard", "HEAD^1")
    git(origin, "config", "uploadpack.allowAnySHA1InWant", "true")
    return {"origin": str(origin), **commits}


def checked_out(job: Job, origin: str, commit: str) -> None:
    """Check out one commit with no history, as actions/checkout does."""
    job.work.mkdir()
    git(job.work, "init", "-q")
    git(job.work, "remote", "add", "origin", f"file://{origin}")
    git(job.work, "fetch", "-q", "--depth=1", "origin", commit)
    git(job.work, "checkout", "-q", "--detach", commit)


@pytest.mark.parametrize("at", ["merge", "head"])
def test_a_pull_request_is_annotated_where_it_changes_something(
    tmp_path: Path, pull_request: dict[str, str], at: str
) -> None:
    job = Job(tmp_path)
    checked_out(job, pull_request["origin"], pull_request[at])
    given = {BASE: pull_request["base"], "inputs.sarif": "harden.sarif"}
    done = job.run("Check", given, GITHUB_SHA=pull_request["merge"])
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert any("file=new/Dockerfile" in line and "runs as root" in line for line in lines)
    assert not [line for line in lines if "file=new/Dockerfile" not in line]
    assert job.status() == "1"
    assert "new/Dockerfile" in (tmp_path / "summary.md").read_text()
    everything = json.loads((job.work / "harden.sarif").read_text())["runs"][0]["results"]
    places = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in everything}
    assert {"old/Dockerfile", "new/Dockerfile"} <= places
    assert job.run("Result", {"steps.check.outputs.status": "1"}).returncode == 1


def test_a_pull_request_that_does_nothing_wrong_passes(tmp_path: Path, pull_request: dict[str, str]) -> None:
    origin = Path(pull_request["origin"])
    git(origin, "switch", "-q", "-c", "fine", pull_request["base"])
    (origin / "fine").mkdir()
    (origin / "fine" / "Dockerfile").write_text(DONE)
    git(origin, "add", "--all")
    git(origin, "commit", "-q", "-m", "Fine")
    job = Job(tmp_path)
    checked_out(job, pull_request["origin"], git(origin, "rev-parse", "HEAD"))
    assert job.run("Check", {BASE: pull_request["base"]}, GITHUB_SHA="0" * 40).returncode == 0
    assert job.status() == "0"
    assert job.run("Result", {"steps.check.outputs.status": "0"}).returncode == 0


def test_everything_is_checked_where_there_is_no_base(tmp_path: Path, pull_request: dict[str, str]) -> None:
    job = Job(tmp_path)
    checked_out(job, pull_request["origin"], pull_request["base"])
    done = job.run("Check", {BASE: "", "inputs.paths": "old\n\n"}, GITHUB_SHA=pull_request["base"])
    assert "file=old/Dockerfile" in done.stdout
    assert job.status() == "1"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "forge").mkdir()
    with served(World(tmp_path / "forge")) as world:
        yield world


def test_on_schedule_the_pull_request_is_opened_and_then_refreshed(tmp_path: Path, forge: World) -> None:
    pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")
    scene = Scene(forge, "github")
    job = Job(tmp_path)
    given = {
        "inputs.token": TOKEN,
        "github.token": TOKEN,
        "inputs.pull-request-options": "--draft\n--label\nsecurity\n",
    }
    where = {"GITHUB_SERVER_URL": forge.url, "GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": scene.repo.path}
    done = job.run("Open or refresh the pull request", given, **where)
    assert "opened" in done.stderr, done.stderr
    assert scene.is_right()
    assert (scene.the_pull().draft, scene.the_pull().labels) == (True, ["security"])
    author = scene.repo.git("log", "-1", "--format=%an <%ae>", "harden/non-root")
    assert author == ACTION["inputs"]["author"]["default"]
    assert "current" in job.run("Open or refresh the pull request", given, **where).stderr


def test_the_action_installs_itself(tmp_path: Path) -> None:
    job = Job(tmp_path, installed=False)
    here = sysconfig.get_path("purelib")  # what is here already need not be fetched again
    done = job.run("Install harden", {"github.action_path": str(ROOT)}, PYTHONPATH=here, PIP_NO_COMPILE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("harden, version ")
    installed = list((tmp_path / "temp" / "harden").glob("lib/python*/site-packages/hardener/cli.py"))
    assert len(installed) == 1


def test_the_components_scripts_run(tmp_path: Path, forge: World) -> None:
    pytest.importorskip("gitlab", reason="python-gitlab is not installed: pip install 'hardener[gitlab]'")
    scene = Scene(forge, "gitlab")
    jobs = component(**{"merge-request-options": "--draft"})
    shell = {**ALONE, **ENVIRONMENT, "PATH": f"{tmp_path / 'bin'}:{HARDEN.parent}:{os.environ['PATH']}"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").write_text('#!/bin/sh\ntest "$1 $2" = "install --quiet" && test "$#" = 3\n')
    (tmp_path / "bin" / "pip").chmod(0o755)

    def run(name: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        script = "set -eo pipefail\n" + "\n".join(jobs[name]["script"])  # as a runner joins it
        return subprocess.run(
            ["bash", "-c", script], cwd=folder, env={**shell, **more}, capture_output=True, text=True, check=False
        )

    folder = repository(tmp_path / "checkout", {"old/Dockerfile": ROOTED})
    base = git(folder, "rev-parse", "HEAD")
    assert run("harden-check", folder, CI_MERGE_REQUEST_DIFF_BASE_SHA=base).returncode == 0
    (folder / "new").mkdir()
    (folder / "new" / "Dockerfile").write_text(ROOTED)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "Work")
    done = run("harden-check", folder, CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert done.returncode == 1
    assert "new/Dockerfile:1: switched" in done.stderr
    report = json.loads((folder / "gl-code-quality-report.json").read_text())
    assert {one["location"]["path"] for one in report} == {"new/Dockerfile"}
    where = {"CI_PROJECT_URL": f"{forge.url}/acme/shop", "CI_SERVER_URL": forge.url, "CI_SERVER_HOST": "gitlab.example"}
    done = run("harden-merge-request", tmp_path, HARDEN_TOKEN=TOKEN, **where)
    assert "opened" in done.stderr, done.stderr
    assert scene.is_right()
    assert scene.the_pull().draft


def test_the_pre_commit_hooks_do_what_they_say(tmp_path: Path) -> None:
    """Both hooks, by pre-commit itself: it clones this repository and installs it into an environment of its own."""
    if not (ROOT / ".git").exists():
        pytest.skip("pre-commit installs from a clone, and this is none")
    project = repository(tmp_path / "project", {"Dockerfile": ROOTED, "fine/Dockerfile": DONE, "app.py": "print(1)\n"})
    environment = {**ALONE, **ENVIRONMENT, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "PIP_NO_COMPILE": "1"}
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    hooks = tmp_path / "hooks"  # as a user's machine gets them: what is committed, and nothing else
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", hooks], env=environment, check=True)
    revision = git(hooks, "rev-parse", "HEAD")
    configuration = {
        "repos": [{"repo": str(hooks), "rev": revision, "hooks": [{"id": "harden-check"}, {"id": "harden"}]}]
    }
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    git(project, "add", "--all")

    def run(hook: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "pre_commit", "run", hook, "--all-files"]
        return subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)

    first = run("harden-check")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "Dockerfile:1: switched" in first.stdout
    assert "fine/Dockerfile:4: already" in first.stdout
    assert git(project, "diff", "--stat") == ""
    second = run("harden")
    assert second.returncode == 1, "pre-commit fails where a hook changed a file"
    assert "files were modified by this hook" in second.stdout
    assert "USER 5000:5000" in (project / "Dockerfile").read_text()
    git(project, "add", "--all")
    assert run("harden").returncode == 0
    assert run("harden-check").returncode == 0
