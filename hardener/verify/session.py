"""Runs one unit before and after, scenario by scenario, and judges it; with ``--learn``, again with what was learnt."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from hardener.migration import Migration
from hardener.verify.compare import BROKEN, Judgement, judge
from hardener.verify.data import files_in, started_at, unusable
from hardener.verify.engine import TimedOut
from hardener.verify.observation import ABOUT, Side
from hardener.verify.runner import ARBITRARY, BuildFailed, Options
from hardener.verify.stacks import UPGRADE, ComposeRunner
from hardener.verify.watching import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardener.verify.observation import Seen
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Runner

FASTEST = 20.0  # seconds that a start after the hardening may take at least
FACTOR = 4


class Asked(NamedTuple):
    """What every start is asked: the probes (``None``: to be found out), and whether they are known to be answered."""

    probes: tuple[Probe, ...] | None
    patience: float
    ready: bool


@dataclass
class Before:
    """The side before: observed once, and started again for each upgrade."""

    runner: Runner
    side: Side
    asked: Asked
    steps: Callable[[str], None]
    ports: tuple[int, ...] = ()


@dataclass
class Attempt:
    """One hardening that was built and run: its side, and the judgement against the side before."""

    side: Side
    judgement: Judgement
    notes: list[str] = field(default_factory=list)


def observe_before(runner: Runner, probes: tuple[Probe, ...] | None, steps: Callable[[str], None]) -> Before:
    """Build and start the side before in every way; what it is asked later is found out here."""
    wishes = runner.place.wishes
    asked = Asked(probes, wishes.start_seconds, ready=False)
    steps("build before")
    try:
        images = runner.build()
    except (BuildFailed, TimedOut) as error:
        return Before(runner, Side(build_error=str(error)), asked, steps)
    side = Side(images=images)
    seen, found = started(runner, "before", Options(), asked, steps, "before: the first start")
    more = unpublished(runner, seen) if probes is None else ()
    if more:  # ports that nobody states: once more, with those published
        runner.drop("before")
        runner.with_ports(more)
        seen, found = started(runner, "before", Options(), asked, steps, "before: again, with what it listens on")
    side.scenarios["start"] = seen
    if not all(one.works for one in seen.values()):
        runner.drop("before")
        return Before(runner, replace(side, notes=tuple(notes_of(runner))), asked, steps)
    slowest = max((one.seconds for one in seen.values()), default=0.0)
    asked = Asked(found, min(wishes.start_seconds, max(FASTEST, FACTOR * slowest + 10)), ready=True)
    scenarios(runner, side, "before", asked, steps)
    runner.drop("before")
    return Before(runner, replace(side, notes=tuple(notes_of(runner))), asked, steps, more)


def observe_after(
    runner: Runner, before: Before, migrations: Sequence[Migration] | None, tolerance: float, allowed: tuple[str, ...]
) -> Attempt:
    """Build and start a side after in every way, and judge it; what broke is tried once more before it is believed.

    ``migrations`` are the one-time commands for data that are there, ``None`` for those that any such image needs.
    """
    steps = before.steps
    side = Side()
    new_port = runner.place.settings.new_port
    if before.side.built and not dead(before):
        steps("build after")
        try:
            side = Side(images=runner.build())
        except (BuildFailed, TimedOut) as error:
            side = Side(build_error=str(error))
    if not side.built or dead(before) or not before.side.built:
        return Attempt(side, judge(before.side, side, new_port, tolerance, allowed))
    runner.with_ports(before.ports)
    storage = runner.place.side
    seen, _ = started(runner, storage, Options(), before.asked, steps, "after: the first start")
    side.scenarios["start"] = seen
    scenarios(runner, side, storage, before.asked, steps)
    printed = migrations is not None
    if migrations is None:
        migrations = generic_migrations(runner, side)
    notes, side = upgrade(runner, before, side, migrations, printed=printed)
    runner.drop(storage)
    return confirmed(runner, before, side, notes, migrations, tolerance, allowed, printed=printed)


def confirmed(
    runner: Runner, before: Before, side: Side, notes: list[str], migrations: Sequence[Migration],
    tolerance: float, allowed: tuple[str, ...], *, printed: bool,
) -> Attempt:  # fmt: skip
    """Judge a side; what broke is started once more before it is believed."""
    new_port = runner.place.settings.new_port
    judgement = judge(before.side, side, new_port, tolerance, allowed)
    if judgement.verdict == BROKEN:
        broken = {one.scenario for one in judgement.reasons}
        again = replace(side, scenarios=dict(side.scenarios), refused=())
        again = repeat(runner, before, again, broken, migrations, printed=printed)
        second = judge(before.side, again, new_port, tolerance, allowed)
        if second.verdict != BROKEN:
            notes.append("it failed at the first try and passed at the second")
            side, judgement = again, second
    side = replace(side, notes=tuple([*notes_of(runner), *notes]))  # noqa: C409
    return Attempt(side, replace(judgement, notes=tuple(dict.fromkeys((*judgement.notes, *notes)))), notes)


def dead(before: Before) -> bool:
    """Whether the side before does not run either."""
    return not all(one.works for one in before.side.scenarios.get("start", {}).values())


def notes_of(runner: Runner) -> list[str]:
    """Return what was left out of a Compose project."""
    return list(dict.fromkeys(runner.notes)) if isinstance(runner, ComposeRunner) else []


def unpublished(runner: Runner, seen: dict[str, Seen]) -> tuple[int, ...]:
    """Return the ports of a single image that are listened on and that nothing publishes."""
    known = {port for _, _, port in runner.automatic()}
    if isinstance(runner, ComposeRunner):
        return ()
    return tuple(port for one in seen.values() for port in one.ports or () if port not in known)


def started(
    runner: Runner, storage: str, options: Options, asked: Asked, steps: Callable[[str], None], text: str,
    *, stay: bool = False,
) -> tuple[dict[str, Seen], tuple[Probe, ...]]:  # fmt: skip
    """Start everything, watch it, and remove the containers (unless they ``stay``); volumes are kept."""
    steps(text)
    try:
        begun = runner.start(storage, options)
        found = watch(runner, begun, asked.probes, asked.patience, ready=asked.ready)
        return found.seen, found.probes
    finally:
        if not stay:
            runner.stop()


def scenarios(runner: Runner, side: Side, storage: str, asked: Asked, steps: Callable[[str], None]) -> None:
    """Start one side in the other ways that need nothing of the other side; results go into ``side``."""
    skip = set(runner.place.wishes.skip)
    if runner.place.side == "before" and runner.has_volumes and "upgrade" not in skip:
        skip.discard("again")  # an upgrade is compared with it
    for name in ("again", "locked", "arbitrary"):
        if name not in skip:
            one_scenario(runner, side, name, storage, asked, steps)


def one_scenario(
    runner: Runner, side: Side, name: str, storage: str, asked: Asked, steps: Callable[[str], None]
) -> None:
    """Start one side in one way."""
    text = f"{'before' if runner.place.side == 'before' else 'after'}: {ABOUT[name]}"
    if name == "again":
        if runner.has_volumes:
            side.scenarios[name], _ = started(runner, storage, Options(), asked, steps, text)
            return
        begun = runner.start(storage, Options())
        try:
            steps(text)
            watch(runner, begun, (), 3.0, ready=False)
            runner.restart(begun)
            side.scenarios[name] = watch(runner, begun, asked.probes, asked.patience, ready=asked.ready).seen
        finally:
            runner.stop()
        return
    options = Options(locked=name == "locked", user=ARBITRARY if name == "arbitrary" else "")
    own = f"{storage}-{name}"
    # Most images do not survive these as root: that is not waited for.
    hopeful = side.scenarios["start"]
    patience = min(asked.patience, max(8.0, 3 * max((one.seconds for one in hopeful.values()), default=0.0) + 4))
    found, _ = started(runner, own, options, asked._replace(patience=patience), steps, text)
    side.scenarios[name] = found
    runner.drop(own)


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
        runner.swapped = folders_of_data(before.runner, runner)
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
    if printed:
        return [], replace(side, refused=tuple(failed))
    return [f"a command for data that are there already failed: {one}" for one in failed], side


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


def repeat(
    runner: Runner, before: Before, side: Side, broken: set[str], migrations: Sequence[Migration], *, printed: bool
) -> Side:
    """Return a side that was started once more in the ways in which it broke."""
    time.sleep(1.0)
    storage = f"{runner.place.side}-once-more"
    if broken & {"start", "again"}:
        text = "after: the first start, once more"
        side.scenarios["start"], _ = started(runner, storage, Options(), before.asked, before.steps, text)
    for name in ("again", "locked", "arbitrary"):
        if name in broken:
            one_scenario(runner, side, name, storage, before.asked, before.steps)
    if "upgrade" in broken:
        _, side = upgrade(runner, before, side, migrations, printed=printed)
    runner.drop(storage)
    return side


def folders_of_data(before: ComposeRunner, after: ComposeRunner) -> dict[str, str]:
    """Return the writable folders that both sides mount from their copies: an upgrade takes those of before."""
    found = {}
    for name, service in (after.config.get("services") or {}).items():
        for mount in service.get("volumes") or ():
            source = str(mount.get("source") or "")
            if mount.get("type") != "bind" or mount.get("read_only") or not source.startswith(f"{after.place.root}/"):
                continue
            old = f"{before.place.root}{source.removeprefix(str(after.place.root))}"
            if name in after.services and not source.endswith((".conf", ".yml", ".yaml", ".json", ".toml")):
                found[source] = old
    return found


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
