"""Hardens a Dockerfile that somebody hardened by hand once more: from root, with the account that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener.accounts import made_accounts
from hardener.decision import targets
from hardener.edit import Edit
from hardener.project import open_project
from hardener.settings import NAME
from hardener.stages import is_root, stage_facts
from hardener.verify.workspace import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hardener.accounts import Made


def without_user(root: Path, dockerfile: str) -> dict[str, Any]:
    """Take the USER of the stages that people build out of a Dockerfile of our own copy.

    Returns the account that it named, as fields of ``Settings``: the hardener writes that one again.
    """
    project = open_project(root / dockerfile, root)
    edits: list[Edit] = []
    account: dict[str, Any] = {}
    data = project.dockerfile.data
    for index in targets(project):
        facts = stage_facts(project.dockerfile, index)
        for step in facts.own_steps:
            if step.instruction.keyword != "USER" or is_root(step.instruction.value):
                continue
            start = data.rfind(b"\n", 0, step.instruction.span.start) + 1
            stop = data.find(b"\n", step.instruction.span.stop - 1) + 1 or len(data)
            edit = Edit(project.dockerfile_path, start, stop, b"")
            if edit not in edits:
                edits.append(edit)
        if facts.user and not is_root(facts.user):
            account |= account_of(facts.user, made_accounts(facts))
    replace_file(root / dockerfile, project.apply(edits).dockerfile.data)
    return account


def account_of(text: str, made: Iterable[Made]) -> dict[str, Any]:
    """Return ``USER`` as fields of ``Settings``, with the name of an account that the Dockerfile makes."""
    user, _, group = text.partition(":")
    found: dict[str, Any] = {}
    for one in made:
        if not one.is_group and user.isdecimal() and one.number == int(user) and NAME.fullmatch(one.name):
            found["user"] = one.name
    for value, number, name in ((user, "uid", "user"), (group or user, "gid", "group")):
        if value.isdecimal() and 0 < int(value) < 2**31:
            found[number] = int(value)
        elif NAME.fullmatch(value) and value != "root":
            found[name] = value
    return found
