"""Starts one side of a unit in each way, and watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hardener.verify.compare import is_root
from hardener.verify.observation import ABOUT
from hardener.verify.runner import ARBITRARY, Options
from hardener.verify.watching import watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.verify.observation import Seen, Side
    from hardener.verify.probes import Probe
    from hardener.verify.runner import Runner


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
    options = Options(locked=name == "locked", user=ARBITRARY if name == "arbitrary" else "", drops=drops_root(side))
    own = f"{storage}-{name}"
    # Most images do not survive these as root: that is not waited for.
    hopeful = side.scenarios["start"]
    patience = min(asked.patience, max(8.0, 3 * max((one.seconds for one in hopeful.values()), default=0.0) + 4))
    found, _ = started(runner, own, options, asked._replace(patience=patience), steps, text)
    side.scenarios[name] = found
    runner.drop(own)


def drops_root(side: Side) -> frozenset[str]:
    """Return the services whose image starts as root and gives it up by itself: that takes capabilities."""
    return frozenset(
        name
        for name, seen in side.scenarios.get("start", {}).items()
        if name in side.images and is_root(side.images[name].user or "0") and not is_root(seen.user or "0")
    )
