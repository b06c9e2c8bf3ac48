"""What ``harden verify`` saw, in the text of a pull request; and what broke, in none."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from container import engine_answers
from forge.quick import quick  # noqa: F401  a fixture of every test
from forge.scene import BRANCH, FILES, Scene
from forge.server import served
from forge.world import World

from hardener.bot import branch, waiting
from hardener.cli import main

pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "forge").mkdir()
    with served(World(tmp_path / "forge")) as world:
        yield Scene(world, "github")


def seen(user: str, **more: Any) -> dict[str, Any]:
    answer = {"probe": "http://localhost:8000/", "status": 200, "body": "s3cret", "error": ""}
    one = {"running": True, "exit_code": None, "restarts": 0, "health": "", "user": user, "error": "", "log": "s3cret"}
    return {**one, "answers": [answer], **more}


def side(user: str, size: int, **more: Any) -> dict[str, Any]:
    scenarios = {"start": {"app": seen(user)}, "upgrade": {"app": seen(user)}}
    return {"build_error": "", "images": {"app": {"size": size}}, "scenarios": scenarios, **more}


def unit(files: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "name": "Dockerfile", "dockerfiles": list(files), "files": files, "verdict": "better", "reasons": [], "notes": [],
        "before": side("0:0", 100_000_000), "after": side("5000:5000", 100_010_000), **more,
    }  # fmt: skip


def digest_of_the_hardened(tmp_path: Path) -> str:
    folder = tmp_path / "plain"
    folder.mkdir(exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    printed = CliRunner().invoke(main, [str(folder / "Dockerfile")]).stdout_bytes
    assert b"USER 5000:5000" in printed
    return hashlib.sha256(printed).hexdigest()


def report(tmp_path: Path, *units: dict[str, Any], **more: Any) -> str:
    file = tmp_path / "report.json"
    engine = {"kind": "docker", "version": "26.1"}
    file.write_text(json.dumps({"version": 1, "engine": engine, "units": list(units), **more}))
    return str(file)


def test_what_was_seen_stands_in_the_text_and_stays_there(scene: Scene, tmp_path: Path) -> None:
    digest = digest_of_the_hardened(tmp_path)
    scene.run("--verified", report(tmp_path, unit({"Dockerfile": digest})))
    body = scene.the_pull().body
    assert "as a non-root user. Built and run before and after: nothing is worse." in body
    assert "root → `5000:5000`" in body
    assert "| yes | yes |" in body
    assert "200, as before" in body
    assert "+0.0 MB" in body
    assert "s3cret" not in body
    scene.writes()
    scene.run()  # without a report, the same change
    assert scene.writes() == [], "nothing is written: what was seen is still true"
    scene.repo.commit({"README.md": b"more\n"})
    scene.run()
    assert "root → `5000:5000`" in scene.the_pull().body
    scene.repo.commit({"Dockerfile": FILES["Dockerfile"].replace(b"/app", b"/srv")})
    scene.run()  # another change, which nobody has verified
    assert "→ `5000:5000`" not in scene.the_pull().body
    assert "Nothing was built or started" in scene.the_pull().body


def test_a_report_of_other_contents_proves_nothing(scene: Scene, tmp_path: Path) -> None:
    scene.run("--verified", report(tmp_path, unit({"Dockerfile": "0" * 64})))
    body = scene.the_pull().body
    assert "the report is about another `Dockerfile`" in body
    assert "`Dockerfile` was not built or run" in body
    assert "nothing is worse" not in body
    assert "→" not in body


def test_an_image_that_was_not_run_is_said(scene: Scene, tmp_path: Path) -> None:
    scene.repo.commit({"worker/Dockerfile": FILES["Dockerfile"], "worker/app.py": b"print(2)\n"})
    scene.run("--verified", report(tmp_path, unit({"Dockerfile": digest_of_the_hardened(tmp_path)})))
    assert "- `worker/Dockerfile` was not built or run" in scene.the_pull().body
    assert "as a non-root user. 1 of 2 was built and run before and after, and no worse." in scene.the_pull().body


def test_what_could_not_be_judged_and_what_was_not_asked_is_said(scene: Scene, tmp_path: Path) -> None:
    digest = digest_of_the_hardened(tmp_path)
    reasons = [{"text": "it does not build before either"}]
    after = side("5000:5000", 1, scenarios={"start": {"app": seen("5000:5000", answers=[])}})
    scene.run(
        "--verified", report(tmp_path, unit({"Dockerfile": digest}, verdict="unjudged", reasons=reasons, after=after))
    )
    body = scene.the_pull().body
    assert "`Dockerfile` could not be judged: it does not build before either" in body
    assert "nothing was asked of it, so it was only seen to run" in body
    assert "nothing is worse" not in body


def test_what_broke_is_not_proposed(scene: Scene, tmp_path: Path) -> None:
    digest = digest_of_the_hardened(tmp_path)
    reasons = [{"text": "it ends with 1", "excerpt": "s3cret"}]
    text = scene.run(
        "--verified", report(tmp_path, unit({"Dockerfile": digest}, verdict="broken", reasons=reasons)), status=1
    )
    assert "broken: Dockerfile: it ends with 1" in text
    assert "nothing was proposed" in text
    assert scene.writes() == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "engine": {}, "units": [{"files": {"Dockerfile": 1}}]}'],
)
def test_what_is_no_report_is_one_line(scene: Scene, tmp_path: Path, content: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    assert len(scene.run("--verified", str(file), status=2).splitlines()) == 1
    assert scene.writes() == []


@pytest.fixture
def _engine() -> None:
    if not engine_answers():
        message = "no Docker Engine answers: nothing was built or run; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.mark.engine
@pytest.mark.usefixtures("_engine")
def test_an_engine_at_hand_builds_and_runs_it_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "--build-network host --timeout 20 --quiet --skip again --skip locked --skip arbitrary"
    monkeypatch.setenv("HARDEN_VERIFY_OPTIONS", options)
    server = (
        b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nEXPOSE 8000\nCMD ["python", "-m", "http.server", "8000"]\n'
    )
    scene.repo.commit({"Dockerfile": server, "data/picture.png": b"\x89PNG"})
    assert "opened" in scene.run("--verify")
    body = scene.the_pull().body
    assert "Built and run before and after: nothing is worse." in body
    assert "| `Dockerfile` | yes | yes | root → `5000:5000` | 200, as before |" in body
    scene.writes()
    assert "current" in scene.run("--verify")  # and nothing is built again
    assert scene.writes() == []
    # A program that insists on root in a way that no reader of Dockerfiles sees.
    stubborn = b"import os, time\nassert not os.geteuid()\ntime.sleep(600)\n"
    dockerfile = b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n'
    scene.repo.commit({"Dockerfile": dockerfile, "app.py": stubborn})
    before = scene.head()
    assert "nothing was proposed" in scene.run("--verify", status=1)
    assert scene.head() == before
    assert scene.repo.tip(BRANCH) == before
