"""The tutorial, done literally: every command in its order in one shell, and its output against what the page shows.

Three things are replaced by the shell's environment, none in the commands but YOU: GitHub's clone of this repository is
this one (git's insteadOf), GitHub itself is the fake of tests/forge, and on the private engine of tests/engine/start.sh,
which has no network of its own for builds and containers, `docker` says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from container import engine_answers
from forge.server import served
from forge.world import IDENTITY, TOKEN, World

pytestmark = pytest.mark.engine

PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|text|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "that was step"
DOCKER = """#!/bin/sh
case "$1" in
  build) shift; exec {docker} build --network host "$@" ;;
  run) case " $* " in *" --network"*) ;; *) shift; exec {docker} run --network none "$@" ;; esac ;;
esac
exec {docker} "$@"
"""


@pytest.fixture
def environment(tmp_path: Path):
    if not engine_answers():
        message = "no Docker Engine answers: the tutorial was not done; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: the tutorial clones this repository")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "python3").symlink_to(sys.executable)
    if "HARDENER_ENGINE" in os.environ:
        (commands / "docker").write_text(DOCKER.format(docker=shutil.which("docker")))
        (commands / "docker").chmod(0o755)
    world = World(tmp_path / "forge")
    with served(world):
        repository = world.add("you/guestbook")
        # `harden pr` asks the forge that the address names; this one is told what it is.
        function = f'harden() {{ if [ "$1" = pr ]; then command harden "$@" --forge github --api-url {world.url}; else command harden "$@"; fi; }}'
        (tmp_path / "harden.sh").write_text(function)
        settings = {f"url.{ROOT.as_uri()}.insteadOf": "https://github.com/hardener/hardener"}
        settings["safe.directory"] = "*"
        settings["credential.helper"] = f"!f() {{ echo username=you; echo password={TOKEN}; }}; f"
        numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings.items()):
            numbered |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        yield (
            world,
            repository,
            {**os.environ, **IDENTITY, **numbered, "PATH": path, "GITHUB_TOKEN": TOKEN, "BASH_ENV": str(tmp_path / "harden.sh")},
        )  # fmt: skip


def comparable(line: str) -> str:
    """Return a line without what differs from run to run: times and sizes, and runs of blanks."""
    return re.sub(r"\s+", " ", re.sub(r"\b[0-9.]+(?= (?:s|MB)\b)", "N", line)).strip()


def test_every_command_does_what_the_page_says(environment, tmp_path: Path) -> None:
    world, repository, variables = environment
    text = PAGE.read_text(encoding="utf-8").replace(
        "https://github.com/YOU/guestbook.git", f"{world.url}/you/guestbook.git"
    )
    text = text.replace("https://github.com/YOU/", "https://github.example/you/")
    blocks = BLOCK.findall(text)
    steps = [body for kind, body in blocks if kind == "sh"]
    assert len(steps) >= 11
    script = "set -e\n" + "".join(
        f'{step}\necho "{END} {number}" | tee /dev/stderr\n' for number, step in enumerate(steps)
    )
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", script], cwd=work, env=variables, capture_output=True, text=True, check=False, timeout=900
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outputs = [re.split(rf"^{END} \d+\n", stream, flags=re.MULTILINE) for stream in (done.stdout, done.stderr)]
    step, shown = -1, 0
    for kind, body in blocks:
        if kind == "sh":
            step += 1
            continue
        printed = {comparable(line) for stream in outputs for line in stream[step].splitlines()}
        for line in body.splitlines():
            wanted = comparable(line)
            assert any(wanted in one for one in printed), (steps[step], line, outputs[0][step], outputs[1][step])
            shown += 1
    assert shown > 30
    assert [pull.title for pull in repository.pulls] == ["Run the container as a non-root user"]
    assert "Built and started before and after" in repository.pulls[0].body
    assert "USER 5000:5000" in repository.show("harden/non-root", "Dockerfile")
