"""The title of a pull request, which is its commit's subject too, in the repository's own style."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardener.bot.conventions import Conventions
    from hardener.repos.values import ImagePlan, Plan


def title(plan: Plan, style: Conventions) -> str:
    """Return one line of at most 72 characters that says what is better afterwards.

    ``fix`` is the conventional type: it is a change that users get, and that a release has to tell them of.
    """
    what = "run the container as a non-root user" if len(images(plan)) == 1 else "run containers as a non-root user"
    text = what if style.lower else what[:1].upper() + what[1:]
    if style.style == "conventional":
        return f"fix({style.scope}): {text}" if style.scope else f"fix: {text}"
    if style.style == "gitmoji":
        return f":lock: {text}"
    return f"docker: {text}" if style.style == "component" else text


def images(plan: Plan) -> list[ImagePlan]:
    """Return the images that the change is about."""
    return of(plan, "switched") or of(plan, "prepared")


def of(plan: Plan, outcome: str) -> list[ImagePlan]:
    """Return the images of that outcome."""
    return [one for one in plan.images if one.outcome == outcome]
