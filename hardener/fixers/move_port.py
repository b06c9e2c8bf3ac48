"""Move a port that only root may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardener import ports
from hardener.edit import Finding
from hardener.placement import switched_stages
from hardener.port_facts import Move, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.edit import Edit
    from hardener.project import Project
    from hardener.settings import Settings


def move_port(project: Project, settings: Settings) -> Iterator[Finding]:
    """Move a listening port below 1024 to one that every user may open: 80 to 8080, 443 to 8443, others + 8000.

    Why: outside Docker's own networks (Kubernetes, Podman, the host's network) a non-root process may not listen
    on it.
    Safety: EXPOSE, start command and the files it leads to, variables, health checks, the program's source and
    settings, Compose services and those that call them, Kubernetes manifests and `docker run` lines move in one
    finding or not at all; the published port never changes.  What is not understood leaves the whole image alone.
    With `--ports=keep` it only says where the port works, with `--ports=capability` it writes the sysctl for it.
    References: https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html (ip_unprivileged_port_start)
    """
    made: set[Edit] = set()
    for facts, _ in switched_stages(project, settings):
        kept = ports.kept(project, facts, settings)
        if kept:
            from hardener import port_permission  # noqa: PLC0415  only with --ports

            found = port_permission.edits(project, facts) if settings.port_policy == "capability" else ()
            edits = tuple(one for one in found if one not in made)
            made.update(edits)
            text = port_permission.WRITTEN if edits else port_permission.KEEPS
            names = ", ".join(map(str, sorted(kept)))
            yield Finding(
                "move_port", project.dockerfile_path, min(kept.values()), f"left on port {names}: {text}", edits
            )
        for port, result in ports.moves(project, facts, settings):
            edits = tuple(one for one in result.edits if one not in made) if isinstance(result, Move) else ()
            if isinstance(result, Move) and edits:
                made.update(edits)
                yield Finding(
                    "move_port",
                    project.dockerfile_path,
                    result.line,
                    f"port {port} needs root outside Docker's own networks; it becomes {result.new}",
                    edits,
                )
                from hardener import own_sources  # noqa: PLC0415  it is loaded already where a port moves

                shown = own_sources.shown(project, facts, port)
                if shown:
                    reason = (
                        f"{listed(shown)} may show the port that the program listens on to its clients: it is "
                        f"{result.new} now, whatever is published"
                    )
                    yield Finding("move_port", project.dockerfile_path, result.line, reason)
