"""Asks a container engine's command line what an image is.  Only with ``--inspect``; nothing of the image is run.

The configuration of a local image comes from ``docker image inspect``, that of a remote one from its registry by
``docker buildx imagetools inspect`` (https://docs.docker.com/reference/cli/docker/buildx/imagetools/inspect/); the
files of a local image are copied out of a container that is created, never started, and removed again.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from functools import lru_cache
from typing import Any, NamedTuple

from hardener.accounts import SYSTEM_USERS
from hardener.image import ImageFacts, KnownUser, with_common
from hardener.inherited import Inherited
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import below
from hardener.processes import SCRIPT_NAME, knowledge
from hardener.shell import program
from hardener.stages import is_root
from hardener.state_directories import STATE_TREES

ENGINES = ("docker", "podman")
LOCAL_SECONDS = 20
REMOTE_SECONDS = 60
REMOTELY = ("buildx", "imagetools", "inspect", "--format", "{{json .Image}}")
# What a reference may consist of, so that it is never taken for an option (distribution/reference, its grammar).
REFERENCE = lazy_pattern(r"[A-Za-z0-9][\w.:/@-]{0,511}", re.ASCII)
# The tools that make a user, in the order in which they are looked for, with the family that has them.
TOOLS = (("/usr/sbin/useradd", "debian"), ("/bin/busybox", "alpine"), ("/bin/sh", "shell"))
LARGEST = 1024 * 1024


class InspectionError(Exception):
    """The engine could not tell; the message is one line."""


class Inspected(NamedTuple):
    """What an engine told of an image: the facts, or one line that says why there are none."""

    facts: ImageFacts | None
    failure: str


def engine() -> str | None:
    """Return the name of the container engine's command on PATH, ``None`` without one."""
    return next((name for name in ENGINES if shutil.which(name)), None)


@lru_cache(maxsize=256)
def inspect(reference: str) -> Inspected:
    """Return what the engine tells of an image; asked once for each image and process, never raises."""
    command = engine()
    if command is None:
        return Inspected(None, f"neither {' nor '.join(ENGINES)} is on PATH")
    if REFERENCE.fullmatch(reference) is None:
        return Inspected(None, "it is no name that an engine takes")
    try:
        return Inspected(facts_of(command, reference), "")
    except InspectionError as error:
        return Inspected(None, str(error))


def facts_of(command: str, reference: str) -> ImageFacts:
    """Return the facts of a local image, or of one in its registry; raises ``InspectionError``."""
    try:
        found = document(run(command, "image", "inspect", reference))
    except InspectionError:
        return facts_from(remote(command, reference), "unknown", (), f"{command}, by its registry")
    found = found[0] if isinstance(found, list) and found else found
    family, users = files_of(command, reference)
    return facts_from(found, family, users, f"{command} image inspect")


def run(*words: str, seconds: int = LOCAL_SECONDS) -> bytes:
    """Return what a command prints; raises ``InspectionError`` with the last line that it wrote to standard error."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise InspectionError(f"{words[0]} did not answer within {seconds} seconds") from None
    except OSError as error:
        raise InspectionError(f"{words[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InspectionError(f"{words[0]}: {lines[-1][:200] if lines else f'exit code {done.returncode}'}")
    return done.stdout


def document(output: bytes) -> Any:
    """Return a command's output as JSON; raises ``InspectionError`` where it is none."""
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        raise InspectionError("the engine's answer is not JSON") from None


def remote(command: str, reference: str) -> Any:
    """Return the configuration of an image in its registry, by the engine or by skopeo; raises ``InspectionError``."""
    if command == "docker":
        output = run(command, *REMOTELY, reference, seconds=REMOTE_SECONDS)
    elif shutil.which("skopeo"):
        output = run("skopeo", "inspect", "--config", f"docker://{reference}", seconds=REMOTE_SECONDS)
    else:
        raise InspectionError(f"{command} has no local image of that name")
    found = document(output)
    if isinstance(found, dict) and "config" not in found:  # one for each platform
        found = found.get("linux/amd64") or next(iter(found.values()), None)
    return found


def files_of(command: str, reference: str) -> tuple[str, tuple[KnownUser, ...]]:
    """Return the family of a local image, by the tools in it, and its accounts; nothing in it is started."""
    container = run(command, "create", "--network", "none", reference, "never-started").decode().strip()
    try:
        family = next((name for tool, name in TOOLS if copied(command, container, tool) is not None), "distroless")
        if family == "alpine" and not any(
            copied(command, container, path) is not None for path in ("/usr/sbin/adduser", "/bin/adduser")
        ):
            family = "shell"
        passwd = copied(command, container, "/etc/passwd") or b""
    finally:
        run(command, "rm", "--force", container)
    return family, tuple(accounts(passwd.decode("utf-8", "replace")))


def copied(command: str, container: str, path: str) -> bytes | None:
    """Return the beginning of a file of a container that was never started, ``None`` where there is none."""
    try:
        archive = run(command, "cp", f"{container}:{path}", "-")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member is not None and member.isreg() else None
            return content.read(LARGEST) if content is not None else b""
    except (InspectionError, tarfile.TarError):
        return None


def accounts(passwd: str) -> list[KnownUser]:
    """Return the accounts of a passwd(5) file that a distribution does not bring anyway."""
    rows = [line.split(":") for line in passwd.splitlines()[:1000]]
    return [
        KnownUser(row[0], int(row[2]), int(row[3]), row[5])
        for row in rows
        if len(row) == 7 and row[2].isdecimal() and row[3].isdecimal() and row[0] not in SYSTEM_USERS
    ]


def facts_from(found: Any, family: str, users: tuple[KnownUser, ...], origin: str) -> ImageFacts:
    """Return what the configuration of an image means; raises ``InspectionError`` where it is none.

    Format: https://github.com/opencontainers/image-spec/blob/main/config.md
    """
    system = str(found.get("Os") or found.get("os") or "linux") if isinstance(found, dict) else ""
    table = found.get("Config", found.get("config")) if isinstance(found, dict) else None
    if not isinstance(table, dict):
        raise InspectionError("the engine's answer has no configuration of an image")
    user = str(table.get("User") or "")
    environment = [str(one).partition("=") for one in table.get("Env") or ()]
    entrypoint, command = words_of(table.get("Entrypoint")), words_of(table.get("Cmd"))
    exposed = [int(one.partition("/")[0]) for one in table.get("ExposedPorts") or {} if one[:1].isdigit()]
    values: dict[str, Any] = {
        "family": "windows" if system == "windows" else family,
        "source": origin,
        "user": "" if is_root(user) else user,
        "users": users,
        "ports": tuple(sorted(port for port in exposed if port < 1024)),
        "has_cmd": bool(entrypoint) or (bool(command) and not is_shell(command)),
        "home": next((value for name, _, value in environment if name == "HOME"), ""),
        "variables": tuple((name, value) for name, _, value in environment if name != "PATH"),
        "inherited": Inherited(origin=origin, workdir=str(table.get("WorkingDir") or "/"), entrypoint=bool(entrypoint)),
        **outcome_of(table, user, entrypoint),
    }
    return ImageFacts(**with_common(values))


def outcome_of(table: dict[str, Any], user: str, entrypoint: list[str]) -> dict[str, str]:
    """Return outcome, reason and way out of an image by its configuration."""
    if table.get("OnBuild"):
        return with_common({"outcome": "onbuild"}) | {"outcome": "root"}
    if not is_root(user):
        return {"outcome": "already"}
    if table.get("Volumes"):
        path = next(iter(table["Volumes"]))
        reason = f"its base image declares the VOLUME {path}, which may belong to root"
        return {"outcome": "root", "reason": reason, "way_out": "give it an owner in that image, then add USER"}
    named = next((one for one in words_of(table.get("Env")) if below(one.partition("=")[2], STATE_TREES)), None)
    if named is not None:
        reason = f"its base image keeps state where {named} says, which may belong to root"
        return {"outcome": "root", "reason": reason, "way_out": "give it an owner in that image, then add USER"}
    if entrypoint and not is_harmless(entrypoint[0]):
        reason = f"its ENTRYPOINT {entrypoint[0]} comes from the base image, and what it does as root is not known"
        return {"outcome": "server", "reason": reason, "way_out": "read it, then add USER by hand"}
    return {"outcome": "plain"}


def words_of(value: Any) -> list[str]:
    """Return ENTRYPOINT or CMD of a configuration as words."""
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


def is_shell(words: list[str]) -> bool:
    """Whether a start command is just a shell."""
    return len(words) == 1 and program(words[0]) in ("sh", "bash", "ash", "zsh")


def is_harmless(word: str) -> bool:
    """Whether an entrypoint is an init that starts what it is given, or an interpreter; a script may do anything."""
    name = program(word)
    known = name in knowledge()["starter"]["names"] or name in knowledge()["runtime"]["names"]
    return known and not SCRIPT_NAME.search(f"/{name}")
