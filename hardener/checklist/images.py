"""The checklist's answers for the images that a project builds, as their Dockerfiles stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.checklist.answer import OK, OPEN, Answer
from hardener.outcome import Outcome
from hardener.port_facts import exposed
from hardener.stages import stage_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.pipeline import Result

FIX = "harden PATH --in-place switches it"


def answers(result: Result) -> Iterator[Answer]:
    """Yield the answers for every stage of a Dockerfile that people build; ``result`` is what harden makes of it."""
    project = result.before
    file = str(project.dockerfile_path)
    for stage in result.stages:
        many = len(result.stages) > 1
        subject = f"image {file}" + (f" [{stage.name or stage.index}]" if many else "")
        found = stage.verdict
        if found.outcome is Outcome.ALREADY:
            yield Answer("root", subject, file, found.line, OK, found.reason)
        elif found.outcome is Outcome.SWITCH:
            yield Answer("root", subject, file, found.line, OPEN, "it runs as root", FIX)
        else:
            yield Answer("root", subject, file, found.line, OPEN, f"it runs as root: {found.reason}", found.way_out)
        low = list(exposed(stage_facts(project.dockerfile, stage.index)))
        for one in low:
            moves = bool(result.changed) and found.outcome is Outcome.SWITCH
            way_out = FIX.replace("switches", "moves") if moves else "have it listen on 1024 or above"
            yield Answer(
                "ports", subject, file, one.step.instruction.line, OPEN, f"it exposes port {one.port}", way_out
            )
        if not low:
            yield Answer("ports", subject, file, found.line, OK, "it exposes none below 1024")
