"""What a picture shows, as plain values: boxes with rows, and arrows between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hardener.context import copy_arguments, destination, flag
from hardener.copied_sources import stage_of
from hardener.directories import already_owned, volumes
from hardener.outcome import Outcome
from hardener.port_facts import all_exposed
from hardener.stages import is_root, stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.bulk import Hardened
    from hardener.graph.starters import Starter
    from hardener.pipeline import Result
    from hardener.project import Project
    from hardener.stages import StageFacts

# A picture with every COPY of a large Dockerfile tells less than one with the first few.
MOST_PATHS = 6


class Row(NamedTuple):
    """One line of a box: what it is about, and its value before and after the run (the same where it stays)."""

    label: str
    before: str
    after: str


class Box(NamedTuple):
    """One base image, stage, service or workload; ``kind`` is ``base``, ``stage`` or ``starter``.

    ``outcome`` is what became of it, ``""`` for what nobody builds or starts by itself.
    """

    name: str
    kind: str
    title: str
    subtitle: str
    outcome: str
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()


class Arrow(NamedTuple):
    """One arrow between two boxes, by their names; ``kind`` is ``from``, ``copy`` or ``start``."""

    source: str
    target: str
    kind: str


class Picture(NamedTuple):
    """One Dockerfile with what starts its images, or what starts images of others."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def picture(one: Hardened, starters: Sequence[Starter]) -> Picture:
    """Return the picture of one Dockerfile; ``starters`` are the services and workloads that run its stages."""
    result = one.result
    boxes: dict[str, Box] = {}
    arrows: list[Arrow] = []
    stages = result.before.dockerfile.stages
    for stage in stages:
        name = f"stage-{stage.index}"
        if stage.parent is None:
            boxes.setdefault(f"base-{stage.base}", base_box(result, stage.index))
            arrows.append(Arrow(f"base-{stage.base}", name, "from"))
        else:
            arrows.append(Arrow(f"stage-{stage.parent}", name, "from"))
        for source in copied_from(result, stage.index):
            if isinstance(source, str):
                boxes.setdefault(f"base-{source}", Box(f"base-{source}", "base", source, "copied from", ""))
            origin = f"stage-{source}" if isinstance(source, int) else f"base-{source}"
            arrows.append(Arrow(origin, name, "copy"))
    boxes.update({f"stage-{stage.index}": stage_box(result, stage.index) for stage in stages})
    for starter in starters:
        boxes[starter.box.name] = starter.box
        index = starter.stage if starter.stage is not None else len(stages) - 1
        arrows.append(Arrow(f"stage-{index}", starter.box.name, "start"))
    return Picture(one.name, tuple(boxes.values()), tuple(dict.fromkeys(arrows)))


def base_box(result: Result, index: int) -> Box:
    """Return the base image of a stage."""
    base = result.before.dockerfile.stages[index].base
    facts = stage_facts(result.before.dockerfile, index)
    after = result.after.dockerfile.stages[index].base
    if facts.image is None:
        return Box(f"base-{base}", "base", base, "not known", "")
    user = facts.image.user or "root"
    rows = [Row("user", user, user)]
    if base != after:
        rows.insert(0, Row("image", base, after))
    return Box(f"base-{base}", "base", base, family(facts), "", tuple(rows))


def family(facts: StageFacts) -> str:
    """Return what kind of image a base is."""
    return f"{facts.image.family} image" if facts.image is not None and facts.image.family else ""


def stage_box(result: Result, index: int) -> Box:
    """Return one stage with its user, ports, owners and volumes."""
    stage = result.before.dockerfile.stages[index]
    old, new = stage_facts(result.before.dockerfile, index), stage_facts(result.after.dockerfile, index)
    found = next((one for one in result.stages if one.index == index), None)
    rows = [Row("user", user_of(old), user_of(new))]
    ports = [", ".join(map(str, dict.fromkeys(all_exposed(facts)))) for facts in (old, new)]
    rows += [Row("ports", ports[0] or "none", ports[1] or "none")] if any(ports) else []
    rows += owners(result, index)
    given = sorted(already_owned(new) - already_owned(old) - {row.label for row in rows})
    rows += [Row(path, "root", user_of(new)) for path in given[:MOST_PATHS]]
    mounted = ", ".join(volumes(result.before, old)) if found is not None else ""
    rows += [Row("volumes", mounted, mounted)] if mounted else []
    outcome, notes = "", tuple[str, ...]()
    if found is not None:
        outcome = found.verdict.outcome.value
        if found.verdict.outcome is Outcome.SWITCH and not found.applied:
            outcome = "prepared"
        notes = (found.verdict.reason,) if outcome in ("manual", "already") else ()
    title = stage.name or ("the image" if len(result.before.dockerfile.stages) == 1 else f"stage {index}")
    return Box(f"stage-{index}", "stage", title, f"line {stage.from_.line}", outcome, tuple(rows), notes)


def user_of(facts: StageFacts) -> str:
    """Return who a stage's process is."""
    if facts.user is None:
        return "a variable"
    if not facts.user:
        return "root" if facts.image is not None else "not known"
    return "root" if is_root(facts.user) else facts.user


def owners(result: Result, index: int) -> Iterator[Row]:
    """Yield who owns what COPY and ADD bring, by its place; the first few of many."""
    old, new = copies(result.before, index), copies(result.after, index)
    found: dict[str, tuple[str, str]] = {}
    for place, owner in old.items():
        found[place] = (owner, new.get(place, owner))
    places = list(found)
    for place in places[:MOST_PATHS]:
        yield Row(place, *found[place])
    rest = [found[place] for place in places[MOST_PATHS:]]
    if rest:
        before, after = (", ".join(dict.fromkeys(one)) for one in zip(*rest, strict=True))
        yield Row(f"{len(rest)} more", before, after)


def copies(project: Project, index: int) -> dict[str, str]:
    """Return the owner of each place that COPY and ADD fill in a stage; of one filled twice the last."""
    found: dict[str, str] = {}
    for step in stage_facts(project.dockerfile, index).own_steps:
        if step.instruction.keyword in ("COPY", "ADD"):
            _, target = copy_arguments(step.instruction)
            owner = flag(step.instruction, "chown") or "root"
            found[destination(step) or target] = "root" if is_root(owner) else owner
    return found


def copied_from(result: Result, index: int) -> Iterator[int | str]:
    """Yield where ``COPY --from`` takes files: stages by index, images of others by name."""
    for step in stage_facts(result.before.dockerfile, index).own_steps:
        source = flag(step.instruction, "from") if step.instruction.keyword == "COPY" else None
        if source is not None:
            found = stage_of(result.before, source)
            yield found.stage.index if found is not None and found.stage.index < index else source
