"""Makes Git repositories for tests, and runs ``harden repos`` over them as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APPLICATION = {
    "Dockerfile": 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nEXPOSE 80\nCMD ["uvicorn", "--port", "80", "app:app"]\n',
    "app.py": "print('hello')\n",
}
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def git(folder: Path, *words: str, stdin: bytes | None = None) -> str:
    """Run git as the owner of the repository would, and return its output."""
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *words],
        cwd=folder, input=stdin, capture_output=True, env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def repository(folder: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """Make a repository with one commit of the files, by default a small application."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for name, text in (APPLICATION if files is None else files).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def command(*words: object) -> list[str]:
    """Return the command line of ``harden repos``."""
    return [sys.executable, "-m", "hardener", "repos", *map(str, words)]


def harden_repos(here: Path, *words: object, code: int = 0, environment: dict[str, str] | None = None):
    """Run ``harden repos`` in ``here`` and return what it did."""
    done = subprocess.run(
        command(*words), cwd=here, capture_output=True, env={**os.environ, **ENVIRONMENT, **(environment or {})}
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode == code, done.stderr.decode()
    return done


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Return every file and link below a folder."""
    found: dict[str, bytes | str] = {}
    for top, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(top, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                found[path] = Path(path).read_bytes()
    return found
