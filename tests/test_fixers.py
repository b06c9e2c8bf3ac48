"""Every fixture: ``before/`` hardened is ``after/`` (or stays as it is), with the findings of ``findings.txt``.

A folder ``fixtures/<fixer>/`` runs that fixer alone; ``fixtures/pipeline/`` and ``fixtures/outcome/`` run all.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import FIXTURES

from hardener.bulk import Hardened, harden_file, harden_paths
from hardener.fixers import FIXER_NAMES, FIXERS
from hardener.report import data_steps, details, summary
from hardener.runtime import FIXER_NAMES as OF_DEPLOYMENT
from hardener.writing import write

GROUPS = (*FIXER_NAMES, *OF_DEPLOYMENT, "outcome", "pipeline")
CASES = [case for group in GROUPS for case in sorted((FIXTURES / group).glob("*")) if case.is_dir()]


def name_of(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def run(folder: Path, group: str) -> tuple[str, bool]:
    """Harden the tree in place; return the findings as text, and whether anything changed."""
    overrides = {"select": frozenset({group})} if group in (*FIXER_NAMES, *OF_DEPLOYMENT) else {}
    text, changed = [], False
    if group in OF_DEPLOYMENT:
        for one in [*harden_paths([folder], overrides)]:
            assert isinstance(one, Hardened), str(one)
            if one.result.units:
                text += summary(one.result, str(one.result.before.dockerfile_path).rpartition("project/")[2])
            changed = changed or bool(one.result.changed)
            write(one.result)
        return "\n".join(text) + "\n", changed
    for file in sorted(folder.rglob("*ockerfile*")):
        if ".dockerignore" in file.name:
            continue
        one = harden_file(file, folder, overrides)
        assert isinstance(one, Hardened), str(one)
        name = file.relative_to(folder).as_posix()
        text += [*summary(one.result, name), *details(one.result, name), *data_steps(one.result)]
        changed = changed or bool(one.result.changed)
        write(one.result)
    return "\n".join(text) + "\n", changed


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_fixture(case: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    work = tmp_path / "project"
    shutil.copytree(case / "before", work)
    findings, changed = run(work, case.parent.name)
    got = tree(work)
    if request.config.getoption("--update"):
        shutil.rmtree(case / "after", ignore_errors=True)
        if changed:
            shutil.copytree(work, case / "after")
        (case / "findings.txt").write_text(findings)
    expected = tree(case / "after") if (case / "after").is_dir() else tree(case / "before")
    assert got == expected
    assert findings == (case / "findings.txt").read_text()
    _, again = run(work, case.parent.name)
    assert not again, "a second run changes it again"
    assert tree(work) == got


@pytest.mark.parametrize("fixer", [*FIXER_NAMES, *OF_DEPLOYMENT])
def test_every_fixer_has_a_case_that_changes_and_one_that_must_not(fixer: str) -> None:
    cases = [case for case in CASES if case.parent.name == fixer]
    assert any((case / "after").is_dir() for case in cases)
    assert any(not (case / "after").is_dir() for case in cases)


@pytest.mark.parametrize("fixer", FIXERS, ids=FIXER_NAMES)
def test_every_fixer_says_why_it_is_safe(fixer) -> None:
    assert fixer.__name__ == fixer.__module__.rpartition(".")[2]
    for heading in ("Why: ", "Safety: ", "References: "):
        assert heading in (fixer.__doc__ or "")
