"""The image after on data that the image before wrote, once the printed commands have given them over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hardener.migration import Migration
from hardener.verify.data import files_in, started_at, unusable
from hardener.verify.observation import ABOUT
from hardener.verify.runner import Options
from hardener.verify.stacks import UPGRADE, ComposeRunner
from hardener.verify.starting import started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.verify.observation import Seen, Side
    from hardener.verify.runner import Runner
    from hardener.verify.starting import Before


def upgrade(
    runner: Runner, before: Before, side: Side, migrations: Sequence[Migration], *, printed: bool
) -> tuple[list[str], Side]:
    """Let the image before write volumes, run the one-time commands, and start the image after on them.

    Returns notes, and the side with what came of it; that a command fails which was ``printed`` counts.
    """
    if "upgrade" in runner.place.wishes.skip or not before.runner.has_volumes:
        return [], side
    text = "before: writes the volumes for an upgrade"
    try:
        started(before.runner, UPGRADE, Options(), before.asked, before.steps, text, stay=True)
        since = min(began(before.runner, name) for name in before.runner.services)
    finally:
        before.runner.stop()
    if isinstance(runner, ComposeRunner) and isinstance(before.runner, ComposeRunner):
        runner.renew(before.runner.place.root)
    before.steps("after: the commands for data that are there already")
    failed = runner.migrate(UPGRADE, migrations)
    try:
        text = f"after: {ABOUT['upgrade']}"
        found, _ = started(runner, UPGRADE, Options(), before.asked, before.steps, text, stay=True)
        side.scenarios["upgrade"] = {name: with_data(runner, name, one, since) for name, one in found.items()}
    finally:
        runner.stop()
    runner.drop(UPGRADE)
    before.runner.drop(UPGRADE)
    refused = [f"{one.command}: {said}" for one, said in failed if printed and not is_only_here(one, said)]
    others = [f"{one.command}: {said}" for one, said in failed if not printed or is_only_here(one, said)]
    notes = [f"a command for data that are there already could not be run here: {one}" for one in others]
    return notes, replace(side, refused=tuple(refused))


def is_only_here(one: Migration, said: str) -> bool:
    """Whether a command failed for a reason that its reader will not meet: no image could be fetched, or no sudo.

    For a folder of the host an image's own ``chown`` stands in, which not every image has.
    """
    if "Unable to find image" in said:
        return True
    return one.kind == "bind" and "executable file not found" in said


def began(runner: Runner, service: str) -> float:
    """Return when a service's container was started, in seconds of the epoch; infinity without one."""
    container = runner.container_of(service)
    return started_at(runner.place.engine, container) if container else float("inf")


def with_data(runner: Runner, service: str, seen: Seen, since: float) -> Seen:
    """Return what was seen of a service, with the data that its user cannot use."""
    container = runner.container_of(service)
    if not seen.running or seen.user is None or not container:
        return seen
    files = files_in(runner.place.engine, container, runner.data_paths(service))
    return replace(seen, unusable=unusable(files, seen.user, since))


def generic_migrations(runner: Runner, side: Side) -> list[Migration]:
    """Return the commands that a tree hardened by hand needs for its volumes: as the hardener would print them."""
    found = []
    for name, seen in side.scenarios.get("start", {}).items():
        if seen.user is None or seen.user.startswith("0:"):
            continue
        for path in runner.volume_paths(name):
            chown = f"-R {seen.user} {path}"
            command = f"docker run --rm -u 0 -v VOLUME:{path} --entrypoint chown IMAGE {chown}"
            kind = "volume"
            if isinstance(runner, ComposeRunner):
                kind = "compose"
                command = f"docker compose run --rm --no-deps --user 0 --entrypoint chown {name} {chown}"
            found.append(Migration(kind, path, name, "", command))
    return found
