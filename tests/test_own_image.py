"""The project's own image: hardened by itself, and used as people use it."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT
from container import docker, engine_answers

from hardener.cli import main

ROOTED = 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n'


def test_harden_leaves_its_own_dockerfile_as_it_is() -> None:
    result = CliRunner().invoke(main, [str(ROOT / "Dockerfile"), "--check"])
    assert result.exit_code == 0, result.output
    assert "already: runs as 5000:5000" in result.stderr


def test_it_would_harden_it_to_what_it_is(tmp_path: Path) -> None:
    """What was taken away comes back in the same bytes."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    without = [line for line in text.splitlines(keepends=True) if "groupadd" not in line and "RUN chown" not in line]
    bare = "".join(line for line in without if not line.startswith("USER")).replace("--chown=5000:5000 ", "")
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text(bare, encoding="utf-8")
    assert CliRunner().invoke(main, [str(tmp_path / "Dockerfile")]).stdout == text


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if not engine_answers():
        message = "no Docker Engine answers: nothing was built or run; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)
    tag = f"hardener-own:{uuid.uuid4().hex[:12]}"
    docker(
        "build",
        "--quiet",
        "--network",
        "host",
        "--label",
        "hardener.test=own-image",
        "--tag",
        tag,
        str(ROOT),
        timeout=600,
    )
    yield tag
    docker("image", "rm", "--force", tag)


@pytest.mark.engine
def test_it_runs_as_nobody_in_particular(image: str) -> None:
    assert docker("run", "--rm", "--network", "none", image, "--version").startswith("harden, version ")
    assert docker("run", "--rm", "--network", "none", "--entrypoint", "id", image, "-u").strip() == "5000"
    locked = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")
    assert docker("run", "--rm", "--network", "none", *locked, image, "rules").strip()
    for module in ("github", "gitlab", "requests"):
        docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", f"import {module}")


@pytest.mark.engine
@pytest.mark.parametrize("user", ["5000:5000", "1234:1234"])
def test_it_hardens_a_mounted_folder(image: str, tmp_path: Path, user: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(ROOTED)
    uid, gid = map(int, user.split(":"))
    for path in (folder, folder / "Dockerfile"):
        os.chown(path, uid, gid)
    words = ("run", "--rm", "--network", "none", "--user", user, "--volume", f"{folder}:/work")
    assert "+USER 5000:5000" in docker(*words, image, ".", "--diff")
    docker(*words, image, ".", "--in-place")
    assert "USER 5000:5000" in (folder / "Dockerfile").read_text()
    assert (folder / "Dockerfile").stat().st_uid == uid


@pytest.mark.engine
def test_it_reads_a_git_repository_of_another_user(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(ROOTED)
    subprocess.run(["git", "init", "-q", folder], check=True)
    for place, _, names in os.walk(folder):
        for name in (".", *names):
            os.chown(os.path.join(place, name), 1234, 1234)
    words = ("run", "--rm", "--network", "none", "--volume", f"{folder}:/work")
    assert "+USER 5000:5000" in docker(*words, image, ".", "--diff")
