"""Moves what build tools leave below /root: their variables, and every mention of the place, together or not at all."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, references, root_home, root_mentions
from hardener.dockerfile import ParseError
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.lines import insertion, line_start
from hardener.paths import below
from hardener.root_links import copied_stage, linked_stages
from hardener.root_tools import knowledge, start_scripts, text_of, uses
from hardener.stages import is_root, stage_facts
from hardener.variables import assignments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.project import Project
    from hardener.root_tools import Use
    from hardener.stages import StageFacts, Step

# A program that is fetched and run may write below /root whatever it likes.
FETCHED = lazy_pattern(
    r"\|\s*(?:\w+=\S*\s+|env\s+|sudo\s+(?:-\S+\s+)*)*(?:/\S*/)?(?:(?:ba|da|z)?sh|python3?|node|perl)\b"
    r"|\b(?:ba|z)?sh\s+(?:-\w+\s+)?[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)"
)
SCRIPT = lazy_pattern(r"(?m)(?:^|[;&|(])\s*(?:(?:ba|da|z)?sh\s+(?!-c)(?:-\w+\s+)*)?(?:\./|/(?:\S*/)?)?[\w.-]+\.sh\b")
LOGIN_SHELL = lazy_pattern(r"\b(?:ba|z|da)?sh\b[\"',\s]+(?:-\w+[\"',\s]+)*(?:-[a-z]*[li][a-z]*|--login)(?![\w-])")
HOME = lazy_pattern(r"\b(?:XDG_\w+_)?HOME=")


class Move(NamedTuple):
    """A move that is understood completely: its first line (1-based), the places it leaves, and its edits."""

    line: int
    places: tuple[str, ...]
    edits: tuple[Edit, ...]


class Plan(NamedTuple):
    """What moves in the linked stages: the uses of tools, old places to new ones, and variables to their values."""

    uses: tuple[Use, ...]
    places: Mapping[str, str]
    variables: Mapping[str, str]


@lru_cache(maxsize=64)
def move(project: Project, facts: StageFacts, owner: str) -> Move | None:
    """Return the move after which nothing that a stage needs is left below /root, ``None`` where there is none.

    ``owner`` is the numeric ``uid:gid`` for directories that a tool also writes to at run time.
    """
    stages = linked_stages(project.dockerfile, facts.stage.index)
    plan = plan_of(project, stages)
    if plan is None or not all(map(may_grow, plan.uses)) or speaks_elsewhere(project, facts, plan.places):
        return None
    if any(is_obscure(project, plan, index) for index in stages):
        return None
    changes = tuple(edits_of(project, plan, stages, owner))
    if not changes:
        return None
    try:
        after = project.apply(changes)
        left = [stage_facts(after.dockerfile, index) for index in stages]
    except ParseError:
        return None
    if any(next(uses(after, one), None) for one in left):
        return None
    own = next(one for one in left if one.stage.index == facts.stage.index)
    if next(root_home.reasons(after, own), None) is not None or needs_root_home(own):
        return None
    lines = [project.dockerfile.line_of(edit.start) for edit in changes]
    return Move(min([use.step.instruction.line for use in plan.uses] or lines), tuple(plan.places), changes)


def plan_of(project: Project, stages: tuple[int, ...]) -> Plan | None:
    """Return what would move in the linked stages; ``None`` where a tool cannot, or two disagree."""
    found: list[Use] = []
    places: dict[str, str] = {}
    variables: dict[str, str] = {}
    for index in stages:
        facts = stage_facts(project.dockerfile, index)
        own = [use for use in uses(project, facts) if use.step.stage == index]
        found += own
        for tool in (use.tool for use in own):
            if "variables" not in tool:
                return None
            for new, known in ((tool.get("places", {}), places), (tool["variables"], variables)):
                if any(known.setdefault(name, value) != value for name, value in new.items()):
                    return None
        for name, value in declared(facts):
            if places.setdefault(value, known_variables()[name]) != known_variables()[name]:
                return None
            variables.setdefault(name, known_variables()[name])
    return Plan(tuple(found), places, variables)


@lru_cache(maxsize=1)
def known_variables() -> dict[str, str]:
    """Return every variable of ``root_tools.toml`` with its value."""
    return {name: value for tool in knowledge()["tool"] for name, value in tool.get("variables", {}).items()}


def declared(facts: StageFacts) -> Iterator[tuple[str, str]]:
    """Yield the variables of tools that a stage's own ENV sets to a directory below /root, with that directory."""
    for step in facts.own_steps:
        if step.instruction.keyword == "ENV":
            for name, value in assignments(step.instruction, step.variables).items():
                if name in known_variables() and value and value != "/root" and below(value, ("/root",)):
                    yield name, value.rstrip("/")


def is_obscure(project: Project, plan: Plan, index: int) -> bool:
    """Whether a linked stage has something by which files may get below /root, or be found there, unseen."""
    facts = stage_facts(project.dockerfile, index)
    refused = [word for use in plan.uses for word in use.tool.get("refuse", ())]
    known = [*knowledge()["elsewhere"]["addresses"]]
    known += [word for use in plan.uses for word in use.tool.get("addresses", ())]
    scripts = {use.step.instruction.words[-1].text for use in plan.uses if use.step.instruction.keyword == "ADD"}
    for step in facts.own_steps:
        text = text_of(step)
        keyword = step.instruction.keyword
        if any(word in text for word in refused) or HOME.search(text):
            return True
        if keyword == "RUN":
            if not is_root(step.user or "") or step.user is None or step.commands is None:
                return True
            unknown = len(FETCHED.findall(text)) + len(SCRIPT.findall(text)) - sum(map(text.count, known))
            if unknown > sum(text.count(name) for name in scripts):
                return True
        if not root_mentions.is_clear(step, plan.places):
            return True
    return "HOME" in facts.variables


def may_grow(use: Use) -> bool:
    """Whether a command can be added at the end of the step of a use, where its tool asks for that."""
    one = use.step.instruction
    if not use.tool.get("own"):
        return True
    is_script = any(one.words[0].span == document.span for document in one.heredocs)
    return one.keyword == "RUN" and one.json is None and not is_script and not re.search(r"#|&$|\|\|", one.value)


def speaks_elsewhere(project: Project, facts: StageFacts, places: Mapping[str, str]) -> bool:
    """Whether a start script, a Compose service or a file that starts the container names one of the places."""
    texts = [str(service.values) for service in compose.services(project)]
    texts += [text for source, text in start_scripts(project, facts) if source.path is not None]
    if any(root_mentions.mentions(text, places) for text in texts):
        return True
    if project.root is None:
        return False
    files = (file for folder in references.close_folders(project) for file in references.files_below(folder))
    callers = references.contents(tuple(files), (".yml", ".yaml", ".sh", ".env"))
    return any(place in text for _, text in callers for place in places)


def needs_root_home(facts: StageFacts) -> bool:
    """Whether the start reads what is set up in the home of the build: a login shell, or a path from ``~``."""
    if any(word in ("-l", "--login", "-i") or re.fullmatch("-[a-z]*[li][a-z]*", word) for word in facts.shell[1:]):
        return True
    for step in (facts.entrypoint, facts.command):
        text = step.instruction.value if step is not None else ""
        if LOGIN_SHELL.search(text) or re.search(r"(?<![\w/])~/|\$\{?HOME\b", text):
            return True
    return False


def edits_of(project: Project, plan: Plan, stages: tuple[int, ...], owner: str) -> Iterator[Edit]:
    """Yield the new ENV lines, every mention of an old place, and the owners of what is written at run time."""
    path = project.dockerfile_path
    inserted: dict[int, set[str]] = {}
    for index in stages:
        facts = stage_facts(project.dockerfile, index)
        there = {name for one in facts.chain for name in inserted.get(one, ())}
        first = first_user(project, plan, facts)
        if first is not None:
            step, wanted, make = first
            new = {name: value for name, value in wanted.items() if name not in {*there, *step.variables}}
            inserted[index] = set(new)
            lines = ["ENV " + " ".join(f"{name}={value}" for name, value in new.items())] if new else []
            lines += [f"RUN mkdir -p {' '.join(make)}"] if make else []
            if lines:
                yield insertion(project, line_start(project.dockerfile, step.instruction), lines)
        for step in facts.own_steps:
            for span, text in root_mentions.replacements(step, plan.places, stages):
                yield Edit(path, span.start, span.stop, text)
    own: dict[int, dict[str, None]] = {}
    for use in plan.uses:
        if use.tool.get("own"):  # once for a step that uses two tools with the same directories
            own.setdefault(use.step.instruction.arguments.stop, {}).update(dict.fromkeys(use.tool["own"]))
    for stop, directories in own.items():
        names = " ".join(directories)
        yield Edit(path, stop, stop, f" && mkdir -p {names} && chown -R {owner} {names}".encode())


def first_user(project: Project, plan: Plan, facts: StageFacts) -> tuple[Step, dict[str, str], tuple[str, ...]] | None:
    """Return the first own step of a stage that needs the variables, with those, and directories to make before it."""
    first: Step | None = None
    wanted: dict[str, str] = {}
    make: dict[str, None] = {}
    for step in facts.own_steps:
        new: dict[str, str] = {}
        for use in plan.uses:
            if use.step is step or use.step.instruction is step.instruction:
                new |= use.tool["variables"]
                make |= dict.fromkeys(use.tool.get("make", ()))
        source = copied_stage(project.dockerfile, step)
        if source is not None:
            for place in root_mentions.copied_places(step, plan.places):
                for name, value in plan.variables.items():
                    if below(value, (place,)) or below(place, (value,)):
                        new[name] = value
        if new and first is None:
            first = step
        wanted |= new
    return None if first is None else (first, wanted, tuple(make))
