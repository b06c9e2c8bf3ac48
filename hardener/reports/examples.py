"""The example of a rule: a small project of ``examples.toml``, hardened when it is shown, so that it stays true."""

from __future__ import annotations

import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import tomli

from hardener.bulk import Failure, Hardened, harden_paths
from hardener.report import summary, unified_diff
from hardener.reports.model import FileReport, file_report

# Applications and scripts that a Dockerfile of an example copies: what is in them does not matter.
CONTENT = {"app.py": "app = None\n", "app.php": "<?php\n", "app.sh": "#!/bin/sh\n", "app.conf": "\n"}


class Example(NamedTuple):
    """One example: its files by their paths, what became of it, the lines that say so, and the change as a diff."""

    files: dict[str, str]
    reports: tuple[FileReport, ...]
    lines: tuple[str, ...]
    diff: bytes


@lru_cache(maxsize=1)
def projects() -> dict[str, dict[str, str]]:
    """Return the files of every example by the name of its rule."""
    text = Path(__file__).with_name("examples.toml").read_text(encoding="utf-8")
    return {
        name: {path: content.lstrip("\n") for path, content in files.items()}
        for name, files in tomli.loads(text).items()
    }


def example(name: str) -> Example:
    """Return the example of a rule, which there is for every one; raises ``KeyError`` for another name."""
    files = projects()[name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
            for copied in re.findall(r"app\.\w+", content):
                if copied in CONTENT and not (file := (root / path).with_name(copied)).exists():
                    file.write_text(CONTENT[copied], encoding="utf-8")
        found = list(harden_paths([root]))
        made = [one for one in found if isinstance(one, Hardened)]
        prefix = f"{root}/"
        lines = [line for one in made for line in summary(one.result, one.name)]
        lines += [f"error: {one}" for one in found if isinstance(one, Failure)]
        return Example(
            files,
            tuple(map(file_report, found)),
            tuple(line.replace(prefix, "") for line in lines),
            b"".join(unified_diff(one.result, one.folder) for one in made),
        )
