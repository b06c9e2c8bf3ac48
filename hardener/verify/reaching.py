"""Where a port of a container is reached from this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from hardener.verify.probes import is_open
from hardener.verify.processes import listening

if TYPE_CHECKING:
    from hardener.verify.runner import Place

PATIENCE = 4.0  # seconds until a connection through a tunnel counts as taken


class Spot(NamedTuple):
    """A port of a container, and the host and port here that stand for it."""

    container: str
    port: int
    address: tuple[str, int]


def spot(place: Place, container: str, port: int, published: tuple[str, int]) -> Spot:
    """Return where a port is reached: as it is published, or through a tunnel where the engine is elsewhere."""
    host, number = published
    if place.tunnels is not None:
        return Spot(container, port, place.tunnels.address(container, port))
    if place.engine.is_remote:
        return Spot(container, port, (urlsplit(place.engine.host).hostname or "127.0.0.1", number))
    return Spot(container, port, ("127.0.0.1" if host in ("0.0.0.0", "::", "") else host, number))  # noqa: S104


def is_there(place: Place, one: Spot) -> bool:
    """Whether somebody listens."""
    if place.tunnels is None:
        return is_open(one.address)
    ports = listening(place.engine, one.container, 0)
    return one.port in ports if ports is not None else is_open(one.address, PATIENCE)
