"""``harden pr`` in processes of their own, which can be killed at any request they make, and raced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

from forge.scene import Scene
from forge.world import TOKEN

# Forked from a small process that has everything imported: a start costs milliseconds, and no thread of the tests'
# server is copied.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["forge.bots", "hardener.bot.one", "hardener.bot.command", "hardener.bot.github"])


def bot(words: list[str], scratch: str) -> None:
    """Be one bot, with git below it, as a process group of its own."""
    os.setsid()
    from hardener.bot import branch, waiting
    from hardener.cli import main

    waiting.BACKOFF = branch.BACKOFF = 0.01
    waiting.BETWEEN_WRITES = 0.0
    quiet = {"HARDEN_TOKEN": TOKEN, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TMPDIR": scratch}
    os.environ.update(quiet)
    sys.stdout = sys.stderr = open(Path(scratch) / f"output-{os.getpid()}.txt", "w")
    main(words)


def started(scene: Scene, scratch: Path, *options: str) -> multiprocessing.process.BaseProcess:
    """Start a bot."""
    process = START.Process(target=bot, args=(scene.words(*options), str(scratch)), daemon=True)
    process.start()
    return process


def killed_at(scene: Scene, scratch: Path, number: int, when: str, *options: str, whole: bool = True) -> str:
    """Run a bot that is killed (SIGKILL) at its request ``number``, before or after what it asks for is done.

    ``whole`` is with the git that it started; without, git goes on and finishes.  Return the request, ``""`` where it
    made fewer.
    """
    seen: list[str] = []
    target: list[int] = []
    hit = ""

    def gate(request: str, moment: str) -> None:
        nonlocal hit
        if moment == "before":
            seen.append(request)
        if hit or len(seen) != number or moment != when:
            return
        hit = request
        while not target:  # the first request may come before its number is known here
            pass
        if whole:
            os.killpg(target[0], signal.SIGKILL)
        else:
            os.kill(target[0], signal.SIGKILL)
        if whole and when == "before":
            raise ConnectionResetError

    scene.world.gate = gate
    process = started(scene, scratch, *options)
    assert process.pid is not None
    target.append(process.pid)
    process.join(60)
    scene.world.gate = None
    assert process.exitcode == (-signal.SIGKILL if hit else 0), (process.exitcode, hit)
    return hit
