"""The fixers, in the order in which they run; each sees the project that the one before it left.

A fixer is a function ``(project, settings) -> findings``: pure, in a file of its own name, with a docstring that
becomes its row in docs/fixers.md.  None is asked where no stage is to be switched and the configuration names
nothing for single images.  To add one: write the file, add it here, add its fixtures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener.fixers.create_user import create_user
from hardener.fixers.keep_root_entrypoint import keep_root_entrypoint
from hardener.fixers.meet_needs import meet_needs
from hardener.fixers.move_port import move_port
from hardener.fixers.move_root_tools import move_root_tools
from hardener.fixers.own_built import own_built
from hardener.fixers.own_copied import own_copied
from hardener.fixers.own_directories import own_directories
from hardener.fixers.prepare_server import prepare_server
from hardener.fixers.run_as_user import run_as_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardener.edit import Finding
    from hardener.project import Project
    from hardener.settings import Settings

    Fixer = Callable[[Project, Settings], Iterator[Finding]]

FIXERS: tuple[Fixer, ...] = (
    create_user,  # first: the others name the account
    move_root_tools,  # before own_copied: what is copied from a builder then lies elsewhere
    own_copied,
    own_built,  # needs to know which RUN steps stay root's
    own_directories,  # RUN as root, so before run_as_user
    meet_needs,  # after it: what it gave away is not given twice
    move_port,
    prepare_server,  # it looks for what the image brings itself, and would not know its own RUN again
    run_as_user,  # after all that needs root: from then on the image counts as switched
    keep_root_entrypoint,  # takes the start back to root, after USER and what runs as the user
)
FIXER_NAMES = tuple(fixer.__name__ for fixer in FIXERS)
