"""The GitLab jobs that `harden ci gitlab` adds: `harden --check`, and a scan of every image with Trivy.

GitLab reads one file, ``.gitlab-ci.yml``.  Where it is there already, the jobs go to a file of their own, which it is
made to include: its jobs, defaults and order stay as they are.  https://docs.gitlab.com/ci/yaml/includes/
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.ci.pipelines import parsed
from hardener.ci.versions import image
from hardener.compose import entry, pairs
from hardener.edit import Edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.ci.images import Built

MAIN = PurePosixPath(".gitlab-ci.yml")
INCLUDED = PurePosixPath(".gitlab/container-security.yml")

HEAD = """\
# Written by `harden ci gitlab`; it is yours to change.
# The images are named by tag.  A tag can be moved; a digest cannot: `docker buildx imagetools inspect IMAGE` shows it,
# and `IMAGE@sha256:...` names it.

"""
CHECK = """\
harden:
  stage: {stage}
  needs: []
  inherit:
    default: false
  image: {python}
  script:
    - {install}
    - harden . --check # fails where an image runs as root and could be switched
"""
SCAN = """\
image-scan:
  stage: {stage}
  needs: []
  inherit:
    default: false
  parallel:
    matrix:
{rows}
  # Docker-in-Docker, as GitLab documents it, needs a runner that allows privileged services, as GitLab.com's do.
  # https://docs.gitlab.com/ci/docker/using_docker_build/#use-docker-in-docker
  image: {docker}
  services:
    - {docker}-dind
  variables:
    DOCKER_HOST: tcp://docker:2376
    DOCKER_TLS_CERTDIR: /certs
    DOCKER_TLS_VERIFY: "1"
    DOCKER_CERT_PATH: /certs/client
    TRIVY: {trivy}
  script:
    - docker build --file "$DOCKERFILE" --tag "scan/$NAME" "$CONTEXT"
    - docker save --output image.tar "scan/$NAME"
    - trivy() {{ docker run --rm --volume "$CI_PROJECT_DIR:/project" --workdir /project "$TRIVY" "$@"; }}
    - trivy image --input image.tar --ignore-unfixed --severity CRITICAL,HIGH --format json --output trivy.json
    - trivy convert --format table trivy.json
    - trivy convert --format sarif --output trivy.sarif trivy.json
    - trivy convert --format template --template "@/contrib/gitlab.tpl" --output gl-image-scan.json trivy.json
  artifacts:
    when: always
    paths:
      - trivy.sarif
    reports:
      container_scanning: gl-image-scan.json
"""


class NotUnderstoodError(Exception):
    """A pipeline that cannot be extended for certain; the message says why, and what to add by hand."""


class Written(NamedTuple):
    """A file that is made, or whose edits are to be applied."""

    path: PurePosixPath
    text: str = ""
    edits: tuple[Edit, ...] = ()


def files(root: Path, images: Sequence[Built], install: str, *, check: bool) -> tuple[Written, ...]:
    """Return what is to be written; raises `NotUnderstoodError` where the pipeline that is there cannot be extended."""
    if not (root / MAIN).exists():
        return (Written(MAIN, jobs(images, install, "test", check=check)),)
    data = (root / MAIN).read_bytes()
    stage, edit = included(data)
    return (Written(INCLUDED, jobs(images, install, stage, check=check)), Written(MAIN, edits=(edit,)))


def jobs(images: Sequence[Built], install: str, stage: str, *, check: bool) -> str:
    """Return the text of the jobs."""
    parts: list[str] = []
    if check:
        line = json.dumps(f'pip install "{install}"') if "'" in install else f"'pip install \"{install}\"'"
        parts.append(CHECK.format(stage=json.dumps(stage), python=image("python"), install=line))
    if images:
        rows = "\n".join(row(one) for one in images)
        values = {"docker": image("docker"), "trivy": image("trivy"), "rows": rows}
        parts.append(SCAN.format(stage=json.dumps(stage), **values))
    return HEAD + "\n".join(parts)


def row(one: Built) -> str:
    """Return one image as a row of the matrix."""
    fields = {"NAME": one.name, "DOCKERFILE": str(one.dockerfile), "CONTEXT": str(one.context)}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(f"      {'-' if number == 0 else ' '} {line}" for number, line in enumerate(lines))


def included(data: bytes) -> tuple[str, Edit]:
    """Return the stage for the jobs, and the edit that makes a pipeline include them."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused("it is not UTF-8") from error
    nodes = parsed(text)
    if not nodes or nodes[-1].id != "mapping" or nodes[-1].flow_style:
        raise refused("it is no mapping in block style")
    node = nodes[-1]
    stages = entry(node, "stages")
    names = [str(one.value) for one in stages.value] if stages is not None and stages.id == "sequence" else []
    stage = "test" if not names or "test" in names else names[0]
    newline = "\r\n" if "\r\n" in text else "\n"
    start, stop, added = include_edit(text, node, newline)
    return stage, Edit(MAIN, len(text[:start].encode()), len(text[:stop].encode()), added.encode())


def include_edit(text: str, node: Any, newline: str) -> tuple[int, int, str]:
    """Return the character range and the text that puts one more entry into ``include``, made where there is none."""
    item = f"local: {INCLUDED}"
    key = next((key for key, _ in node.value if key.value == "include"), None)
    value = entry(node, "include")
    if key is None:
        gap = "" if text.endswith("\n") else newline
        return len(text), len(text), f"{gap}{newline}include:{newline}  - {item}{newline}"
    if value.id == "sequence" and value.flow_style:
        at = value.end_mark.index - 1
        return at, at, f", {{{item}}}" if value.value else f"{{{item}}}"
    if value.id == "sequence" and value.value:
        first = value.value[0].start_mark.index
        begin = text.rfind("\n", 0, first) + 1
        dash = text[begin:first]
        if dash.strip() == "-":
            return begin, begin, f"{dash[: dash.index('-')]}- {item}{newline}"
    if (
        value.id == "scalar"
        and value.style not in ("|", ">")
        and value.value
        and value.start_mark.line == value.end_mark.line
    ):
        own = text[value.start_mark.index : value.end_mark.index]
        return key.end_mark.index + 1, value.end_mark.index, f"{newline}  - {item}{newline}  - {own}"
    if value.id == "mapping" and value.flow_style:
        own = text[value.start_mark.index : value.end_mark.index]
        return value.start_mark.index, value.end_mark.index, f"[{own}, {{{item}}}]"
    if value.id == "mapping" and len(list(pairs(value))) == 1:
        first = value.value[0][0].start_mark.index
        begin = text.rfind("\n", 0, first) + 1
        if not text[begin:first].strip() and first > begin:
            return begin, first, f"{text[begin:first]}- {item}{newline}{text[begin:first]}- "
    raise refused("its include is in a form that is not understood")


def refused(why: str) -> NotUnderstoodError:
    """Return the exception for a pipeline that is left alone."""
    return NotUnderstoodError(f"{MAIN} is left alone, {why}; add to its include by hand: - local: {INCLUDED}")
