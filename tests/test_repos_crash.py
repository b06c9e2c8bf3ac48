"""A run that is killed at a random moment, and gone on with: every repository exactly once, nothing half-written.

``HARDEN_ROUNDS=10`` makes as many rounds as the figures in docs/scale.md; here are few, to save time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path

import pytest
from repositories import APPLICATION, ENVIRONMENT, command, git, harden_repos, repository

from hardener.repos.executors import Workers
from hardener.repos.journal import Journal
from hardener.repos.run import MOST_TASKS, Pace, Run
from hardener.repos.sources import Source
from hardener.repos.values import Kind, Plan, Task
from hardener.repos.writer import Writer

ROUNDS = int(os.environ.get("HARDEN_ROUNDS", "1"))
COUNT = int(os.environ.get("HARDEN_REPOSITORIES", "9"))
MODES = {"branch": ("--branch", "harden/non-root"), "in-place": ("--in-place",), "patches": ("--patches", "patches")}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some repositories of two Dockerfiles each; every third has none."""
    here = tmp_path_factory.mktemp("many")
    first = repository(
        here / "first", {**APPLICATION, "two/Dockerfile": APPLICATION["Dockerfile"], "two/app.py": "x\n"}
    )
    plain = repository(here / "plain", {"README.md": "x\n"})
    for number in range(COUNT):
        shutil.copytree(plain if number % 3 == 2 else first, here / "org" / f"r{number}")
    return here / "org"


def rows(here: Path) -> list[dict]:
    return json.loads(harden_repos(here, "report", "--format", "json").stdout)["repositories"]


def check(here: Path, mode: str) -> None:
    """Every repository is done once and is what its row says; nothing else is there."""
    found = rows(here)
    assert len(found) == COUNT
    assert len({one["key"] for one in found}) == COUNT
    for one in found:
        folder = Path(one["key"])
        with_dockerfile = (folder / "Dockerfile").exists()
        assert one["outcome"] == ("changed" if with_dockerfile else "unchanged"), one
        leftovers = [name for name in git(folder, "status", "--porcelain", "--ignored").splitlines() if "??" in name]
        assert not leftovers
        if mode == "branch" and with_dockerfile:
            assert git(folder, "rev-list", "--count", "main..harden/non-root") == "1"
            assert git(folder, "rev-parse", "harden/non-root") == one["commit"]
            assert not git(folder, "status", "--porcelain")
            git(folder, "fsck", "--strict")
        elif mode == "branch":
            assert git(folder, "branch", "--list", "harden/*") == ""
        if mode == "in-place" and with_dockerfile:
            for name in ("Dockerfile", "two/Dockerfile"):
                assert (folder / name).read_bytes().count(b"USER 5000:5000\n") == 1
        if mode == "patches" and with_dockerfile:
            git(folder, "apply", "--check", str(here / one["patch"]))
    if mode == "patches":
        assert len(os.listdir(here / "patches")) == sum(one["outcome"] == "changed" for one in found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_killed_driver_loses_and_doubles_nothing(many: Path, tmp_path: Path, mode: str, number: int) -> None:
    shutil.copytree(many, tmp_path / "org")
    environment = {**os.environ, **ENVIRONMENT}
    chance = random.Random(number)
    words = ["org", *MODES[mode]]
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(command(*words), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.4, 2.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if (tmp_path / "harden-repos.sqlite").exists() and rows_or_none(tmp_path):
            words = ["--resume"]
        else:  # killed before it had listed anything
            for file in tmp_path.glob("harden-repos.sqlite*"):
                file.unlink()
    harden_repos(tmp_path, *words)
    check(tmp_path, mode)


def rows_or_none(here: Path) -> bool:
    done = subprocess.run(command("status"), cwd=here, capture_output=True, env={**os.environ, **ENVIRONMENT})
    return done.returncode == 0 and f"\n{COUNT} repositories".encode() in b"\n" + done.stdout


def test_a_full_disk_stops_the_run_with_one_line_and_it_goes_on(many: Path, tmp_path: Path) -> None:
    shutil.copytree(many, tmp_path / "org")
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small]).returncode:
        pytest.skip("no right to mount a small file system")
    try:
        state = ("--state", small / "state.sqlite")
        done = subprocess.run(
            command("org", "--patches", "patches", *state),
            cwd=tmp_path,
            capture_output=True,
            env={**os.environ, **ENVIRONMENT},
        )
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"error: ") == 1
        assert subprocess.run(["mount", "-o", "remount,size=20m", small]).returncode == 0
        harden_repos(tmp_path, "--resume", *state) if rows_of(state, tmp_path) else harden_repos(
            tmp_path, "org", "--resume", *MODES["patches"], *state
        )
        found = json.loads(harden_repos(tmp_path, "report", state[1], "--format", "json").stdout)["repositories"]
        assert len(found) == COUNT
        assert {one["outcome"] for one in found} == {"changed", "unchanged"}
        assert len(os.listdir(tmp_path / "patches")) == sum(one["outcome"] == "changed" for one in found)
    finally:
        subprocess.run(["umount", small], check=True)


def rows_of(state: tuple, here: Path) -> bool:
    done = subprocess.run(command("status", state[1]), cwd=here, capture_output=True, env={**os.environ, **ENVIRONMENT})
    return b"0 repositories" not in done.stdout and done.returncode == 0


def test_a_cluster_that_loses_a_worker_gives_what_one_machine_gives(many: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    shutil.copytree(many, tmp_path / "org")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster.scheduler_address) as client,
    ):
        words = command("org", *MODES["branch"], "--scheduler", cluster.scheduler_address)
        process = subprocess.Popen(words, cwd=tmp_path, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE)
        assert killed_at_work(cluster, client, process) > 0
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
    check(tmp_path, "branch")


def killed_at_work(cluster, client, run: subprocess.Popen) -> int:
    """Kill a worker that has tasks which are not done, and return how many; it is held first, so that it has them."""
    while run.poll() is None:
        for worker in cluster.workers.values():
            if not client.processing().get(worker.worker_address):
                continue
            os.kill(worker.process.pid, signal.SIGSTOP)
            time.sleep(0.2)  # what it had sent before is taken in
            left = len(client.processing().get(worker.worker_address, ()))
            os.kill(worker.process.pid, signal.SIGKILL if left else signal.SIGCONT)
            if left:
                return left
    return 0


def test_a_call_that_the_cluster_gives_up_is_tried_again_for_each_task(tmp_path: Path) -> None:
    """One repository that takes the workers down with it costs itself, not those that were handed out with it."""
    sources = [Source(str(tmp_path / name), str(tmp_path / name), is_local=True) for name in "abcdef"]
    bad, calls = sources[3], []

    class Cluster(Executor):
        def submit(self, call, /, tasks):
            calls.append(len(tasks))
            future: Future = Future()
            if bad in [one.source for one in tasks]:
                future.set_exception(RuntimeError("killed"))
            else:
                future.set_result(tuple(Plan(one.source, Kind.UNCHANGED, "", harden_seconds=0.01) for one in tasks))
            return future

    done = []
    with closing(Journal(None)) as journal:
        journal.add(sources)
        workers = Workers(Cluster(), lambda: 1, is_far=True)
        pace = Pace(0.1)
        Run(journal, Writer("show"), workers, Task, lambda plan, _: done.append(plan), pace=pace).all()
    assert sorted(one.source.key for one in done) == [one.key for one in sources]
    assert [(one.source, one.reason) for one in done if one.kind is Kind.FAILED] == [
        (bad, "the cluster gave it up: RuntimeError")
    ]
    assert calls == [5, 1, 1, 1, 1, 1, 1]


def test_a_call_to_a_cluster_takes_about_as_long_whatever_its_repositories_take() -> None:
    pace = Pace()
    assert pace.tasks() == 1
    for _ in range(100):
        pace.tell(Plan(Source("a", "a", is_local=True), Kind.UNCHANGED, "", harden_seconds=0.1))
    assert pace.tasks() == 4
    for _ in range(100):
        pace.tell(Plan(Source("a", "a", is_local=True), Kind.FAILED, "it was ended"))
    assert pace.tasks() == 4
    for _ in range(100):
        pace.tell(Plan(Source("a", "a", is_local=True), Kind.UNCHANGED, "", harden_seconds=0.001))
    assert pace.tasks() == MOST_TASKS
