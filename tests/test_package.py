"""What is published: reproducible, complete, typed, and accepted by the tools that registries and packagers use."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tomli
from conftest import ROOT, needed

needed("hatchling", "twine", "check_wheel_contents", "validate_pyproject")

PYPROJECT = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"distributed", "docs", "gitea", "github", "gitlab", "test"}


def build(folder: Path, **environment: str) -> tuple[Path, Path]:
    """Build sdist and wheel, by the backend itself: an isolated build would install it from the network."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"), SOURCE_DATE_EPOCH="1700000000")


def run(*words: object) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_builds_are_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    again = build(tmp_path, SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in built]


def test_the_date_is_the_one_that_was_asked_for(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        assert {one.date_time[:3] for one in wheel.infolist()} == {(2023, 11, 14)}


def test_the_source_distribution_has_every_file_of_the_repository(built: tuple[Path, Path]) -> None:
    """Fixtures and tests too, byte for byte, so that packagers can run them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what belongs to the repository is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    wanted = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
    with tarfile.open(built[0]) as archive:
        members = {one.name.partition("/")[2]: one for one in archive.getmembers()}
        assert wanted - set(members) == set()
        for name in wanted:
            file = archive.extractfile(members[name])
            assert file is not None, name
            assert file.read() == (ROOT / name).read_bytes(), name


def test_the_wheel_has_the_package_and_its_knowledge_alone(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hardener").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == here
    assert "hardener/py.typed" in names
    assert {line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Provides-Extra")} >= EXTRAS


def test_the_tools_of_the_registries_accept_it(built: tuple[Path, Path]) -> None:
    run("twine", "check", "--strict", *built)
    run("check_wheel_contents", built[1])
    run("validate_pyproject", ROOT / "pyproject.toml")


def test_every_dependency_is_justified_in_the_documentation() -> None:
    page = (ROOT / "docs" / "packaging.md").read_text(encoding="utf-8")
    for group in (PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"].values()):
        for requirement in group:
            name = requirement.partition(">")[0].partition("[")[0].partition(";")[0].strip()
            assert f"`{name}`" in page, name


def test_the_pythons_that_are_named_are_those_that_it_asks_for() -> None:
    versions = [one.rpartition(" ")[2] for one in PYPROJECT["classifiers"] if "Python :: 3." in one]
    assert versions == [f"3.{minor}" for minor in range(10, 10 + len(versions))]
    assert PYPROJECT["requires-python"] == f">={versions[0]}"
