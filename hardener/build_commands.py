"""Which image name is built from which Dockerfile: the `docker build` lines and workflow steps of a repository."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.image_names import ANY, ImageName, expanded, image_name
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMAND = lazy_pattern(
    r"(?:docker|podman|nerdctl)[ \t]+(?:buildx[ \t]+|image[ \t]+|builder[ \t]+)?build[ \t]+"
    r"|buildah[ \t]+(?:bud|build)[ \t]+"
)
CONTINUATION = lazy_pattern(r"\\\r?\n[ \t]*")
WORD = lazy_pattern(r"""(?:"[^"\n]*"|'[^'\n]*'|\$\{\{[^}\n]*\}\}|\$\([^)\n]*\)|[^\s"';|&<>`()])+""")
END = lazy_pattern(r"[;|&<>\n`)]")
FOLDER = lazy_pattern(r"\bcd[ \t]+([\w./-]+)[ \t]*(?:&&|;)")
# `NAME := value` of Make, `NAME=value` of the shell, `NAME: value` of a workflow's env.
ASSIGNMENT = lazy_pattern(
    r"^[ \t]*(?:-[ \t]+)?(?:export[ \t]+)?([A-Za-z_]\w*)(?:[ \t]*[:?]?=|:)[ \t]*[\"']?([^\n\"'#]*?)[\"']?[ \t\r]*$",
    re.MULTILINE,
)
# docker buildx build --help, podman-build(1): the options that take a word of their own.
WITH_WORD = frozenset(
    (
        "-t", "--tag", "-f", "--file", "--target", "--build-arg", "--build-context", "--cache-from", "--cache-to",
        "--platform", "--label", "--network", "--secret", "--ssh", "--progress", "-o", "--output", "--iidfile",
        "--add-host", "--shm-size", "--builder", "--metadata-file", "-m", "--memory", "--ulimit", "--annotation",
        "--attest", "--isolation", "--cpuset-cpus", "--cgroup-parent", "--format", "--authfile", "--layers",
    )
)  # fmt: skip
# A file of CI runs where the repository is; the others where they stand, or there.
CENTRAL = (".github", ".gitlab-ci", ".circleci", ".travis", "azure-pipelines", "Jenkinsfile", "cloudbuild")


class Build(NamedTuple):
    """An image name that is built from a stage of a Dockerfile: the path is relative to the repository."""

    name: ImageName
    dockerfile: PurePosixPath
    target: str


def builds_of_lines(root: Path, file: PurePosixPath, text: str) -> Iterator[Build]:
    """Yield what the `docker build` commands of a Makefile, a script or a CI file build."""
    joined = CONTINUATION.sub(" ", text)
    found = tuple(COMMAND.finditer(joined))
    if not found:
        return
    variables = assigned(joined)
    for match in found:
        start = joined.rfind("\n", 0, match.start()) + 1
        folder = FOLDER.search(joined, start, match.start())
        options, context = arguments(joined, match.end(), variables)
        names = [name for one in (*options["-t"], *options["--tag"]) if (name := image_name(one)) is not None]
        files = (*options["-f"], *options["--file"])
        path = located(root, folders(file, folder[1] if folder else ""), files[-1] if files else "", context)
        if path is None:
            continue
        target = (*options["--target"], "")[0]
        yield from (Build(name, path, target) for name in names if ANY not in target)


def assigned(text: str) -> dict[str, str]:
    """Return the variables of a file that have one value all over it."""
    found: dict[str, set[str]] = {}
    for name, value in ASSIGNMENT.findall(text):
        found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def arguments(text: str, offset: int, variables: Mapping[str, str]) -> tuple[dict[str, list[str]], str]:
    """Return the options of the build command at an offset, with their words, and its last operand."""
    options: dict[str, list[str]] = {"-t": [], "--tag": [], "-f": [], "--file": [], "--target": []}
    context, pending = "", ""
    end = END.search(text, offset)
    while (match := WORD.search(text, offset)) is not None:
        if end is not None and match.start() > end.start():
            break
        offset = match.end()
        end = END.search(text, offset)
        word = expanded(re.sub(r"[\"']", "", match[0]), variables)
        if pending:
            options.setdefault(pending, []).append(word)
            pending = ""
        elif word.startswith("-") and word != "-":
            name, equals, value = word.partition("=")
            if equals:
                options.setdefault(name, []).append(value)
            elif name in WITH_WORD:
                pending = name
        else:
            context = word
    return options, context


def folders(file: PurePosixPath, inner: str) -> tuple[PurePosixPath, ...]:
    """Return the folders that a build command of a file may run in."""
    central = any(part.startswith(CENTRAL) for part in file.parts)
    return tuple(place / inner for place in ((PurePosixPath(),) if central else file.parents))


def located(root: Path, places: tuple[PurePosixPath, ...], file: str, context: str) -> PurePosixPath | None:
    """Return the one Dockerfile that a build command can mean, ``None`` for none, several or a variable path."""
    if ANY in file or (not file and (ANY in context or not context or "://" in context)):
        return None
    written = [posixpath.join(str(place), file or posixpath.join(context, "Dockerfile")) for place in places]
    paths = {posixpath.normpath(one) for one in written if not posixpath.normpath(one).startswith(("..", "/"))}
    there = [one for one in paths if (root / one).is_file()]
    return PurePosixPath(there[0]) if len(there) == 1 else None


def builds_of_workflow(root: Path, text: str) -> Iterator[Build]:
    """Yield what the steps with docker/build-push-action of a GitHub workflow build.

    https://github.com/docker/build-push-action#inputs: paths are relative to the repository.
    """
    import yaml  # noqa: PLC0415  only repositories with such a workflow pay for it

    from hardener.compose import NODES, plain  # noqa: PLC0415
    from hardener.yaml_documents import has_too_many  # noqa: PLC0415

    if has_too_many(text.encode("utf-8", "surrogateescape")):
        return
    try:
        document = plain(yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), iter(range(NODES)))
    except (yaml.YAMLError, RecursionError, AttributeError):
        return
    variables = assigned(text)
    jobs = document.get("jobs") if isinstance(document, dict) else None
    for job in jobs.values() if isinstance(jobs, dict) else ():
        steps = job.get("steps") if isinstance(job, dict) else None
        steps = steps if isinstance(steps, list) else []
        for step in steps:
            if isinstance(step, dict) and "build-push-action" in str(step.get("uses")):
                yield from builds_of_step(root, step.get("with"), variables, steps)


def builds_of_step(root: Path, table: Any, variables: Mapping[str, str], steps: list[Any]) -> Iterator[Build]:
    """Yield what one step builds; tags of docker/metadata-action are looked up in its own step."""
    if not isinstance(table, dict):
        return
    context = expanded(str(table.get("context") or "."), variables)
    file = expanded(str(table.get("file") or ""), variables)
    target = expanded(str(table.get("target") or ""), variables)
    path = located(root, (PurePosixPath(),), file, context)
    if path is None or ANY in target:
        return
    tags = str(table.get("tags") or "")
    for step in steps if ".outputs.tags" in tags else ():
        if isinstance(step, dict) and isinstance(step.get("with"), dict) and f"steps.{step.get('id')}." in tags:
            tags += "\n" + str(step["with"].get("images") or "")
    for tag in re.split(r"[\n,]", tags):
        name = image_name(tag.strip(), variables)
        if name is not None:
            yield Build(name, path, target)
