"""`harden run`: what it prints, and that the printed line really starts the hardened image with the rights it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import FIXTURES
from container import Container, Engine, docker, engine_answers
from probe import ALL

from hardener.bulk import Hardened, harden_paths
from hardener.cli import main
from hardener.run.line import quoted
from hardener.writing import write


def run(*arguments: str):
    result = CliRunner().invoke(main, ["run", *arguments], prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def copied(name: str, tmp_path: Path) -> Path:
    folder = tmp_path / name
    shutil.copytree(FIXTURES / "projects" / name / "before", folder)
    (folder / ".git").mkdir()
    return folder


def test_the_line_has_every_option_with_its_reason(tmp_path: Path) -> None:
    result = run(str(copied("flask", tmp_path)))
    command, _, reasons = result.stdout.partition("\n# --")
    for option in (
        "--read-only",
        "--tmpfs /tmp:mode=1777,size=512m",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--publish 80:8080",
    ):
        assert f"  {option} \\\n" in command
        assert re.search(rf"^# {re.escape(option)}  +\S", "# --" + reasons, re.MULTILINE)
    assert command.rstrip().endswith("  guestbook")


def test_data_get_a_volume_and_the_command_for_those_that_are_there(tmp_path: Path) -> None:
    text = run(str(copied("old-uploads", tmp_path))).stdout
    volume = "old-uploads_uploads:/usr/src/app/uploads"
    assert f"  --volume {volume} \\\n" in text
    owner = "--entrypoint chown old-uploads -R 5000:5000 /usr/src/app/uploads"
    assert f"# docker run --rm --user 0 --volume {volume} {owner}\n" in text
    assert "# not known: where it writes, so its file system stays writable: server.js:6" in text


def test_podman_gives_volumes_to_the_user_itself(tmp_path: Path) -> None:
    text = run(str(copied("old-uploads", tmp_path)), "--engine", "podman", "--quiet").stdout
    assert text.startswith("podman run \\\n")
    assert ":/usr/src/app/uploads:U \\\n" in text
    assert "chown" not in text
    assert "uid=" not in run(str(copied("flask", tmp_path)), "--engine", "podman").stdout


def test_what_compose_says_of_the_service_is_in_the_line(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text('FROM python:3.12-slim\nCOPY a.py .\nCMD ["python", "a.py"]\n')
    (tmp_path / "a.py").write_text("")
    (tmp_path / "compose.yml").write_text(
        """services:
  web:
    build: .
    image: shop/web:1
    ports: ["127.0.0.1:${PORT:-8000}:8000"]
    environment: {TITLE: "it's $1", TOKEN: }
    env_file: .env
    mem_limit: 256m
    pids_limit: 100
    volumes: ["./data:/data", "cache:/cache:ro"]
    depends_on: [db]
  db:
    image: postgres:16
"""
    )
    text = run(str(tmp_path)).stdout
    for option in (
        '--publish "127.0.0.1:${PORT:-8000}:8000"',
        "--env TOKEN",
        "--env-file .env",
        "--memory 256m",
        "--pids-limit 100",
        '--volume "$PWD/data:/data"',
        ":/cache:ro",
    ):
        assert f"{option} \\\n" in text, option
    assert "# not known: the services beside it (db)" in text
    assert "shop/web:1\n" in text


def test_an_image_that_stays_roots_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM quay.io/nobody/knows:1\nCMD ["x"]\n')
    result = run(str(tmp_path / "Dockerfile"))
    assert "it runs as root" in result.stderr
    assert "--cap-drop" not in result.stdout
    assert "# not known: " in result.stdout


def test_a_path_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = run(str(tmp_path / "nothing"))
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a:b", "a:b"), ("a b", "'a b'"), ("$PWD/a b:/c", '"$PWD/a b:/c"'), ("$(rm x)", "'$(rm x)'"), ("a`b`", "'a`b`'")],
)
def test_a_word_gets_the_quotes_that_it_needs(text: str, shown: str) -> None:
    assert quoted(text) == shown


# Fresh state and used state: the container is started twice, and a second one is made on the same volumes.
PROVED = ("flask", "old-uploads", "go-scratch", "express", "fastapi")


@pytest.fixture(scope="module")
def engine():
    if not engine_answers():
        assert "HARDENER_REQUIRE_ENGINE" not in os.environ, "no Docker Engine answers"
        pytest.skip("no Docker Engine answers: tests/engine/start.sh starts one")
    opened = Engine.open()
    try:
        yield opened
    finally:
        opened.remove_all()


@pytest.mark.engine
@pytest.mark.parametrize("name", PROVED)
def test_the_printed_line_starts_the_image_with_what_it_promises(name: str, tmp_path: Path, engine: Engine) -> None:
    project = ALL[name]
    folder = copied(name, tmp_path)
    line = run(str(folder), "--quiet").stdout
    for one in harden_paths([folder]):
        assert isinstance(one, Hardened)
        write(one.result)
    image = engine.build(folder, f"{name}-run", project.target)
    container_name = f"{name}-{engine.session}"
    command = with_test_names(line, image, container_name, engine)
    promised = "--read-only" in line
    volumes = re.findall(r"--volume ([\w.-]+):/", command)
    try:
        for attempt in ("fresh", "used"):
            identifier = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, check=True
            ).stdout.strip()
            container = Container(identifier, project.moved_port)
            for _ in ("first start", "second start"):
                assert project.body in container.ask(project.path).body, attempt
                if project.write:
                    answer = container.ask(project.write.path, project.write.data)
                    assert project.write.body in answer.body, attempt
                require_confined(container, promised)
                container.restart()
            docker("rm", "--force", container_name)
    finally:
        subprocess.run(["docker", "rm", "--force", container_name], capture_output=True, check=False)
        for volume in volumes:
            subprocess.run(["docker", "volume", "rm", "--force", volume], capture_output=True, check=False)


def with_test_names(line: str, image: str, name: str, engine: Engine) -> str:
    """The printed line with another name, the built image, a network of the test's and any free port of the host."""
    lines = line.rstrip().split("\n")
    lines[-1] = f"  {image}"
    text = "\n".join(lines)
    text = re.sub(r"--name \S+", f"--name {name} --label {engine.label} --network {engine.network}", text)
    text = re.sub(r"--volume ([\w.-]+):/", rf"--volume {name}-\1:/", text)
    return re.sub(r"--publish \S*?(\d+) ", r"--publish 127.0.0.1::\1 ", text)


def require_confined(container: Container, read_only: bool) -> None:
    """No capability is effective, none can be gained, and nothing outside the writable paths can be written."""
    pid = docker("inspect", "--format", "{{.State.Pid}}", container.id).strip()
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    if read_only:
        assert docker("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", container.id).strip() == "true"
        mounts = Path(f"/proc/{pid}/mounts").read_text().splitlines()
        root = next(one.split()[3] for one in mounts if one.split()[1] == "/")
        assert "ro" in root.split(",")
