"""``harden --check --changed-since``: what a branch does, and not what was there before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from repositories import git, repository

from hardener.cli import main

ROOT = 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nEXPOSE 8000\nCMD ["python", "app.py"]\n'
DONE = ROOT.replace("CMD", "USER 1000:1000\nCMD")
COMPOSE = "services:\n  web:\n    build: ./good\n    ports: ['8000:8000']\n  db:\n    image: postgres:16\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an image that runs as root and one that does not, and a branch that changed nothing yet."""
    files = {"old/Dockerfile": ROOT, "good/Dockerfile": DONE, "größe/Dockerfile": DONE, "README.md": "x\n"}
    made = repository(tmp_path / "shop", files)
    git(made, "switch", "-q", "-c", "feature")
    monkeypatch.chdir(made)
    return made


def check(*options: str, revision: str = "main", status: int) -> str:
    result = CliRunner().invoke(main, [".", "--check", "--changed-since", revision, *options])
    assert result.exit_code == status, result.output
    return result.output


def save(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "Change")


def test_an_old_sin_is_nobodys(folder: Path) -> None:
    assert check(status=0) == ""
    save(folder, "README.md", "more\n")
    save(folder, "old/Dockerfile", ROOT.replace("EXPOSE 8000", "EXPOSE 8000/tcp"))
    assert check(status=0) == ""
    assert CliRunner().invoke(main, [".", "--check"]).exit_code == 1


def test_a_new_image_as_root_is_reported(folder: Path) -> None:
    save(folder, "new/Dockerfile", ROOT)
    assert "new/Dockerfile:1: switched" in check(status=1)
    assert "old/" not in check(status=1)


def test_a_file_that_git_does_not_know_yet_is_new(folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / "Dockerfile").write_text(ROOT)
    assert "new/Dockerfile:1: switched" in check(status=1)


@pytest.mark.parametrize("name", ["good/Dockerfile", "größe/Dockerfile"])
def test_a_user_that_was_taken_away_is_reported(folder: Path, name: str) -> None:
    save(folder, name, ROOT)
    assert f"{name}:1: switched" in check(status=1)


def test_an_edit_at_a_line_that_changed_is_reported(folder: Path) -> None:
    save(folder, "old/Dockerfile", ROOT.replace("COPY . .", "COPY . ."[:-1] + "./"))
    text = check(status=1)
    assert "old/Dockerfile:3: own_copied" in text
    assert "switched" not in text


def test_a_service_that_changed_is_reported(folder: Path) -> None:
    save(folder, "compose.yaml", COMPOSE)
    git(folder, "branch", "-f", "main", "HEAD")
    save(folder, "compose.yaml", COMPOSE.replace("'8000:8000'", "'8001:8000'"))
    text = check("--format", "json", status=1)
    services = [one for file in json.loads(text)["files"] for one in file["services"]]
    assert [one["name"] for one in services] == ["service web"]


def test_what_the_base_got_since_is_not_the_branchs(folder: Path) -> None:
    git(folder, "switch", "-q", "main")
    save(folder, "theirs/Dockerfile", ROOT)
    git(folder, "switch", "-q", "feature")
    assert check(status=0) == ""


def test_reports_have_only_what_changed(folder: Path) -> None:
    save(folder, "new/Dockerfile", ROOT)
    lines = check("--format", "github", status=1).splitlines()
    assert lines
    assert all("file=new/Dockerfile," in line for line in lines)


def test_a_folder_below_the_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder, "new/Dockerfile", ROOT)
    monkeypatch.chdir(folder / "new")
    assert "Dockerfile:1: switched" in check(status=1)


@pytest.mark.parametrize("revision", ["no-such-branch", "--all", ""])
def test_a_revision_that_is_not_there_is_one_line(folder: Path, revision: str) -> None:
    if not revision:
        git(folder, "checkout", "-q", "--orphan", "alone")
        git(folder, "commit", "-q", "-m", "Begin", "--allow-empty")
    text = check(revision=revision or "main", status=2)
    assert "in CI, fetch more of it" in text
    assert len(text.splitlines()) == 1


def test_without_git_there_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "needs a Git repository" in check(status=2)


def test_it_goes_with_check_only(folder: Path) -> None:
    assert CliRunner().invoke(main, [".", "--diff", "--changed-since", "main"]).exit_code == 2
