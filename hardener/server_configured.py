"""What a server is configured to do, as values: the files that it reads, its ports, and the edits that move them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Edit

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.server_files import Files, ImageFile
    from hardener.server_reading import Change, Reading
    from hardener.servers import Server, Shipped
    from hardener.stages import StageFacts


class Image(NamedTuple):
    """The stage whose files are followed."""

    project: Project
    facts: StageFacts


class Read(NamedTuple):
    """One file of the project that the server reads, and what it says."""

    path: str
    file: ImageFile
    reading: Reading


class Configuration(NamedTuple):
    """Everything that a server is configured to do.

    ``read`` are the project's own files, ``shipped`` those of the image that are read as they are.  ``rendered``
    are files that the image's entrypoint writes from templates at every start.
    """

    server: Server
    read: tuple[Read, ...] = ()
    shipped: tuple[Shipped, ...] = ()
    rendered: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """Those of ``rendered`` that are there before, as root's."""
    files: Files | None = None
    opaque: tuple[str, ...] = ()
    """Folders of the container of which nothing is known, since they are mounted."""
    home: str = ""
    """The folder that relative includes are taken from."""

    @property
    def ports(self) -> frozenset[int]:
        """Every TCP port it listens on."""
        own = {listen.port for one in self.read for listen in one.reading.listens}
        return frozenset(own | {port for one in self.shipped for port in one.ports})

    @property
    def own_ports(self) -> frozenset[int]:
        """The ports that the project's own files make it listen on: those `move_port` has edited, or may."""
        own = (one.reading for one in self.read if one.file.path is not None)
        return frozenset(listen.port for reading in own for listen in reading.listens)

    @property
    def hosts(self) -> frozenset[int]:
        """The ports on which something in the image's own files answers, where something else listens."""
        return frozenset(port for one in self.shipped for port in one.hosts)

    @property
    def shipped_ports(self) -> frozenset[int]:
        """The ports that files of the image make it listen on."""
        return frozenset(port for one in self.shipped for port in one.ports)

    def edits(self) -> tuple[Edit, ...]:
        """Return what has to change in the project's files whatever the port."""
        return unique(edit_of(one.file, change) for one in self.read for change in one.reading.changes)

    def moving(self) -> tuple[tuple[int, Edit, int], ...]:
        """Return port, edit and Dockerfile line of every change that moves a port of the project's files."""
        return tuple(
            dict.fromkeys(
                (listen.port, edit_of(one.file, change), one.file.line)
                for one in self.read
                for listen in (*one.reading.listens, *(host for host in one.reading.hosts if host.port in self.ports))
                for change in listen.changes
            )
        )


def unique(edits: object) -> tuple[Edit, ...]:
    """Return edits without those that stand there twice, since a file may be included twice."""
    return tuple(dict.fromkeys(edits))  # type: ignore[call-overload]


def edit_of(file: ImageFile, change: Change) -> Edit:
    """Return a change of one file as an edit of the project's."""
    assert file.path is not None
    return Edit(file.path, file.offset + change.span.start, file.offset + change.span.stop, change.text)
