"""The fake GitHub behind Prism, a proxy that checks requests and answers against GitHub's published description.

https://github.com/octokit/openapi and https://docs.stoplight.io/docs/prism, both from npm (``package.json`` here).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forge.github import ROUTES

HERE = Path(__file__).resolve().parent
SECONDS = 60.0


def modules() -> Path | None:
    """Return the folder of the npm packages, ``None`` where they or node are not there."""
    folder = Path(os.environ.get("HARDENER_PRISM") or HERE) / "node_modules"
    is_there = (folder / ".bin" / "prism").exists() and (folder / "@octokit" / "openapi").is_dir()
    return folder if is_there and shutil.which("node") else None


def description(folder: Path) -> dict[str, Any]:
    """Return GitHub's description of the calls that the fake has: the whole one takes Prism minutes."""
    text = (folder / "@octokit/openapi/generated/api.github.com.json").read_text(encoding="utf-8")
    spec: dict[str, Any] = json.loads(text)
    paths: dict[str, Any] = {}
    for verb, pattern, _ in ROUTES:
        found = [path for path in spec["paths"] if re.fullmatch(pattern, example(path))]
        best = next(path for path in found if verb.lower() in spec["paths"][path])
        paths.setdefault(best, {})[verb.lower()] = spec["paths"][best][verb.lower()]
        if "parameters" in spec["paths"][best]:
            paths[best]["parameters"] = spec["paths"][best]["parameters"]
    needed, todo = set(), [json.dumps(paths)]
    while todo:
        for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', todo.pop()):
            if (kind, name) not in needed:
                needed.add((kind, name))
                todo.append(json.dumps(spec["components"][kind][name]))
    components = {
        kind: {name: value for name, value in group.items() if (kind, name) in needed}
        for kind, group in spec["components"].items()
    }
    return {"openapi": spec["openapi"], "info": spec["info"], "paths": paths, "components": components}


def example(path: str) -> str:
    """Return a path with its parameters filled in, numbers where the fake wants numbers."""
    return re.sub(r"\{(\w+)\}", lambda one: "7" if re.search("number|_id$", one[1]) else "x", path)


@contextmanager
def checked(folder: Path, upstream: str, scratch: Path) -> Iterator[str]:
    """Run Prism in front of ``upstream`` and yield its address; a violation is an error of the call."""
    file, log = scratch / "github.json", scratch / "prism.log"
    file.write_text(json.dumps(description(folder)), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["proxy", "-h", "127.0.0.1", "-p", str(port), "--errors", str(file), upstream]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", str((folder / ".bin" / "prism").resolve()), *words], stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
    violations = [line for line in log.read_text(encoding="utf-8").splitlines() if "iolation" in line]
    assert not violations, "\n".join(violations)
