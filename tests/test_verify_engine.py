"""`harden verify` with a real engine: broken hardenings are noticed, good ones pass, and nothing is left behind.

All broken hardenings of fixtures/verify and all projects: set HARDENER_ALL_VERIFICATIONS=1.  Otherwise a few of each.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli
from click.testing import CliRunner
from conftest import FIXTURES
from container import engine_answers
from kill_verify import LISTS, kill_rounds, labelled
from probe import ALL
from second_engine import is_possible, second_engine
from verify_projects import rounds

from hardener import migration
from hardener.verify.command import command

pytestmark = pytest.mark.engine

EVERYTHING = bool(os.environ.get("HARDENER_ALL_VERIFICATIONS"))
MODES = {
    folder.name: tomli.loads((folder / "verify.toml").read_text()) for folder in sorted((FIXTURES / "verify").iterdir())
}
CHOSEN = list(MODES) if EVERYTHING else ["log-dir", "entrypoint-chown"]
NETWORK = ["--build-network", "host"] if "HARDENER_ENGINE" in os.environ else []


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if not engine_answers():
        message = "no Docker Engine answers: nothing was built or run; get one with `. tests/engine/start.sh`"
        if os.environ.get("HARDENER_REQUIRE_ENGINE"):
            pytest.fail(message)
        pytest.skip(message)


def start(folder: Path, cache: Path, *options: str, host: str = "") -> subprocess.Popen[str]:
    cache.mkdir(exist_ok=True)
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-m", "hardener", "verify", ".", "--json", str(cache / "report.json"), *NETWORK, *options],
        stderr=subprocess.PIPE, text=True, cwd=folder, env={**env, "DOCKER_HOST": host} if host else env,
    )  # fmt: skip


def run(folder: Path, cache: Path, *options: str) -> tuple[int, dict, str]:
    report = cache / "report.json"
    process = start(folder, cache, *options)
    said = process.communicate()[1]
    assert not re.search("^Traceback", said, re.MULTILINE)  # one of the program's own is an excerpt of its log
    home = (cache / "hardener" / "verify" / "home").read_text().strip()
    assert not any(labelled(f"hardener.verify.home={home}").values()), "something is left"
    assert not list((cache / "hardener" / "verify" / "runs").iterdir())
    return process.returncode, json.loads(report.read_text()) if report.exists() else {}, said


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


def test_a_good_hardening_passes(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "projects" / "alpine-busybox" / "before", tmp_path / "project")
    given = tree(tmp_path / "project")
    code, report, said = run(tmp_path / "project", tmp_path / "cache")
    assert (code, [one["verdict"] for one in report["units"]]) == (0, ["better"]), said
    assert tree(tmp_path / "project") == given


def test_what_passed_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(FIXTURES / "projects" / "volume-notes" / "before", folder)
    (folder / "hardener.toml").write_text('[verify]\nskip = ["arbitrary"]\n')
    words = ["--in-place", "--verify", "--probe", "POST http://localhost:8000/ milk"]
    done = subprocess.run(
        [sys.executable, "-m", "hardener", str(folder), *words],
        capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HARDEN_VERIFY_OPTIONS": " ".join(NETWORK)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "start on data of before" in done.stderr
    assert "arbitrary user" not in done.stderr
    assert "USER 5000:5000" in (folder / "Dockerfile").read_text()


def test_data_that_the_printed_command_does_not_give_are_broken(tmp_path: Path, monkeypatch) -> None:
    """Two wrong commands at once: one fails, one gives a volume to somebody else."""
    right = migration.of_dockerfile

    def wrong(*arguments: object) -> Iterator[migration.Migration]:
        for one in right(*arguments):
            yield one._replace(command=one.command.replace("5000:5000", "4999:4999"))
            yield one._replace(command=one.command.replace("chown IMAGE", "chown IMAGE --nonsense"))

    monkeypatch.setattr(migration, "of_dockerfile", wrong)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    shutil.copytree(FIXTURES / "projects" / "volume-notes" / "before", folder)
    report = tmp_path / "report.json"
    words = [
        "--probe",
        "POST http://localhost:8000/ milk",
        "--skip",
        "again",
        "--skip",
        "locked",
        "--skip",
        "arbitrary",
    ]
    result = CliRunner().invoke(command, [str(folder), "--json", str(report), *words, *NETWORK])
    assert result.exit_code == 1, result.output
    assert {"migration", "data"} <= {one["kind"] for one in json.loads(report.read_text())["units"][0]["reasons"]}


@pytest.mark.skipif(not is_possible(), reason="a second engine needs root and the private one of tests/engine/start.sh")
def test_an_engine_elsewhere_that_dies(tmp_path: Path) -> None:
    """It sees no file and publishes no port of this machine; killed, it is told in one line; later all is removed."""
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(FIXTURES / "projects" / "alpine-busybox" / "before", here / "project")
    with (
        tempfile.TemporaryDirectory(prefix="hardener-engine-") as there,
        second_engine(Path(there), here, "alpine:3.20") as engine,
    ):
        arguments = (here / "project", here / "cache")
        process = start(*arguments, "--skip", "again", "--skip", "arbitrary", host=engine.host)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        unit = json.loads((here / "cache" / "report.json").read_text())["units"][0]
        assert unit["verdict"] == "better", said
        assert [one["status"] for one in unit["after"]["scenarios"]["start"]["app"]["answers"]] == [200]
        process = start(*arguments, host=engine.host)
        assert process.stderr is not None
        seen = []
        while not any("the first start" in line for line in seen):
            seen.append(process.stderr.readline())
            assert seen[-1], "".join(seen)
        time.sleep(1)
        engine.kill()
        said = process.communicate()[1]
        assert process.returncode == 2
        assert re.fullmatch(r"(?:\[[^\n]*\n)*error: the engine stopped answering: [^\n]*\n", said), said
        engine.start()
        process = start(*arguments, host=engine.host)
        assert process.stderr is not None
        assert "leftovers" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        for listing in LISTS.values():
            assert engine.docker(*listing, "--filter", "label=hardener.verify").stdout == b""


PODMAN = """
[storage]
driver = "overlay"
runroot = "{0}/run"
graphroot = "{0}/graph"
"""
# What a sandbox without cgroups v2 and rights over its own limits needs; elsewhere it does no harm.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_other_engines(engine: str, tmp_path: Path, monkeypatch) -> None:
    with tempfile.TemporaryDirectory(prefix="hardener-podman-") as there:
        (Path(there) / "storage.conf").write_text(PODMAN.format(there))
        runtime = f'runtime = "{shutil.which("runc") or "crun"}"\n'
        (Path(there) / "containers.conf").write_text(CONTAINERS + runtime)
        monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{there}/storage.conf")
        monkeypatch.setenv("CONTAINERS_CONF", f"{there}/containers.conf")
        saved = subprocess.run(["docker", "save", "alpine:3.20"], capture_output=True, check=True).stdout
        monkeypatch.delenv("DOCKER_CONFIG", raising=False)  # Podman reads it, and wants a file there
        if shutil.which("podman") is None or shutil.which(engine) is None:
            pytest.skip(f"{engine} is not here, or podman, which runs what it builds: nothing was built or run with it")
        subprocess.run(["podman", "load"], input=saved, capture_output=True, check=True)
        tried = subprocess.run(["podman", "run", "--rm", "alpine:3.20", "true"], capture_output=True, check=False)
        if tried.returncode:
            pytest.skip(f"podman runs nothing here: {tried.stderr.decode()[-200:]}")
        shutil.copytree(FIXTURES / "projects" / "alpine-busybox" / "before", tmp_path / "project")
        cache = tmp_path / "cache"
        process = start(tmp_path / "project", cache, "--engine", engine, "--skip", "again", "--skip", "arbitrary")
        said = process.communicate()[1]
        (unit,) = json.loads((cache / "report.json").read_text())["units"]
        assert (process.returncode, unit["verdict"]) == (0, "better"), said
        seen = unit["after"]["scenarios"]["start"]["app"]
        assert (seen["user"], seen["ports"]) == ("5000:5000", [8080])
        for listing in LISTS.values():
            left = subprocess.run(
                ["podman", *listing, "--filter", "label=hardener.verify"], capture_output=True, check=True
            )
            assert left.stdout == b""
        subprocess.run(["podman", "system", "reset", "--force"], capture_output=True, check=False)


def test_killed_runs_leave_nothing_after_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert kill_rounds(20 if EVERYTHING else 3, longest=25 if EVERYTHING else 10) == []


@pytest.mark.skipif(not EVERYTHING, reason="takes half an hour; HARDENER_ALL_VERIFICATIONS=1 runs it")
def test_no_good_project_is_called_broken() -> None:
    assert list(rounds(1, list(ALL))) == []
