"""Bad input: one line that says where and what to do, exit code 2, nothing written, and the other files go on."""

from __future__ import annotations

import ast
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from hardener import open_project
from hardener.bulk import Failure, Hardened, harden_paths
from hardener.cli import main
from hardener.pipeline import harden
from hardener.writing import write

GOOD = b'FROM python:3.12-slim\nWORKDIR /app\nCOPY app.py .\nCMD ["python", "app.py"]\n'
DEEP_ONBUILD = b"FROM alpine\nONBUILD " + b"ONBUILD " * 500 + b'RUN x\nCMD ["x"]\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one good Dockerfile in ``good/`` and an empty folder ``bad/``."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "good/Dockerfile").write_bytes(GOOD)
    (tmp_path / "good/app.py").write_bytes(b"print()\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    result = CliRunner().invoke(main, arguments, prog_name="harden")
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def fails_alone(folder: Path, expected: str) -> None:
    """Check that bad/Dockerfile is one error line, stays as it is, and that good/Dockerfile is hardened all the same."""
    before = snapshot(folder / "bad")
    result = run("--in-place", "bad/Dockerfile", "good")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert re.fullmatch(expected, errors[0]), errors[0]
    assert lines[-1] == "good/Dockerfile:1: switched: runs as 5000:5000"
    assert len(lines) == 2
    assert snapshot(folder / "bad") == before
    assert b"USER 5000:5000\n" in (folder / "good/Dockerfile").read_bytes()
    assert [name for name in os.listdir(folder / "good") if name.startswith(".")] == []


# ------------------------------------------------------------------------------------------ text that is no Dockerfile


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"", 1, r"the file has no instruction; begin with FROM"),
        (b"\n \n# only a comment\n\n", 1, r"the file has no instruction; begin with FROM"),
        (b"\xef\xbb\xbf", 1, r"the file has no instruction; begin with FROM"),
        (b"Dear all,\nthis is a letter\n", 1, r"unknown instruction DEAR; correct it, or put # before it"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", 1, r"unknown instruction .*; correct it, or put # before it"),
        (b"{}", 1, r"unknown instruction \{\}; correct it, or put # before it"),
        (b"RUN echo\n", 1, r"RUN stands before the first FROM, where only ARG may; move it"),
        (b"ARG A=1\n\nCMD x\n", 3, r"CMD stands before the first FROM, where only ARG may; move it"),
        (b"# c\nARG A=1\n", 2, r"the file has no FROM; add one after this line"),
        (b"FROM alpine\nRUN <<EOF\necho hi\n", 2, r"heredoc <<EOF is never closed; add a line with EOF"),
        (b"FROM alpine\n\nRUM echo\n", 3, r"unknown instruction RUM; correct it, or put # before it"),
        (b"\0\0\0\0", 1, r"unknown instruction .*; correct it, or put # before it"),
        (GOOD.decode().encode("utf-16"), 1, r"the file is UTF-16; save it as UTF-8"),
        (b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), 1, r"the file is UTF-16; save it as UTF-8"),
        (GOOD.decode().encode("utf-16-le"), 1, r"unknown instruction .*; correct it, or put # before it"),
        (DEEP_ONBUILD, 2, r"ONBUILD cannot trigger ONBUILD; remove it"),
        (b"FROM alpine\nONBUILD FROM x\n", 2, r"ONBUILD cannot trigger FROM; remove it"),
        (b"FROM alpine\nRUN " + b"a" * 10_000_000, 2, r"the line has 10,000,004 bytes and BuildKit takes .*; split it"),
        (b"FROM alpine\nCMD " + b"[" * 10_000_000, 2, r"the line has 10,000,004 bytes and BuildKit takes .*; split it"),
        (b"x" * 10_000_000, 1, r"the line has 10,000,000 bytes and BuildKit takes .*; split it"),
    ],
    ids=[
        "empty", "comments-only", "bom-only", "letter", "binary", "json", "run-first", "no-from-but-cmd", "no-from",
        "open-heredoc", "typo", "nul", "utf-16", "utf-16-be", "utf-16-without-mark", "deep-onbuild", "onbuild-from",
        "10-mb-line", "10-mb-of-brackets", "10-mb-word",
    ],
)  # fmt: skip
def test_what_is_no_dockerfile_is_one_line_with_the_place_and_what_to_do(data, line, message, here) -> None:
    (here / "bad/Dockerfile").write_bytes(data)
    fails_alone(here, rf"error: bad/Dockerfile:{line}: {message}")


def test_an_error_line_is_short_and_printable_whatever_the_file_holds(here) -> None:
    (here / "bad/Dockerfile").write_bytes(b"FROM alpine\n" + b"\x1b]0;\x07\xff\xc3" * 5000 + b"\n")
    result = run("bad/Dockerfile")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.rstrip("\n").isprintable()
    assert len(result.stderr) < 400


@pytest.mark.parametrize(
    "data",
    [
        GOOD + b"# caf\xe9 \xff\xfe\n",
        GOOD.replace(b"COPY", b"LABEL note=\"na\xefve\"\nCOPY"),
        GOOD.replace(b"WORKDIR", b"RUN printf '\\0' > /x\nWORKDIR"),
        GOOD.replace(b"WORKDIR", b"RUN echo \0 nul\nWORKDIR"),
        GOOD.replace(b"WORKDIR", b"RUN " + b"(" * 5000 + b"x" + b")" * 5000 + b"\nWORKDIR"),
        GOOD.replace(b"WORKDIR", b"RUN " + b"$(" * 5000 + b"x" + b")" * 5000 + b"\nWORKDIR"),
        GOOD.replace(b"WORKDIR", b"RUN " + b"if x; then " * 3000 + b"\nWORKDIR"),
        GOOD.replace(b"WORKDIR", b"ARG A=x\n" + b"ARG A=$A$A\n" * 60 + b"WORKDIR"),
        GOOD.replace(b"WORKDIR", b"ENV A=x\n" + b"ENV A=${A:-$A}$A\n" * 60 + b"WORKDIR"),
        b"".join(b"FROM alpine AS s%d\n" % i for i in range(500)) + GOOD,
        b"FROM python:3.12-slim AS s0\n" + b"".join(b"FROM s%d AS s%d\n" % (i, i + 1) for i in range(150)) + GOOD[22:],
    ],
    ids=[
        "latin-1", "latin-1-label", "escaped-nul", "nul-in-run", "parentheses", "substitutions", "ifs", "arg-bomb",
        "env-bomb", "stages", "chain",
    ],
)  # fmt: skip
def test_strange_but_readable_text_is_hardened_with_its_bytes_kept(data, here) -> None:
    (here / "bad/Dockerfile").write_bytes(data)
    (here / "bad/app.py").write_bytes(b"print()\n")
    result = run("bad/Dockerfile")
    assert result.exit_code == 0, result.stderr
    assert [line for line in data.split(b"\n") if line not in result.stdout_bytes.split(b"\n")] in (
        [],
        [b"COPY app.py ."],
    )


# ------------------------------------------------------------------------------------------------- files and folders


def test_a_folder_that_is_called_dockerfile_is_looked_into(here) -> None:
    (here / "bad/Dockerfile").mkdir()
    fails_alone(here, r"error: bad/Dockerfile: no Dockerfile or Containerfile is below this folder")


def test_a_link_to_nothing_is_one_line(here) -> None:
    (here / "bad/Dockerfile").symlink_to("gone")
    fails_alone(here, r"error: bad/Dockerfile: there is no such file")


def test_a_link_to_itself_is_one_line(here) -> None:
    (here / "bad/Dockerfile").symlink_to("Dockerfile")
    fails_alone(here, r"error: bad/Dockerfile: cannot be read: .+")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leaves_the_project_is_neither_read_nor_written(kind, here, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "Dockerfile").write_bytes(GOOD)
    if kind == "file":
        (here / "bad/Dockerfile").symlink_to(outside / "Dockerfile")
    else:
        (here / "bad").rmdir()
        (here / "bad").symlink_to(outside)
    result = run("--in-place", "bad/Dockerfile")
    assert result.exit_code == 2
    assert re.fullmatch(
        r"error: bad/Dockerfile: is a symbolic link to .*Dockerfile, outside the project; harden that file itself\n",
        result.stderr,
    )
    assert (outside / "Dockerfile").read_bytes() == GOOD


def test_a_compose_file_that_leaves_the_project_is_not_read(here, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "compose.yaml"
    outside.write_bytes(b"services:\n  web:\n    build: .\n    privileged: true\n")
    (here / "good/compose.yaml").symlink_to(outside)
    assert "switched" in run("good").stderr


def test_a_pipe_called_dockerfile_in_a_folder_does_not_hang(here) -> None:
    os.mkfifo(here / "bad/Dockerfile")
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "bad", "good", "--check"],
        capture_output=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"good/Dockerfile:1: switched" in done.stderr


# ------------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hardener.toml", b"uid = [", r"cannot be read as TOML: .+"),
        ("hardener.toml", b"\xff\xfe", r"cannot be read as TOML: .+"),
        (
            "hardener.toml",
            b"user-id = 5",
            r"unknown key 'user-id' in the hardener configuration; known: dockerfiles, gid, group, .+",
        ),
        ("hardener.toml", b"[tool.hardener]\nuid = 7", r"unknown key 'tool' in the hardener configuration; known: .+"),
        ("hardener.toml", b"uid = '5'", r"'uid' has a value that does not fit: '5'"),
        ("hardener.toml", b"uid = true", r"'uid' has a value that does not fit: True"),
        ("hardener.toml", b"uid = 0", r"'uid' has a value that does not fit: 0"),
        ("hardener.toml", b"gid = -1", r"'gid' has a value that does not fit: -1"),
        ("hardener.toml", b"gid = 5.0", r"'gid' has a value that does not fit: 5.0"),
        ("hardener.toml", b"user = 'root'", r"'user' wants a new name .+, not 'root'"),
        ("hardener.toml", b"user = 'x; reboot'", r"'user' wants a new name .+, not 'x; reboot'"),
        ("hardener.toml", b"group = ''", r"'group' wants a new name .+, not ''"),
        ("hardener.toml", b"user-style = 'nice'", r"'user-style' has a value that does not fit: 'nice'"),
        ("hardener.toml", b"ports = 8080", r"'ports' has a value that does not fit: 8080"),
        ("hardener.toml", b"ports = { 80 = 81 }", r"'ports' wants OLD=NEW with NEW from 1024 to 65535, not '80=81'"),
        ("hardener.toml", b"ports = { web = 8081 }", r"'ports' wants OLD=NEW .+, not 'web=8081'"),
        ("hardener.toml", b"select = 'move_port'", r"'select' has a value that does not fit: 'move_port'"),
        ("hardener.toml", b"ignore = ['nope']", r"'ignore' names no fixer: 'nope'; there are: create_user, .+"),
        ("hardener.toml", b"ignore = [{}]", r"'ignore' names no fixer: \{\}; there are: .+"),
        ("pyproject.toml", b"[tool.hardener\n", r"cannot be read as TOML: .+"),
        (
            "pyproject.toml",
            b"[tool.hardener]\nuids = 5",
            r"unknown key 'uids' in the hardener configuration; known: .+",
        ),
        ("pyproject.toml", b"[tool]\nhardener = 3", r"'tool.hardener' has to be a table, not 3"),
    ],
)
def test_a_bad_configuration_names_its_file_and_the_key_and_stops_only_its_own_folder(
    name, text, message, here
) -> None:
    (here / "bad/Dockerfile").write_bytes(GOOD)
    (here / "bad" / name).write_bytes(text)
    fails_alone(here, rf"error: bad/Dockerfile: .*bad/{re.escape(name)}: {message}")


@pytest.mark.parametrize("text", [b"tool = 3 # hardener", b"[project]\nname = 'hardener'", b"broken = ["])
def test_a_pyproject_without_a_table_of_ours_is_nobodys_business(text, here) -> None:
    (here / "good/pyproject.toml").write_bytes(text)
    assert run("--check", "good").exit_code == 1


# ------------------------------------------------------------------------------------------- broken neighbours go by

BOMB = (
    b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9))
    + b"services:\n  web:\n    build: .\n    x: *a8\n    cap_add: *a8\n    volumes: *a8\n"
)


@pytest.mark.parametrize(
    "text",
    [
        b"services:\n  web:\n   build: .\n  bad: [",
        b"\tservices: build",
        b"\xff\xfe build",
        b"services:\n  web:\n    build: \0\n",
        b"services: [build]",
        b"services: build",
        b"build",
        b"--- build\n--- more\n",
        b"? [build]\n: x\nservices:\n  ? {a: b}\n  : {build: .}\n",
        b"services:\n  web:\n    build: [x]\n",
        b"services:\n  web:\n    build: {context: [a], dockerfile: {b: c}, target: [d]}\n",
        b"services:\n  web:\n    build:\n      context: ../../../../..\n",
        b"services:\n  web: &w\n    build: .\n    x: *w\n",
        b"services:\n  web:\n    build: .\n    x: &a [*a, *a]\n",
        b"services:\n  web:\n    build: .\n    <<: &x\n      <<: *x\n",
        b"services:\n  web:\n    build: .\n    <<: [1, 2]\n    volumes: 3\n    ports: x\n    cap_add: {a: b}\n",
        b"services:\n  web:\n    build: .\n    volumes: [{a: b}, [c], '', ':', '::', null, {target: [x]}]\n",
        b"services:\n  web:\n    build: .\n    volumes: {a: b}\n    expose: {a: b}\n    devices: null\n",
        b"services: build\nx: " + b"[" * 300_000,
        b"services: build\nx:\n" + b"- " * 300_000,
        b"services: build\nx:\n" + b"? " * 300_000,
        BOMB,
    ],
    ids=[
        "open-list", "tab", "utf-16", "nul", "list", "scalar", "no-mapping", "two-documents", "odd-keys", "build-is-a-list",
        "values-are-lists", "far-above", "anchor-of-itself", "anchor-twice-in-itself", "merge-of-itself",
        "wrong-types", "odd-volumes", "mappings", "300000-brackets", "300000-dashes", "300000-question-marks", "bomb",
    ],
)  # fmt: skip
def test_a_compose_file_that_makes_no_sense_does_not_stop_hardening(text, here) -> None:
    (here / "good/compose.yaml").write_bytes(text)
    result = run("--in-place", "good")
    first, _, rest = result.stderr.partition("\n")
    assert (result.exit_code, first) == (0, "good/Dockerfile:1: switched: runs as 5000:5000")
    assert all(": left: " in line for line in rest.splitlines()), rest
    assert (here / "good/compose.yaml").read_bytes() == text


@pytest.mark.parametrize(
    "text",
    [b"def (:\n    port=80", b"\xff\xfeport=80", b"\0port=80", b"# coding: nonsense\nrun(port=80)",
     b"port=80" + b"(" * 50_000, b"run(port=80)\n" + b"-" * 50_000 + b"1"],
    ids=["syntax", "utf-16", "nul", "coding", "deep", "deeper"],
)  # fmt: skip
def test_a_python_program_that_cannot_be_parsed_does_not_stop_hardening(text, here) -> None:
    (here / "good/app.py").write_bytes(text)
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "good", "--check"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == b"good/Dockerfile:1: switched: runs as 5000:5000\n"


@pytest.mark.parametrize("name", [".gitignore", "good/.gitignore", ".git/info/exclude"])
@pytest.mark.parametrize("text", [b"\xff\xfe\n[\n", b"[z-a]\n", b"\\\n!\n/\n", b"\0"])
def test_ignore_rules_that_make_no_sense_are_passed_over(name, text, here) -> None:
    (here / name).parent.mkdir(parents=True, exist_ok=True)
    (here / name).write_bytes(text)
    assert "good/Dockerfile:1: switched" in run("--check", ".").stderr


# ------------------------------------------------------------------------------------------------------------ writing


def test_a_full_disk_leaves_the_original_and_no_temporary_file(here, monkeypatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = snapshot(here)
    monkeypatch.setattr(os, "fsync", full)
    result = run("--in-place", "good")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: good/Dockerfile: cannot be written: No space left on device\n",
    )
    assert snapshot(here) == before
    assert sorted(os.listdir(here / "good")) == ["Dockerfile", "app.py"]


def test_a_finding_over_two_files_is_written_whole_or_not_at_all(here, monkeypatch) -> None:
    (here / "good/Dockerfile").write_bytes(GOOD.replace(b"CMD", b"EXPOSE 80\nCMD").replace(b'app.py"]', b'app.py"]'))
    (here / "good/app.py").write_bytes(b'import bottle\nbottle.run(host="0.0.0.0", port=80)\n')
    before = snapshot(here)
    assert len(harden(open_project(here / "good/Dockerfile")).changed) == 2
    real, calls = os.fsync, []

    def second_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    monkeypatch.setattr(os, "fsync", second_fails)
    result = run("--in-place", "good")
    assert result.exit_code == 2
    assert result.stderr.count("error: good/Dockerfile: cannot be written: ") == 1
    assert snapshot(here) == before
    assert sorted(os.listdir(here / "good")) == ["Dockerfile", "app.py"]


def test_an_interruption_while_writing_leaves_the_original_and_no_temporary_file(here, monkeypatch) -> None:
    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    before = snapshot(here)
    result = harden(open_project(here / "good/Dockerfile"))
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(result)
    assert snapshot(here) == before


def test_a_file_that_became_a_link_out_of_the_project_is_not_written(here, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "Dockerfile"
    outside.write_bytes(GOOD)
    (one,) = harden_paths([Path("good")])
    assert isinstance(one, Hardened)
    (here / "good/Dockerfile").unlink()
    (here / "good/Dockerfile").symlink_to(outside)
    with pytest.raises(Exception, match="outside the project"):
        write(one.result)
    assert outside.read_bytes() == GOOD


def as_nobody(*arguments: str) -> tuple[int, list[str]]:
    """Run the program as a user who is not root, whoever runs the tests; return exit code and lines of error.

    A child of this process gives its rights up: another user may not be able to read this Python or repository.
    """
    if os.geteuid() != 0:
        result = run(*arguments)
        return result.exit_code, result.stderr.splitlines()
    run("--diff", "open")  # import everything while it can be read
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            result = CliRunner().invoke(main, arguments, prog_name="harden")
            os.write(writing, repr((result.exit_code, result.stderr.splitlines())).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        written = pipe.read()
    os.waitpid(child, 0)
    return ast.literal_eval(written.decode())


@pytest.fixture
def open_to_all(monkeypatch):
    """A repository that another user can reach: pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / ".git").mkdir()
    for name in ("closed", "open"):
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_bytes(GOOD)
        (folder / name / "app.py").write_bytes(b"print()\n")
    (folder / "open").chmod(0o777)
    monkeypatch.chdir(folder)
    yield folder
    monkeypatch.undo()
    (folder / "closed").chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written_is_one_line_and_the_next_one_is_written(open_to_all) -> None:
    (open_to_all / "closed").chmod(0o555)
    code, lines = as_nobody("--in-place", "closed", "open")
    assert code == 2
    assert lines == [
        "error: closed/Dockerfile: cannot be written: Permission denied",
        "open/Dockerfile:1: switched: runs as 5000:5000",
    ]
    assert (open_to_all / "closed/Dockerfile").read_bytes() == GOOD
    assert b"USER 5000:5000" in (open_to_all / "open/Dockerfile").read_bytes()
    assert sorted(os.listdir(open_to_all / "closed")) == ["Dockerfile", "app.py"]


def test_a_file_and_a_folder_that_another_user_may_not_read_are_one_line_each(open_to_all) -> None:
    (open_to_all / "closed/Dockerfile").chmod(0)
    code, lines = as_nobody("--check", "closed", "open")
    assert code == 2
    assert lines == [
        "error: closed/Dockerfile: cannot be read: Permission denied",
        "open/Dockerfile:1: switched: runs as 5000:5000",
    ]
    (open_to_all / "closed").chmod(0)
    code, lines = as_nobody("--check", "closed/Dockerfile", "closed", "open")
    assert code == 2
    assert [line.partition(": ")[0] for line in lines] == ["error", "error", "open/Dockerfile:1"], lines


def test_a_failure_of_the_library_is_a_value_not_an_exception(here) -> None:
    (here / "bad/Dockerfile").write_bytes(b"FROM alpine\nRUM x\n")
    outcomes = list(harden_paths([Path("bad"), Path("gone"), Path("good")]))
    assert [type(one) for one in outcomes] == [Failure, Failure, Hardened]
    assert outcomes[0] == Failure("bad/Dockerfile", 2, "unknown instruction RUM; correct it, or put # before it")
    assert str(outcomes[1]) == "gone: there is no such file"
