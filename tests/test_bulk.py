"""Many Dockerfiles over several processes give what one process gives, and a lost process costs nothing."""

from __future__ import annotations

import os

import pytest

from hardener import bulk
from hardener.bulk import Failure, Hardened, harden_paths
from hardener.report import unified_diff

DOCKERFILE = 'FROM python:3.12-slim\nCOPY . /app\nEXPOSE 80\nCMD ["uvicorn", "--port", "80", "app:app"]\n'


@pytest.fixture
def folder(tmp_path):
    for number in range(bulk.MANY_FILES + 5):
        (tmp_path / f"s{number}").mkdir()
        (tmp_path / f"s{number}" / "Dockerfile").write_text(DOCKERFILE if number % 7 else "FROM\n")
    return tmp_path


def told(folder):
    found = []
    for one in harden_paths([folder]):
        assert isinstance(one, Failure | Hardened)
        found.append(str(one) if isinstance(one, Failure) else (one.name, one.result.after.dockerfile.data))
    return found


def test_several_processes_tell_what_one_tells_in_the_same_order(folder, monkeypatch) -> None:
    several = told(folder)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert several == told(folder)
    assert len(several) == bulk.MANY_FILES + 5


def test_without_processes_the_work_is_done_here(folder, monkeypatch) -> None:
    expected = told(folder)
    monkeypatch.setattr(
        "concurrent.futures.ProcessPoolExecutor", lambda: (_ for _ in ()).throw(OSError("no semaphores"))
    )
    assert told(folder) == expected


def test_a_killed_process_loses_no_result(folder, monkeypatch) -> None:
    expected = told(folder)
    here = os.getpid()
    real = bulk.harden_one

    def dies(name, project, settings):
        if os.getpid() != here and name.endswith("s50/Dockerfile"):
            os._exit(9)
        return real(name, project, settings)

    monkeypatch.setattr(bulk, "harden_one", dies)
    assert told(folder) == expected


def test_two_images_that_share_a_compose_file_change_it_one_after_the_other(folder) -> None:
    compose = "services:\n" + "".join(
        f'  a{number}:\n    build: ./s{number}\n    ports: ["{8000 + number}:80"]\n' for number in range(1, 7)
    )
    (folder / "compose.yml").write_text(compose)
    last = [one.result for one in harden_paths([folder]) if isinstance(one, Hardened)]
    texts = [data for result in last for path, (_, data) in result.changed.items() if path.name == "compose.yml"]
    assert texts, "nobody changed the Compose file"
    assert texts[-1].count(b":8080") == 6
    assert len(texts) == 7, "six images, and the file itself"


def test_a_repository_inside_the_folder_is_a_project_of_its_own(tmp_path) -> None:
    for name in ("one", "two"):
        repository = tmp_path / name
        (repository / ".git").mkdir(parents=True)
        (repository / "app").mkdir()
        (repository / "base").mkdir()
        (repository / "base" / "Dockerfile").write_text("FROM alpine:3.20\nRUN apk add --no-cache python3\n")
        (repository / "app" / "Dockerfile").write_text('FROM acme/base\nCMD ["python3", "-m", "http.server", "8000"]\n')
        (repository / "build.sh").write_text("docker build -t acme/base base\n")
    found = {one.name: one for one in harden_paths([tmp_path]) if isinstance(one, Hardened)}
    one = next(found[name] for name in found if name.endswith("two/app/Dockerfile"))
    assert one.result.before.root == tmp_path / "two"  # what `one` builds is nothing to `two`
    assert one.result.stages[0].applied
    assert unified_diff(one.result, one.folder).startswith(b"--- a/two/app/Dockerfile\n+++ b/two/app/Dockerfile\n")
