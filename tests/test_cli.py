"""The command line: what each option does, what goes to which stream, and which code comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from hardener import __version__
from hardener.cli import main
from hardener.fixers import FIXER_NAMES

FLASK = b"""FROM python:3.12-slim
WORKDIR /app
COPY app.py .
EXPOSE 80
CMD ["gunicorn", "--bind", "0.0.0.0:80", "app:app"]
"""
HARDENED = b"""FROM python:3.12-slim
RUN groupadd --gid 5000 appgroup && useradd --uid 5000 --gid appgroup --create-home appuser
WORKDIR /app
COPY --chown=5000:5000 app.py .
EXPOSE 8080
RUN chown 5000:5000 /app
USER 5000:5000
CMD ["gunicorn", "--bind", "0.0.0.0:8080", "app:app"]
"""
SAFE = b'FROM python:3.12-slim\nUSER 1000:1000\nCMD ["python", "app.py"]\n'
MANUAL = b'FROM quay.io/nobody/knows:1\nCMD ["x"]\n'
BROKEN = b"FROM python:3.12-slim\nRUM pip install flask\n"
SUMMARY = "Dockerfile:1: switched: runs as 5000:5000\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder that is its own repository, so nothing above it is looked at."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def flask(folder: Path, name: str = "Dockerfile", data: bytes = FLASK) -> None:
    put(folder, {name: data, str(Path(name).parent / "app.py"): b"app = None\n"})


def run(*arguments: str, stdin: bytes = b""):
    result = CliRunner().invoke(main, arguments, input=stdin, prog_name="harden")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def program(*arguments: str, cwd: Path, stdin: bytes = b"", **options) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-m", "hardener", *arguments]
    done = subprocess.run(
        command, cwd=cwd, input=stdin, env=environment, capture_output="stdout" not in options, timeout=60, **options
    )
    assert b"Traceback" not in (done.stderr or b""), done.stderr.decode()
    return done


def git(cwd: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.autocrlf=false"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, input=stdin, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --------------------------------------------------------------------------------------------- mistakes of the caller


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing argument 'PATH...'"),
        (["--iplace", "."], "Did you mean '--in-place'?"),
        (["--chek", "."], "'--check'"),
        (["--user-stile", "name", "."], "--user-style"),
        (["--uid", "0", "."], "Invalid value for '--uid'"),
        (["--uid", "-5", "."], "Invalid value for '--uid'"),
        (["--uid", "me", "."], "Invalid value for '--uid'"),
        (["--gid", "0", "."], "Invalid value for '--gid'"),
        (["--gid", "99999999999", "."], "Invalid value for '--gid'"),
        (["--user", "root", "."], "--user wants"),
        (["--user", "", "."], "--user wants"),
        (["--user", "a b", "."], "--user wants"),
        (["--user", "x;reboot", "."], "--user wants"),
        (["--user", "-x", "."], "--user wants"),
        (["--group", "root", "."], "--group wants"),
        (["--group", "", "."], "--group wants"),
        (["--group", "Größe", "."], "--group wants"),
        (["--user-style", "both", "."], "'both' is not one of 'numeric', 'name'"),
        (["--port", "80", "."], "--port wants OLD=NEW"),
        (["--port", "80=80", "."], "--port wants OLD=NEW"),
        (["--port", "80=", "."], "--port wants OLD=NEW"),
        (["--port", "80=99999", "."], "--port wants OLD=NEW"),
        (["--port", "0=8080", "."], "--port wants OLD=NEW"),
        (["--port", "²=8080", "."], "--port wants OLD=NEW"),
        (["--port", "80=8080", "--port", "x=y", "."], "'x=y'"),
        (
            ["--select", "create_usr", "."],
            "--select names no fixer: 'create_usr'; did you mean create_user? there are: create_user,",
        ),
        (["--ignore", "move_port,nope", "."], "--ignore names no fixer: 'nope'"),
    ],
)
def test_a_mistaken_option_exits_with_2_says_what_to_write_and_touches_nothing(arguments, text, here) -> None:
    flask(here)
    before = tree(here)
    result = run(*arguments, "--in-place")
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""
    assert tree(here) == before


def test_a_file_that_is_not_there_is_one_line_and_2(here) -> None:
    result = run("Dockerfile")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: Dockerfile: there is no such file\n"


def test_a_folder_without_a_dockerfile_is_one_line_and_2(here) -> None:
    (here / "empty").mkdir()
    result = run("empty")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: empty: no Dockerfile or Containerfile is below this folder\n"


@pytest.mark.parametrize("mode", [[], ["--diff"], ["--check"], ["--in-place"]])
@pytest.mark.parametrize("order", [["bad", "good"], ["good", "bad"], ["bad", "good", "gone"]])
def test_a_bad_file_never_stops_the_others_whatever_the_mode(mode, order, here) -> None:
    put(here, {"bad/Dockerfile": BROKEN})
    flask(here, "good/Dockerfile")
    result = run(*mode, *order)
    assert result.exit_code == 2
    assert "error: bad/Dockerfile:2: unknown instruction RUM; correct it" in result.stderr
    assert "good/Dockerfile:1: switched: runs as 5000:5000\n" in result.stderr
    assert result.stderr.count("error:") == len(order) - 1
    assert (here / "bad/Dockerfile").read_bytes() == BROKEN
    assert (here / "good/Dockerfile").read_bytes() == (HARDENED if mode == ["--in-place"] else FLASK)


# ------------------------------------------------------------------------------------------------------------ outputs


@pytest.mark.parametrize(
    "data",
    [
        SAFE,
        MANUAL,
        SAFE.replace(b"\n", b"\r\n"),
        SAFE.rstrip(b"\n"),
        SAFE.replace(b"\n", b"\r\n").rstrip(b"\r\n"),
        b"\xef\xbb\xbf" + SAFE,
        SAFE + b"# \xff\xfe caf\xe9\n",
        SAFE + b"\n\n\n# end \t \n\n",
    ],
    ids=["lf", "manual", "crlf", "no-final-newline", "crlf-no-final", "bom", "bad-utf-8", "blank-end"],
)
def test_a_file_that_is_left_alone_is_printed_byte_for_byte(data, here) -> None:
    (here / "Dockerfile").write_bytes(data)
    result = run("Dockerfile")
    assert (result.exit_code, result.stdout_bytes) == (0, data)
    assert program("-", cwd=here, stdin=data).stdout == data
    assert run("--diff", "Dockerfile").stdout_bytes == b""
    assert run("--check", "Dockerfile").exit_code == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (FLASK, HARDENED),
        (FLASK.replace(b"\n", b"\r\n"), HARDENED.replace(b"\n", b"\r\n")),
        (FLASK.rstrip(b"\n"), HARDENED.rstrip(b"\n")),
        (b"\xef\xbb\xbf" + FLASK, b"\xef\xbb\xbf" + HARDENED),
        (FLASK + b"# caf\xe9 \xff\n", HARDENED + b"# caf\xe9 \xff\n"),
        (FLASK + b"\n\n  # end \t", HARDENED + b"\n\n  # end \t"),
    ],
    ids=["lf", "crlf", "no-final-newline", "bom", "bad-utf-8", "blank-end"],
)
def test_the_hardened_file_is_printed_with_every_other_byte_as_it_was(data, expected, here) -> None:
    flask(here, data=data)
    result = run("Dockerfile")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, expected, SUMMARY)
    assert (here / "Dockerfile").read_bytes() == data
    assert program("Dockerfile", cwd=here).stdout == expected
    assert run("--in-place", "Dockerfile").stdout_bytes == b""
    assert (here / "Dockerfile").read_bytes() == expected


def test_standard_input_goes_to_standard_output(here) -> None:
    result = run("-", stdin=FLASK)
    assert (result.exit_code, result.stdout_bytes) == (0, HARDENED)
    assert result.stderr == "<stdin>:1: switched: runs as 5000:5000\n"


def test_standard_input_that_is_no_dockerfile_is_one_line_and_2(here) -> None:
    result = run("-", stdin=b"hello\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: <stdin>:1: unknown instruction HELLO; correct it, or put # before it\n"


def test_standard_input_with_check_only_sets_the_exit_code(here) -> None:
    result = run("--check", "-", stdin=FLASK)
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert run("--check", "-", stdin=SAFE).exit_code == 0


def test_standard_input_takes_the_configuration_of_the_current_folder(here) -> None:
    (here / "hardener.toml").write_text("uid = 7000\n")
    assert b"USER 7000:5000\n" in run("-", stdin=FLASK).stdout_bytes


def test_standard_input_can_stand_among_other_paths(here) -> None:
    flask(here)
    result = run("Dockerfile", "-", stdin=SAFE)
    assert result.stdout_bytes == HARDENED + SAFE
    assert result.stderr == SUMMARY + "<stdin>:2: already: runs as 1000:1000\n"


def test_each_of_several_paths_is_printed_in_the_order_given(here) -> None:
    flask(here, "b/Dockerfile")
    put(here, {"a/Dockerfile": SAFE})
    result = run("b/Dockerfile", "a")
    assert (result.exit_code, result.stdout_bytes) == (0, HARDENED + SAFE)
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["b/Dockerfile", "a/Dockerfile"]


def test_check_exits_with_1_and_prints_and_writes_nothing(here) -> None:
    flask(here)
    result = run("--check", "Dockerfile")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", SUMMARY)
    assert (here / "Dockerfile").read_bytes() == FLASK


def test_check_passes_on_what_in_place_wrote(here) -> None:
    flask(here)
    assert run("--in-place", ".").exit_code == 0
    result = run("--check", ".")
    assert (result.exit_code, result.stderr) == (0, "Dockerfile:7: already: runs as 5000:5000\n")
    assert run("--in-place", ".").exit_code == 0
    assert (here / "Dockerfile").read_bytes() == HARDENED


def test_an_image_that_is_left_to_a_person_is_no_error(here) -> None:
    (here / "Dockerfile").write_bytes(MANUAL)
    for mode in ([], ["--diff"], ["--check"], ["--in-place"]):
        result = run(*mode, "Dockerfile")
        assert result.exit_code == 0
        assert result.stderr.startswith("Dockerfile:1: manual: nothing is known of its base image")
        assert result.stderr.rstrip().endswith(")"), "the way out is missing"


def test_quiet_prints_errors_only(here) -> None:
    flask(here)
    put(here, {"bad/Dockerfile": BROKEN})
    for flag in ("-q", "--quiet"):
        assert run(flag, "Dockerfile").stderr == ""
        assert run(flag, "Dockerfile").stdout_bytes == HARDENED
        assert run(flag, "bad").stderr.startswith("error: bad/Dockerfile:2: ")


def test_verbose_gives_a_line_and_a_reason_for_every_change(here) -> None:
    flask(here)
    for flag in ("-v", "--verbose"):
        lines = run(flag, "--check", "Dockerfile").stderr.splitlines()
        assert lines[0] + "\n" == SUMMARY
        rare = ("own_built", "meet_needs", "keep_root_entrypoint", "move_root_tools", "prepare_server")
        assert [line.split(": ")[1] for line in lines[1:-1]] == [one for one in FIXER_NAMES if one not in rare]
        assert lines[-1] == "  Dockerfile: 6 lines added, 3 removed in 1 file"
        assert all(line.startswith("  Dockerfile:") and len(line.split(": ", 2)[2]) > 10 for line in lines[1:-1])


def test_version_and_help_go_to_standard_output() -> None:
    assert run("--version").stdout == f"harden, version {__version__}\n"
    for flag in ("-h", "--help"):
        result = run(flag)
        assert result.exit_code == 0
        assert "Exit codes: 0 done or nothing to do, 1 --check found something to change, 2" in result.stdout


def test_the_module_and_the_installed_script_are_the_same_program(here) -> None:
    assert program("--version", cwd=here).stdout == f"harden, version {__version__}\n".encode()
    script = Path(sys.executable).with_name("harden")
    if not script.exists():
        pytest.skip("the script is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, timeout=60)
    assert done.stdout == f"harden, version {__version__}\n".encode()


def test_what_a_file_says_cannot_steer_the_terminal_nor_start_a_second_line(here) -> None:
    (here / "Dockerfile").write_bytes(b"FROM python:3.12-slim\n\x1b[2J\x07EVIL\r\r x\n")
    result = program("Dockerfile", cwd=here)
    assert result.returncode == 2
    assert b"\x1b" not in result.stderr
    assert b"\x07" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_one_line_and_2(here) -> None:
    flask(here)
    with open("/dev/full", "wb") as full:
        done = program("Dockerfile", cwd=here, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        2,
        b"error: standard output cannot be written: No space left on device\n",
    )


def test_a_reader_that_goes_away_gets_no_traceback(here) -> None:
    flask(here)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = program("Dockerfile", cwd=here, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert b"Exception" not in done.stderr


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> bytes:
    """Return what the program writes to a terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "hardener", *arguments],
            cwd=folder,
            stdout=follower,
            stderr=subprocess.DEVNULL,
            env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "PYTHONPATH": str(ROOT), **environment},
        )
        os.close(follower)
        written = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux says EIO at the end
                break
            if not piece:
                break
            written += piece
        assert process.wait(timeout=60) == 0
    finally:
        os.close(leader)
    return written.replace(b"\r\n", b"\n")


def test_a_diff_has_colours_on_a_terminal_only(here) -> None:
    flask(here)
    plain = program("--diff", "Dockerfile", cwd=here).stdout
    assert b"\x1b" not in plain
    shown = on_a_terminal(here, "--diff", "Dockerfile")
    assert b"\x1b[32m+USER 5000:5000\x1b[0m\n" in shown
    assert b"\x1b[31m-EXPOSE 80\x1b[0m\n" in shown
    assert b"\x1b[36m@@" in shown
    assert on_a_terminal(here, "--diff", "Dockerfile", NO_COLOR="1") == plain


def test_the_hardened_file_has_no_colours_on_a_terminal(here) -> None:
    flask(here)
    assert on_a_terminal(here, "Dockerfile") == HARDENED


# ---------------------------------------------------------------------------------------------------- options that set


@pytest.mark.parametrize(
    ("arguments", "user", "made"),
    [
        (["--uid", "7001"], b"7001:5000", b"groupadd --gid 5000 appgroup && useradd --uid 7001 --gid appgroup"),
        (["--gid", "7002"], b"5000:7002", b"groupadd --gid 7002 appgroup && useradd --uid 5000 --gid appgroup"),
        (["--user", "web"], b"5000:5000", b"--gid appgroup --create-home web\n"),
        (["--group", "web-1"], b"5000:5000", b"groupadd --gid 5000 web-1 && useradd --uid 5000 --gid web-1 "),
        (["--user-style", "numeric"], b"5000:5000", b"--create-home appuser\n"),
        (["--user-style", "name"], b"appuser:appgroup", b"--create-home appuser\n"),
        (["--user-style", "name", "--user", "u", "--group", "g"], b"u:g", b"groupadd --gid 5000 g && useradd --uid"),
        (["--uid=2147483647", "--gid=2147483647"], b"2147483647:2147483647", b"--uid 2147483647"),
    ],
)
def test_ids_and_names_reach_the_user_the_copies_and_the_account(arguments, user, made, here) -> None:
    flask(here)
    out = run(*arguments, "Dockerfile").stdout_bytes
    assert b"\nUSER " + user + b"\n" in out
    assert b"\nCOPY --chown=" + user + b" app.py .\n" in out
    assert made in out


def test_a_port_goes_where_the_option_says(here) -> None:
    flask(here)
    out = run("--port", "80=9090", "--port", "443=9443", "Dockerfile").stdout_bytes
    assert b"\nEXPOSE 9090\n" in out
    assert b'"0.0.0.0:9090"' in out


@pytest.mark.parametrize("fixer", FIXER_NAMES)
def test_select_runs_one_fixer_and_ignore_leaves_one_out(fixer, here) -> None:
    flask(here)
    marks = {
        "create_user": b"useradd",
        "own_copied": b"--chown",
        "own_directories": b"chown 5000:5000 /app",
        "move_port": b"8080",
        "run_as_user": b"USER ",
    }
    selected = run("--select", fixer, "Dockerfile").stdout_bytes
    ignored = run("--ignore", fixer, "Dockerfile").stdout_bytes
    for name, mark in marks.items():
        assert (mark in selected) == (name == fixer)
        assert (mark in ignored) == (name != fixer)


def test_fixers_can_be_named_several_at_once_and_with_a_dash(here) -> None:
    flask(here)
    out = run("--select", "create-user, move_port", "Dockerfile").stdout_bytes
    assert b"useradd" in out
    assert b"8080" in out
    assert b"USER " not in out
    assert run("--select", "move_port", "--ignore", "move-port", "Dockerfile").stdout_bytes == FLASK


def test_a_run_that_leaves_the_user_out_does_not_claim_that_it_switched(here) -> None:
    flask(here)
    result = run("--ignore", "run_as_user", "Dockerfile")
    assert "prepared" in result.stderr
    assert "switched" not in result.stderr


@pytest.mark.parametrize("arguments", [["--select", "run_as_user"], ["--ignore", "create_user"]])
def test_a_name_that_nobody_creates_is_never_written(arguments, here) -> None:
    flask(here)
    result = run("--user-style", "name", *arguments, "Dockerfile")
    assert result.exit_code == 0
    assert b"\nUSER 5000:5000\n" in result.stdout_bytes
    assert b"appuser" not in result.stdout_bytes
    flask(here, data=b"# harden: ignore=create_user\n" + FLASK)
    result = run("--user-style", "name", "Dockerfile")
    assert result.exit_code == 0
    assert b"appuser" not in result.stdout_bytes


# ----------------------------------------------------------------------------------------------------------- git apply


def project_of_all_kinds(folder: Path) -> None:
    """A repository with a Dockerfile at the root, in folders, in CRLF, without a final newline, in odd places."""
    flask(folder)
    flask(folder, "crlf/Dockerfile", FLASK.replace(b"\n", b"\r\n"))
    flask(folder, "nofinal/Dockerfile", FLASK.rstrip(b"\n"))
    flask(folder, "both/Dockerfile", FLASK.replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    flask(folder, "latin/Dockerfile", b"# caf\xe9\n" + FLASK + b"# \xff\n")
    flask(folder, "with space/Dockerfile")
    flask(folder, 'quo"te\\d/Dockerfile')
    flask(folder, "ünï/ö.Dockerfile")
    flask(folder, "a/b/c/Containerfile")
    put(folder, {"safe/Dockerfile": SAFE, "safe/x.txt": b"x"})


def apply_and_write(folder: Path, where: str, path: str, monkeypatch, *, repository: bool) -> None:
    """Check that the patch for ``path``, made and applied in ``where``, gives what --in-place writes."""
    applied, written = folder / "applied", folder / "written"
    for one in (applied, written):
        project_of_all_kinds(one)
        if repository:
            git(one, "init", "-q")
    before = tree(applied)
    monkeypatch.chdir(applied / where)
    git(applied / where, "apply", stdin=run("--diff", "-q", path).stdout_bytes)
    assert run("--check", path).exit_code == 0
    monkeypatch.chdir(written / where)
    assert run("--in-place", path).exit_code == 0
    assert tree(applied) == tree(written) != before


@pytest.mark.parametrize("where", [".", "crlf", "nofinal", "both", "latin", "with space", 'quo"te\\d', "a/b", "ünï"])
def test_git_apply_of_the_diff_is_what_in_place_writes_in_a_repository(where, tmp_path, monkeypatch) -> None:
    apply_and_write(tmp_path, where, ".", monkeypatch, repository=True)


@pytest.mark.parametrize("path", [".", "crlf", "nofinal/Dockerfile", "a/b/c", "with space"])
def test_git_apply_takes_the_diff_outside_a_repository_for_a_file_in_a_folder(path, tmp_path, monkeypatch) -> None:
    apply_and_write(tmp_path, ".", path, monkeypatch, repository=False)


def test_the_patch_of_the_real_program_goes_through_a_real_pipe_into_git_apply(tmp_path) -> None:
    flask(tmp_path, "sub/Dockerfile", FLASK.replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    patch = program("--diff", ".", cwd=tmp_path).stdout
    git(tmp_path, "apply", stdin=patch)
    assert (tmp_path / "sub/Dockerfile").read_bytes() == HARDENED.replace(b"\n", b"\r\n").rstrip(b"\r\n")


def test_git_apply_takes_a_folder_whose_name_has_a_tab_or_a_line_end(here) -> None:
    flask(here, 'new\nline\t"x/Dockerfile')
    shutil.rmtree(here / ".git")
    result = program("--diff", ".", cwd=here)
    assert len(result.stderr.splitlines()) == 1
    git(here, "apply", stdin=result.stdout)
    assert (here / 'new\nline\t"x/Dockerfile').read_bytes() == HARDENED


COMPOSE = b'services:\n  web:\n    build: web\n    ports: ["80:80"]\n  api:\n    build: api\n    ports: ["81:80"]\n'


def test_the_diff_of_two_images_that_share_a_compose_file_applies_as_a_whole(tmp_path, monkeypatch) -> None:
    for name in ("applied", "written"):
        put(tmp_path / name, {"compose.yaml": COMPOSE})
        flask(tmp_path / name, "web/Dockerfile")
        flask(tmp_path / name, "api/Dockerfile")
        git(tmp_path / name, "init", "-q")
    monkeypatch.chdir(tmp_path / "applied")
    for paths in (["web", "api"], ["api/Dockerfile", "web"], ["."]):
        patch = run("--diff", *paths).stdout_bytes
        git(tmp_path / "applied", "apply", "--check", stdin=patch)
    git(tmp_path / "applied", "apply", stdin=patch)
    monkeypatch.chdir(tmp_path / "written")
    assert run("--in-place", ".").exit_code == 0
    assert tree(tmp_path / "applied") == tree(tmp_path / "written")
    found = tree(tmp_path / "applied")["compose.yaml"]
    assert [line for line in found.splitlines() if b":80" in line] == [
        line for line in COMPOSE.replace(b":80", b":8080").splitlines() if b":80" in line
    ]
    assert found.count(b"read_only: true") == 2


def test_a_file_that_is_named_twice_has_one_diff(here) -> None:
    flask(here)
    once = run("--diff", "Dockerfile").stdout_bytes
    assert run("--diff", "Dockerfile", ".", "./Dockerfile").stdout_bytes == once
    assert run("--in-place", "Dockerfile", ".").exit_code == 0
    assert (here / "Dockerfile").read_bytes() == HARDENED


def test_a_diff_from_a_folder_whose_changes_reach_above_it_applies_at_the_root(tmp_path) -> None:
    put(tmp_path, {"compose.yaml": COMPOSE})
    flask(tmp_path, "web/Dockerfile")
    git(tmp_path, "init", "-q")
    patch = program("--diff", ".", cwd=tmp_path / "web").stdout
    assert b"+++ b/compose.yaml\n" in patch
    git(tmp_path, "apply", stdin=patch)
    assert (tmp_path / "compose.yaml").read_bytes() == COMPOSE.replace(b'"80:80"', b'"80:8080"')


# ----------------------------------------------------------------------------------------------------------- discovery


def names_found(folder: Path) -> list[str]:
    result = run("--check", str(folder))
    return [line.partition(":")[0] for line in result.stderr.splitlines()]


def test_what_is_not_a_dockerfile_is_not_taken_for_one(here) -> None:
    others = ("Dockerfile.dockerignore", ".dockerignore", "Dockerfile.j2", "Dockerfile.template", "Dockerfile.md",
              "Dockerfile.bak", "Dockerfile~", "dockerfile.py", "Dockerfiles", "MyDockerfile", "Dockerfile-notes",
              "docker-compose.yml", "dockerfile.yaml", ".git/Dockerfile", "Dockerfile.orig")  # fmt: skip
    put(here, dict.fromkeys(others, FLASK))
    assert run("--check", ".").stderr == "error: .: no Dockerfile or Containerfile is below this folder\n"


def test_every_usual_name_of_a_dockerfile_is_found_in_order(here) -> None:
    names = ["Containerfile", "Dockerfile", "Dockerfile.prod", "api.dockerfile", "deep/er/dockerfile", "web.Dockerfile",
             "x/Containerfile.dev"]  # fmt: skip
    put(here, dict.fromkeys(names, SAFE))
    assert sorted(names_found(Path("."))) == sorted(names)
    assert names_found(Path(".")) == names_found(Path(".")), "the order is stable"


def test_what_git_ignores_is_left_out_with_nested_rules_and_negations(here) -> None:
    put(here, {
        ".gitignore": b"vendor/\n*.prod\n/top\ngenerated*\n!keep.prod\n",
        ".git/info/exclude": b"secret/\n",
        "sub/.gitignore": b"!Dockerfile.prod\n/inner\n# a comment\n\n",
        "other/.gitignore": b"*\n!.gitignore\n",
    })  # fmt: skip
    kept = [
        "Dockerfile",
        "sub/Dockerfile",
        "sub/Dockerfile.prod",
        "sub/deep/top/Dockerfile",
        "sub/deep/inner/Dockerfile",
    ]
    left = ["vendor/Dockerfile", "Dockerfile.prod", "top/Dockerfile", "generated/Dockerfile", "secret/Dockerfile",
            "sub/inner/Dockerfile", "other/Dockerfile", "other/deep/Dockerfile", "sub/vendor/Dockerfile"]  # fmt: skip
    put(here, dict.fromkeys(kept + left, SAFE))
    assert sorted(names_found(Path("."))) == sorted(kept)
    shutil.rmtree(here / ".git")
    git(here, "init", "-q")
    (here / ".git/info/exclude").write_bytes(b"secret/\n")
    listed = git(here, "ls-files", "-co", "--exclude-standard", "-z").decode().split("\0")
    assert sorted(name for name in listed if "Dockerfile" in name) == sorted(kept), "Git itself says otherwise"


def test_the_rules_of_the_folders_above_count_for_a_folder_below(here) -> None:
    put(here, {".gitignore": b"sub/gen/\n*.local\n", "sub/Dockerfile": SAFE, "sub/gen/Dockerfile": SAFE,
               "sub/Dockerfile.local": SAFE})  # fmt: skip
    assert names_found(Path("sub")) == ["sub/Dockerfile"]


def test_a_dockerfile_that_git_ignores_is_hardened_when_it_is_named(here) -> None:
    put(here, {".gitignore": b"Dockerfile\n"})
    flask(here)
    assert run("Dockerfile").stdout_bytes == HARDENED


def test_a_loop_of_links_to_folders_ends(here) -> None:
    put(here, {"a/Dockerfile": SAFE})
    (here / "a/loop").symlink_to(here)
    assert names_found(Path(".")) == ["a/Dockerfile"]


def test_an_absolute_path_is_shown_as_it_is_outside_the_current_folder(here, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    put(other, {"Dockerfile": SAFE})
    assert run(str(other / "Dockerfile")).stderr.startswith(f"{other}/Dockerfile:2: already")
    assert run(str(other)).stderr.startswith(f"{other}/Dockerfile:2: already")


def test_the_mode_of_the_file_and_a_link_to_it_outlive_in_place(here) -> None:
    flask(here, "real/Dockerfile")
    (here / "real/Dockerfile").chmod(0o640)
    (here / "Dockerfile").symlink_to("real/Dockerfile")
    assert run("--in-place", "Dockerfile").exit_code == 0
    assert (here / "Dockerfile").is_symlink()
    assert (here / "real/Dockerfile").stat().st_mode & 0o7777 == 0o640
    assert b"USER 5000:5000" in (here / "real/Dockerfile").read_bytes()
    assert sorted(os.listdir(here / "real")) == ["Dockerfile", "app.py"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_verbose_tells_the_size_of_the_change(tmp_path, newline) -> None:
    lines = [b"FROM python:3.12-slim", b"# \x0c odd \x1c \xff", b"COPY . /app", b'CMD ["python", "/app/main.py"]', b""]
    (tmp_path / "Dockerfile").write_bytes(newline.join(lines))
    found = subprocess.run(
        [sys.executable, "-m", "hardener", str(tmp_path / "Dockerfile"), "--check", "--verbose"], capture_output=True
    )
    assert b"Dockerfile: 3 lines added, 1 removed in 1 file\n" in found.stderr


@pytest.mark.parametrize("arguments", [["."], ["graph", "."], ["explain", "Dockerfile"], ["checklist"]])
def test_a_fault_of_the_program_is_one_line_without_a_traceback(arguments, here, monkeypatch) -> None:
    flask(here)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr("hardener.bulk.harden_paths", broken)
    monkeypatch.setattr("hardener.showing.harden_paths", broken)
    monkeypatch.setattr("hardener.checklist.project.answers", broken)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ZeroDivisionError: by hand; this is a fault of harden")
    monkeypatch.setenv("HARDEN_DEBUG", "1")
    assert isinstance(CliRunner().invoke(main, arguments, prog_name="harden").exception, ZeroDivisionError)
