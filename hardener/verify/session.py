"""Runs one unit before and after, in every way, and judges it; what broke is tried once more before it is believed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hardener.verify.compare import BROKEN, Judgement, judge
from hardener.verify.engine import TimedOut
from hardener.verify.observation import Side
from hardener.verify.runner import BuildFailed, Options
from hardener.verify.stacks import ComposeRunner
from hardener.verify.starting import Asked, Before, one_scenario, scenarios, started
from hardener.verify.upgrade import generic_migrations, upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardener.migration import Migration
    from hardener.verify.observation import Seen
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Runner

FASTEST = 20.0  # seconds that a start after the hardening may take at least
FACTOR = 4


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
