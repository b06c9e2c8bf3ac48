"""The container side of the ports that Compose services publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener import compose
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.dockerfile import Stage
    from hardener.project import Project

CONTAINER_SIDE = lazy_pattern(r"(?:^|:)(?:\$\{\w+:?-)?(\d{1,5})\}?(?:-\d+)?(?:/\w+)?$")
LABEL = lazy_pattern(r"traefik[\w.@-]*\.port[\"']?\s*[=:]\s*[\"']?(\d{1,5})\b")


def published(project: Project, stage: Stage) -> Iterator[tuple[int, str]]:
    """Yield the container ports below 1024 that services of a stage state, each with ``path:line`` of the service."""
    for service in compose.services_of(project, stage):
        for port in stated(service):
            if 0 < port < 1024:
                yield port, f"{service.file}:{service.line}"


def stated(service: Service) -> set[int]:
    """Return the container ports that a service publishes, exposes or names to Traefik."""
    items = [one for key in ("ports", "expose") for one in sequence(service.values.get(key))]
    texts = [str(one.get("target") if isinstance(one, dict) else one) for one in items]
    found = {int(match[1]) for text in texts if (match := CONTAINER_SIDE.search(text)) is not None}
    deploy = service.values.get("deploy")
    labels = (service.values.get("labels"), deploy.get("labels") if isinstance(deploy, dict) else None)
    return found | {int(match[1]) for match in LABEL.finditer(str(labels))}


def sequence(value: Any) -> list[Any]:
    """Return a value that should be a list, an empty one where it is not."""
    return value if isinstance(value, list) else []
