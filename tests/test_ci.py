"""`harden ci`: scans that are there are recognised, nothing is doubled, and what is written is a pipeline."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest
import yaml
from click.testing import CliRunner

from hardener.ci import gitlab, pipelines
from hardener.cli import main
from hardener.edit import splice

DOCKERFILE = b'FROM python:3.12-slim\nCOPY app.py .\nCMD ["python", "app.py"]\n'
GITHUB = PurePosixPath(".github/workflows/ci.yml")


def put(folder: Path, files: dict[str, bytes]) -> Path:
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def run(*arguments: str):
    result = CliRunner().invoke(main, arguments, prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def found(text: str, file: PurePosixPath = GITHUB) -> list[tuple[int, str]]:
    return [(one.line, one.name) for one in pipelines.steps_of(file, text.encode())]


def job(*steps: str, condition: str = "") -> str:
    return "jobs:\n  a:\n" + condition + "    steps:\n" + "".join(f"      - {step}\n" for step in steps)


@pytest.mark.parametrize(
    "step",
    [
        "uses: aquasecurity/trivy-action@v0.35.0\n        with: {scan-type: fs}",
        "uses: aquasecurity/trivy-action@v0.35.0\n        with: {scan-type: config, image-ref: x}",
        "uses: aquasecurity/setup-trivy@v0.2.0",
        "uses: anchore/scan-action@v6\n        with: {path: .}",
        "uses: anchore/scan-action@v6",
        "uses: snyk/actions/node@master",
        "run: trivy fs --severity HIGH .",
        "run: trivy --version",
        "run: 'echo trivy; docker image ls'",
        "run: grype dir:.",
        "run: grype db update",
        "run: snyk test --all-projects",
        "run: docker scout --help",
        "run: |\n          # trivy image app",
        "run: trivy image app\n        if: ${{ false }}",
        "run: harden . --diff",
        "run: my-harden x --check",
    ],
)
def test_what_scans_no_image_is_none(step: str) -> None:
    assert not found(job(step))


def test_a_job_that_is_switched_off_scans_nothing() -> None:
    assert not found(job("run: trivy image app", condition="    if: false\n"))


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("uses: aquasecurity/trivy-action@0123456789 # v0.35.0\n        with: {image-ref: x}", "Trivy"),
        ("uses: Aquasecurity/Trivy-Action@master", "Trivy"),
        ("run: trivy --quiet --cache-dir .cache image --exit-code 1 app:1", "Trivy"),
        ("run: docker run --rm -v $PWD:/x aquasec/trivy:0.70.0 image app", "Trivy"),
        ("uses: anchore/scan-action@v6\n        with: {image: app}", "Grype"),
        ("run: grype app:latest --fail-on high", "Grype"),
        ("uses: snyk/actions/docker@master", "Snyk"),
        ("run: snyk container test app", "Snyk"),
        ("uses: docker/scout-action@v1\n        with: {command: cves}", "Docker Scout"),
        ("run: docker scout cves app", "Docker Scout"),
        ("uses: quay/clair-action@main", "Clair"),
        ("run: anchorectl image add app --wait", "Anchore Enterprise"),
        ("run: harden --quiet . --check", pipelines.CHECK),
    ],
)
def test_a_scan_of_an_image_is_recognised(step: str, name: str) -> None:
    assert found(job(step)) == [(4, name)]


def test_a_line_is_counted_within_a_script_and_over_continued_lines() -> None:
    text = job("run: |\n          docker build \\\n            -t app .\n\n          trivy image \\\n            app")
    assert found(text) == [(8, "Trivy")]


@pytest.mark.parametrize(
    "text",
    [
        "include:\n  - template: Security/Container-Scanning.gitlab-ci.yml\n",
        "include:\n  - template: Jobs/Container-Scanning.latest.gitlab-ci.yml\n",
        "include:\n  - component: $CI_SERVER_FQDN/components/container-scanning/container-scanning@5\n",
    ],
)
def test_gitlabs_own_template_is_recognised(text: str) -> None:
    assert found(text, gitlab.MAIN) == [(2, "GitLab container scanning")]


def test_a_jenkinsfile_is_read_line_by_line() -> None:
    assert found("node {\n  // sh 'trivy image a'\n  sh 'trivy image app'\n}\n", PurePosixPath("Jenkinsfile")) == [
        (3, "Trivy")
    ]


def test_a_repository_that_scans_and_checks_is_left_alone(tmp_path: Path) -> None:
    text = job("run: harden . --check", "run: trivy image app").encode()
    put(tmp_path, {"Dockerfile": DOCKERFILE, str(GITHUB): text})
    for service in ("github", "gitlab"):
        result = run("ci", service, str(tmp_path))
        assert (result.exit_code, result.stdout) == (0, "")
        assert ".github/workflows/ci.yml:4: runs harden --check already" in result.stderr
        assert ".github/workflows/ci.yml:5: scans an image already: Trivy" in result.stderr


def test_only_what_is_missing_is_added(tmp_path: Path) -> None:
    put(tmp_path, {"Dockerfile": DOCKERFILE, "azure-pipelines.yml": b"steps:\n- script: snyk container test app\n"})
    text = run("ci", "github", str(tmp_path)).stdout
    assert "harden . --check" in text
    assert "trivy" not in text


def test_the_workflow_is_a_file_of_its_own_and_a_second_run_adds_nothing(tmp_path: Path) -> None:
    put(tmp_path, {"web/Dockerfile": DOCKERFILE, "Dockerfile.api": DOCKERFILE, str(GITHUB): job("run: make").encode()})
    assert run("ci", "github", str(tmp_path), "--check").exit_code == 1
    assert run("ci", "github", str(tmp_path), "--in-place").exit_code == 0
    assert (tmp_path / GITHUB).read_bytes() == job("run: make").encode()
    written = yaml.safe_load((tmp_path / ".github/workflows/container-security.yml").read_bytes())
    rows = written["jobs"]["scan"]["strategy"]["matrix"]["include"]
    assert rows == [
        {"name": "api", "dockerfile": "Dockerfile.api", "context": "."},
        {"name": "web", "dockerfile": "web/Dockerfile", "context": "web"},
    ]
    assert written["permissions"] == {"contents": "read"}
    steps = written["jobs"]["scan"]["steps"]
    assert steps[-1]["with"]["sarif_file"] == steps[-2]["with"]["output"]
    pipelines.steps.cache_clear()
    pipelines.pipelines.cache_clear()
    pipelines.walk.cache_clear()
    assert run("ci", "github", str(tmp_path), "--check").exit_code == 0
    assert run("ci", "gitlab", str(tmp_path)).stdout == ""


def test_the_diff_makes_the_files_that_in_place_makes(tmp_path: Path) -> None:
    for service in ("github", "gitlab"):
        one = put(tmp_path / service, {"Dockerfile": DOCKERFILE, ".gitlab-ci.yml": b"build:\r\n  script: make\r\n"})
        subprocess.run(["git", "init", "-q", str(one)], check=True)
        diff = run("ci", service, str(one)).stdout_bytes
        run("ci", service, str(one), "--in-place")
        made = {file: file.read_bytes() for file in one.rglob("*.yml")}
        for file in made:
            if file.name != ".gitlab-ci.yml":
                file.unlink()
        (one / ".gitlab-ci.yml").write_bytes(b"build:\r\n  script: make\r\n")
        subprocess.run(["git", "apply"], input=diff, cwd=one, check=True)
        assert {file: file.read_bytes() for file in one.rglob("*.yml")} == made


LOCAL = {"local": ".gitlab/container-security.yml"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("build:\n  script: make", [LOCAL]),
        ("# c\r\nbuild:\r\n  script: make # d\r\n", [LOCAL]),
        ("include:\n  - local: a.yml # c\n\nbuild:\n  script: make\n", [LOCAL, {"local": "a.yml"}]),
        ("include:\n# c\n- a.yml\n- b.yml\nbuild:\n  script: make\n", [LOCAL, "a.yml", "b.yml"]),
        ("include: [a.yml, b.yml]\n", ["a.yml", "b.yml", LOCAL]),
        ("include: 'a.yml' # c\nbuild: {script: make}\n", [LOCAL, "a.yml"]),
        ("include:\n  local: a.yml\nbuild: {script: make}\n", [LOCAL, {"local": "a.yml"}]),
        ("include: {local: a.yml}\n", [{"local": "a.yml"}, LOCAL]),
        ("spec:\n  inputs: {}\n---\nbuild:\n  script: make\n", [LOCAL]),
    ],
)
def test_a_gitlab_pipeline_differs_in_its_include_alone(text: str, wanted: list[object]) -> None:
    _, edit = gitlab.included(text.encode())
    after = splice(text.encode(), [edit])
    before = list(yaml.safe_load_all(text))
    before[-1]["include"] = wanted
    assert list(yaml.safe_load_all(after)) == before
    assert after.count(b"\r\n") in (0, after.count(b"\n"))


@pytest.mark.parametrize(
    "text",
    [
        "include:\n  project: a/b\n  file: c.yml\n",  # one entry over two lines
        "include: &a\n  - a.yml\nbuild: [",
        "- a\n",
        "{build: {script: make}}\n",
        "include: |\n  a.yml\n",
    ],
)
def test_a_gitlab_pipeline_that_is_not_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"Dockerfile": DOCKERFILE, ".gitlab-ci.yml": text.encode()})
    result = run("ci", "gitlab", str(tmp_path), "--in-place")
    assert result.exit_code == 2
    assert "add to its include by hand: - local: .gitlab/container-security.yml" in result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == [".git", ".gitlab-ci.yml", "Dockerfile"]


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("build:\n  script: make\n", "test"),
        ("stages: [a, test]\n", "test"),
        ("stages:\n  - build\n  - deploy\n", "build"),
    ],
)
def test_the_jobs_get_a_stage_that_the_pipeline_has(text: str, stage: str) -> None:
    assert gitlab.included(text.encode())[0] == stage


def test_no_dockerfile_still_means_no_scan(tmp_path: Path) -> None:
    put(tmp_path, {"README.md": b"nothing\n"})
    result = run("ci", "github", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "there is no image to scan" in result.stderr
