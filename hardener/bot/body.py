"""The text of a pull request: what a maintainer wants to know first comes first, everything else is folded.

What makes maintainers close such requests: no proof that it runs, no word on installations that exist, no reason for a
line.  So those are the sections.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hardener import __version__
from hardener.bot import marker
from hardener.bot.decision import HOLD
from hardener.bot.messages import images, of
from hardener.bot.proof import headline, section
from hardener.ci.versions import INSTALL
from hardener.markdown import block, code, counted, folded, linked, plain, table
from hardener.repos.codeowners import owners_of, rules_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hardener.bot.proof import Proof
    from hardener.repos.values import ImagePlan, Plan

HOMEPAGE = "https://github.com/hardener/hardener"
# GitHub takes 65,536 characters (https://github.com/orgs/community/discussions/27190), the others more.
LONGEST = 60_000
# How many entries of each list are shown, so that the text fits; the first that does is taken.
ROWS = (1000, 300, 100, 30, 10, 3)
REASON = 180
MOVED = re.compile(r"^port (\d+) .*\bit becomes (\d+)")
ORDER = {"switched": 0, "prepared": 1, "manual": 2, "already": 3}


class Scene(NamedTuple):
    """Where a text will stand: ``link`` returns the address of a path and line in the branch.

    ``noun`` is what the forge calls a pull request, ``asked_by`` who had it made, ``""`` where nobody is named.
    """

    link: Callable[[str, int], str]
    noun: str = "pull request"
    owners: str = ""
    asked_by: str = ""
    proof: Proof | None = None
    fingerprint: str = ""
    kept: str = ""
    """What an earlier run verified of the same change."""


def body(plan: Plan, scene: Scene) -> str:
    """Return the bot's part of the text, without its marker."""
    text = ""
    for rows in ROWS:
        text = "\n\n".join(part for part in parts(plan, scene, rows) if part)
        if len(text) <= LONGEST:
            break
    return text


def parts(plan: Plan, scene: Scene, rows: int) -> Iterable[str]:
    """Yield the sections, each list in them with at most ``rows`` entries."""
    yield opening(plan) + headline(scene.proof, scene.kept)
    yield image_table(plan, scene, rows)
    yield data_section(plan, rows)
    yield section(scene.proof, scene.fingerprint, scene.kept)
    yield reasons(plan, scene, rows)
    yield left_alone(plan, scene, rows)
    yield not_looked_at(plan, rows)
    yield controls(plan, scene)
    yield foot(scene)


def opening(plan: Plan) -> str:
    """Return what is better afterwards, in one or two sentences."""
    changed, already, manual = images(plan), of(plan, "already"), of(plan, "manual")
    total = len(changed) + len(already) + len(manual)
    what = "the container" if total == 1 else f"**{len(changed)} of {counted(total, 'image')}**"
    first = f"Runs {what} as a non-root user."
    if of(plan, "prepared") and not of(plan, "switched"):
        first = f"Prepares {what} for a non-root user; `run_as_user` was left out, so it starts as root still."
    rest = [f"{len(already)} {'was' if len(already) == 1 else 'were'} not root before"] if already else []
    verb = "is" if len(manual) == 1 else "are"
    rest += [f"{len(manual)} {verb} left alone, with the reason below"] if manual else []
    return f"{first} {'; '.join(rest)}.".removesuffix(" .") if rest else first


def image_table(plan: Plan, scene: Scene, rows: int) -> str:
    """Return the images, those that change first; with their owners where these differ."""
    known = owners_of({one.path for one in plan.images}, rules_in(scene.owners))
    owners = {path: " ".join(names) for path, names in known.items()}
    by_owner = len({owners[one.path] for one in images(plan)}) > 1
    ordered = sorted(plan.images, key=lambda one: (ORDER[one.outcome], owners[one.path], one.path))
    head = ["image", "", "what", *(["owner"] if by_owner else [])]
    cells = []
    for one in ordered[:rows]:
        owner = [code(owners[one.path]) if owners[one.path] else ""] if by_owner else []
        cells.append([named(plan, one, scene), shown(one), what(plan, one), *owner])
    more = f"\n\nand {len(ordered) - rows} more" if len(ordered) > rows else ""
    return table(head, cells) + more


def named(plan: Plan, one: ImagePlan, scene: Scene) -> str:
    """Return an image's Dockerfile and stage, as a link to what decides."""
    stage = f" {plain(one.stage)}" if one.stage else ""
    users = (
        found.after
        for found in plan.findings
        if (found.path, found.fixer) == (one.path, "run_as_user") and found.line >= one.line and found.after
    )
    line = next(users, one.line) if one.outcome == "switched" else one.line
    return linked(code(one.path), scene.link(one.path, line)) + stage


def shown(one: ImagePlan) -> str:
    """Return the outcome, the ones that change in bold."""
    return f"**{one.outcome}**" if one.outcome in ("switched", "prepared") else one.outcome


def what(plan: Plan, one: ImagePlan) -> str:
    """Return one sentence for an image's row."""
    if one.outcome == "switched":
        data = f"; data in {', '.join(code(path) for path in paths(one))}: see below" if one.migrations else ""
        return f"{plain(one.reason, REASON)}{ports(plan, one)}{data}"
    return plain(one.reason, REASON)


def ports(plan: Plan, one: ImagePlan) -> str:
    """Return the ports that an image listens on elsewhere afterwards, as the end of a sentence."""
    found = (MOVED.search(each.reason) for each in plan.findings if (each.path, each.fixer) == (one.path, "move_port"))
    moves = dict.fromkeys(f"; port {match[1]} becomes {match[2]} in the container" for match in found if match)
    return "".join(moves)


def paths(one: ImagePlan) -> list[str]:
    """Return the volumes of an image whose data need a step, each once."""
    return list(dict.fromkeys(step.path for step in one.migrations))


def data_section(plan: Plan, rows: int) -> str:
    """Return what installations that exist have to do, or that nothing is known that they would."""
    steps = list(dict.fromkeys(step for one in images(plan) for step in one.migrations))
    title = "### Does it work with existing installations?"
    if not steps:
        text = "The repository mounts no volume that these images wrote as root, so there is nothing to hand over."
        return f"{title}\n\n{text} Whoever mounts one by hand gives it to the new user first: `chown -R`."
    shell: list[str] = []
    settings: list[str] = []
    for step in steps[:rows]:
        place = " ".join(f"{step.where}: {step.path}{f' ({step.source})' if step.source else ''}".split())
        lines = f"# {place}{f' - {step.note}' if step.note else ''}\n{step.command}"
        (settings if step.kind == "kubernetes" else shell).append(lines)
    text = "After one step: what the old images wrote belongs to root. Once for each installation:"
    blocks = [block("\n".join(shell), "sh")] if shell else []
    blocks += ["And in the manifests:", block("\n".join(settings), "yaml")] if settings else []
    more = [f"and {len(steps) - rows} more: `harden . --verbose`"] if len(steps) > rows else []
    return "\n\n".join((title, text, *blocks, *more))


def reasons(plan: Plan, scene: Scene, rows: int) -> str:
    """Return why each line changed, file by file; the same reason once, with all of its lines."""
    by_file: dict[str, dict[str, list[int]]] = {}
    for one in sorted((one for one in plan.findings if one.applied), key=lambda one: one.after):
        by_file.setdefault(one.path, {}).setdefault(one.reason, []).append(one.after)
    lines = []
    for path, texts in sorted(by_file.items()):
        lines.append(f"- {linked(code(path), scene.link(path, 0))}")
        for text, numbers in texts.items():
            unique = [number for number in dict.fromkeys(numbers) if number][:10]
            places = ", ".join(linked(f"line {number}", scene.link(path, number)) for number in unique)
            lines.append(f"  - {places}{': ' if places else ''}{plain(text, 2 * REASON)}")
    return folded("Why each line changed", cut(lines, rows)) if lines else ""


def left_alone(plan: Plan, scene: Scene, rows: int) -> str:
    """Return the images that are left alone, with the way out of each."""
    lines = []
    for one in of(plan, "manual"):
        way_out = f"<br>Way out: {plain(one.way_out)}" if one.way_out else ""
        lines.append(f"- {named(plan, one, scene)}: {plain(one.reason)}{way_out}")
    return folded(f"Left alone: {counted(len(lines), 'image')}", cut(lines, rows)) if lines else ""


def not_looked_at(plan: Plan, rows: int) -> str:
    """Return what was not looked at or could not be read."""
    lines = [f"- {code(path)}: of a test, an example or another project" for path in plan.aside]
    lines += [f"- {code(path)}: its configuration says `pull-requests = false`" for path in plan.declined]
    lines += [f"- {plain(text, 2 * REASON)}" for text in plan.errors]
    return folded(f"Not looked at: {counted(len(lines), 'file')}", cut(lines, rows)) if lines else ""


def cut(lines: Sequence[str], rows: int) -> str:
    """Return at most ``rows`` lines and how many there are beside them."""
    more = [f"- and {len(lines) - rows} more: `harden . --verbose` lists them"] if len(lines) > rows else []
    return "\n".join((*lines[:rows], *more))


def controls(plan: Plan, scene: Scene) -> str:
    """Return how to run it, change it and be rid of it."""
    example = images(plan)[0].path if images(plan) else "Dockerfile"
    install = f"pip install {INSTALL}\nharden . --diff\nharden . --verbose"
    lines = (
        f"- [ ] {marker.REBUILD}tick this box and the next run builds the branch anew, without other people's commits",
        f"- leave one image out: a comment `# harden: ignore` at the top of {code(example)}, or above one line",
        (
            '- leave out one kind of change, or choose ids and ports: `hardener.toml`, as in `ignore = ["move_port"]`, '
            "`uid = 1000`, `ports = { 80 = 8000 }`"
        ),
        f"- stop updates of this {scene.noun}: the label `{HOLD}`",
        f"- no such {scene.noun}s: close this one, it will not come back; or `pull-requests = false` in hardener.toml",
        "- push your own commits to this branch: they are never overwritten",
    )
    return folded("Run it yourself, change it, or be rid of it", f"{block(install, 'sh')}\n\n" + "\n".join(lines))


def foot(scene: Scene) -> str:
    """Return who made it, and for whom."""
    asked = f", asked for by {scene.asked_by}" if scene.asked_by else ""
    return f"<sub>Made by [hardener]({HOMEPAGE}) {__version__}{asked}.</sub>"
