"""What was seen of a project, before or after, as values: no engine is needed to read or compare them."""

from __future__ import annotations

from dataclasses import dataclass, field

# The ways in which a project is started, in this order.  `again` is a new container on the volumes of the first,
# `upgrade` one on volumes that the image before wrote, after the commands that the hardener prints.
SCENARIOS = ("start", "again", "upgrade", "locked", "arbitrary")
ABOUT = {
    "start": "the first start",
    "again": "a second start on used volumes",
    "upgrade": "a start on volumes that the image before wrote",
    "locked": "a start with --cap-drop ALL --read-only --security-opt no-new-privileges",
    "arbitrary": "a start as an arbitrary user of group 0",
}
SHORT = {
    "again": "second start, used volumes", "upgrade": "start on data of before", "locked": "locked up, read-only",
    "arbitrary": "arbitrary user, group 0",
}  # fmt: skip
# Kernels give ports from here on to whoever asks for any; they are different at every start.
# /proc/sys/net/ipv4/ip_local_port_range, https://docs.kernel.org/networking/ip-sysctl.html
EPHEMERAL = 32768


@dataclass(frozen=True)
class Answer:
    """What one probe was told: ``status`` is an HTTP status or an exit code, ``error`` why there was no answer."""

    probe: str
    status: int = 0
    body: str = ""
    error: str = ""


@dataclass(frozen=True)
class Seen:
    """One container in one scenario.

    ``error`` is what the engine said where it could not start it.  ``user`` is ``uid:gid`` of process 1, ``users``
    those of all processes; ``ports`` are the TCP ports it listens on beyond its own loopback; both ``None`` where
    they could not be seen.  ``written`` are the paths of its file system that changed since it was made; ``unusable``,
    of data that the image before wrote, what its user cannot read or write.
    """

    running: bool = False
    exit_code: int | None = None
    restarts: int = 0
    health: str = ""
    user: str | None = None
    users: tuple[str, ...] = ()
    ports: tuple[int, ...] | None = None
    log: str = ""
    error: str = ""
    answers: tuple[Answer, ...] = ()
    written: tuple[str, ...] = ()
    seconds: float = 0.0
    unusable: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it runs, or ended as a command ends that did its work."""
        return not self.error and (self.running or self.exit_code == 0) and self.health != "unhealthy"


@dataclass(frozen=True)
class Image:
    """An image that was built: bytes, number of layers, the user it names, and the absolute paths of its VOLUMEs."""

    size: int = 0
    layers: int = 0
    user: str = ""
    ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """A project before or after: its images and what was seen of each service, by scenario.

    ``build_error`` is the end of the build's output where it failed, ``""`` where it did not.
    """

    build_error: str = ""
    images: dict[str, Image] = field(default_factory=dict)
    scenarios: dict[str, dict[str, Seen]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """The one-time commands that the hardener printed and that failed, with what they said."""

    @property
    def built(self) -> bool:
        """Whether it could be built."""
        return not self.build_error
