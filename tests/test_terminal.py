"""What a terminal gets, and what a pipe gets; slips of the hand; a file in place of standard output; completion."""

from __future__ import annotations

import os
import pty
import select
import shutil
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

if sys.platform == "win32":
    pytest.skip("these need a pseudo terminal", allow_module_level=True)
import fcntl
import termios

DOCKERFILE = (
    'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nVOLUME /data\nEXPOSE 80\nCMD ["gunicorn", "-b", ":80", "app:app"]\n'
)
PLAIN = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")}
HARDEN = (sys.executable, "-m", "hardener")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "app.py").write_text("app = None\n")
    return folder


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**PLAIN, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables}
    done = subprocess.run([*HARDEN, *arguments], cwd=cwd, env=environment, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode()
    return done


def on_terminal(*arguments: str, cwd: Path, columns: int, keys: bytes = b"", **variables: str) -> str:
    """Run a command with a pseudo terminal of that width and return all that it showed, without the carriage returns."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**PLAIN, "PYTHONPATH": str(ROOT), "TERM": "xterm", **variables}
    process = subprocess.Popen(arguments, cwd=cwd, env=environment, stdin=side, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    deadline = time.monotonic() + 60
    if keys:
        os.write(main, keys)
    while time.monotonic() < deadline:
        if select.select([main], [], [], 0.2)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    process.wait(10)
    os.close(main)
    return shown.decode().replace("\r", "")


@pytest.mark.parametrize(
    ("arguments", "variables", "colours"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "", "NO_COLOR": ""}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--color=auto",), {"FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_in_a_pipe_are_there_when_they_are_asked_for(arguments, variables, colours, here) -> None:
    done = run(".", "--diff", *arguments, cwd=here, **variables)
    assert (b"\x1b[" in done.stdout) is colours
    assert (b"\x1b[" in done.stderr) is colours


def test_a_pipe_gets_whole_plain_lines(here) -> None:
    lines = run(".", "--check", cwd=here, COLUMNS="50").stderr.decode().splitlines()
    assert len(lines) == 1
    assert len(lines[0]) > 110


def test_a_terminal_gets_colours_and_lines_that_fit_but_a_command_stays_whole(here) -> None:
    lines = on_terminal(*HARDEN, ".", "--check", cwd=here, columns=60).splitlines()
    assert "\x1b[32mswitched\x1b[0m" in lines[0]
    command = [line for line in lines if "docker run" in line]
    assert len(command) == 1
    assert command[0].startswith("    docker run --rm -u 0 -v VOLUME:/data ")
    assert command[0].endswith(" -R 5000:5000 /data")
    assert len(lines) > 2
    for line in lines:
        plain = line.replace("\x1b[32m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert len(plain) <= 60 or line in command


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_none(variables, here) -> None:
    assert "\x1b[" not in on_terminal(*HARDEN, ".", "--check", cwd=here, columns=80, **variables)


@pytest.mark.parametrize(("word", "meant"), [("verfy", "verify"), ("chekclist", "checklist"), ("expalin", "explain")])
def test_a_mistyped_command_is_told_and_nothing_is_done(word, meant, here) -> None:
    done = run(word, ".", "--in-place", cwd=here)
    assert done.returncode == 2
    assert done.stderr.decode().endswith(
        f"Error: there is no file or command '{word}'; did you mean `harden {meant}`?\n"
    )
    assert (here / "Dockerfile").read_text() == DOCKERFILE


def test_a_file_with_a_name_like_a_command_is_a_file(here) -> None:
    shutil.copy(here / "Dockerfile", here / "verfy")
    assert b"USER 5000:5000" in run("verfy", cwd=here).stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--chek",), "--check"),
        (("--select", "move-prot"), "did you mean move_port?"),
        (("--format", "yaml"), "'sarif'"),
        (("--check", "--output", "x"), "--output goes with something that is printed"),
        (("--diff", "--output", "."), "is a directory"),
    ],
)
def test_a_slip_is_one_clear_error(arguments, hint, here) -> None:
    done = run(".", *arguments, cwd=here)
    assert done.returncode == 2
    assert hint in done.stderr.decode().splitlines()[-1]
    assert not done.stdout


@pytest.mark.parametrize("mode", [(), ("--diff",), ("--format", "json"), ("--format", "markdown")])
def test_a_file_takes_what_would_be_printed(mode, here) -> None:
    printed = run(".", *mode, cwd=here).stdout
    folder = here.parent / "out"
    folder.mkdir()
    file = folder / "out.txt"
    file.write_text("old")
    file.chmod(0o640)
    (folder / "link").symlink_to("out.txt")
    done = run(".", *mode, "--output", str(folder / "link"), "--color", "always", cwd=here)
    assert not done.stdout
    assert file.read_bytes() == printed
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (folder / "link").is_symlink()
    assert sorted(one.name for one in folder.iterdir()) == ["link", "out.txt"]


def test_a_new_file_has_the_permissions_that_others_have(here) -> None:
    run(".", "--diff", "--output", "new", cwd=here)
    (here / "other").touch()
    assert (here / "new").stat().st_mode == (here / "other").stat().st_mode


def test_a_file_that_is_no_regular_one_is_written_to(here) -> None:
    assert run(".", "--diff", "--output", "/dev/stdout", cwd=here).stdout == run(".", "--diff", cwd=here).stdout


@pytest.mark.parametrize("mode", ["--diff", "--format=sarif"])
def test_a_file_that_cannot_be_written_is_one_line(mode, here) -> None:
    done = run(".", mode, "--output", "no/such/folder/x", cwd=here)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].startswith("error: no/such/folder/x: cannot be written: No such file")


@pytest.mark.parametrize("command", [("rules",), ("explain", "move_port"), (".", "--format", "sarif"), (".", "--diff")])
def test_a_reader_that_goes_away_ends_it_quietly(command, here) -> None:
    line = " ".join((*HARDEN, *command))
    done = subprocess.run(
        ["bash", "-c", f"{{ sleep 0.5; {line}; }} | true"],
        cwd=here, env={**PLAIN, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize("command", [("rules",), ("explain", "own_copied"), ("é",), ("é", "--format", "markdown")])
def test_a_terminal_of_another_encoding_gets_what_it_can_show(command, here) -> None:
    (here / "é").mkdir()
    shutil.copy(here / "Dockerfile", here / "é")
    variables = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run(*command, cwd=here, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("harden veri", "harden verify"),
        ("harden verify --lea", "harden verify --learn"),
        ("harden . --form", "harden . --format"),
        ("harden --format sar", "harden --format sarif"),
        ("harden explain move_po", "harden explain move_port"),
        ("harden Dock", "harden Dockerfile"),
        ("harden . app", "harden . app.py"),
        ("harden completion z", "harden completion zsh"),
    ],
)
def test_bash_completes(typed, completed, here) -> None:
    """A real bash with the real script: the key Tab, and then the line is printed instead of run."""
    programs = here.parent / "bin"
    programs.mkdir()
    (programs / "harden").write_text(f'#!/bin/sh\nexec {sys.executable} -m hardener "$@"\n')
    (programs / "harden").chmod(0o755)
    (here / "rc").write_text('bind "set enable-bracketed-paste off"\neval "$(harden completion bash)"\nPS1="> "\n')
    keys = f"{typed}\t\x01echo told: \x05\nexit\n".encode()
    path = f"{programs}:{os.environ['PATH']}"
    shown = on_terminal("bash", "--rcfile", str(here / "rc"), "-i", cwd=here, columns=200, keys=keys, PATH=path)
    told = [line for line in shown.splitlines() if line.startswith("told: ")]
    assert [line.strip() for line in told] == [f"told: {completed}"], shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_one_that_its_shell_can_read(shell, here) -> None:
    script = run("completion", shell, cwd=here).stdout.decode()
    assert f"_HARDEN_COMPLETE={shell}_complete" in script
    program = shutil.which(shell)
    if program is not None:
        (here / "script").write_text(script)
        done = subprocess.run([program, "-n", str(here / "script")], capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
