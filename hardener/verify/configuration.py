"""Writes what was learnt into the project's configuration; every byte outside its own table stays."""

from __future__ import annotations

import json
import re
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any

from hardener.needs import Needs, one_from
from hardener.settings import CONFIGURATION_FILES, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = re.compile(rb"^[ \t]*\[\[?[^\n]*\]\]?[ \t]*(?:#[^\n]*)?\r?\n?", re.MULTILINE)


def configuration_file(folder: Path, root: Path) -> Path:
    """Return the file that counts for a folder, else ``hardener.toml`` at the project's root, made anew."""
    for one in (folder, *folder.parents):
        for name in CONFIGURATION_FILES:
            if (one / name).is_file() and read_table(one / name) is not None:
                return one / name
        if one == root:
            break
    return root / "hardener.toml"


def known_needs(file: Path, dockerfile: str) -> Needs:
    """Return what a file says of a Dockerfile so far; raises ``ConfigurationError``."""
    table: Any = (read_table(file) if file.is_file() else None) or {}
    one = table.get("dockerfiles", {}).get(dockerfile)
    return one_from(one, str(file)) if isinstance(one, dict) else Needs()


def with_needs(data: bytes, name: str, dockerfile: str, needs: Needs, comments: Sequence[str]) -> bytes:
    """Return a configuration file with the table of a Dockerfile written anew, or added at the end.

    ``name`` is the file's; in ``pyproject.toml`` the table is below ``tool.hardener``.
    """
    prefix = "tool.hardener." if name == "pyproject.toml" else ""
    header = f"[{prefix}dockerfiles.{json.dumps(dockerfile)}]"
    newline = "\r\n" if b"\r\n" in data else "\n"
    lines = [*(f"# {one}" for one in comments), header, *lines_of(needs)]
    start, stop = span_of(data, header)
    own = data[start:stop]
    kept = [line for line in own.decode("utf-8", "replace").splitlines()[1:] if line.lstrip().startswith("#")]
    text = newline.join([*lines, *kept, ""]).encode()
    before, after = data[:start], data[stop:]
    if before and not before.endswith(b"\n"):
        before += newline.encode()
    gap = newline.encode() if before.strip() and start == len(data) else b""
    return before + gap + text + (newline.encode() if after.strip() else b"") + after


def span_of(data: bytes, header: str) -> tuple[int, int]:
    """Return the bytes of a table, from its header up to the next one; the end of the file without it."""
    headers = list(HEADER.finditer(data))
    for number, match in enumerate(headers):
        if match[0].split(b"#")[0].strip().decode("utf-8", "replace") == header:
            return match.start(), headers[number + 1].start() if number + 1 < len(headers) else len(data)
    return len(data), len(data)


def lines_of(needs: Needs) -> list[str]:
    """Return a table's keys as TOML; JSON's strings and lists are TOML's too."""
    lines = []
    for key in ("writable", "readable", "tmpfs"):
        paths = getattr(needs, key)
        if paths:
            lines.append(f"{key} = {json.dumps(list(paths))}")
    if needs.env:
        lines.append("env = { " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in needs.env) + " }")
    if needs.ports:
        lines.append(f"ports = {json.dumps(needs.ports)}")
    if needs.leave:
        lines.append(f"leave = {json.dumps(needs.leave)}")
    return lines
