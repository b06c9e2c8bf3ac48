"""``harden pr`` killed with SIGKILL at every request that it makes, and run again: one pull request, with the right text.

Between two requests it does nothing that anybody else sees, so these are all the points there are.
"""

from __future__ import annotations

import copy
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forge.bots import killed_at, started
from forge.quick import quick  # noqa: F401  a fixture of every test
from forge.scene import BRANCH, DONE, Scene
from forge.server import served
from forge.world import World

from hardener.bot import branch, waiting

pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")

OPTIONS = ("--label", "security")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "forge").mkdir()
    with served(World(tmp_path / "forge")) as found:
        yield found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bots' temporary files go, and this process' own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def nothing(scene: Scene) -> None:
    """A repository that the bot has never seen."""


def moved(scene: Scene) -> None:
    scene.run(*OPTIONS)
    scene.repo.commit({"README.md": b"more\n"})


def done_by_hand(scene: Scene) -> None:
    scene.run(*OPTIONS)
    scene.repo.commit({"Dockerfile": DONE})


def is_open(scene: Scene) -> None:
    assert scene.is_right()
    assert scene.the_pull().labels == ["security"]
    assert "todo=" not in scene.the_pull().body


def is_closed(scene: Scene) -> None:
    (pull,) = scene.repo.pulls
    assert (pull.state, len(pull.comments)) == ("closed", 1)
    assert not scene.head()


def state(scene: Scene) -> object:
    """Return everything that is on the forge, but for the ids of commits, which have their time in them."""
    head, main = scene.head(), scene.repo.tip("main")
    tree = scene.repo.git("rev-parse", f"{BRANCH}^{{tree}}", f"{BRANCH}^") if head else ""
    pulls = [
        {**vars(one), "created": 0, "body": one.body.replace(head or "-", "HEAD").replace(main, "MAIN")}
        for one in scene.world.pulls(scene.repo)
    ]
    return tree, copy.deepcopy(pulls)


@pytest.mark.parametrize(
    ("before", "check"),
    [(nothing, is_open), (moved, is_open), (done_by_hand, is_closed)],
    ids=["opening", "updating", "closing"],
)
def test_a_run_that_is_killed_at_any_request_is_finished_by_the_next(
    world: World, scratch: Path, tmp_path: Path, before: Callable[[Scene], None], check: Callable[[Scene], None]
) -> None:
    scene = Scene(world, "github")
    before(scene)
    begin, saved, pulls = state(scene), tmp_path / "saved", copy.deepcopy(scene.repo.pulls)
    shutil.copytree(scene.repo.folder, saved)
    world.calls.clear()
    scene.run(*OPTIONS)
    check(scene)
    wanted, requests = state(scene), list(world.calls)
    assert begin != wanted
    scene.writes()
    scene.run(*OPTIONS)
    assert scene.writes() == []
    writes = [place for place, call in enumerate(requests) if not reads(*call)]
    assert len(writes) >= 2, requests
    # Before the first write nothing happened, and after one is before the next request: each state of the forge that
    # a killed run can leave is seen, and gone on from once.
    points = [(place, "before") for place in (0, *range(writes[0], len(requests)))]
    gone_on_from: list[object] = []
    for place, when in (*points, (writes[-1], "after")):
        shutil.rmtree(scene.repo.folder)
        shutil.copytree(saved, scene.repo.folder)
        scene.repo.pulls = copy.deepcopy(pulls)
        assert killed_at(scene, scratch, place + 1, when, *OPTIONS)
        left = state(scene)
        assert (left == begin) == (place <= writes[0] and when == "before")
        if left not in gone_on_from:
            gone_on_from.append(left)
            scene.run(*OPTIONS)
            assert state(scene) == wanted, (when, requests[place])
            assert not list(scratch.glob("harden-*")), "what a killed run left is swept by the next"
    assert len(gone_on_from) > len(writes), "each write makes a state of its own"


def reads(method: str, path: str) -> bool:
    """Whether a request changes nothing."""
    return method == "GET" or "upload-pack" in path


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_push_that_outlives_its_bot_makes_no_second_pull_request(world: World, scratch: Path, when: str) -> None:
    scene = Scene(world, "github", path="acme/first")
    scene.run()
    push = next(place for place, (_, path) in enumerate(world.calls, 1) if path.endswith("git-receive-pack?"))
    scene = Scene(world, "github", path="acme/second")
    assert "git-receive-pack" in killed_at(scene, scratch, push, when, whole=False)
    scene.run()  # while git may still be at it
    assert scene.is_right()


def test_bots_that_run_at_the_same_time_make_one_pull_request(world: World, scratch: Path) -> None:
    for number in range(3):
        scene = Scene(world, "github", path=f"acme/{number}")
        bots = [started(scene, scratch, *OPTIONS) for _ in range(3)]
        for one in bots:
            one.join(60)
        assert [one.exitcode for one in bots] == [0, 0, 0], [one.read_text() for one in scratch.iterdir()]
        is_open(scene)


def test_bots_at_the_same_time_of_which_some_are_killed(world: World, scratch: Path) -> None:
    for number, seconds in enumerate((0.3, 0.6, 0.9)):
        scene = Scene(world, "github", path=f"acme/{number}")
        bots = [started(scene, scratch, *OPTIONS) for _ in range(3)]
        time.sleep(seconds)
        for one in bots[:2]:
            if one.is_alive() and one.pid:
                os.kill(one.pid, signal.SIGKILL)
        for one in bots:
            one.join(60)
        scene.run(*OPTIONS)
        is_open(scene)
        assert scene.repo.git("rev-list", "--count", f"main..{BRANCH}") == "1"
