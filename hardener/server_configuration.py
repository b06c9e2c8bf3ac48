"""What the server of an official image is configured to do: the question that most images answer with "no server"."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hardener.server_start import runs_server
from hardener.servers import server_of

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.server_configured import Configuration
    from hardener.server_reading import Unknown
    from hardener.stages import StageFacts


@lru_cache(maxsize=64)
def configuration(project: Project, facts: StageFacts) -> Configuration | Unknown | None:
    """Return what a stage's server is configured to do, or the reason why that is not known.

    ``None`` for a stage that does not run the own server of its base image.
    """
    server = server_of(facts)
    if server is None or not runs_server(project, facts):
        return None
    from hardener.server_setup import configured  # noqa: PLC0415  with a dozen modules that few images need

    return configured(project, facts, server)


def understood(project: Project, facts: StageFacts) -> Configuration | None:
    """Return what a stage's server is configured to do, ``None`` also where that is not known."""
    found = configuration(project, facts)
    return None if isinstance(found, Exception) else found
