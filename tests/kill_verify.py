"""Kills `harden verify` at random moments, and looks for what the next run leaves: nothing of its own, all that is foreign.

python tests/kill_verify.py ROUNDS      (with an engine; test_verify.py does a few rounds)
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "fixtures" / "verify" / "volume-owner" / "before"
LISTS = {
    "container": ["ps", "--all", "--quiet", "--no-trunc"],
    "network": ["network", "ls", "--quiet", "--no-trunc"],
    "volume": ["volume", "ls", "--quiet"],
    "image": ["images", "--all", "--quiet", "--no-trunc"],
}


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def labelled(label: str) -> dict[str, set[str]]:
    return {kind: set(docker(*words, "--filter", f"label={label}").split()) for kind, words in LISTS.items()}


def start(folder: Path, cache: Path, said: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hardener", "verify", str(folder), "--build-network", "host", "--timeout", "20"]
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=env)


def kill_rounds(rounds: int, seed: int = 6, longest: float = 25.0) -> list[str]:
    """What was left or lost, in sentences: [] is good."""
    chance = random.Random(seed)
    problems: list[str] = []
    scratch = Path(tempfile.mkdtemp(prefix="hardener-kill-"))
    foreign = f"hardener.kill-test={os.getpid()}"
    try:
        folder = scratch / "project"
        shutil.copytree(PROJECT, folder)
        (folder / "foreign").mkdir()
        (folder / "foreign" / "Dockerfile").write_text("FROM scratch\nLABEL a=b\nCOPY Dockerfile /\n")
        docker("volume", "create", "--label", foreign)
        docker("network", "create", "--label", foreign, f"hardener-kill-{os.getpid()}")
        docker("build", "--quiet", "--label", foreign, "--label", "hardener.verify=somebody", "--tag",
               f"hardener-kill-test:{os.getpid()}", str(folder / "foreign"))  # fmt: skip
        docker("create", "--label", foreign, "--network", "none", f"hardener-kill-test:{os.getpid()}", "nothing")
        shutil.rmtree(folder / "foreign")
        before = labelled(foreign)
        assert all(before.values())
        cache = scratch / "cache"
        for number in range(rounds):
            run = start(folder, cache)
            moment = chance.uniform(0.3, longest)
            deadline = time.monotonic() + moment
            while run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            run.kill()
            run.wait()
            print(f"round {number + 1}: killed after {moment:.1f} s", flush=True)
        last = start(folder, cache, subprocess.PIPE)
        assert last.stderr is not None
        while b"harden a copy" not in (last.stderr.readline() or b"harden a copy"):
            pass  # it cleans first, then works, and is asked to end in order
        last.send_signal(signal.SIGTERM)
        last.communicate(timeout=120)
        home = (cache / "hardener" / "verify" / "home").read_text().strip()
        left = labelled(f"hardener.verify.home={home}")
        problems += [f"{kind} left: {sorted(found)}" for kind, found in left.items() if found]
        problems += [f"folder left: {one}" for one in (cache / "hardener" / "verify" / "runs").iterdir()]
        after = labelled(foreign)
        problems += [f"foreign {kind} is gone" for kind in before if before[kind] != after[kind]]
    finally:
        for kind, removal in (
            ("container", ["rm", "-f"]),
            ("network", ["network", "rm"]),
            ("volume", ["volume", "rm", "-f"]),
            ("image", ["rmi", "-f"]),
        ):
            for one in labelled(foreign)[kind]:
                docker(*removal, one)
        shutil.rmtree(scratch, ignore_errors=True)
    return problems


if __name__ == "__main__":
    found = kill_rounds(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print("\n".join(found) or "nothing of its own is left, and everything foreign is there")
    sys.exit(bool(found))
