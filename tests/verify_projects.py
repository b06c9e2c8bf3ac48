"""Verifies every project of fixtures/projects, several times: nothing good may be called broken.

python tests/verify_projects.py ROUNDS [NAME...]      (with an engine; one line each, then the alarms)

The first round asks what it finds by itself, the others also what `probe.toml` asks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from probe import ALL, Project

NETWORK = ["--build-network", "host", "--without-syntax-line"] if "HARDENER_ENGINE" in os.environ else []
GOOD = ("same", "better")


class Verified(NamedTuple):
    """One verification: its exit code, the report, what it said, and seconds."""

    code: int
    report: dict
    said: str
    seconds: float

    @property
    def verdicts(self) -> list[str]:
        return [unit["verdict"] for unit in self.report.get("units", ())]


def options_for(project: Project, *, probes: bool) -> list[str]:
    """The options of `harden verify` that say what probe.toml says."""
    found = list(NETWORK)
    for key, value in project.env.items():
        found += ["--env", f"{key}={value}"]
    for path in project.volumes:
        found += ["--volume", path]
    if project.target:
        found += ["--target", project.target]
    if probes and not project.compose and not project.stack:
        url = f"http://localhost:{project.port}"
        found += ["--probe", f"{url}{project.path}"]
        if project.write:
            found += ["--probe", f"POST {url}{project.write.path} {project.write.data}".rstrip()]
    return found


def verify(project: Project, scratch: Path, *, probes: bool) -> Verified:
    """Verifies a copy of a project in a folder that is made anew."""
    folder = scratch / project.name
    shutil.copytree(project.before, folder)
    if project.options:  # verify has no options of the hardener
        keys = [f"{one.removeprefix('--').replace('-', '_')} = true\n" for one in project.options]
        (folder / "hardener.toml").write_text("".join(keys))
    report = scratch / "report.json"
    command = [sys.executable, "-m", "hardener", "verify", str(folder), "--json", str(report)]
    begun = time.monotonic()
    done = subprocess.run(
        [*command, *options_for(project, probes=probes)], capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(scratch / "cache")},
    )  # fmt: skip
    seconds = time.monotonic() - begun
    return Verified(done.returncode, json.loads(report.read_text()) if report.exists() else {}, done.stderr, seconds)


def is_alarm(project: Project, found: Verified) -> bool:
    """Whether a good hardening was called broken, or was not judged at all."""
    return found.code != 0 or any(one not in GOOD for one in found.verdicts)


def rounds(count: int, names: list[str]) -> Iterator[str]:
    """Verifies everything that often, two at a time; yields what was alarmed about."""

    def one(task: tuple[int, str]) -> str:
        number, name = task
        with tempfile.TemporaryDirectory(prefix="hardener-verify-") as scratch:
            found = verify(ALL[name], Path(scratch), probes=number > 0)
        alarm = is_alarm(ALL[name], found)
        what = " ".join(found.verdicts) or "nothing to verify"
        print(f"{number + 1} {name}: {what}, exit {found.code}, {found.seconds:.0f} s", flush=True)
        if alarm:
            print(found.said, flush=True)
        return f"round {number + 1}: {name}: {what}, exit {found.code}" if alarm else ""

    with ThreadPoolExecutor(2) as pool:
        yield from filter(None, pool.map(one, [(number, name) for number in range(count) for name in names]))


if __name__ == "__main__":
    alarms = list(rounds(int(sys.argv[1]) if len(sys.argv) > 1 else 3, sys.argv[2:] or list(ALL)))
    print("\n".join(alarms) or "no false alarm")
    sys.exit(bool(alarms))
