"""How people run an image: `docker run` lines in comments, the README beside it, scripts, Makefiles and CI files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import image_runs
from hardener.compose_needs import is_bind
from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Reason
from hardener.paths import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.project import Project

READMES = ("README.md", "readme.md", "README", "README.rst", "README.txt")
RUN_LINE = lazy_pattern(r"(?:docker|podman)\s+(?:container\s+)?run\b(?:[^\n]*\\\s*\n)*[^\n]*")
USER_OPTION = lazy_pattern(r"\s(?:-u|--user)[ =]")
MOUNT = lazy_pattern(r"(?:^|\s)(?:-v|--volume)[ =]\s*[\"']?([^\s\"':]+)[\"']?:(/[^\s\"':\\]*)(?::(\w+(?:,\w+)*))?")
# Options that go with root, or with devices and displays that belong to somebody on the host.
RIGHTS = lazy_pattern(
    r"(?:^|\s)(--privileged|--device[ =]\S+|--(?:net|network|pid)[ =]host|--cap-add[ =]\S+|-e\s+DISPLAY\S*)"
)
MAKEFILES = ("Makefile", "makefile", "bin/setup", "setup.sh", "install.sh")
EXEC_LINE = lazy_pattern(
    r"(?:docker|podman)(?:-compose|[ ]compose)?\s+(?:-\S+\s+(?:\S+\s+)?)*(?:exec|run)\b[^\n]*?"
    r"\b(composer|artisan|bin/console|npm|yarn|wp|drush|phpunit|a2enmod|a2ensite|apt-get|apt|chown|chmod)\b[^\n]*"
)
EXEC_WAY_OUT = "have it run with `exec --user`, and give it the folders that it writes; then add USER by hand"
WAY_OUT = "give that path to the new user, or pass --user at run time"


def documented_need(project: Project, *, binds: bool = True) -> Reason | None:
    """Return what a documented way of running the image needs that goes with root, ``None`` for nothing.

    Without ``binds``, folders of the host do not count (the same user wrote there before), but what people are told
    to run in the container does.
    """
    if not binds and (told := documented_exec(project)) is not None:
        return told
    for line, where, text in run_texts(project):
        match = RIGHTS.search(text)
        if match is not None:
            return Reason(line, f"{where} runs it with {match[1]}", "keep root, or take that right away first")
        for source, target, options in MOUNT.findall(text):
            if below(target, ("/root",)):
                return Reason(line, f"{where} mounts {source} at {target}, which only root may enter", WAY_OUT)
            if binds and is_bind(source) and "ro" not in options.split(","):
                return Reason(line, f"{where} mounts {source} of the host at {target}, writable", WAY_OUT)
    return None


def documented_exec(project: Project) -> Reason | None:
    """Return where people are told to run a tool in the container that writes the project's files, as root so far."""
    for name in (*READMES, *MAKEFILES):
        for folder in dict.fromkeys((project.context, project.context.parent, PurePosixPath())):
            content = project.read(folder / name)
            text = content.decode("utf-8", "replace") if content is not None and b"docker" in content else ""
            for match in EXEC_LINE.finditer(text):
                if not USER_OPTION.search(match[0]):
                    where = f"{folder / name}:{text.count(chr(10), 0, match.start()) + 1}"
                    return Reason(1, f"{where} runs {match[1]} in the container, as root so far", EXEC_WAY_OUT)
    return None


def volumes(project: Project) -> Iterator[str]:
    """Yield where the runs that name the image mount named volumes, writable."""
    for run in image_runs.runs(project):
        for source, target, options in MOUNT.findall(run.text) if not USER_OPTION.search(run.text) else ():
            if not is_bind(source) and "ro" not in options.split(","):
                yield target.rstrip("/")


def run_texts(project: Project) -> Iterator[tuple[int, str, str]]:
    """Yield the Dockerfile's line, where it stands, and the text of every documented run that names no user."""
    for comment in project.dockerfile.comments:
        yield comment.line, "a comment", comment.text
    for one in (one for stage in project.dockerfile.stages for one in stage.instructions if one.keyword == "LABEL"):
        for match in RUN_LINE.finditer(one.value):
            if not USER_OPTION.search(match[0]):
                yield one.line, "a label", match[0]
    for name in READMES:
        content = project.read(project.context / name)
        if content is None or b" run" not in content:
            continue
        text = content.decode("utf-8", "replace")
        for match in RUN_LINE.finditer(text):
            if not USER_OPTION.search(match[0]):
                yield 1, f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match[0].replace("\\\n", " ")
    for run in image_runs.runs(project):
        if not USER_OPTION.search(run.text) and (project.context != run.file.parent or run.file.name not in READMES):
            yield 1, f"{run.file}:{run.line}", run.text
