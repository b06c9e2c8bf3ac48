"""Move tools that a build installs below /root to where every user can enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import root_home, server_start
from hardener.edit import Finding
from hardener.placement import switched_stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.edit import Edit
    from hardener.project import Project
    from hardener.settings import Settings


def move_root_tools(project: Project, settings: Settings) -> Iterator[Finding]:
    """Install pip --user packages, pipx, uv, poetry, rustup, nvm, Playwright, models, ... outside /root.

    Why: /root has mode 0700, so no other user can start, or even find, what lies below it.
    Safety: only with the variables that the tools document; the ENV stands before the first step that needs it, and
    PATH, COPY and every other mention of the old place move in the same finding or nothing does.
    References: https://docs.astral.sh/uv/reference/environment/, https://github.com/microsoft/playwright/issues/2437
    """
    done: set[Edit] = set()
    for facts, verdict in switched_stages(project, settings):
        assert verdict.account is not None
        if server_start.keeps_workers(project, facts) or next(root_home.reasons(project, facts), None) is None:
            continue
        from hardener import root_moves  # noqa: PLC0415  few images keep anything there

        move = root_moves.move(project, facts, verdict.account.written("numeric"))
        edits = tuple(edit for edit in move.edits if edit not in done) if move is not None else ()
        if move is None or not edits:
            continue
        done.update(edits)
        places = " and ".join(move.places) or "/root/.config"
        yield Finding(
            "move_root_tools",
            project.dockerfile_path,
            move.line,
            f"what is kept in {places} could not be reached by another user",
            edits,
        )
