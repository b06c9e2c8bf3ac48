"""`harden checklist`: every question for every image, service and workload, with where and what to do, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hardener.checklist.answer import QUESTIONS
from hardener.cli import main

ROOT_IMAGE = 'FROM python:3.12-slim\nCOPY a.py .\nEXPOSE 80\nCMD ["gunicorn", "--bind", "0.0.0.0:80", "a:app"]\n'
OWN_USER = 'FROM python:3.12-slim\nCOPY a.py .\nUSER 1000:1000\nCMD ["python", "a.py"]\n'
SCAN = "jobs:\n  a:\n    steps:\n      - run: trivy image app\n"
GOOD = """services:
  web:
    build: .
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
"""
BAD = """services:
  web:
    build: .
    user: root
    privileged: true
    pid: host
    security_opt: ["seccomp:unconfined", "apparmor=unconfined", "label:disable"]
    cap_add: [SYS_ADMIN]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock", "/:/host"]
"""
POD = """apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: web
      image: web:1
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
"""


def checklist(folder: Path, files: dict[str, str], *options: str):
    (folder / ".git").mkdir(exist_ok=True)
    for name, text in {"a.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    result = CliRunner().invoke(main, ["checklist", str(folder), *options], prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(result) -> list[dict]:
    return json.loads(result.stdout)["answers"]


def test_a_project_that_answers_everything_well_ends_with_0(tmp_path: Path) -> None:
    files = {
        "Dockerfile": OWN_USER,
        "compose.yml": GOOD,
        "k8s/web.yaml": POD,
        ".github/workflows/scan.yml": SCAN,
    }
    result = checklist(tmp_path, files, "--format", "json")
    assert [one for one in rows(result) if one["state"] != "ok"] == []
    assert result.exit_code == 0
    asked = {(one["subject"], one["question"]) for one in rows(result)}
    image = {("image Dockerfile", one) for one in ("root", "ports")}
    service = {("service web", one) for one in QUESTIONS if one not in ("ports", "scan")}
    pod = {("Pod web", one) for one in QUESTIONS if one != "scan"}
    assert asked == image | service | pod | {("project", "scan")}


def test_what_is_open_has_its_place_and_a_way_out_and_ends_with_1(tmp_path: Path) -> None:
    result = checklist(tmp_path, {"Dockerfile": ROOT_IMAGE}, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["open"] == 3
    found = {one["question"]: one for one in rows(result)}
    assert found["root"]["where"] == "Dockerfile:1"
    assert found["root"]["way_out"] == f"harden {tmp_path} --in-place switches it"
    assert found["ports"]["where"] == "Dockerfile:3"
    assert found["scan"]["way_out"] == "harden ci github, or harden ci gitlab"


def test_every_right_over_the_host_is_a_row_of_its_own(tmp_path: Path) -> None:
    found = rows(checklist(tmp_path, {"Dockerfile": OWN_USER, "compose.yml": BAD}, "--format", "json"))
    host = [one["text"].partition(":")[0] for one in found if one["question"] == "host-access"]
    assert host == ["privileged", "cap_add SYS_ADMIN", "pid", "host path /var/run/docker.sock", "host path /"]
    off = [one["text"].partition(":")[0] for one in found if one["question"] == "confinement"]
    assert off == ["seccomp=unconfined", "apparmor=unconfined", "label=disable"]
    assert all(one["way_out"] for one in found if one["state"] == "open")
    assert next(one["text"] for one in found if one["subject"] == "service web") == "user: root"


@pytest.mark.parametrize(
    ("old", "new", "question"),
    [
        ("runAsNonRoot: true", "runAsNonRoot: false", "root"),
        ("drop: [ALL]", "drop: [NET_RAW]", "capabilities"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "read-only"),
        ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "no-new-privileges"),
        ("type: RuntimeDefault", "type: Unconfined", "confinement"),
        ("spec:\n", "spec:\n  hostPID: true\n", "host-access"),
        ("image: web:1\n", "image: web:1\n      ports: [{containerPort: 80, hostPort: 80}]\n", "ports"),
    ],
)
def test_a_pod_is_open_where_it_differs(old: str, new: str, question: str, tmp_path: Path) -> None:
    assert old in POD
    files = {"Dockerfile": OWN_USER, "k8s/web.yaml": POD.replace(old, new)}
    found = rows(checklist(tmp_path, files, "--format", "json"))
    wrong = {one["question"] for one in found if one["subject"] == "Pod web" and one["state"] == "open"}
    assert question in wrong
    assert wrong <= {question, "host-access"}


def test_a_template_is_not_known(tmp_path: Path) -> None:
    files = {"Dockerfile": OWN_USER, "chart/templates/web.yaml": POD.replace("web:1", "{{ .Values.image }}")}
    found = rows(checklist(tmp_path, files, "--format", "json"))
    assert [one["state"] for one in found if one["subject"] == "template"] == ["unknown"]


def test_the_table_shows_what_is_open_and_with_all_the_rest_too(tmp_path: Path) -> None:
    short = checklist(tmp_path, {"Dockerfile": ROOT_IMAGE, "k8s/web.yaml": POD}).stdout
    assert "open     root" in short
    assert "ok       root" not in short
    assert "ok       root" in checklist(tmp_path, {}, "--all").stdout


def test_what_cannot_be_read_ends_with_2_and_the_rest_is_answered(tmp_path: Path) -> None:
    result = checklist(tmp_path, {"Dockerfile": "RUM x\n", "web/Dockerfile": ROOT_IMAGE})
    assert result.exit_code == 2
    assert "error: " in result.stderr
    assert "image web/Dockerfile" in result.stdout
