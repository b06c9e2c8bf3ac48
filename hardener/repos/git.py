"""Runs plain ``git`` so that nothing of a repository runs with it, and no secret comes out of it.

Two kinds of calls.  *Offline* ones see no configuration but their own: not the system's, not the user's, and (see
`hardener.repos.shadow`) not the repository's.  *Network* ones keep what the user configured, since credential helpers,
proxies and certificates are there, and run only in repositories that this program made.
https://git-scm.com/docs/git#_environment_variables
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS = 120
TRANSPORTS = "file:git:http:https:ssh"
# What a user may have set for a connection; every other GIT_ variable would turn a call to another repository.
CONNECTION = re.compile(
    r"GIT_(?:ASKPASS|SSH|SSH_COMMAND|SSH_VARIANT|PROXY_COMMAND|SSL_\w+|HTTP_\w+|CONFIG_GLOBAL|CONFIG_SYSTEM"
    r"|CONFIG_NOSYSTEM|CONFIG_COUNT|CONFIG_KEY_\d+|CONFIG_VALUE_\d+|TRACE\w*|CURL_\w+)"
).fullmatch
# No program may be started by the name that a repository gives it; nothing beside the one transport is fetched.
SAFE = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "transfer.bundleURI": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "credential.interactive": "never",
    "advice.detachedHead": "false",
}
ALWAYS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C",
}
OFFLINE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
}
# What git and its transports say of a connection that may work the next time.
TRANSIENT = re.compile(
    r"could not resolve host|empty reply|temporary failure in name resolution|timed out|connection (?:refused|reset)"
    r"|failed to connect|early eof|rpc failed|unexpected disconnect|hung up|broken pipe|error: (?:429|5\d\d)|gnutls"
    r"|ssl_read|ssl_error|kex_exchange_identification|network is unreachable|no route to host"
    r"|transfer closed|low speed|http/2 stream",
    re.IGNORECASE,
).search
IN_URL = re.compile(r"(\w[\w+.-]*://)[^\s/@]*@")
SECRET_NAME = re.compile(r"TOKEN|PASSW|SECRET|API_?KEY|CREDENTIAL|CONFIG_VALUE_|AUTHORI[SZ]ATION", re.IGNORECASE).search


class GitError(Exception):
    """Git said no: one line without secrets.  ``transient`` where the same call may work later."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        """Keep the line as text, so that it survives a pickle."""
        super().__init__(message)
        self.transient = transient


def git(
    *words: str,
    git_dir: Path,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
    network: bool = False,
    seconds: float = SECONDS,
) -> bytes:
    """Run one git command on ``git_dir`` and return what it wrote to standard output; raises ``GitError``.

    ``extra`` are environment variables.  After ``seconds`` git and what it started are killed.
    """
    options = [word for name, value in SAFE.items() for word in ("-c", f"{name}={value}")]
    command = ["git", "--no-pager", *options, f"--git-dir={os.path.abspath(git_dir)}", *words]
    # With a session of its own nothing can ask a terminal for a password, and all of it can be killed together.
    own_session = os.getsid(0) != os.getpid()
    try:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment(network=network), **(extra or {})},
            cwd=git_dir,
            start_new_session=own_session,
        )
    except FileNotFoundError as error:
        raise GitError("git is not on PATH; install it") from error
    try:
        output, errors = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {verb(words)} took more than {seconds:.0f} s", transient=network) from error
    finally:
        if process.poll() is None:
            kill(process, group=own_session)
    if process.returncode:
        transient = network and TRANSIENT(errors.decode("utf-8", "replace")) is not None
        raise GitError(f"git {verb(words)}: {reason(errors)}", transient=transient)
    return output


def kill(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """Kill a process, with its group where it leads one, and wait for its end."""
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.communicate()


def environment(*, network: bool) -> dict[str, str]:
    """Return the environment of a git call: the caller's without what would redirect it, and the switches above."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    if not network:
        return {**kept, **ALWAYS, **OFFLINE}
    connection = {name: value for name, value in os.environ.items() if CONNECTION(name)}
    return {**kept, **connection, **ALWAYS, "GIT_ALLOW_PROTOCOL": TRANSPORTS}


def reason(errors: bytes) -> str:
    """Return the line of git's standard error that tells why, without its prefix and without secrets."""
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:", "remote: "))] or lines or ["no reason given"]
    return scrubbed(told[0].partition(": ")[2] or told[0])


def scrubbed(text: str) -> str:
    """Return a text without user names and passwords in URLs, and without the values of secret variables."""
    for name, value in os.environ.items():
        if len(value) >= 6 and SECRET_NAME(name):
            text = text.replace(value, "***")
    return IN_URL.sub(r"\1", text)


def user_setting(name: str) -> str:
    """Return a value of the user's own configuration (system and global, never a repository's), ``""`` without one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or CONNECTION(name)}
    kept["GIT_DIR"] = os.devnull
    command = ["git", "config", "--includes", "--get", name]
    try:
        found = subprocess.run(command, env=kept, cwd="/", capture_output=True, check=False, timeout=SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.decode("utf-8", "replace").strip() if found.returncode == 0 else ""


def verb(words: tuple[str, ...]) -> str:
    """Return the command among the words of a call: the first that is no option, nor the value of one."""
    return next(
        (
            word
            for before, word in zip(("", *words), words, strict=False)
            if before != "-c" and not word.startswith("-")
        ),
        "",
    )
