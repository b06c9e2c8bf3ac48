"""The GitHub workflow that `harden ci github` adds: `harden --check`, and a scan of every image with Trivy.

It is a file of its own.  The upload needs the permission ``security-events: write``; in a workflow that is there
already every step would get it, and its triggers and filters are made for something else.
https://docs.github.com/en/code-security/how-tos/find-and-fix-code-vulnerabilities/integrate-with-existing-tools/upload-sarif-file
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hardener.ci.versions import action
from hardener.small_files import content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.ci.images import Built

FOLDER = PurePosixPath(".github/workflows")
NAME = "container-security"

HEAD = """\
# Written by `harden ci github`; it is yours to change.
# The actions are named by tag.  A tag can be moved; a commit cannot: look the commit of each tag up with
# `git ls-remote https://github.com/OWNER/NAME TAG`, write `uses: OWNER/NAME@COMMIT # TAG`, and let Dependabot or
# Renovate keep both up to date.
name: Container security

on:
  push:
    branches: {branches}
  pull_request:
  schedule:
    - cron: "{minute} 5 * * 1" # what is found in an image changes while the image does not
  workflow_dispatch:

permissions:
  contents: read

jobs:
"""
CHECK = """\
  harden:
    name: harden --check
    runs-on: ubuntu-latest
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - uses: {python}
        with:
          python-version: "3.12"
      - run: pip install {install}
      - run: harden . --check # fails where an image runs as root and could be switched
"""
SCAN = """\
  scan:
    name: Scan ${{{{ matrix.name }}}}
    runs-on: ubuntu-latest
    permissions:
      contents: read
      security-events: write # the upload to code scanning; in a private repository also `actions: read`
    strategy:
      fail-fast: false
      matrix:
        include:
{rows}
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - run: docker build --file "$DOCKERFILE" --tag "$IMAGE" "$CONTEXT"
        env:
          DOCKERFILE: ${{{{ matrix.dockerfile }}}}
          CONTEXT: ${{{{ matrix.context }}}}
          IMAGE: scan/${{{{ matrix.name }}}}:${{{{ github.sha }}}}
      - uses: {trivy}
        with:
          image-ref: scan/${{{{ matrix.name }}}}:${{{{ github.sha }}}}
          format: sarif
          output: trivy.sarif
          ignore-unfixed: true
          severity: CRITICAL,HIGH
          limit-severities-for-sarif: true
          exit-code: "0" # "1" fails the job where something is found
      - uses: {upload}
        if: ${{{{ !cancelled() }}}}
        with:
          sarif_file: trivy.sarif
          category: trivy-${{{{ matrix.name }}}} # each image has alerts of its own
"""


def workflow(root: Path, images: Sequence[Built], install: str, *, check: bool) -> str:
    """Return the workflow's text: a job that runs `harden --check` (``check``), and one that scans ``images``."""
    used = {name: action(name) for name in ("checkout", "setup-python", "trivy-action", "upload-sarif")}
    minute = sum(root.name.encode()) % 60  # not everybody at once
    jobs: list[str] = []
    if check:
        jobs.append(CHECK.format(checkout=used["checkout"], python=used["setup-python"], install=json.dumps(install)))
    if images:
        rows = "\n".join(row(one) for one in images)
        values = {"checkout": used["checkout"], "trivy": used["trivy-action"], "upload": used["upload-sarif"]}
        jobs.append(SCAN.format(rows=rows, **values))
    return HEAD.format(branches=f"[{', '.join(branches(root))}]", minute=minute) + "\n".join(jobs)


def row(one: Built) -> str:
    """Return one image as a row of the matrix."""
    fields = {"name": one.name, "dockerfile": str(one.dockerfile), "context": str(one.context)}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(f"          {'-' if number == 0 else ' '} {line}" for number, line in enumerate(lines))


def branches(root: Path) -> list[str]:
    """Return the branch that Git says is the default one, else both names that it usually has."""
    for file in (root / ".git" / "refs" / "remotes" / "origin" / "HEAD", root / ".git" / "HEAD"):
        match = re.match(r"ref: refs/(?:remotes/origin|heads)/(\S+)\s*$", content(file).decode("utf-8", "replace"))
        if match is not None and ("remotes" in str(file) or match[1] in ("main", "master", "trunk", "develop")):
            return [json.dumps(match[1])]
    return ["main", "master"]


def free_path(root: Path) -> PurePosixPath:
    """Return where the workflow goes: a path at which nothing is."""
    names = (NAME, *(f"{NAME}-{number}" for number in range(2, 100)))
    files = (FOLDER / f"{name}.yml" for name in names)
    return next(
        file for file in files if not (root / file).exists() and not (root / file.with_suffix(".yaml")).exists()
    )
