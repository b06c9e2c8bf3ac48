"""`harden verify` with a real engine: broken hardenings are noticed, good ones pass, and nothing is left behind.

All broken hardenings of fixtures/verify and all projects: set HARDENER_ALL_VERIFICATIONS=1.  Otherwise a few of each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from conftest import FIXTURES
from container import engine_answers
from kill_verify import kill_rounds, labelled

pytestmark = pytest.mark.engine

EVERYTHING = bool(os.environ.get("HARDENER_ALL_VERIFICATIONS"))
MODES = {
    folder.name: tomli.loads((folder / "verify.toml").read_text()) for folder in sorted((FIXTURES / "verify").iterdir())
}
CHOSEN = list(MODES) if EVERYTHING else ["log-dir", "entrypoint-chown"]
PROJECTS = ["alpine-busybox", "volume-notes"]
NETWORK = ["--build-network", "host"] if "HARDENER_ENGINE" in os.environ else []


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if not engine_answers():
        message = "no Docker Engine answers: nothing was built or run; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)


def run(folder: Path, cache: Path, *options: str) -> tuple[int, dict, str]:
    report = cache / "report.json"
    cache.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "verify", ".", "--json", str(report), *NETWORK, *options],
        capture_output=True, text=True, cwd=folder, check=False, env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    home = (cache / "hardener" / "verify" / "home").read_text().strip()
    assert not any(labelled(f"hardener.verify.home={home}").values()), "something is left"
    assert not list((cache / "hardener" / "verify" / "runs").iterdir())
    return done.returncode, json.loads(report.read_text()) if report.exists() else {}, done.stderr


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("mode", CHOSEN)
def test_a_broken_hardening_is_noticed_and_mended_or_left(mode: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "verify" / mode, tmp_path / mode)
    folder = tmp_path / mode / "broken"
    given = tree(folder)
    code, report, said = run(folder, tmp_path / "cache", "--against", "../before", "--learn",
                             "--skip", "again", "--skip", "locked", "--skip", "arbitrary")  # fmt: skip
    (unit,) = report["units"]
    learnt = {name: data for name, data in tree(folder).items() if given.get(name) != data}
    assert set(learnt) <= {"hardener.toml"}, said
    if MODES[mode]["learns"]:
        assert (code, unit["verdict"]) == (0, "better" if unit["gains"] else "same"), said
        assert unit["tries"] > 1, "it was never found broken"
    else:
        assert code == 1, said
        assert unit["leave"]
        assert MODES[mode]["cause"] in {one["kind"] for one in unit["causes"]}, said


@pytest.mark.parametrize("name", PROJECTS)
def test_a_good_hardening_passes(name: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "projects" / name / "before", tmp_path / "project")
    given = tree(tmp_path / "project")
    code, report, said = run(tmp_path / "project", tmp_path / "cache")
    assert (code, [one["verdict"] for one in report["units"]]) == (0, ["better"]), said
    assert tree(tmp_path / "project") == given


def test_killed_runs_leave_nothing_after_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert kill_rounds(20 if EVERYTHING else 3, longest=25 if EVERYTHING else 10) == []
